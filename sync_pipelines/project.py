"""A project opened: configuration, store and what is needed to run its syncs. Dagster and the CLI begin here."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from sync_pipelines.applied import mark_of, unapplied
from sync_pipelines.config import Configuration
from sync_pipelines.config.by_api import Documents, load_documents
from sync_pipelines.config.loading import OWN_TRANSFORMS
from sync_pipelines.config.snapshot import parts_of
from sync_pipelines.engine.inbound import Work
from sync_pipelines.engine.layout import table_of
from sync_pipelines.engine.schema_policy import SchemaMemory
from sync_pipelines.engine.side_by_side import Surroundings, sync_side_by_side
from sync_pipelines.engine.stopping import Stops
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.http_client.keeping import KeptSessions, kept_sessions
from sync_pipelines.logs import know
from sync_pipelines.model.budget import Budget, Hold, Terms
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import Destination, Observer, Row, Scope, Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import CrmObject, ObjectSchema, Provider
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.opened_destinations import OpenedDestinations
from sync_pipelines.own_transforms import look_in
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers import provider as find_provider
from sync_pipelines.settings import Settings, environment_variables, read_settings
from sync_pipelines.spending import Spending
from sync_pipelines.store import Store
from sync_pipelines.together import Together, providers_of
from sync_pipelines.vendor_names import fields_elsewhere, vendors_name


def ignore(told: object) -> None:
    """For those who do not watch."""


class Project:
    """Opened by `open_project`; close it when done. Safe to use from several threads.

    `sleep` is how vendor sessions wait; None waits for real, until one of `stops` is set.
    """

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        *,
        documents: Documents | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.settings = settings
        self.in_files = configuration
        """What the files declare. `configuration` is this and what was made by API."""
        self.together = Together(settings, configuration, documents, lambda: self.store)
        self.stops = Stops()
        self.s3_client: Callable[[], Any] | None = None
        """Gives boto3's client for buckets whose configuration has no keys; None: the surroundings' credentials."""
        self._sleep = sleep
        self._store: Store | None = None
        self._destinations = OpenedDestinations()
        self._lock = threading.Lock()
        look_in(settings.syncs_dir / OWN_TRANSFORMS)
        self._providers: tuple[Configuration, Mapping[str, Provider]] = (configuration, providers_of(configuration))

    @property
    def store(self) -> Store:
        """Opened at its first use, so that a code location loads while the store is down."""
        with self._lock:
            if self._store is None:
                # Not what the providers are now: the store has to be there to tell of some.
                def own_name(provider: str, object_name: str) -> str:
                    return vendors_name(self.providers, provider, object_name)

                self._store = Store(self.settings.require_store_url(), self.settings.key_ring, own_name)
            return self._store

    def close(self) -> None:
        self._destinations.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def configuration(self) -> Configuration:
        """Everything by its name: what the files declare, and what was made by API as last seen."""
        return self.together.configuration

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The vendors' declarations by the names of `configuration.providers`."""
        configuration = self.configuration
        if self._providers[0] is not configuration:
            self._providers = (configuration, providers_of(configuration))
        return self._providers[1]

    def sync(self, name: str) -> Sync:
        """ConfigurationError naming the known ones when there is no such sync."""
        found = self.configuration.syncs.get(name)
        if found is None:
            raise ConfigurationError(self.together.why_unknown(name))
        return found

    def declared(self, sync: str, object_name: str) -> SyncObject:
        """The sync's object by the name in its configuration, whatever its case."""
        objects = self.sync(sync).objects
        for declared in objects:
            if declared.object.casefold() == object_name.casefold():
                return declared
        known = ", ".join(item.object for item in objects)
        raise ConfigurationError(f"The sync {sync} has no object {object_name}. It has: {known}.")

    def plan(self, name: str) -> None:
        """Bring what is planned of a sync in line with its configuration and its connections.

        Where a configuration must be applied and this one was not, what is planned stays as it is.
        """
        if self.settings.require_apply and self._unapplied(name):
            return
        self.store.due.plan([self.sync(name)], marks={name: self.mark(name)})

    def refuse_unapplied(self, name: str) -> None:
        """ConfigurationError where a configuration must be applied (`require_apply`) and this sync's was not."""
        if self.settings.require_apply and (reason := self._unapplied(name)):
            raise ConfigurationError(reason)

    def _unapplied(self, name: str) -> str | None:
        self.sync(name)
        if name in self.configuration.by_api:
            return None  # the call that made it has applied it
        return unapplied(self.store.configurations.newest(), parts_of(self.in_files), name)

    def mark(self, name: str) -> str:
        """A text that changes with the provider and the destination of a sync, their secrets included, and tells
        nothing of them."""
        return self.mark_of(self.sync(name))

    def mark_of(self, sync: Sync, configuration: Configuration | None = None) -> str:
        """As `mark`, of a sync that need not be known yet, as it is in another configuration."""
        key = self.settings.key_ring[0].reveal().encode()[:64]
        return mark_of(configuration or self.configuration, sync, key)

    def provider_of(self, sync: Sync) -> Provider:
        return self.providers[sync.provider]

    def crm_object(self, sync: str, object_name: str) -> CrmObject:
        return self.provider_of(self.sync(sync)).find_object(self.declared(sync, object_name).object)

    def table(self, sync: str, object_name: str) -> Table:
        """The destination table of a sync's object."""
        return table_of(self.sync(sync), self.declared(sync, object_name), self.crm_object(sync, object_name))

    def connections(self, sync: str, customers: Sequence[str] = ()) -> list[Connection]:
        """The connections that a sync covers; ConfigurationError for a named customer that is not among them."""
        declared = self.sync(sync)
        found = self.store.connections.list(provider=declared.provider, customers=customers or None)
        known = {item.customer_id: item for item in found}
        if declared.customers:
            known = {name: item for name, item in known.items() if declared.covers(name)}
        if missing := [name for name in customers if name not in known]:
            raise ConfigurationError(
                f"The sync {sync} has no connection of {', '.join(missing)} to {declared.provider}: connect it with "
                f"`sync-pipelines connect {declared.provider} CUSTOMER`."
            )
        return [known[name] for name in customers] if customers else list(known.values())

    @property
    def budget_terms(self) -> dict[str, Terms]:
        """How the vendor of each provider counts calls, and what is left to the customers' own apps."""
        return {
            name: Terms(vendor=self.providers[name].vendor, quota=self.providers[name].quota, reserve=config.reserve)
            for name, config in self.configuration.providers.items()
        }

    def budgets_of(self, connections: Sequence[Connection] | None = None) -> dict[int, Budget]:
        """The API budgets of these connections, of all when None; by connection id."""
        ids = None if connections is None else [item.id for item in connections]
        return self.store.budgets.budgets_of(ids, self.budget_terms)

    def session(self, connection: Connection, *, attempts: int | None = None) -> VendorSession:
        """A conversation with the vendor in this connection's name. Close it. `attempts`: tries of one call."""
        config = self.configuration.providers[connection.provider]
        return VendorSession(
            self.providers[connection.provider],
            config.placed(connection),
            self.store.credentials(connection),
            config.client,
            timeout=self.settings.request_timeout_seconds,
            attempts=attempts or self.settings.retry_attempts,
            sleep=self._sleep,
            stop=self.stops.of(connection.customer_id),
            reserve=config.reserve,
        )

    def destination(self, sync: Sync, customer_id: str) -> Destination:
        """A sync's destination as this customer sees it: database and schema may hold the customer's id, and the
        customer may have a schema of its own."""
        own = sync.overrides.get(customer_id)
        config = self.configuration.destinations[sync.destination]
        return self._destinations.of(config, customer_id, own.schema if own is not None else None, self.s3_client)

    def describe(self, connection: Connection, object_name: str) -> ObjectSchema:
        """What the connected account says of an object: its readable fields."""
        session = self.session(connection)
        try:
            provider = self.providers[connection.provider]
            schema: ObjectSchema = session.ask(provider.describe(provider.find_object(object_name)))
            return schema
        finally:
            session.close()

    def sync_connections(
        self,
        sync: str,
        object_name: str,
        customers: Sequence[str],
        *,
        run_id: str,
        full: bool = False,
        observe: Observer = ignore,
        on_done: Callable[[SyncRun], None] = lambda run: None,
    ) -> list[SyncRun]:
        """Sync one object of these customers; of all that are connected when none is named."""
        named = [connection.customer_id for connection in self.connections(sync, customers)]
        return self.sync_objects(sync, {object_name: named}, run_id=run_id, full=full, observe=observe, on_done=on_done)

    def first_records(
        self, sync: str, object_name: str, customers: Sequence[str], most: int, *, run_id: str
    ) -> list[SyncRun]:
        """A test run: load at most `most` records of one object of these customers; their position stays as it is."""
        connections = {item.customer_id: item for item in self.connections(sync, customers)}
        work = self.work(sync, [(object_name, who) for who in connections], connections, run_id=run_id, full=True)
        return self._done([replace(item, first=most) for item in work], ignore, ignore, ignore)

    def sync_objects(  # noqa: PLR0913 - what is asked, then who is told
        self,
        sync: str,
        objects: Mapping[str, Sequence[str]],
        *,
        run_id: str,
        full: bool = False,
        observe: Observer = ignore,
        on_done: Callable[[SyncRun], None] = lambda run: None,
        due_at: Mapping[str, datetime] | None = None,
        on_begun: Callable[[Work], None] = ignore,
    ) -> list[SyncRun]:
        """Sync objects of customers, {object: customers}, all side by side, and store every outcome.

        One SyncRun for each object and customer, in the order given. Accounts share the places evenly and objects take
        turns, so that no object and no large account keeps the others waiting for a place. `due_at`: by customer, when
        this work had been due. `on_begun` is told of each when it gets its place, `on_done` when it is stored.
        """
        self.refuse_unapplied(sync)
        wanted = [(name, customer) for name, customers in objects.items() for customer in customers]
        connections = {item.customer_id: item for item in self.connections(sync, sorted({who for _, who in wanted}))}
        work = self.work(sync, wanted, connections, run_id=run_id, full=full, due_at=due_at or {})
        return self._done(work, observe, on_done, on_begun)

    def _done(
        self, work: Sequence[Work], observe: Observer, on_done: Callable[[SyncRun], None], begun: Callable[[Work], None]
    ) -> list[SyncRun]:
        """Do it, and store every outcome."""
        holds = self.store.budgets.holds([item.connection for item in work], self.budget_terms)
        spending = Spending(self.store.budgets, work, self.budget_terms)
        memories = self._memories(work)
        first_time = {item.connection.customer_id: item.connection for item in work if not item.connection.account_id}

        def record(runs: Sequence[SyncRun]) -> None:
            self.store.runs.record(runs)
            spending.take(runs)
            for run in runs:
                if run.customer_id in first_time and run.account_id is not None:
                    self.store.connections.set_account(first_time.pop(run.customer_id), run.account_id)

        with kept_sessions(self.session) as sessions:
            around = replace(self._around(observe, record, sessions, holds, memories), begun=begun)
            try:
                return sync_side_by_side(work, around, at_once=self.settings.connections_at_once, on_done=on_done)
            finally:
                spending.record()

    def work(
        self,
        sync: str,
        wanted: Sequence[tuple[str, str]],
        connections: Mapping[str, Connection],
        *,
        run_id: str,
        full: bool = False,
        due_at: Mapping[str, datetime] = MappingProxyType({}),
    ) -> list[Work]:
        """For each (object, customer) what is to be done."""
        declared = {name: self.declared(sync, name) for name, _ in wanted}
        known, provider = self.sync(sync), self.provider_of(self.sync(sync))
        found = partial(fields_elsewhere, self.configuration, self.providers, known)
        elsewhere = {name: cache(partial(found, item)) for name, item in declared.items()}
        mappings = self.store.mappings.current_of(
            known.provider, [item.object for item in declared.values()], list(connections)
        )
        return [
            Work(
                sync=known,
                declared=known.object_of(customer, declared[name]),
                provider=provider,
                connection=connections[customer],
                application_id=self.settings.application_id,
                run_id=run_id,
                mapping=mappings.get((customer, declared[name].object)),
                full=full,
                chunk_rows=self.settings.chunk_rows,
                due_at=due_at.get(customer),
                hash_key=self.settings.transform_key,
                elsewhere=elsewhere[name],
            )
            for name, customer in wanted
        ]

    def _memories(self, work: Sequence[Work]) -> Mapping[tuple[str, int], SchemaMemory]:
        """What is remembered of the accounts' fields, for work of one sync."""
        if not work:
            return {}
        objects, connections = ({item.declared.object for item in work}, {item.connection.id for item in work})
        return self.store.schemas.remembered(work[0].sync.name, objects, sorted(connections))

    def _around(
        self,
        observe: Observer,
        record: Callable[[Sequence[SyncRun]], None],
        sessions: KeptSessions,
        holds: Mapping[int, Hold],
        memories: Mapping[tuple[str, int], SchemaMemory],
    ) -> Surroundings:
        return Surroundings(
            session=lambda work: sessions.lend(work.connection),
            let_go=sessions.take_back,
            destination=lambda work: self.destination(work.sync, work.connection.customer_id),
            lease=lambda work: self.store.leases.hold(
                work.application_id, work.sync.name, work.connection.customer_id, work.declared.object
            ),
            describe=lambda work, session: lambda crm_object: session.ask(work.provider.describe(crm_object)),
            observe=observe,
            stops=self.stops,
            record=record,
            held=lambda work: holds.get(work.connection.id),
            memory=lambda work: memories.get((work.declared.object, work.connection.id)),
        )

    def scope_of(self, sync: Sync, declared: SyncObject, customer_id: str) -> Scope:
        """Whose rows of which object."""
        return Scope(
            application_id=self.settings.application_id,
            provider=sync.provider,
            customer_id=customer_id,
            sync=sync.name,
            object=declared.object,
        )

    def sample(self, sync: str, object_name: str, customer_id: str, limit: int = 5) -> tuple[list[str], list[Row]]:
        """Column names and the newest rows of one customer in the destination."""
        declared = self.sync(sync)
        scope = self.scope_of(declared, self.declared(sync, object_name), customer_id)
        destination = self.destination(declared, customer_id)
        with destination.open(scope, self.table(sync, object_name), "", ignore) as landing:
            return landing.sample(limit)


def open_project(
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    sleep: Callable[[float], None] | None = None,
) -> Project:
    """Settings from the environment, configuration from the syncs folder. ConfigurationError with all problems."""
    settings = settings or read_settings()
    know(settings.secrets)
    values: Mapping[str, Any] = environ if environ is not None else environment_variables()
    documents = load_documents(settings.syncs_dir, values, providers=PROVIDERS, at_version=find_provider)
    return Project(settings, documents.configuration, documents=documents, sleep=sleep)


@contextmanager
def opened(settings: Settings | None = None, *, with_store: bool = False) -> Iterator[Project]:
    """`open_project`, closed at the end. `with_store`: ConfigurationError unless the store is there and up to date."""
    project = open_project(settings)
    try:
        if with_store:
            project.store.check_current()
        yield project
    finally:
        project.close()
