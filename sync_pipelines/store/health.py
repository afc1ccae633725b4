"""How syncs and their connections are. The views `health` and `sync_health` judge; this reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Engine, Select, column, func, select, table, text

State = Literal["healthy", "warning", "error", "inactive"]
STATES: Final[tuple[State, ...]] = ("healthy", "warning", "error", "inactive")


@dataclass(frozen=True, kw_only=True)
class ConnectionHealth:
    """A line of the view `health`: one connection of one sync, its objects together.

    `reason` and `advice` are sentences for a person, empty where all is well. `due`: its time has come and nobody works
    on it. `late_seconds`: how long it has been waiting. Days are UTC. `records` are created, updated and deleted ones.
    `success_rate` is of today's attempts, None before the first; skipping is no failure. `api_*` is the account's use
    of the vendor's API by the vendor's own count, whoever used it, and `api_ends_at` when all but the reserve is used.
    `stale_objects`: those whose last success is older than their objective.
    """

    sync: str
    customer_id: str
    provider: str
    health: State
    reason: str
    advice: str
    sync_state: str
    connection_status: str
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    last_change_at: datetime | None
    next_at: datetime | None
    due: bool
    claimed: bool
    late_seconds: float
    objects: int
    failing_objects: int
    gaps: int
    attempts: int
    successes: int
    success_rate: float | None
    records: int
    average_seconds: float | None
    attempts_today: int
    failures_today: int
    records_today: int
    calls_today: int
    api_used: int | None
    api_allowed: int | None
    api_used_ratio: float | None
    api_ends_at: datetime | None
    failures_in_row: int
    error_type: str | None
    error_message: str
    stale_objects: int


@dataclass(frozen=True, kw_only=True)
class SyncHealth:
    """A line of the view `sync_health`: a sync with all its connections.

    `healthy`, `warning`, `error`, `inactive`, `due` and `claimed` count connections. `api_used_ratio` is that of the
    account which is nearest to its limit.
    """

    sync: str
    provider: str
    health: State
    reason: str
    sync_state: str
    connections: int
    healthy: int
    warning: int
    error: int
    inactive: int
    last_attempt_at: datetime | None
    last_success_at: datetime | None
    last_change_at: datetime | None
    next_at: datetime | None
    due: int
    claimed: int
    late_seconds: float
    failing_objects: int
    gaps: int
    attempts: int
    successes: int
    success_rate: float | None
    records: int
    average_seconds: float | None
    attempts_today: int
    failures_today: int
    records_today: int
    calls_today: int
    api_used_ratio: float | None
    stale_objects: int
    period_seconds: int | None


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Of one sync and type of error: objects of connections that fail now, and failed attempts since midnight UTC."""

    sync: str
    error_type: str
    failing: int
    today: int


@dataclass(frozen=True, kw_only=True)
class Telling:
    """Endpoints of one kind, and what waits for those that are enabled. `late_seconds`: the longest overdue delivery.
    `failures`: failed attempts in a row, of all of them together."""

    kind: str
    working: int
    failing: int
    disabled: int
    failures: int
    due: int
    late_seconds: float


_TELLING = text(
    """
    SELECT endpoints.kind,
           count(*) FILTER (WHERE enabled AND failures = 0) AS working,
           count(*) FILTER (WHERE enabled AND failures > 0) AS failing,
           count(*) FILTER (WHERE NOT enabled) AS disabled,
           CAST(sum(failures) AS bigint) AS failures,
           CAST(COALESCE(sum(late.due), 0) AS bigint) AS due,
           CAST(COALESCE(EXTRACT(epoch FROM now() - min(late.since)), 0) AS double precision) AS late_seconds
    FROM endpoints
    LEFT JOIN (
        SELECT endpoint_id, count(*) AS due, min(due_at) AS since
        FROM deliveries WHERE status = 'waiting' AND due_at <= now() GROUP BY endpoint_id
    ) AS late ON late.endpoint_id = endpoints.id AND endpoints.enabled
    GROUP BY endpoints.kind
    ORDER BY endpoints.kind
    """
)

_CONNECTIONS = table("health", *(column(each.name) for each in fields(ConnectionHealth)))
_SYNCS = table("sync_health", *(column(each.name) for each in fields(SyncHealth)))

_FAILURES = text(
    """
    SELECT sync, error_type, CAST(sum(failing) AS bigint) AS failing, CAST(sum(today) AS bigint) AS today
    FROM (
        SELECT sync, COALESCE(last_error_type, 'unknown') AS error_type, count(*) AS failing, 0 AS today
        FROM progress
        WHERE failures_in_row > 0
        GROUP BY 1, 2
        UNION ALL
        SELECT sync, COALESCE(error_type, 'unknown'), 0, count(*)
        FROM runs
        WHERE status = 'error' AND finished_at >= date_trunc('day', now(), 'UTC')
        GROUP BY 1, 2
    ) AS both_of_them
    GROUP BY sync, error_type
    ORDER BY sync, error_type
    """
)


class Health:
    """Each answer is one query, however many connections there are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def syncs(self, sync: str | None = None) -> list[SyncHealth]:
        """Every planned sync, by name."""
        query = select(_SYNCS).order_by(_SYNCS.c.sync)
        if sync is not None:
            query = query.where(_SYNCS.c.sync == sync)
        with self._engine.connect() as database:
            return [SyncHealth(**row) for row in database.execute(query).mappings()]

    def connections(
        self, sync: str | None = None, customer_id: str | None = None, states: Sequence[State] = STATES
    ) -> list[ConnectionHealth]:
        """Connections that match everything given: by sync, the worst first, then by customer."""
        worst_first = func.array_position(["error", "warning", "inactive", "healthy"], _CONNECTIONS.c.health)
        query = select(_CONNECTIONS).order_by(_CONNECTIONS.c.sync, worst_first, _CONNECTIONS.c.customer_id)
        return self._connections(query, sync, customer_id, states)

    def page(
        self,
        sync: str,
        customer_id: str | None = None,
        states: Sequence[State] = STATES,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> list[ConnectionHealth]:
        """Connections of a sync that match everything given, by customer, at most so many behind `after`."""
        query = select(_CONNECTIONS).order_by(_CONNECTIONS.c.customer_id).limit(limit)
        if after is not None:
            query = query.where(_CONNECTIONS.c.customer_id > after)
        return self._connections(query, sync, customer_id, states)

    def _connections(
        self, query: Select[Any], sync: str | None, customer_id: str | None, states: Sequence[State]
    ) -> list[ConnectionHealth]:
        for each, wanted in ((_CONNECTIONS.c.sync, sync), (_CONNECTIONS.c.customer_id, customer_id)):
            if wanted is not None:
                query = query.where(each == wanted)
        if set(states) != set(STATES):
            query = query.where(_CONNECTIONS.c.health == func.any(list(states)))
        with self._engine.connect() as database:
            return [ConnectionHealth(**row) for row in database.execute(query).mappings()]

    def failures(self) -> list[Failures]:
        """By sync and type of error; only pairs for which there is something to tell."""
        with self._engine.connect() as database:
            return [Failures(**row) for row in database.execute(_FAILURES).mappings()]

    def telling(self) -> list[Telling]:
        """How well others are told of events, by kind of endpoint; kinds that nobody uses are left out."""
        with self._engine.connect() as database:
            return [Telling(**row) for row in database.execute(_TELLING).mappings()]
