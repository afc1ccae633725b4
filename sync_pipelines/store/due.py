"""What is due: when each connection of each sync is next, and who has taken it."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    and_,
    bindparam,
    case,
    func,
    literal,
    null,
    select,
    text,
    true,
    update,
)
from sqlalchemy import Connection as Database
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.sync import Sync
from sync_pipelines.store.asking import Asked, ask
from sync_pipelines.store.grouping import DueKind, grouped
from sync_pipelines.store.planning import SCHEDULING, plan
from sync_pipelines.store.rescheduling import Outcome, rescheduled
from sync_pipelines.store.tables import connections, due, planned, sync_states

CLAIM_EXPIRES = timedelta(minutes=2)
"""After so long without a heartbeat a claim's work is free to be claimed again, where nobody says otherwise."""

_NEXT = func.least(due.c.scheduled_at, due.c.asked_at, due.c.retry_at)

_RESCHEDULE = text(
    """
    UPDATE due
    SET regular_at = new.regular_at, scheduled_at = new.scheduled_at, attempts = new.attempts,
        failing_since = new.failing_since, nothing_since = new.nothing_since, error_since = new.error_since,
        error_type = new.error_type, error_message = new.error_message,
        retry_at = new.retry_at, retry_objects = new.retry_objects, retry_full = new.retry_full,
        claim_id = NULL, claimed_at = NULL, heartbeat_at = NULL, worked_at = NULL, claimed_objects = NULL,
        claimed_full = false, mended_at = NULL
    FROM jsonb_to_recordset(:rows) AS new
        (sync text, connection_id bigint, regular_at timestamptz, scheduled_at timestamptz, attempts integer,
         failing_since timestamptz, nothing_since timestamptz, error_since timestamptz, error_type text,
         error_message text,
         retry_at timestamptz, retry_objects text[], retry_full boolean)
    WHERE due.sync = new.sync AND due.connection_id = new.connection_id
    """
).bindparams(bindparam("rows", type_=JSONB))

_GIVE_BACK = text(
    """
    UPDATE due
    SET claim_id = :nobodys, heartbeat_at = CAST('epoch' AS timestamptz),
        claimed_objects = COALESCE(given.objects, claimed_objects),
        worked_at = CASE WHEN given.begun THEN clock_timestamp() ELSE worked_at END
    FROM jsonb_to_recordset(:rows) AS given (customer_id text, objects text[], begun boolean)
    WHERE due.claim_id = :claim AND due.customer_id = given.customer_id
    """
).bindparams(bindparam("rows", type_=JSONB))
"""As a claim of which nobody gave a sign of life, and which no run has."""

_CONNECTIONS_IN_ERROR = text(
    """
    WITH stands AS (
        SELECT connection_id, bool_and(error_since IS NOT NULL) AS in_error,
               (array_agg(error_message ORDER BY error_since DESC NULLS LAST))[1] AS reason
        FROM due WHERE connection_id = ANY(:connections) GROUP BY connection_id
    )
    UPDATE connections
    SET status = CASE WHEN in_error THEN 'error' ELSE 'connected' END,
        status_reason = CASE WHEN in_error THEN reason ELSE '' END, updated_at = now()
    FROM stands
    WHERE connections.id = stands.connection_id
      AND connections.status = CASE WHEN in_error THEN 'connected' ELSE 'error' END
    """
)
"""A connection is in error when all that is planned of it is, and works again when anything of it does."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Work that was taken: these customers' `objects` of a sync (empty means all of its objects).

    `only`: customers of whom fewer objects are wanted than the claim has, and which. `full` asks for a full read. Say
    `done` for each customer, or `give_back` what is to be claimed again at once.
    """

    id: uuid.UUID
    sync: str
    customers: tuple[str, ...]
    objects: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    full: bool = False
    due_at: Mapping[str, datetime] = field(default_factory=dict)
    """By customer, since when this work had been due."""

    def is_for(self, customer_id: str, object_name: str) -> bool:
        """Whether this object of this customer is wanted."""
        wanted = self.only.get(customer_id, self.objects)
        return not wanted or object_name in wanted


@dataclass(frozen=True, kw_only=True)
class DueWork:
    """One line of the plan. `next_at` None: only when asked. `attempts`: failures in a row, since `failing_since`.

    `nothing_since`: since when none of its objects got through. `error_since`: in the error state, looked at rarely.
    `paused_at`: this customer's work of the sync waits.
    """

    sync: str
    customer_id: str
    next_at: datetime | None
    attempts: int
    claim_id: uuid.UUID | None
    claimed_at: datetime | None
    failing_since: datetime | None = None
    nothing_since: datetime | None = None
    error_since: datetime | None = None
    error_type: str | None = None
    error_message: str = ""
    paused_at: datetime | None = None


class Due:
    """Plan what there is, claim what is due, tell what became of it. Times are ours, UTC; `now` is for tests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def plan(
        self,
        syncs: Iterable[Sync],
        connections: Iterable[Connection] | None = None,
        now: datetime | None = None,
        *,
        whole: bool = False,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        """See to it that every connected connection of these syncs has its time, and nothing else of them has.

        New work is due at once, unless its sync only runs when asked. `connections` None: all that are stored.
        `whole`: these are all the syncs there are, so that what is planned of any other goes. `marks`: by sync a text
        that changes with what else it depends on (its provider and destination); where sync or mark changed, failed
        work is due at once.
        """
        ids = None if connections is None else [connection.id for connection in connections]
        with self._engine.begin() as database:
            plan(database, list(syncs), ids, now or _now(), whole=whole, marks=marks or {})

    def claim(
        self,
        now: datetime | None = None,
        limit: int = 1_000,
        *,
        sync: str | None = None,
        batch: int = 100,
        expires: timedelta = CLAIM_EXPIRES,
    ) -> list[Claim]:
        """Take what is due of connections that work: at most `limit` connections, at most `batch` in one claim.

        `sync`: only of this sync. What waits longest comes first. Two that claim at once never get the same. What is
        paused or archived keeps its place and waits.
        """
        of_sync = true() if sync is None else due.c.sync == sync
        with self._engine.begin() as database:
            # By the clock that also says when somebody wants work stopped.
            now = now or database.execute(select(func.clock_timestamp())).scalar_one()
            abandoned = and_(of_sync, due.c.claim_id.is_not(None), due.c.heartbeat_at < now - expires)
            rows = _take(database, abandoned, due.c.heartbeat_at, limit)
            if len(rows) < limit:
                free = and_(of_sync, due.c.claim_id.is_(None), now >= _NEXT)
                rows += _take(database, free, _NEXT, limit - len(rows))
            claims = [_claim(database, part, now, work) for work, part in grouped(rows, now, batch)]
            if claims:
                _begin(database, {claim.sync for claim in claims}, now)
            return claims

    def heartbeat(
        self, claims: Iterable[uuid.UUID], now: datetime | None = None, *, working: Collection[str] = ()
    ) -> int:
        """Keep claims from expiring; how many connections they still hold. `working`: customers that are at work."""
        moment = now or func.clock_timestamp()
        values: dict[str, Any] = {"heartbeat_at": moment}
        if working:
            values["worked_at"] = case((due.c.customer_id == func.any(list(working)), moment), else_=due.c.worked_at)
        change = update(due).where(due.c.claim_id.in_(list(claims))).values(**values)
        with self._engine.begin() as database:
            return database.execute(change).rowcount

    def done(self, claim: uuid.UUID, outcomes: Sequence[Outcome], now: datetime | None = None) -> int:
        """Tell what became of customers of a claim and set when they are next; how many the claim still held.

        May be called several times for one claim, each time for other customers.
        """
        by_customer = {outcome.customer_id: outcome for outcome in outcomes}
        query = (
            select(due, connections.c.status, *(planned.c[name] for name in SCHEDULING))
            .join(planned, planned.c.sync == due.c.sync)
            .join(connections, connections.c.id == due.c.connection_id)
            .where(due.c.claim_id == claim, due.c.customer_id == func.any(list(by_customer)))
            .order_by(due.c.sync, due.c.connection_id)
            .with_for_update(of=due)
        )
        with self._engine.begin() as database:
            rows = database.execute(query).mappings().all()
            changes = [rescheduled(row, by_customer[row["customer_id"]], now or _now()) for row in rows]
            if changes:
                database.execute(_RESCHEDULE, {"rows": changes})
            moved = [
                change["connection_id"]
                for row, change in zip(rows, changes, strict=True)
                if row["status"] == "error" or change["error_since"] is not None
            ]
            if moved:
                database.execute(_CONNECTIONS_IN_ERROR, {"connections": moved})
        return len(rows)

    def give_back(self, claim: uuid.UUID, left: Mapping[str, Sequence[str]], *, begun: Collection[str] = ()) -> int:
        """Let customers of a claim be claimed again at once, for the objects that are left of it (none: all of them).

        How many the claim still held. It holds them no longer. `begun`: who was at work comes behind who was not.
        """
        rows = [
            {"customer_id": customer, "objects": list(objects) or None, "begun": customer in begun}
            for customer, objects in left.items()
        ]
        with self._engine.begin() as database:
            return database.execute(_GIVE_BACK, {"claim": claim, "nobodys": uuid.uuid4(), "rows": rows}).rowcount

    def request(
        self,
        sync: str,
        customers: Sequence[str] | None = None,
        objects: Sequence[str] | None = None,
        full: bool = False,
        *,
        actor: str = "system",
        now: datetime | None = None,
    ) -> tuple[str, ...]:
        """Make a sync due now; the customers for which it is. None means all customers, all objects.

        What is running at the moment runs again afterwards. ConfigurationError for a named customer that the sync does
        not cover, and nothing is changed.
        """
        return self.ask(sync, customers, objects, full, actor=actor, now=now).customers

    def ask(
        self,
        sync: str,
        customers: Sequence[str] | None = None,
        objects: Sequence[str] | None = None,
        full: bool = False,
        *,
        actor: str = "system",
        key: str | None = None,
        now: datetime | None = None,
    ) -> Asked:
        """As `request`. A `key` that was used before asks for nothing: the answer is that of the first time.

        KeyUsed when the key was used for something else.
        """
        with self._engine.begin() as database:
            return ask(database, sync, customers, objects, full=full, actor=actor, now=now or _now(), key=key)

    def get(self, claim: uuid.UUID) -> Claim | None:
        """A claim as far as it is still held, None when nothing of it is."""
        return next(iter(self._claims(due.c.claim_id == claim)), None)

    def open_claims(self) -> list[Claim]:
        """Everything that is claimed at the moment."""
        return self._claims(due.c.claim_id.is_not(None))

    def _claims(self, where: ColumnElement[bool]) -> list[Claim]:
        names = ("claim_id", "sync", "claimed_full", "customer_id", "claimed_due_at", "claimed_objects")
        query = select(*(due.c[name] for name in names)).where(where)
        with self._engine.connect() as database:
            rows = database.execute(query.order_by(due.c.sync, due.c.claim_id, due.c.customer_id)).all()
        return [
            _claim_of(id, sync, full, [tuple(row[3:]) for row in lines])
            for (id, sync, full), lines in groupby(rows, key=lambda row: tuple(row[:3]))
        ]

    def list(self, sync: str | None = None, customer_id: str | None = None) -> list[DueWork]:
        """The plan, by sync and customer."""
        names = [field.name for field in fields(DueWork) if field.name != "next_at"]
        query = select(*(due.c[name] for name in names), _NEXT.label("next_at"))
        query = query.order_by(due.c.sync, due.c.customer_id)
        for column, wanted in ((due.c.sync, sync), (due.c.customer_id, customer_id)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._engine.connect() as database:
            return [DueWork(**row) for row in database.execute(query).mappings()]


def _take(database: Database, where: ColumnElement[bool], order: Any, limit: int) -> list[Any]:
    query = (
        select(due)
        .join(connections, connections.c.id == due.c.connection_id)
        .join(sync_states, sync_states.c.sync == due.c.sync, isouter=True)
        .where(where, connections.c.status.in_(("connected", "error")), due.c.paused_at.is_(None))
        .where(func.coalesce(sync_states.c.state, "created").in_(("created", "active")))
        .order_by(order)
        .limit(limit)
        .with_for_update(of=due, skip_locked=True)
    )
    return list(database.execute(query).mappings())


def _claim(database: Database, ids: Sequence[int], now: datetime, work: DueKind) -> Claim:
    claim_id = uuid.uuid4()
    values: dict[str, Any] = {
        "claim_id": claim_id,
        "heartbeat_at": now,
        "claimed_objects": list(work.objects) or null(),
        "claimed_full": work.full,
        "mended_at": None,
    }
    if work.is_ordinary_retry:
        values["claimed_objects"] = due.c.retry_objects
    elif work.kind == "schedule":
        # A retry that joined the regular work of others is for what failed alone.
        values["claimed_objects"] = case((due.c.scheduled_at <= now, null()), else_=due.c.retry_objects)
    if work.kind != "again":
        # Work that nobody finished is still what was taken then, so that a cancel of meanwhile holds.
        values |= {"claimed_at": now, "worked_at": None, "claimed_due_at": _NEXT}
    if work.kind == "asked":
        values |= {"asked_at": None, "asked_objects": null(), "asked_full": False}
    if work.kind == "retry":
        values |= {"retry_at": None, "retry_objects": null(), "retry_full": False}
    elif not work.objects:
        # All objects: an ordinary retry is done by it too, a full one only by a full run.
        kept = and_(due.c.retry_full, literal(not work.full))
        values |= {
            "retry_at": case((kept, due.c.retry_at)),
            "retry_objects": case((kept, due.c.retry_objects)),
            "retry_full": kept,
        }
    change = update(due).where(due.c.sync == work.sync, due.c.connection_id == func.any(list(ids))).values(**values)
    columns = ("customer_id", "claimed_due_at", "claimed_objects", "worked_at")
    rows = database.execute(change.returning(*(due.c[name] for name in columns)))
    # Who was at work on it before comes behind who never was.
    ordered = sorted(rows, key=lambda row: (row.worked_at is not None, row.worked_at, row.customer_id))
    return _claim_of(claim_id, work.sync, work.full, [tuple(row[:3]) for row in ordered])


def _claim_of(id: uuid.UUID, sync: str, full: bool, lines: Sequence[tuple[Any, ...]]) -> Claim:
    """`lines` are customer, since when it was due, and its objects (None for all), in the order of the claim."""
    own = {customer: tuple(objects or ()) for customer, _, objects in lines}
    union = tuple(sorted({name for objects in own.values() for name in objects})) if all(own.values()) else ()
    return Claim(
        id=id,
        sync=sync,
        customers=tuple(own),
        objects=union,
        only={customer: objects for customer, objects in own.items() if objects and set(objects) != set(union)},
        full=full,
        due_at={customer: since for customer, since, _ in lines if since is not None},
    )


def _begin(database: Database, syncs: Iterable[str], now: datetime) -> None:
    """With its first claim a sync that was only created is active."""
    created = and_(sync_states.c.sync == func.any(list(syncs)), sync_states.c.state == "created")
    database.execute(update(sync_states).where(created).values(state="active", actor="system", since=now))


def _now() -> datetime:
    return datetime.now(UTC)
