"""A project whose connections do what a test tells them, to see what Dagster makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from sync_pipelines.config import Configuration, DestinationConfig, ProviderConfig
from sync_pipelines.engine.stopping import Stops
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.connection import Connection, OAuthClient
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.run import Counts, SyncRun
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Schedule, Sync, SyncObject
from sync_pipelines.orchestration.assets import Subject
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.settings import Settings

STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "hunter2-destination-password"
CLIENT_SECRET = "shh-client-secret"
TABLE = Table(name="crm_contact", columns=(Column("id", "text", "Vendor's id"), Column("amount", "numeric")))


def a_sync(name="hubspot_crm", provider="hubspot", objects=("contact", "account"), **more):
    declared = tuple(SyncObject(object=each) for each in objects)
    # Its next regular time is far away, whenever the test runs.
    schedule = Schedule(every=timedelta(days=300), spread=timedelta(0))
    return Sync(name=name, provider=provider, destination="warehouse", objects=declared, schedule=schedule, **more)


def a_configuration(*syncs):
    client = OAuthClient(client_id="app", client_secret=Secret(CLIENT_SECRET))
    providers = {
        sync.provider: ProviderConfig(name=sync.provider, provider_name=sync.provider, client=client) for sync in syncs
    }
    warehouse = DestinationConfig(
        name="warehouse", host="localhost", database="warehouse", user="sync", password=Secret(PASSWORD)
    )
    return Configuration(
        providers=providers, destinations={"warehouse": warehouse}, syncs={sync.name: sync for sync in syncs}
    )


def a_run(customer, status="success", *, counts=None, **more):
    return SyncRun(
        run_id="run",
        sync="hubspot_crm",
        object="contact",
        provider="hubspot",
        customer_id=customer,
        started_at=STARTED,
        finished_at=STARTED + timedelta(seconds=2.5),
        status=status,
        counts=counts if counts is not None else Counts(read=3, created=2, unchanged=1),
        **more,
    )


def a_failed_run(customer, error_type="rate_limit", message="Wait for the vendor's limit to reset."):
    return a_run(customer, "error", counts=Counts(), error_type=error_type, error_message=message)


class FakeProject:
    """`outcomes`: customer, or (object, customer) -> the SyncRun it gets; without one it is a plain success.

    `calls`: what it was asked to sync, one for each object; `launches`: how often it was asked.
    """

    def __init__(self, *syncs, customers=(), syncs_dir=Path("no-such-folder"), store=None):
        self.settings = Settings(environment="development", syncs_dir=syncs_dir, _env_file=None)
        self.configuration = a_configuration(*(syncs or (a_sync(),)))
        self.together = SimpleNamespace(mark=None)
        self.customers = list(customers)
        self.outcomes = {}
        self.calls = []
        self.launches = 0
        self.raises = None
        self.unapplied = set()
        lifecycle = SimpleNamespace(
            refuse_archived=lambda sync: None,
            cancelled=lambda sync, since: frozenset(),
            cancelled_of=lambda claim: frozenset(),
            now=lambda: STARTED,
        )
        due = SimpleNamespace(get=lambda claim: None)
        runs = SimpleNamespace(overtaken=lambda finished: frozenset())
        self.store = store or SimpleNamespace(check_current=lambda: None, lifecycle=lifecycle, due=due, runs=runs)
        self.stops = Stops()
        self.closed = 0

    def table(self, sync, object_name):
        return replace(TABLE, name=f"crm_{object_name}")

    def connections(self, sync, customers=()):
        provider = self.configuration.syncs[sync].provider
        return [
            Connection(id=number, customer_id=name, provider=provider) for number, name in enumerate(self.customers)
        ]

    def refuse_unapplied(self, name):
        if name in self.unapplied:
            raise ConfigurationError(f"The sync {name} was never applied.")

    def plan(self, name):
        self.store.due.plan([self.configuration.syncs[name]])

    def sync_objects(
        self, sync, objects, *, run_id, full=False, observe=None, on_done=None, due_at=None, on_begun=None
    ):
        self.launches += 1
        for name, customers in objects.items():
            call = SimpleNamespace(sync=sync, object=name, customers=list(customers), full=full, run_id=run_id)
            self.calls.append(call)
        runs = []
        for name, customer in ((name, customer) for name, customers in objects.items() for customer in customers):
            if self.raises is not None and len(runs) == self.raises.after:
                raise self.raises.error
            outcome = self.outcomes.get((name, customer), self.outcomes.get(customer, a_run(customer)))
            runs.append(replace(outcome, run_id=run_id, sync=sync, object=name))
            on_done(runs[-1])
        return runs

    def sample(self, sync, object_name, customer_id, limit=5):
        return ["id", "amount"], [("1", None), ("2 | <b>bold</b>", "x" * 200)]

    def close(self):
        self.closed += 1


def subjects_of(project, sync):
    return [
        Subject(
            sync=sync,
            declared=declared,
            vendor=sync.provider,
            destination_type="postgres",
            table=project.table(sync.name, declared.object),
        )
        for declared in sync.objects
    ]


def giving(project):
    """A resource that gives a project which is already there. Dagster copies resources by their class and fields."""

    class GivenProject(SyncProject):
        def open(self):
            if isinstance(project, Exception):
                raise project
            return project

        def teardown_after_execution(self, context):
            if isinstance(project, FakeProject):
                project.close()

    return GivenProject()
