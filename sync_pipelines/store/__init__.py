"""What is remembered between runs: connections, sealed credentials, mappings, syncs made by API, runs, API budgets, due
work, leases and the audit."""

from collections.abc import Callable

from sqlalchemy import Engine

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.api_sides import ApiSide, ApiSides
from sync_pipelines.store.api_syncs import ApiSync, ApiSyncs, SyncVersion
from sync_pipelines.store.audit import Audit, AuditEntry
from sync_pipelines.store.budgets import Budgets
from sync_pipelines.store.completeness import Completeness, Standing
from sync_pipelines.store.configurations import AppliedVersion, Configurations
from sync_pipelines.store.connect_sessions import ConnectSessions
from sync_pipelines.store.connections import Connections
from sync_pipelines.store.credentials import CredentialsSafe, StoredCredentials
from sync_pipelines.store.database import check_current, make_engine, store_url
from sync_pipelines.store.deliveries import Deliveries
from sync_pipelines.store.due import Claim, Due, DueWork
from sync_pipelines.store.endpoints import Endpoints
from sync_pipelines.store.erasing import Erasing
from sync_pipelines.store.freshness import Freshness, Late
from sync_pipelines.store.health import Health
from sync_pipelines.store.leases import Leases
from sync_pipelines.store.lifecycle import Lifecycle, SyncState
from sync_pipelines.store.logs import Logs
from sync_pipelines.store.mappings import Mappings, as_it_is
from sync_pipelines.store.requests import Requests
from sync_pipelines.store.rescheduling import Outcome
from sync_pipelines.store.retention import Retention
from sync_pipelines.store.rotating import KeyUse, keys_in_use, rotate
from sync_pipelines.store.runs import Runs
from sync_pipelines.store.schemas import Schemas
from sync_pipelines.store.sealing import KeyRing
from sync_pipelines.store.tokens import ApiTokens
from sync_pipelines.store.vendor_events import VendorEvents

__all__ = [
    "ApiSide",
    "ApiSync",
    "AppliedVersion",
    "AuditEntry",
    "Claim",
    "DueWork",
    "Late",
    "Outcome",
    "Standing",
    "Store",
    "StoredCredentials",
    "SyncState",
    "SyncVersion",
]


class Store:
    """One Postgres database. Opens connections when they are needed; safe to use from several threads.

    `key_ring`: encryption keys, newest first. Call `migrate` once, `check_current` before work.
    """

    def __init__(
        self, url: str, key_ring: tuple[Secret, ...], object_name: Callable[[str, str], str] = as_it_is
    ) -> None:
        """`object_name`: the vendor's own name of a provider's object, whatever a sync calls it."""
        ring = KeyRing(key_ring)
        self._safe = CredentialsSafe(ring)
        self._ring = ring
        self._engine: Engine = make_engine(store_url(url))
        self.connections = Connections(self._engine, self._safe)
        self.connect_sessions = ConnectSessions(self._engine, self._safe)
        self.erasing = Erasing(self._engine)
        self.mappings = Mappings(self._engine, object_name)
        self.api_syncs = ApiSyncs(self._engine)
        self.api_sides = ApiSides(self._engine, ring)
        self.schemas = Schemas(self._engine)
        self.runs = Runs(self._engine)
        self.logs = Logs(self._engine)
        self.budgets = Budgets(self._engine)
        self.due = Due(self._engine)
        self.endpoints = Endpoints(self._engine, ring)
        self.deliveries = Deliveries(self._engine, self.endpoints)
        self.completeness = Completeness(self._engine)
        self.configurations = Configurations(self._engine)
        self.freshness = Freshness(self._engine)
        self.lifecycle = Lifecycle(self._engine)
        self.leases = Leases(self._engine)
        self.requests = Requests(self._engine)
        self.tokens = ApiTokens(self._engine)
        self.audit = Audit(self._engine)
        self.health = Health(self._engine)
        self.retention = Retention(self._engine)
        self.vendor_events = VendorEvents(self._engine)

    def credentials(self, connection: Connection) -> StoredCredentials:
        """One connection's tokens."""
        return StoredCredentials(self._engine, self._safe, connection)

    def migrate(self) -> None:
        """Create the tables or bring them up to date. Safe to call by several processes at once."""
        from sync_pipelines.store.migrating import migrate  # noqa: PLC0415 - Alembic, which no run needs

        migrate(self._engine)
        self.mappings.gather()

    def check_current(self) -> None:
        """ConfigurationError when the store cannot be reached or needs `sync-pipelines migrate`."""
        check_current(self._engine)

    def rotate(self, progress: Callable[[str, int], None] | None = None) -> int:
        """Seal everything with the first key of the ring; how many texts were sealed with another. See `rotating`."""
        return rotate(self._engine, self._ring, progress)

    def keys_in_use(self) -> list[KeyUse]:
        """Every key of the ring, newest first, then those that are missing in it, with what each seals."""
        used = keys_in_use(self._engine)
        missing = sorted(used.keys() - set(self._ring.names))
        return [KeyUse(name, name not in missing, used.get(name, {})) for name in (*self._ring.names, *missing)]

    def close(self) -> None:
        """Let go of leases and connections."""
        self.leases.close()
        self._engine.dispose()
