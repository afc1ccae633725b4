"""What a loaded configuration is: values that are checked, complete and ready to use."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeAlias

from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Sync


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """`name` is what syncs and connections call it, `provider_name` the vendor. URLs None: the vendor's own."""

    name: str
    provider_name: str
    client: OAuthClient
    api_version: str | None = None
    auth_type: str = "oauth2"
    category: str = "crm"
    scopes: tuple[str, ...] = ()
    login_url: str | None = None
    api_url: str | None = None
    reserve: float = 0.1
    """The share of an account's calls that is left to the customer's own apps."""

    def placed(self, connection: Connection) -> Connection:
        """The connection with this provider's URLs where it has none of its own."""
        return replace(
            connection, login_url=connection.login_url or self.login_url, api_url=connection.api_url or self.api_url
        )


@dataclass(frozen=True, kw_only=True)
class RowLevelSecurity:
    """Who reads sees the rows of the customer that a setting of its session names. `role` None: everybody who reads."""

    role: str | None = None
    setting: str = "sync_pipelines.customer_id"


@dataclass(frozen=True, kw_only=True)
class DestinationConfig:
    """A Postgres database. `${CUSTOMER_ID}` in database and schema_name stands for each customer's id.

    A host that begins with / is a folder of sockets. `connection_parameters` are libpq's (sslmode and the like).
    """

    name: str
    host: str
    database: str
    user: str
    password: Secret
    port: int = 5432
    schema_name: str = "public"
    type: str = "postgres"
    connection_parameters: Mapping[str, str] = field(default_factory=dict)
    row_level_security: RowLevelSecurity | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self.password,)

    def in_schema(self, schema: str) -> "DestinationConfig":
        """The same destination for a customer with a schema of its own."""
        return replace(self, schema_name=schema)


@dataclass(frozen=True, kw_only=True)
class S3DestinationConfig:
    """A bucket, or a local `folder`: one of the two is given. `${CUSTOMER_ID}` in prefix stands for the customer's id.

    Without keys the surroundings decide who we are (a role, AWS_PROFILE). `grace`: how long replaced files stay for
    readers that still use them.
    """

    name: str
    bucket: str = ""
    folder: str = ""
    region: str | None = None
    prefix: str = ""
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret = field(default_factory=lambda: Secret(""))
    session_token: Secret = field(default_factory=lambda: Secret(""))
    format: str = "parquet"
    compression: str = "zstd"
    grace: timedelta = timedelta(days=1)
    type: str = "s3"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return (self.secret_access_key, self.session_token)

    def in_schema(self, schema: str) -> "S3DestinationConfig":
        """The same bucket for a customer with a schema of its own: a folder below the prefix."""
        return replace(self, prefix=f"{self.prefix}/{schema}".strip("/"))


AnyDestinationConfig: TypeAlias = DestinationConfig | S3DestinationConfig


@dataclass(frozen=True, kw_only=True)
class KeptDocument:
    """One document as it was written, without secrets. `file`: below the folder of the configuration."""

    kind: str
    name: str
    file: str
    value: Any


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Everything by its name. `warnings` are sentences for a person; they stop nothing."""

    providers: Mapping[str, ProviderConfig] = field(default_factory=dict)
    destinations: Mapping[str, AnyDestinationConfig] = field(default_factory=dict)
    syncs: Mapping[str, Sync] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    documents: tuple[KeptDocument, ...] = ()
    """As they were written in files, without secrets."""
    by_api: frozenset[str] = frozenset()
    """Which of the syncs were made by API."""
    sides_by_api: frozenset[tuple[str, str]] = frozenset()
    """Which of the providers and destinations were: ("providers" or "destinations", name)."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """Syncs made by API that cannot be beside the others, and why; they are not among `syncs`."""
    sides_aside: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The same of providers and destinations."""
