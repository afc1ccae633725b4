"""What vendors told by themselves, from its receipt until it is applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, RowMapping, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.webhook import VendorEvent
from sync_pipelines.store import live_runs
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import connections
from sync_pipelines.store.vendor_event_tables import vendor_event_days, vendor_events

LONGEST_TEXT: Final = 20_000
"""Characters of an event that are kept."""

_ADD = text(
    """
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(:rows) AS told (
            account_id text, object text, record_id text, event_id text, occurred_at timestamptz, text text
        )
    ),
    ours AS (
        SELECT connections.id, connections.account_id FROM connections
        WHERE connections.provider = :provider AND (
            connections.id = :connection_id
            OR :connection_id IS NULL AND connections.account_id = ANY (SELECT account_id FROM told)
        )
        FOR KEY SHARE
    ),
    stored AS (
        INSERT INTO vendor_events (connection_id, object, record_id, event_id, occurred_at, text, next_at)
        SELECT ours.id, told.object, told.record_id, told.event_id, told.occurred_at, told.text, now()
        FROM told JOIN ours ON ours.account_id = told.account_id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM stored),
           (SELECT count(*) FROM told WHERE NOT EXISTS (SELECT FROM ours WHERE ours.account_id = told.account_id))
    """
).bindparams(bindparam("rows", type_=JSONB), bindparam("connection_id", type_=vendor_events.c.connection_id.type))

_GROUPS = text(
    """
    SELECT connection_id, object, count(*) AS amount, min(received_at) AS since FROM vendor_events
    WHERE next_at <= now() GROUP BY connection_id, object ORDER BY min(received_at) LIMIT :most
    """
)
_STANDING = text(
    """
    SELECT connections.provider, count(*) FILTER (WHERE next_at IS NOT NULL) AS waiting,
           min(received_at) FILTER (WHERE next_at IS NOT NULL) AS oldest_at,
           count(*) FILTER (WHERE next_at IS NOT NULL AND tries > 0) AS put_off,
           count(*) FILTER (WHERE next_at IS NULL) AS given_up
    FROM vendor_events JOIN connections ON connections.id = connection_id GROUP BY connections.provider
    """
)


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of a delivery: events that are stored, and events of accounts that nobody has connected."""

    stored: int
    unknown: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """Events of one object of a connection whose time has come."""

    connection_id: int
    object: str
    amount: int
    since: datetime


@dataclass(frozen=True, kw_only=True)
class StoredEvent:
    """An event that waits to be applied."""

    id: int
    record_id: str
    received_at: datetime
    tries: int


@dataclass(frozen=True, kw_only=True)
class EventStanding:
    """How a provider's events stand. `put_off`: of those that wait, tried before. `given_up`: left to the poll, kept
    for people. `unknown` (events) and `refused` (deliveries) are of today, UTC, and were dropped."""

    provider: str
    waiting: int = 0
    oldest_at: datetime | None = None
    put_off: int = 0
    given_up: int = 0
    unknown: int = 0
    refused: int = 0


class VendorEvents:
    """Who applies events of an object of a connection holds its lease (`Leases`), so that nobody else does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def receive(self, provider: str, events: Sequence[VendorEvent], connection_id: int | None = None) -> Received:
        """Store what a delivery told, all of it or nothing. `connection_id`: only events of its account are its own."""
        rows = [_row(event) for event in events]
        values = {"rows": rows, "provider": provider, "connection_id": connection_id}
        with self._engine.begin() as database:
            stored, unknown = database.execute(_ADD, values).one()
            if unknown:
                database.execute(_counted(provider, unknown=unknown))
        return Received(stored=stored, unknown=unknown)

    def refused(self, provider: str, amount: int = 1) -> None:
        """Count deliveries that were not the vendor's."""
        with self._engine.begin() as database:
            database.execute(_counted(provider, refused=amount))

    def groups(self, most: int) -> list[Group]:
        """What can be applied now, that which waits longest first."""
        with self._engine.connect() as database:
            return [Group(**row) for row in database.execute(_GROUPS, {"most": most}).mappings()]

    def waiting(self, connection_id: int, object: str, most: int) -> list[StoredEvent]:
        """The oldest events of a group."""
        columns = [vendor_events.c[name] for name in StoredEvent.__dataclass_fields__]
        query = (
            select(*columns)
            .where(
                vendor_events.c.connection_id == connection_id,
                vendor_events.c.object == object,
                vendor_events.c.next_at <= func.now(),
            )
            .order_by(vendor_events.c.id)
            .limit(most)
        )
        with self._engine.connect() as database:
            return [StoredEvent(**row) for row in database.execute(query).mappings()]

    def applied(self, ids: Sequence[int], runs: Sequence[SyncRun] = ()) -> int:
        """Forget events and count what they led to, together; how many there were."""
        with self._engine.begin() as database:
            live_runs.add(database, runs)
            gone = delete(vendor_events).where(vendor_events.c.id == func.any(list(ids)))
            return database.execute(gone).rowcount

    def put_off(
        self, ids: Sequence[int], problem: str, *, until: datetime | None, runs: Sequence[SyncRun] = ()
    ) -> None:
        """Come back to them at a time; None: never. What was applied of them all the same is counted."""
        values: dict[str, Any] = {
            "tries": vendor_events.c.tries + 1,
            "next_at": until,
            "problem": storable(problem, 500),
        }
        with self._engine.begin() as database:
            live_runs.add(database, runs)
            database.execute(update(vendor_events).where(vendor_events.c.id == func.any(list(ids))).values(**values))

    def standing(self) -> list[EventStanding]:
        """By provider, those of which there is anything to say."""
        today = _today()
        counts = select(vendor_event_days).where(vendor_event_days.c.day == today)
        with self._engine.connect() as database:
            found = {row["provider"]: dict(row) for row in database.execute(_STANDING).mappings()}
            for row in database.execute(counts).mappings():
                dropped = {"unknown": row["unknown"], "refused": row["refused"]}
                found.setdefault(row["provider"], {"provider": row["provider"]}).update(dropped)
        return [EventStanding(**values) for _, values in sorted(found.items())]

    def given_up(self, *, provider: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest events that were left to the poll because they could not be applied, with the reason."""
        names = ("object", "record_id", "event_id", "received_at", "tries", "problem", "text")
        query = select(connections.c.customer_id, connections.c.provider, *(vendor_events.c[name] for name in names))
        query = query.join_from(vendor_events, connections).where(vendor_events.c.next_at.is_(None))
        if provider is not None:
            query = query.where(connections.c.provider == provider)
        with self._engine.connect() as database:
            rows: Sequence[RowMapping] = (
                database.execute(query.order_by(vendor_events.c.received_at.desc()).limit(limit)).mappings().all()
            )
        return [dict(row) for row in rows]


def _row(event: VendorEvent) -> dict[str, Any]:
    return {
        "account_id": storable(event.account_id),
        "object": storable(event.object, 200),
        "record_id": storable(event.record_id, 1_000),
        "event_id": storable(event.event_id, 200),
        "occurred_at": None if event.occurred_at is None else event.occurred_at.isoformat(),
        "text": storable(event.text, LONGEST_TEXT),
    }


def _today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _counted(provider: str, *, unknown: int = 0, refused: int = 0) -> Any:
    """One more line, or a greater number in the day's."""
    table = vendor_event_days
    values = {"unknown": unknown, "refused": refused}
    return (
        insert(table)
        .values(provider=provider, day=_today(), **values)
        .on_conflict_do_update(
            index_elements=["provider", "day"], set_={name: table.c[name] + value for name, value in values.items()}
        )
    )


LONGEST_PAUSE: Final = timedelta(minutes=5)


def pause_after(tries: int) -> timedelta:
    """How long an event waits that could not be applied so often."""
    return min(timedelta(seconds=2.0 * 2 ** min(tries, 20)), LONGEST_PAUSE)
