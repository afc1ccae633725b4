"""Who is later than a sync's freshness objective, and who rests for a reason of its own.

The view `health` counts the same, by what was planned.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.sync import Sync

LATE: Final = "late"
EXPIRED: Final = "expired"
PAUSED: Final = "paused"

_LATE = text(
    """
    SELECT wanted.object, connections.customer_id,
      COALESCE(progress.last_success_at, connections.connected_at) AS since,
      progress.last_success_at IS NULL AS never,
      make_interval(secs => CAST(wanted.seconds AS double precision)) AS objective,
      CASE WHEN due.paused_at IS NOT NULL THEN 'paused'
           WHEN connections.status = 'expired' THEN 'expired' ELSE 'late' END AS why,
      CASE WHEN connections.status = 'expired' THEN connections.status_reason
           WHEN progress.failures_in_row > 0 THEN progress.last_error_message ELSE '' END AS reason
    FROM connections
    CROSS JOIN LATERAL jsonb_each_text(
        COALESCE(:objectives -> 'own' -> connections.customer_id, :objectives -> 'all')
    ) AS wanted (object, seconds)
    LEFT JOIN progress ON progress.sync = :sync AND progress.object = wanted.object
      AND progress.connection_id = connections.id
    LEFT JOIN due ON due.sync = :sync AND due.connection_id = connections.id
    WHERE connections.provider = :provider
      AND (CAST(:customers AS text[]) = '{}' OR connections.customer_id = ANY(:customers))
      AND COALESCE(progress.last_success_at, connections.connected_at)
        < CAST(:now AS timestamptz) - make_interval(secs => CAST(wanted.seconds AS double precision))
    ORDER BY wanted.object, since, connections.customer_id
    """
).bindparams(bindparam("objectives", type_=JSONB))

_PAUSED = text("SELECT customer_id FROM due WHERE sync = :sync AND paused_at IS NOT NULL")
_STATE = text("SELECT state, reason FROM sync_states WHERE sync = :sync AND state IN ('paused', 'archived')")


@dataclass(frozen=True, kw_only=True)
class Late:
    """An object of a customer whose last success is older than the objective.

    `why`: late (ours to mend), expired (the customer must reconnect) or paused (somebody wanted it so). `since`: the
    last success, or the connecting where there was `never` one. `objective`: how long ago that may be. `reason`: what
    went wrong, where something did.
    """

    object: str
    customer_id: str
    since: datetime
    objective: timedelta
    never: bool
    why: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Rest:
    """What of a sync stands still because somebody wanted it: `state` (paused or archived) of the whole, else None."""

    state: str | None
    reason: str
    customers: frozenset[str]


def objectives_of(sync: Sync) -> dict[str, Any]:
    """The objectives of a sync in seconds: {"all": {object: seconds}, "own": {customer: {object: seconds}}}.

    A customer with an override has all of its own in `own`. Nothing at all where there is no objective.
    """
    everybody = _seconds({each.object: each.freshness or sync.freshness for each in sync.objects})
    own = {
        customer: _seconds({each.object: sync.freshness_of(customer, each) for each in sync.objects_of(customer)})
        for customer in sync.overrides
    }
    return {"all": everybody, "own": own} if everybody or any(own.values()) else {}


def _seconds(objectives: Mapping[str, timedelta | None]) -> dict[str, float]:
    return {name: each.total_seconds() for name, each in objectives.items() if each is not None}


class Freshness:
    """Read from what runs left behind; writes nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def late(self, sync: Sync, now: datetime | None = None) -> list[Late]:
        """Everybody who is later than their objective, by object, the oldest first. Nobody without one."""
        objectives = objectives_of(sync)
        if not objectives:
            return []
        values = {
            "sync": sync.name,
            "provider": sync.provider,
            "customers": list(sync.customers),
            "objectives": objectives,
            "now": now or datetime.now(UTC),
        }
        with self._engine.connect() as database:
            return [Late(**row) for row in database.execute(_LATE, values).mappings()]

    def rest(self, sync: str) -> Rest:
        """Whether the sync rests, and which of its customers do."""
        with self._engine.connect() as database:
            state = database.execute(_STATE, {"sync": sync}).one_or_none()
            paused = frozenset(database.execute(_PAUSED, {"sync": sync}).scalars())
        return Rest(state=state[0] if state else None, reason=state[1] if state else "", customers=paused)
