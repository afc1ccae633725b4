"""Deliveries: which event still has to reach which endpoint, who is sending it, and what became of every attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.event import WEBHOOK_DISABLED, Event
from sync_pipelines.store import events as outbox
from sync_pipelines.store.audit import note
from sync_pipelines.store.endpoints import SLACK, ZAPIER, Address, Endpoint, Endpoints
from sync_pipelines.store.outbox_tables import deliveries, endpoints, events
from sync_pipelines.store.storable import storable_json

CLAIM_SECONDS: Final = 60
"""What a process took and did not tell of is free again after so long: four times what one sending may take."""
AT_ONCE_EACH: Final = 4
"""Deliveries under way to one endpoint that works; one at a time to one that fails."""
FOLDED: Final = 1_000
"""Most events of one message to people."""
DISABLED_AFTER: Final = timedelta(days=5)
"""An endpoint that took nothing for so long, and fails once more, is sent nothing any more."""
LOGGED: Final = 20
"""Attempts of a delivery that are remembered."""

_WITH_SOMETHING_DUE: Final = text(
    """
    WITH RECURSIVE waiting AS (
        (SELECT endpoint_id FROM deliveries WHERE status = 'waiting' ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT endpoint_id FROM deliveries
                WHERE status = 'waiting' AND endpoint_id > waiting.endpoint_id ORDER BY endpoint_id LIMIT 1)
        FROM waiting WHERE waiting.endpoint_id IS NOT NULL
    )
    SELECT endpoints.id, endpoints.kind, endpoints.failures, stands.under_way
    FROM waiting JOIN endpoints ON endpoints.id = waiting.endpoint_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS under_way FROM deliveries
        WHERE endpoint_id = endpoints.id AND status = 'waiting' AND claimed_until >= :now
    ) AS stands
    WHERE endpoints.enabled AND (endpoints.held_until IS NULL OR endpoints.held_until <= :now)
      AND EXISTS (SELECT FROM deliveries WHERE endpoint_id = endpoints.id AND status = 'waiting' AND due_at <= :now
                    AND (claimed_until IS NULL OR claimed_until < :now))
    ORDER BY stands.under_way, random()
    """
)
"""The index is hopped along from endpoint to endpoint, however many deliveries wait for each."""

_CLAIM: Final = text(
    """
    UPDATE deliveries SET claimed_until = :until
    FROM jsonb_to_recordset(:shares) AS share (endpoint_id uuid, most integer)
    CROSS JOIN LATERAL (
        SELECT id FROM deliveries
        WHERE endpoint_id = share.endpoint_id AND status = 'waiting' AND due_at <= :now
          AND (claimed_until IS NULL OR claimed_until < :now)
        ORDER BY due_at, id LIMIT share.most
        FOR UPDATE SKIP LOCKED
    ) AS taken
    WHERE deliveries.id = taken.id
    RETURNING deliveries.id, deliveries.endpoint_id, deliveries.event_id, deliveries.attempts, deliveries.due_at
    """
).bindparams(bindparam("shares", type_=JSONB))

_RECORD: Final = text(
    """
    UPDATE deliveries
    SET status = CASE WHEN :delivered THEN 'delivered' WHEN new.due_at IS NULL THEN 'failed' ELSE 'waiting' END,
        due_at = COALESCE(new.due_at, deliveries.due_at), claimed_until = NULL, attempts = deliveries.attempts + 1,
        ended_at = CASE WHEN new.due_at IS NULL THEN CAST(:at AS timestamptz) END,
        log = CASE WHEN jsonb_array_length(log) >= :logged THEN log - 0 ELSE log END || :entry
    FROM jsonb_to_recordset(:rows) AS new (id bigint, due_at timestamptz)
    WHERE deliveries.id = new.id AND deliveries.status = 'waiting'
    """
).bindparams(bindparam("rows", type_=JSONB), bindparam("entry", type_=JSONB))

_AGAIN: Final = """
    UPDATE deliveries SET status = 'waiting', due_at = :now, attempts = 0, ended_at = NULL
    WHERE (claimed_until IS NULL OR claimed_until < :now)
"""
_ONE_AGAIN: Final = text(_AGAIN + "AND id = :id")
_ALL_AGAIN: Final = text(
    _AGAIN  # noqa: S608 - no value enters the text
    + "AND endpoint_id = :endpoint AND (:all OR status = 'failed')"
    + " AND event_id IN (SELECT id FROM events WHERE at >= :since)"
)


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """One event for one endpoint. `attempts`: those before this one."""

    id: int
    event: Event
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What one process sends to one endpoint at once: one parcel, or what is folded into one message."""

    endpoint: Endpoint
    address: Address
    parcels: tuple[Parcel, ...]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of sending. `status` None: there was no answer, and `error` says why. `answer`: how it begins.

    `next_at`: by delivery, when it is tried again; those that are not in it are given up, or have arrived. `gone`: the
    receiver wants nothing any more. `held_until`: nothing is sent to this endpoint before. `blames`: the endpoint is
    what failed, not what was sent.
    """

    at: datetime
    seconds: float
    delivered: bool
    status: int | None = None
    answer: str = ""
    error: str = ""
    next_at: Mapping[int, datetime]
    gone: bool = False
    held_until: datetime | None = None
    blames: bool = True


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """As the log shows it. `status`: waiting, delivered or failed; `log`: the last attempts, oldest first."""

    id: int
    event_id: UUID
    endpoint_id: UUID
    type: str
    customer_id: str | None
    at: datetime
    status: str
    due_at: datetime
    attempts: int
    ended_at: datetime | None
    log: tuple[Mapping[str, Any], ...]


class Deliveries:
    """Several processes may claim at once and never get the same. Times are ours, UTC; `now` is for tests."""

    def __init__(self, engine: Engine, known: Endpoints) -> None:
        self._engine = engine
        self._endpoints = known

    def claim(self, free: int, now: datetime | None = None) -> list[Claimed]:
        """Take at most `free` sendings of what is due, evenly among endpoints."""
        now = now or datetime.now(UTC)
        with self._engine.begin() as database:
            shares = _shares(database.execute(_WITH_SOMETHING_DUE, {"now": now}).mappings().all(), free)
            if not shares:
                return []
            values = {
                "shares": [{"endpoint_id": str(id), "most": most} for id, most in shares.items()],
                "now": now,
                "until": now + timedelta(seconds=CLAIM_SECONDS),
            }
            rows = database.execute(_CLAIM, values).mappings().all()
            known = _events(database, [row["event_id"] for row in rows])
        return self._claimed(sorted(rows, key=lambda row: (row["due_at"], row["id"])), known)

    def record(self, claimed: Claimed, attempt: Attempt) -> bool:
        """Tell what became of it; whether the endpoint was disabled or removed because of it.

        What another process has delivered meanwhile stays delivered.
        """
        id = claimed.endpoint.id
        entry = {
            "at": attempt.at.isoformat(),
            "seconds": round(attempt.seconds, 3),
            "status": attempt.status,
            "answer": attempt.answer,
            "error": attempt.error,
        }
        rows = [
            {"id": each.id, "due_at": moment.isoformat() if (moment := attempt.next_at.get(each.id)) else None}
            for each in claimed.parcels
        ]
        with self._engine.begin() as database:
            # The endpoint first, as everybody does who locks both.
            lock = select(endpoints).where(endpoints.c.id == id).with_for_update(key_share=True)
            row = database.execute(lock).mappings().one_or_none()
            if row is None:
                return False
            database.execute(
                _RECORD,
                {
                    "rows": rows,
                    "delivered": attempt.delivered,
                    "at": attempt.at,
                    "entry": [storable_json(entry)],
                    "logged": LOGGED,
                },
            )
            return _noted(database, row, attempt)

    def page(
        self,
        *,
        endpoint_id: UUID | None = None,
        status: str | None = None,
        type: str | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """Newest first. `since`: of events of that time or later; `before`: older than the delivery of this id."""
        query = _DELIVERIES.order_by(deliveries.c.id.desc()).limit(limit)
        for column, wanted in (
            (deliveries.c.endpoint_id, endpoint_id),
            (deliveries.c.status, status),
            (events.c.type, type),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if since is not None:
            query = query.where(events.c.at >= since)
        if before is not None:
            query = query.where(deliveries.c.id < before)
        with self._engine.connect() as database:
            return [_delivery(row) for row in database.execute(query).mappings()]

    def get(self, id: int) -> Delivery | None:
        """The delivery of this id, None where there is none (any more)."""
        with self._engine.connect() as database:
            row = database.execute(_DELIVERIES.where(deliveries.c.id == id)).mappings().one_or_none()
        return _delivery(row) if row else None

    def replay(self, id: int, *, now: datetime | None = None) -> None:
        """Send it again now, with the same webhook-id, whatever became of it; what is being sent is left alone."""
        with self._engine.begin() as database:
            database.execute(_ONE_AGAIN, {"id": id, "now": now or datetime.now(UTC)})

    def replay_since(
        self, endpoint_id: UUID, since: datetime, *, all: bool = False, now: datetime | None = None
    ) -> int:
        """Send again what an endpoint did not take of the events since then (`all`: what it took too); how many."""
        values = {"endpoint": endpoint_id, "since": since, "all": all, "now": now or datetime.now(UTC)}
        with self._engine.begin() as database:
            return database.execute(_ALL_AGAIN, values).rowcount

    def add(self, endpoint: Endpoint, event: Event) -> int:
        """An event for one endpoint alone, whatever it wants; the delivery's id. ConfigurationError when it is off."""
        if not endpoint.enabled:
            raise ConfigurationError("The endpoint is disabled: enable it first.")
        with self._engine.begin() as database:
            made = {"id": event.id, "type": event.type, "provider": event.provider, "at": event.at}
            database.execute(
                insert(events).values(**made, customer_id=event.customer_id, subject=storable_json(dict(event.subject)))
            )
            values = {"event_id": event.id, "endpoint_id": endpoint.id, "customer_id": event.customer_id}
            row = insert(deliveries).values(**values, due_at=event.at).returning(deliveries.c.id)
            return int(database.execute(row).scalar_one())

    def recent_events(self, type: str, customer_id: str | None, limit: int = 3) -> list[Event]:
        """The newest that are kept, newest first; of one customer, or of all."""
        query = select(events).where(events.c.type == type).order_by(events.c.at.desc()).limit(limit)
        if customer_id is not None:
            query = query.where(events.c.customer_id == customer_id)
        with self._engine.connect() as database:
            return [Event(**row) for row in database.execute(query).mappings()]

    def _claimed(self, rows: Sequence[RowMapping], known: Mapping[UUID, Event]) -> list[Claimed]:
        ids = list({row["endpoint_id"] for row in rows})
        places = {each.id: each for each in self._endpoints.some(ids)}
        addresses = self._endpoints.addresses(ids)
        parcels: dict[UUID, list[Parcel]] = {}
        for row in rows:
            parcel = Parcel(id=row["id"], event=known[row["event_id"]], attempts=row["attempts"])
            parcels.setdefault(row["endpoint_id"], []).append(parcel)
        return [
            Claimed(endpoint=places[id], address=addresses[id], parcels=tuple(part))
            for id, found in parcels.items()
            if id in places and id in addresses
            for part in ([found] if places[id].kind == SLACK else [[each] for each in found])
        ]


def _shares(rows: Sequence[RowMapping], free: int) -> dict[UUID, int]:
    """How many deliveries each endpoint may have: one for each in turn, as long as there is a place."""
    shares: dict[UUID, int] = {}
    places = {row["id"]: (1 if row["kind"] == SLACK or row["failures"] else AT_ONCE_EACH) for row in rows}
    places = {row["id"]: places[row["id"]] - row["under_way"] for row in rows}
    for turn in range(AT_ONCE_EACH):
        for row in rows:
            if free > 0 and places[row["id"]] > turn:
                shares[row["id"]] = shares.get(row["id"], 0) + 1
                free -= 1
    return {row["id"]: FOLDED if row["kind"] == SLACK else shares[row["id"]] for row in rows if row["id"] in shares}


def _events(database: Database, ids: Sequence[UUID]) -> dict[UUID, Event]:
    query = select(events).where(events.c.id == func.any(list(ids)))
    return {row["id"]: Event(**row) for row in database.execute(query).mappings()}


def _noted(database: Database, row: RowMapping, attempt: Attempt) -> bool:
    """What the attempt means for its endpoint; whether that is the end of it."""
    change = update(endpoints).where(endpoints.c.id == row["id"])
    if attempt.delivered:
        values = {"failures": 0, "failing_since": None, "delivered_at": attempt.at}
        database.execute(change.values(**values, held_until=attempt.held_until))
        return False
    if not attempt.blames:
        return False
    since = row["failing_since"] or attempt.at
    values = {"failures": row["failures"] + 1, "failing_since": since, "held_until": attempt.held_until}
    if attempt.gone and row["kind"] == ZAPIER:
        database.execute(delete(endpoints).where(endpoints.c.id == row["id"]))
        told, whom = f"endpoint {row['id']}", [row["customer_id"]]
        note(database, actor="system", action="unsubscribe", subject=told, new={"status": 410}, customers=whom)
        return True
    if not row["enabled"] or not (attempt.gone or attempt.at - since >= DISABLED_AFTER):
        database.execute(change.values(**values))
        return False
    said = attempt.error or f"status {attempt.status}"
    reason = f"the receiver says that it is gone ({said})" if attempt.gone else f"failing since {since:%F %T}Z ({said})"
    database.execute(change.values(**values, enabled=False, disabled_reason=reason, updated_at=attempt.at))
    told, whom = f"endpoint {row['id']}", [row["customer_id"]]
    note(database, actor="system", action="disable", subject=told, new={"reason": reason}, customers=whom)
    subject = {"endpoint_id": str(row["id"]), "kind": row["kind"], "url": row["shown_url"], "reason": reason}
    outbox.add(database, Event(type=WEBHOOK_DISABLED, customer_id=row["customer_id"], subject=subject, at=attempt.at))
    return True


_DELIVERIES: Final = select(
    *(deliveries.c[name] for name in ("id", "event_id", "endpoint_id", "status", "due_at", "attempts", "ended_at")),
    deliveries.c.log,
    *(events.c[name] for name in ("type", "customer_id", "at")),
).join(events, events.c.id == deliveries.c.event_id)


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**{**row, "log": tuple(row["log"])})
