"""Who is later than a sync's freshness objective, and who rests for a reason of its own."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine, text

from sync_pipelines.model.sync import Sync

LATE: Final = "late"
EXPIRED: Final = "expired"
PAUSED: Final = "paused"

_LATE = text(
    """
    SELECT wanted.object, connections.customer_id,
      COALESCE(progress.last_success_at, connections.connected_at) AS since,
      progress.last_success_at IS NULL AS never,
      CASE WHEN due.paused_at IS NOT NULL THEN 'paused'
           WHEN connections.status = 'expired' THEN 'expired' ELSE 'late' END AS why,
      CASE WHEN connections.status = 'expired' THEN connections.status_reason
           WHEN progress.failures_in_row > 0 THEN progress.last_error_message ELSE '' END AS reason
    FROM connections
    CROSS JOIN unnest(CAST(:objects AS text[])) AS wanted (object)
    LEFT JOIN progress ON progress.sync = :sync AND progress.object = wanted.object
      AND progress.connection_id = connections.id
    LEFT JOIN due ON due.sync = :sync AND due.connection_id = connections.id
    WHERE connections.provider = :provider
      AND (CAST(:customers AS text[]) = '{}' OR connections.customer_id = ANY(:customers))
      AND NOT EXISTS (
        SELECT FROM unnest(CAST(:spared_customers AS text[]), CAST(:spared_objects AS text[]))
          AS spared (customer, object)
        WHERE spared.customer = connections.customer_id AND spared.object = wanted.object
      )
      AND COALESCE(progress.last_success_at, connections.connected_at) < :before
    ORDER BY wanted.object, since, connections.customer_id
    """
)

_PAUSED = text("SELECT customer_id FROM due WHERE sync = :sync AND paused_at IS NOT NULL")
_STATE = text("SELECT state, reason FROM sync_states WHERE sync = :sync AND state IN ('paused', 'archived')")


@dataclass(frozen=True, kw_only=True)
class Late:
    """An object of a customer whose last success is older than the objective.

    `why`: late (ours to mend), expired (the customer must reconnect) or paused (somebody wanted it so). `since`: the
    last success, or the connecting where there was `never` one. `reason`: what went wrong, where something did.
    """

    object: str
    customer_id: str
    since: datetime
    never: bool
    why: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What of a sync stands still because somebody wanted it: `state` (paused or archived) of the whole, else None."""

    state: str | None
    reason: str
    customers: frozenset[str]


class Freshness:
    """Read from what runs left behind; writes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def late(self, sync: Sync, now: datetime | None = None) -> list[Late]:
        """Everybody who is later than the sync's objective, by object, the oldest first. Nobody without one."""
        if sync.freshness is None:
            return []
        spared = [
            (customer, declared.object)
            for customer in sync.overrides
            for declared in sync.objects
            if declared not in sync.objects_of(customer)
        ]
        values = {
            "sync": sync.name,
            "provider": sync.provider,
            "objects": [declared.object for declared in sync.objects],
            "customers": list(sync.customers),
            "spared_customers": [customer for customer, _ in spared],
            "spared_objects": [name for _, name in spared],
            "before": (now or datetime.now(UTC)) - sync.freshness,
        }
        with self._engine.connect() as database:
            return [Late(**row) for row in database.execute(_LATE, values).mappings()]

    def rest(self, sync: str) -> Rest:
        """Whether the sync rests, and which of its customers do."""
        with self._engine.connect() as database:
            state = database.execute(_STATE, {"sync": sync}).one_or_none()
            paused = frozenset(database.execute(_PAUSED, {"sync": sync}).scalars())
        return Rest(state=state[0] if state else None, reason=state[1] if state else "", customers=paused)
