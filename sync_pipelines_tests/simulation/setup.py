"""Who lives which life: the account, the sync's settings and how the process behaves, all drawn from the seed."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from sync_pipelines.cli.demo.oracle import CUSTOM
from sync_pipelines.config import Configuration, DestinationConfig, ProviderConfig
from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.mapping import CustomSchema, SchemaField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import FULL_REFRESH, INCREMENTAL, MIRROR, UPSERT, Sync, SyncObject
from sync_pipelines_tests.simulation.ground import SCHEMA, SIZES
from sync_pipelines_tests.simulation.shapes import Shape

SYNC = "crm"
TYPES = {"annual_revenue": "numeric", "tier": "text", "renewal_date": "date", "is_strategic": "boolean"}
VENDOR_OBJECTS = {
    "salesforce": {"contact": "Contact", "account": "Account", "opportunity": "Opportunity"},
    "hubspot": {"contact": "contacts", "account": "companies", "opportunity": "deals"},
}
NEVER = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Setup:
    """`customs`: fields of the custom schema. `ahead`: how many chunks are read ahead of the one that is stored.

    `page`: records in a page. `mapped`: whether the object can have a custom schema.
    """

    customer: str
    vendor: str
    word: str
    vendor_object: str
    mapped: bool
    overlap: int
    skew: int
    page: int
    mode: str
    strategy: str
    chunk_rows: int
    bulk_above: int
    bulk_page: int
    full_refresh_every: int | None
    delete_brake: float
    raw_fields: bool
    customs: tuple[str, ...]
    ahead: int
    attempts: int
    shape: Shape = field(default_factory=Shape)
    """Of lives with shapes; the others take every record and let fields come and go."""

    def __str__(self):
        full = f", all of it every {self.full_refresh_every}" if self.full_refresh_every else ""
        return (
            f"{self.mode}, {self.strategy}{full}, {self.chunk_rows} rows a chunk, pages of {self.page}, "
            f"Bulk above {self.bulk_above} with pages of {self.bulk_page}, overlap {self.overlap} s, "
            f"{self.ahead} read ahead, {self.attempts} attempts, brake {self.delete_brake}, "
            f"raw {'on' if self.raw_fields else 'off'}, custom fields {', '.join(self.customs) or 'none'}"
            f"{'' if self.shape == Shape() else f', {self.shape}'}"
        )


def drawn(rng, accounts):
    """A Setup. Small accounts have the smallest pages, so that no read takes more than some dozen calls."""
    account = accounts[rng.choice(sorted(SIZES))]
    word = rng.choice(("contact", "contact", "contact", "account", "opportunity"))
    vendor_object = VENDOR_OBJECTS[account.vendor][word]
    size = SIZES[account.id][vendor_object]
    setup = Setup(
        customer=account.id,
        vendor=account.vendor,
        word=word,
        vendor_object=vendor_object,
        mapped=word != "opportunity",
        overlap=rng.choice((0, 1, 60, 600, 600, 600)),
        skew=rng.choice((0, 0, 600, -600, 5)),
        page=max(1, size // rng.choice((1, 3, 6, 12))),
        bulk_page=max(2, size // rng.choice((1, 2, 5))),
        delete_brake=1.0,
        mode=UPSERT,
        strategy=INCREMENTAL,
        chunk_rows=1,
        bulk_above=NEVER,
        full_refresh_every=None,
        raw_fields=True,
        customs=tuple(CUSTOM),
        ahead=0,
        attempts=2,
    )
    for change in CHANGES:
        setup = change(setup, rng)
    return setup


def _mode(setup, rng):
    return replace(setup, mode=rng.choice((UPSERT, UPSERT, MIRROR)))


def _strategy(setup, rng):
    return replace(setup, strategy=rng.choice((INCREMENTAL,) * 7 + (FULL_REFRESH,)))


def _chunk_rows(setup, rng):
    return replace(setup, chunk_rows=rng.choice((1, 1, 2, 2, 3, 5, 8, 40)))


def _bulk_above(setup, rng):
    return replace(setup, bulk_above=rng.choice((NEVER, NEVER, 0, 5)))


def _full_refresh_every(setup, rng):
    return replace(setup, full_refresh_every=rng.choice((None, None, 1, 2, 4)))


def _delete_brake(setup, rng):
    return replace(setup, delete_brake=rng.choice((1.0, 0.5, 0.1)))


def _raw_fields(setup, rng):
    return replace(setup, raw_fields=rng.random() < 0.75)


def _customs(setup, rng):
    if not setup.mapped:
        return replace(setup, customs=())
    return replace(setup, customs=tuple(name for name in CUSTOM if rng.random() < 0.8) or ("tier",))


def _ahead(setup, rng):
    return replace(setup, ahead=rng.choice((0, 1, 3)))


def _attempts(setup, rng):
    return replace(setup, attempts=rng.choice((1, 2, 3)))


CHANGES = (
    _mode,
    _strategy,
    _chunk_rows,
    _bulk_above,
    _full_refresh_every,
    _delete_brake,
    _raw_fields,
    _customs,
    _ahead,
    _attempts,
)
"""What a developer may change between two runs."""


def configuration(setup, ground):
    """The project's configuration as its files would say it."""
    account = ground.accounts[setup.customer]
    root = ground.control.url
    urls = {
        "salesforce": {"login_url": f"{root}/salesforce/login"},
        "hubspot": {"login_url": f"{root}/hubspot", "api_url": f"{root}/hubspot"},
    }
    client = OAuthClient(client_id=account.client_id, client_secret=Secret(account.client_secret))
    provider = ProviderConfig(name=setup.vendor, provider_name=setup.vendor, client=client, **urls[setup.vendor])
    destination = DestinationConfig(name="warehouse", schema_name=SCHEMA, password=Secret(""), **ground.warehouse)
    schema = None
    if setup.customs:
        schema = CustomSchema(
            version=1, fields=tuple(SchemaField(name=name, type=TYPES[name]) for name in setup.customs)
        )
    sync = Sync(
        name=SYNC,
        provider=setup.vendor,
        destination="warehouse",
        objects=(
            SyncObject(
                object=setup.word,
                raw_fields=setup.raw_fields,
                custom_schema=schema,
                filter=setup.shape.filter,
                leaving=setup.shape.leaving,
                schema_policy=setup.shape.policy,
            ),
        ),
        strategy=setup.strategy,
        mode=setup.mode,
        full_refresh_every=setup.full_refresh_every,
        delete_brake=setup.delete_brake,
        overlap=timedelta(seconds=setup.overlap),
        bulk_above=setup.bulk_above,
    )
    return Configuration(
        providers={setup.vendor: provider}, destinations={"warehouse": destination}, syncs={SYNC: sync}
    )
