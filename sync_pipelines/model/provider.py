"""What a provider module declares about its vendor: facts as values, and the few flows that a table cannot say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from sync_pipelines.model.budget import Quota, Window
from sync_pipelines.model.common_model import Rule
from sync_pipelines.model.errors import ConfigurationError, SyncError
from sync_pipelines.model.filter import Filter
from sync_pipelines.model.flow import Flow, PageToken, Request, Response
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import Webhooks

ASSOCIATIONS: Final = ".associations"
"""The ending of objects whose records are the links of another one's. No vendor's object has a dot in its name."""


@dataclass(frozen=True, kw_only=True)
class VendorField:
    """One field of an object as the connected account describes it.

    `type` is ours: text, number, integer, boolean, timestamp, date, json. `vendor_type` is the vendor's own word.
    """

    name: str
    label: str = ""
    type: str = "text"
    vendor_type: str = ""
    custom: bool = False
    calculated: bool = False
    choices: tuple[str, ...] = ()
    refers_to: tuple[str, ...] = ()
    """Objects whose ids it holds."""


@dataclass(frozen=True, kw_only=True)
class ObjectSchema:
    """The answer of a `describe` flow: readable fields, and lookups (name -> {id: label}) such as pipeline stages.

    `unreadable`: fields that are shown and cannot be read, such as compound ones whose parts are fields of their own.
    """

    fields: tuple[VendorField, ...]
    lookups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unreadable: tuple[VendorField, ...] = ()

    @property
    def catalogue(self) -> "list[tuple[VendorField, bool]]":
        """All fields by name, and whether each can be read."""
        found = [(each, True) for each in self.fields] + [(each, False) for each in self.unreadable]
        return sorted(found, key=lambda entry: entry[0].name.casefold())


@dataclass(frozen=True, kw_only=True)
class RecordShape:
    """Where things are inside one record's JSON text.

    `fields` is the path under which the fields lie: () for a flat record, ("properties",) for HubSpot. The others are
    full paths. `modified` orders two versions of one record; `merged_into` names the surviving record.
    """

    id: tuple[str, ...]
    fields: tuple[str, ...] = ()
    created: tuple[str, ...] | None = None
    modified: tuple[str, ...] | None = None
    deleted: tuple[str, ...] | None = None
    merged_into: tuple[str, ...] | None = None
    merged_ids: tuple[str, ...] | None = None
    """On the survivor: ids of records that were merged into it (an array, or one text with ; between)."""


@dataclass(frozen=True, kw_only=True)
class CrmObject:
    """One object of a vendor: its name there, its shape, and its place in the common model if it has one.

    `cursor_field` None means the vendor cannot tell what changed: every read is a full read.
    `common` maps columns of the common model to rules over this object's fields.
    `volatile` fields change on every read and stay out of the hash.
    """

    name: str
    shape: RecordShape
    cursor_field: str | None = None
    common_name: str | None = None
    common: Mapping[str, Rule] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    tells_deletes: bool = True
    """Whether an incremental read brings deleted records too."""
    created_field: str | None = None
    """The field that tells when a record was created, by which a read of a period chooses."""
    aliases: tuple[str, ...] = ()
    """Other names a person may write for it: "contact", "contacts", "0-1". Compared without case."""
    associations_of: "CrmObject | None" = None
    """Its records are the links of that object's records (see model.association)."""
    table: str | None = None
    """Its table's name behind the provider's, where that does not follow from its own name."""


@dataclass(frozen=True, kw_only=True)
class OwnLogin:
    """Login pages that organisations have of their own. `title`: what the vendor calls them.

    `pattern`: of their whole URLs; its group `sandbox` matches in those of sandboxes.
    """

    title: str
    pattern: str
    example: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class OAuth2:
    """Where and how tokens are made. `authorize_path` is relative to the host of the vendor's login pages, `token_path`
    to the login host. `pkce`: the authorize page takes a challenge (S256).
    """

    authorize_path: str
    token_path: str
    scopes: tuple[str, ...] = ()
    pkce: bool = False
    own_login: OwnLogin | None = None


@dataclass(frozen=True, kw_only=True)
class CodeGrant:
    """What the vendor's login page gave to the browser, and what is needed to make tokens of it. A code works once."""

    code: Secret
    redirect_uri: str
    verifier: Secret | None = None


@dataclass(frozen=True, kw_only=True)
class FormField:
    """Something that a customer types. `secret`: nobody sees it again."""

    name: str
    label: str
    hint: str = ""
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class KeyForm:
    """How a customer connects with something typed instead of the vendor's login page.

    `tokens`: what it typed, by field and without blanks around it -> tokens. `login_url`: the field that says where its
    organisation's own login page is.
    """

    title: str
    hint: str
    fields: tuple[FormField, ...]
    tokens: "Callable[[Mapping[str, str]], Tokens]"
    login_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Requests allowed per `per` for each family, per connected account.

    `per_second`: families of which the vendor also counts the requests of every single second.
    """

    requests: Mapping[str, int]
    per: timedelta = timedelta(seconds=10)
    concurrent: int = 5
    per_second: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Base URLs of one environment. `api` None: the token response tells it (Salesforce's instance_url).

    `authorize`: where people log in, where that is another host than the one that makes tokens.
    """

    login: str
    api: str | None = None
    authorize: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReadPlan:
    """What one read flow is asked for.

    Full read: `since` is None, everything that exists, in an order that does not move while it is read.
    Incremental: `since <= modified`, and `modified < until` where the vendor can bound it; both are vendor-clock UTC.
    `resume` continues the same plan after a stored page. `bulk_above`: use the vendor's bulk way above so many records.
    `limit`: stop after about so many records (test runs). `where`: only these records, as `Provider.pushed` gave it;
    deleted records come along whether they fit or not. `associated`: of an object of associations, to which objects
    (empty: to all that there usually are).
    """

    object: CrmObject
    fields: tuple[VendorField, ...]
    since: datetime | None = None
    until: datetime | None = None
    resume: PageToken | None = None
    bulk_above: int = 2000
    page_size: int | None = None
    limit: int | None = None
    associated: tuple[str, ...] = ()
    where: Filter | None = None


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who we are connected to, for a person to recognise and for us to notice another account behind old data."""

    id: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnApp:
    """An app that a customer has made in its own organisation, and that may get tokens by itself."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens as the token endpoint gave them. `api_url` when the vendor tells where the account lives. `app`: asks for
    new ones in the place of a refresh token; an empty access token is then one that is still to be asked for."""

    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: datetime | None = None
    api_url: str | None = None
    app: OwnApp | None = None

    @property
    def renewable(self) -> bool:
        return self.refresh_token is not None or self.app is not None

    def followed_by(self, fetched: "Tokens") -> "Tokens":
        """The newer ones, with what a vendor does not repeat when it gives them."""
        return replace(
            fetched,
            refresh_token=fetched.refresh_token or self.refresh_token,
            api_url=fetched.api_url or self.api_url,
        )


Describe: TypeAlias = Callable[[CrmObject], Flow]
Read: TypeAlias = Callable[[ReadPlan], Flow]
Find: TypeAlias = Callable[[ReadPlan, str], Flow]
Classify: TypeAlias = Callable[[Request, Response], SyncError | None]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A vendor as we declare it. Capabilities follow from what is given, never from a flag beside it.

    `environments` maps "production" and "sandbox" to hosts. `overlap` is how far an incremental read looks back for
    records that became visible late. `find_object` makes a CrmObject of a name that is not in `objects`.
    """

    name: str
    title: str
    environments: Mapping[str, Hosts]
    auth: OAuth2
    limits: Limits
    objects: tuple[CrmObject, ...]
    describe: Describe
    read: Read
    count: Callable[..., Flow] | None
    """(object, filter or None) -> how many records exist now, deleted ones not counted."""
    identify: Callable[[], Flow]
    classify: Classify
    refresh: Callable[[str, str, Secret], Request]
    """(client id, client secret, refresh token) -> the token request."""
    token_from: Callable[[Response], Tokens]
    custom_object: Callable[[str], CrmObject]
    exchange: Callable[[str, str, CodeGrant], Request] | None = None
    """(client id, client secret, code) -> the token request. None: nobody connects by the vendor's login page."""
    revoke: Callable[[str, str, Tokens], Request] | None = None
    """(client id, client secret, tokens) -> the request after which they work no more. None: the vendor has none."""
    key_form: KeyForm | None = None
    app_form: KeyForm | None = None
    """How a customer names an app of its own. None: the vendor knows no such way."""
    app_tokens: Callable[[OwnApp], Request] | None = None
    """The token request of such an app."""
    associate: Callable[[CrmObject], CrmObject] | None = None
    """The object whose records are the links of an object's records; None: the vendor tells none."""
    changed: Callable[[CrmObject, datetime], Flow] | None = None
    """How many records were created, changed or deleted since a time of the vendor's clock. None: it cannot tell."""
    pushed: Callable[[CrmObject, Filter], Filter | None] = lambda crm_object, where: None
    """The part of a resolved filter that the vendor can apply itself, None for none of it. It must let every record
    through that the filter does, nulls and the case of letters included."""
    members: Callable[[CrmObject, str], Flow] | None = None
    """(object, id of a list) -> the ids of the object's records in it, as a set."""
    find: Find | None = None
    """Yields a page with the one record of this id, as `read` gives it; no page when there is none."""
    read_ids: Callable[[ReadPlan, Sequence[str]], Flow] | None = None
    """Yields pages with the records of these ids as they are now, as `read` gives them, deleted ones too where the
    vendor still shows them; of associations, the links of the records of these ids. None: it cannot be asked so."""
    webhooks: Webhooks | None = None
    """How the vendor tells changes by itself. None: it does not."""
    overlap: timedelta = timedelta(minutes=10)
    category: str = "crm"
    usage: Callable[[Mapping[str, str]], tuple[int, int] | None] = lambda headers: None
    """Response headers -> (used, allowed) calls of the account's quota, where the vendor tells."""
    window: Callable[[Mapping[str, str]], Window | None] = lambda headers: None
    """Response headers -> the vendor's short window, where the vendor tells."""
    quota: Quota = field(default_factory=Quota)
    vendor: str = ""
    """Whose API it is, whatever `name` a configuration gives the provider. Left out: `name`."""

    def __post_init__(self) -> None:
        if not self.vendor:
            object.__setattr__(self, "vendor", self.name)

    def form(self, auth_type: str) -> KeyForm | None:
        """What customers type where connections are made in this way (`auth_type`); None where they log in."""
        return {"api_key": self.key_form, "client_credentials": self.app_form}.get(auth_type)

    def find_object(self, name: str) -> CrmObject:
        """The declared object by any of its names, else a generic one by the vendor's own name."""
        wanted = name.casefold()
        if wanted.endswith(ASSOCIATIONS):
            if self.associate is None:
                raise ConfigurationError(f"{self.title} tells no associations: take them out of the sync.")
            return self.associate(self.find_object(name[: -len(ASSOCIATIONS)]))
        for known in self.objects:
            if wanted == known.name.casefold() or wanted in (alias.casefold() for alias in known.aliases):
                return known
        return self.custom_object(name)
