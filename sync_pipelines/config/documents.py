"""The documents that people write: provider, destination and sync. An API takes the same models as JSON."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from sync_pipelines.config.document import Choice, Document, Identifier, or_text, refusing
from sync_pipelines.config.filters import BoundedFilter, HistoryDocument, Leaving
from sync_pipelines.config.rules import RuleDocument
from sync_pipelines.config.s3_document import S3DestinationDocument
from sync_pipelines.config.schedules import Duration, ScheduleDocument
from sync_pipelines.config.texts import Name, Url
from sync_pipelines.model.naming import LONGEST_NAME, refusal_of_customer_id
from sync_pipelines.model.schema_change import DISCARD_FIELD, DISCARD_RECORD, EVOLVE, FREEZE
from sync_pipelines.model.sync import APPEND, FULL_REFRESH, INCREMENTAL, MIRROR, UPSERT

STRATEGIES = {
    "full refresh": FULL_REFRESH,
    "full_refresh": FULL_REFRESH,
    "full only": FULL_REFRESH,
    "incremental": INCREMENTAL,
    "full then incremental": INCREMENTAL,
}
"""Every first sync reads all history, so `full then incremental` is what `incremental` does."""

SCHEMA_POLICIES = {
    "evolve": EVOLVE,
    "freeze": FREEZE,
    "discard field": DISCARD_FIELD,
    "discard_field": DISCARD_FIELD,
    "discard record": DISCARD_RECORD,
    "discard_record": DISCARD_RECORD,
}

FIELD_TYPES = {
    "text": "text",
    "string": "text",
    "numeric": "numeric",
    "number": "numeric",
    "decimal": "numeric",
    "bigint": "bigint",
    "integer": "bigint",
    "boolean": "boolean",
    "bool": "boolean",
    "timestamptz": "timestamptz",
    "timestamp": "timestamptz",
    "datetime": "timestamptz",
    "date": "date",
    "jsonb": "jsonb",
    "json": "jsonb",
}

CONNECTION_PARAMETERS = frozenset(
    {
        *("application_name", "client_encoding", "connect_timeout", "options", "target_session_attrs"),
        *("keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"),
        *("channel_binding", "gssencmode", "sslcert", "sslcertmode", "sslcrl", "sslkey", "sslmode", "sslnegotiation"),
        *("sslrootcert", "sslsni", "ssl_max_protocol_version", "ssl_min_protocol_version", "load_balance_hosts"),
    }
)
"""Parameters of libpq that may be set beside host, port, database, user and password."""


def _table(written: str) -> str:
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}", written):
        raise refusing("must be a plain table name: small letters, digits and _, at most 63, a letter first")
    return written


def _prefix(written: str) -> str:
    if not re.fullmatch(r"_[a-z0-9_]{0,20}_", written):
        raise refusing("must begin and end with _ and hold small letters, digits and _ only, such as `_sync_`")
    return written


def _customer(written: str) -> str:
    if reason := refusal_of_customer_id(written):
        raise refusing(f"is not a customer id: {reason}")
    return written


def _schema(written: str) -> str:
    if not written or written.startswith("pg_") or written == "information_schema":
        raise refusing("must be a schema of your own, such as `public` or `crm`")
    return written


def _short_forms_too(schema: dict[str, Any]) -> None:
    """What an editor is to take besides the document."""
    schema["anyOf"] = [*schema["anyOf"], {"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]


def _none_if_false(written: Any) -> Any:
    return None if written is False else written


def _parameters(written: dict[str, str | int]) -> dict[str, str | int]:
    if unknown := sorted(written.keys() - CONNECTION_PARAMETERS):
        raise refusing(f"does not take {', '.join(unknown)}; it takes {', '.join(sorted(CONNECTION_PARAMETERS))}")
    return written


def _setting(written: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+", written) or len(written) > LONGEST_NAME:
        raise refusing("must be a setting of your own: small letters, digits and _ with a dot, such as `app.customer`")
    return written


def _unless_off(written: Any) -> Any:
    return None if written is False else written


_LATER = {
    "outbound": "outbound is not there yet: write `direction: inbound`, or leave it out",
    "bidirectional": "bidirectional is not there yet: write `direction: inbound`, or leave it out",
}
Strategy = Annotated[str, Choice(STRATEGIES)]
SchemaPolicy = Annotated[str, Choice(SCHEMA_POLICIES)]
FieldType = Annotated[str, Choice(FIELD_TYPES)]
AuthType = Annotated[str, Choice({word: word for word in ("oauth2", "api_key", "client_credentials")})]
Category = Annotated[str, Choice({"crm": "crm"})]
Direction = Annotated[str, Choice({"inbound": "inbound"}, later=_LATER)]
Mode = Annotated[str, Choice({UPSERT: UPSERT, MIRROR: MIRROR, APPEND: APPEND})]


class OAuthDocument(Document):
    """The developer's own app at the vendor."""

    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    scopes: tuple[str, ...] = Field((), description="Empty: the provider's own")


class PrintedOAuthDocument(Document):
    class Credentials(Document):
        client_id: str = Field(min_length=1)
        client_secret: SecretStr = Field(min_length=1)

    oauth_scopes: tuple[str, ...] = ()
    credentials: Credentials


class PrintedProviderDocument(Document):
    oauth: PrintedOAuthDocument


class ProviderDocument(Document):
    """How we reach one vendor. `config.oauth` is the form of the managed-syncs documents, `oauth` the short one."""

    EXACTLY_ONE = (("oauth", "config"),)
    UNLESS = ("auth_type", ("api_key", "client_credentials"))

    id: Identifier | None = None
    provider_name: str = Field(description="Which vendor: salesforce, hubspot")
    name: Name | None = Field(None, description="What syncs call it; the vendor's name if left out")
    auth_type: AuthType = Field(
        "oauth2",
        description="api_key: customers type a key instead of logging in there; client_credentials: id and secret of "
        "an app of their own",
    )
    category: Category = "crm"
    api_version: Identifier | None = Field(None, description="Left out: the version that is tested")
    oauth: OAuthDocument | None = None
    config: PrintedProviderDocument | None = None
    login_url: Url = Field(None, description="Instead of the vendor's login host; empty means the vendor's")
    api_url: Url = Field(None, description="Instead of the vendor's API host; empty means the vendor's")
    reserve: float = Field(0.1, ge=0, lt=1, description="Share of an account's calls that is left to its own apps")


class RowLevelSecurityDocument(Document):
    """Readers see the rows of one customer. `true` stands for everything at its default."""

    role: str | None = Field(
        None, min_length=1, max_length=LONGEST_NAME, description="Who reads, and is given the right to; else everybody"
    )
    setting: Annotated[str, AfterValidator(_setting)] = Field(
        "sync_pipelines.customer_id", description="Of the reading session: the customer whose rows it sees"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_bare_true(cls, written: Any) -> Any:
        return {} if written is True else written


class PostgresDestinationDocument(Document):
    """A Postgres database. `${CUSTOMER_ID}` in database and schema keeps customers apart."""

    class Credentials(Document):
        host: str = Field(min_length=1, description="A host name, or a folder of sockets that begins with /")
        port: int = Field(5432, ge=1, le=65_535)
        database: str = Field(min_length=1)
        schema_name: Annotated[str, AfterValidator(_schema)] = Field("public", alias="schema")
        user: str = Field(min_length=1)
        password: SecretStr = SecretStr("")

    id: Identifier | None = None
    name: Name
    type: Literal["postgres"]
    credentials: Credentials
    connection_parameters: Annotated[dict[str, str | int], AfterValidator(_parameters)] = Field(
        {}, description="Of libpq, such as sslmode"
    )
    row_level_security: Annotated[RowLevelSecurityDocument | None, BeforeValidator(_unless_off)] = None


DESTINATION_DOCUMENTS: dict[str, type[PostgresDestinationDocument] | type[S3DestinationDocument]] = {
    "postgres": PostgresDestinationDocument,
    "s3": S3DestinationDocument,
}


class SchemaFieldDocument(Document):
    """A field that customers map onto. A bare name stands for a text field."""

    model_config = ConfigDict(json_schema_extra=or_text)

    name: str = Field(min_length=1, max_length=200)
    type: FieldType = "text"
    required: bool = False
    description: str = ""
    sources: dict[str, RuleDocument] = Field({}, description="Your own default: vendor field, or rule, by provider")
    locked: bool = Field(False, description="Customers cannot map it otherwise")

    @model_validator(mode="before")
    @classmethod
    def _a_bare_name(cls, written: Any) -> Any:
        return {"name": written} if isinstance(written, str) else written


class CustomSchemaDocument(Document):
    version: int = Field(1, ge=1)
    fields_: tuple[SchemaFieldDocument, ...] = Field(alias="fields")
    allow_additional_fields: bool = False


class AssociationsDocument(Document):
    """Links of an object's records, in a table of their own. `true` stands for all that there usually are, a list for
    `to`."""

    to: tuple[str, ...] = Field((), description="Linked objects; empty: all that there usually are")
    strategy: Strategy | None = None
    table: Annotated[str, AfterValidator(_table)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, written: Any) -> Any:
        if written is True:
            return {}
        return {"to": written} if isinstance(written, list | tuple) else written


class ObjectDocument(Document):
    """One object of a sync. A bare name stands for the object with everything at its default."""

    object: str = Field(min_length=1, max_length=200)
    common_schema: bool = Field(True, validation_alias=AliasChoices("common_schema", "supaglue_common_schema"))
    raw_fields: bool = True
    custom_schema: CustomSchemaDocument | None = None
    strategy: Strategy | None = None
    table: Annotated[str, AfterValidator(_table)] | None = None
    filter: BoundedFilter | None = Field(None, description="Which of the records are synced")
    leaving: Leaving | None = Field(None, description="What becomes of the row of a record that leaves the filter")
    history: HistoryDocument | None = Field(None, description="What a first read brings; the sync's if left out")
    schema_policy: SchemaPolicy | None = Field(
        None, description="What to do when the account's fields change; the sync's if left out"
    )
    freshness: Duration | None = Field(
        None, description="No customer's last success should be older; the sync's if left out"
    )
    formula_refresh: ScheduleDocument | None = Field(
        None, description="When formula and roll-up fields are read of all records: daily, or a schedule"
    )
    associations: Annotated[AssociationsDocument | None, BeforeValidator(_none_if_false)] = Field(
        None,
        description="Links to other objects, in a table of their own: true, or a list of objects",
        json_schema_extra=_short_forms_too,
    )

    @model_validator(mode="before")
    @classmethod
    def _a_bare_name(cls, written: Any) -> Any:
        return {"object": written} if isinstance(written, str) else written

    @model_validator(mode="after")
    def _refreshes_what_is_stored(self) -> Self:
        if self.formula_refresh is not None and not self.raw_fields:
            raise refusing("has `formula_refresh`, which compares with the stored records: leave `raw_fields` on")
        return self


class OverrideDocument(Document):
    """What is otherwise for one customer."""

    schedule: ScheduleDocument | None = None
    objects: tuple[str, ...] | None = Field(None, min_length=1, description="Only these of the sync's objects")
    schema_name: Annotated[str, AfterValidator(_schema)] | None = Field(
        None, alias="schema", description="This customer's schema in the destination"
    )
    filters: dict[str, BoundedFilter | None] = Field(
        {}, description="By object, this customer's filter instead of the sync's; null for none"
    )
    freshness: Duration | None = Field(None, description="How old this customer's last success may be, of any object")


class PrintedSyncDocument(Document):
    period_ms: int | None = Field(None, gt=0)
    strategy: Strategy | None = None


def _off(written: object) -> object:
    """YAML reads `off` as false."""
    return "off" if written is False else written


class SyncDocument(Document):
    """A standing order. `provider_id`, `destination_id` and `config` are the form of the managed-syncs documents."""

    EXACTLY_ONE = (("provider", "provider_id"), ("destination", "destination_id"))

    id: Identifier | None = None
    name: Name
    provider: str | None = None
    provider_id: Identifier | None = None
    destination: str | None = None
    destination_id: Identifier | None = None
    config: PrintedSyncDocument | None = None
    schedule: ScheduleDocument | None = None
    strategy: Strategy | None = None
    direction: Direction = "inbound"
    mode: Mode = "upsert"
    full_refresh_every: int | None = Field(None, ge=1, description="Runs between two full reads")
    delete_brake: float = Field(0.5, ge=0, le=1, description="Largest share that one full read may delete")
    overlap: Duration | None = Field(None, description="How far an incremental read looks back")
    metadata_prefix: Annotated[str, AfterValidator(_prefix)] = "_sync_"
    bulk_above: int = Field(2000, ge=0)
    customers: tuple[Annotated[str, AfterValidator(_customer)], ...] = ()
    overrides: dict[Annotated[str, AfterValidator(_customer)], OverrideDocument] = Field(
        {}, description="What is otherwise for single customers: schedule, objects, schema, filters, freshness"
    )
    schema_policy: SchemaPolicy = Field("evolve", description="What to do when an account's fields change")
    freshness: Duration | None = Field(None, description="No customer's last successful sync should be older than this")
    history: HistoryDocument | None = Field(None, description="What a first read brings; everything if left out")
    record_log: Annotated[Literal["off", "changes"], BeforeValidator(_off)] = Field(
        "off", description="changes: remember which records each run created, updated and deleted"
    )
    log_values: bool = Field(True, description="Whether the record log holds old and new values")
    objects: tuple[ObjectDocument, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _says_everything_once(self) -> Self:
        config = self.config or PrintedSyncDocument()
        if self.schedule is not None and config.period_ms is not None:
            raise refusing("has both `schedule` and `config.period_ms`: keep one")
        if self.strategy is not None and config.strategy is not None:
            raise refusing("has both `strategy` and `config.strategy`: keep one")
        self._overrides_fit()
        return self

    def _overrides_fit(self) -> None:
        known = {each.object for each in self.objects}
        for customer, override in self.overrides.items():
            if self.customers and customer not in self.customers:
                raise refusing(f"has an override for {customer}, whom `customers` does not name")
            if strangers := sorted({*(override.objects or ()), *override.filters} - known):
                raise refusing(
                    f"has an override for {customer} with {', '.join(strangers)}, which is not among its objects "
                    f"({', '.join(sorted(known))})"
                )
