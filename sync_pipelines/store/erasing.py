"""Everything that the store holds of one customer, and the receipts of what was erased.

A table is the customer's by its column customer_id, by a reference to such a table, or by one of the few rules below.
"""

import hashlib
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Engine,
    RowMapping,
    Table,
    and_,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import Connection as Database
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.connection import Connection
from sync_pipelines.store.connect_tables import connect_sessions, erasures
from sync_pipelines.store.tables import audit, connections, credentials, due, metadata, requests
from sync_pipelines.store.unnaming import lock_syncs, take_out

HOLDS_NOTHING: Final[Mapping[str, str]] = {
    "planned": "syncs as the data team configured them: take the customer out of the configuration",
    "api_syncs": "syncs as they were made by API; the customer is taken out of their documents",
    "api_sync_versions": "the documents that these had; the customer is taken out of them as well",
    "api_sides": "providers and destinations as they were made by API: places and keys of yours, and nobody's data",
    "configuration_versions": "configurations as the data team applied them, with the ids of customers named there",
    "sync_states": "what people decided about syncs",
    "vendor_event_days": "counts of what vendors sent for accounts that nobody has connected",
    "erasures": "the receipts; the customer's id stands there until everything is gone",
}
"""Tables in which nothing is looked for, and why."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """A receipt. `removed`: rows by where they were. `access`: by connection, what became of our access at the vendor
    (`provider`, `ended`, `message`). `troubles`: what a person has to look at, in sentences. `customer_id`: while
    something may be left. `finished_at` None: it was begun and has not come to its end. `digest`: of what the receipt
    said at its end; `final_digest`: with Dagster's part, once that is done."""

    id: int
    customer_id: str | None
    salt: str
    customer_hash: str
    actor: str
    begun_at: datetime
    removed: Mapping[str, Any]
    access: Mapping[str, Mapping[str, Any]]
    troubles: Sequence[str]
    finished_at: datetime | None
    digest: str | None
    final_digest: str | None


_COLUMNS = [erasures.c[name] for name in Erasure.__dataclass_fields__]


class Erasing:
    """Whoever erases sees to it that nobody works for the customer meanwhile."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def halt(self, customer_id: str, provider: str | None = None) -> None:
        """Ask whoever works for the customer to stop. Without `provider` nothing new begins until it is resumed."""
        now = datetime.now(UTC)
        mine = due.c.customer_id == customer_id
        values: dict[str, Any] = {"cancel_at": func.clock_timestamp()}
        if provider is None:
            values["paused_at"] = func.coalesce(due.c.paused_at, now)
        else:
            table = metadata.tables["connections"]
            ids = select(table.c.id).where(table.c.customer_id == customer_id, table.c.provider == provider)
            mine = and_(mine, due.c.connection_id.in_(ids))
        with self._engine.begin() as database:
            database.execute(update(due).where(mine).values(**values))

    def claimed(self, customer_id: str) -> bool:
        """Whether a process that gives signs of life has work of the customer."""
        alive = due.c.heartbeat_at > datetime.now(UTC) - timedelta(minutes=1)
        mine = select(due.c.sync).where(due.c.customer_id == customer_id, due.c.claim_id.is_not(None), alive)
        with self._engine.connect() as database:
            return database.execute(mine.limit(1)).first() is not None

    def begin(self, customer_id: str, *, actor: str) -> Erasure:
        """A receipt to be filled; the one that was begun before and has not come to its end, if there is one."""
        open_one = and_(erasures.c.customer_id == customer_id, erasures.c.finished_at.is_(None))
        with self._engine.begin() as database:
            found = database.execute(select(*_COLUMNS).where(open_one)).mappings().first()
            if found is None:
                salt = secrets.token_hex(16)
                values = {"customer_id": customer_id, "salt": salt, "customer_hash": _hash(salt, customer_id)}
                made = insert(erasures).values(**values, actor=actor)
                found = database.execute(made.returning(*_COLUMNS)).mappings().one()
        return _erasure(found)

    def with_credentials(self, customer_id: str) -> "Sequence[Connection]":
        """The customer's connections that have tokens."""
        names = Connection.__dataclass_fields__
        query = select(*(connections.c[name] for name in names)).join(credentials)
        with self._engine.connect() as database:
            rows = database.execute(query.where(connections.c.customer_id == customer_id)).mappings()
            return [Connection(**row) for row in rows]

    def access_ended(
        self,
        id: int,
        provider: str,
        message: str,
        *,
        ended: bool,
        connection_id: int | None = None,
        session_id: int | None = None,
    ) -> None:
        """Write down what became of the tokens of a connection, or of a session; with `ended` they are forgotten."""
        about = f"connection {connection_id}" if session_id is None else f"connect session {session_id}"
        told = {about: {"provider": provider, "ended": ended, "message": message}}
        own = update(erasures).where(erasures.c.id == id)
        with self._engine.begin() as database:
            database.execute(own.values(access=erasures.c.access.concat(cast(told, JSONB))))
            if ended and session_id is not None:
                session = update(connect_sessions).where(connect_sessions.c.id == session_id)
                database.execute(session.values(pending=None, pending_key_id=None, pending_account=None))
            elif ended:
                gone = delete(credentials).where(credentials.c.connection_id == connection_id)
                _add(database, id, "store", {"credentials": database.execute(gone).rowcount})

    def trouble(self, id: int, message: str) -> None:
        """Have the receipt tell it; once."""
        own = update(erasures).where(erasures.c.id == id, ~erasures.c.troubles.contains(cast([message], JSONB)))
        with self._engine.begin() as database:
            database.execute(own.values(troubles=erasures.c.troubles.concat(cast([message], JSONB))))

    def add(self, id: int, part: str, counts: Mapping[str, int]) -> None:
        """Count what was removed of a part, besides what was removed of it before."""
        with self._engine.begin() as database:
            _add(database, id, part, counts)

    def remove(
        self, id: int, customer_id: str, *, declared: Collection[str] = (), actor: str = "system"
    ) -> Mapping[str, int]:
        """Delete everything of the customer in one transaction, counted in the receipt; rows by table.

        What is about several customers stays, without this one. `declared`: the names of the syncs of files.
        """
        with self._engine.begin() as database:
            counts: dict[str, int] = {}
            lock_syncs(database)
            for table in reversed(metadata.sorted_tables):
                condition = whose(table, customer_id)
                if condition is not None and (count := database.execute(delete(table).where(condition)).rowcount):
                    counts[table.name] = count
            counts |= take_out(database, customer_id, declared=declared, actor=actor)
            _add(database, id, "store", counts)
        return counts

    def held(self, customer_id: str) -> Mapping[str, int]:
        """By table, how many rows of the customer are there; without tables that have none."""
        with self._engine.connect() as database:
            found = {
                table.name: database.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
                for table in metadata.sorted_tables
                if (condition := whose(table, customer_id)) is not None
            }
        return {name: count for name, count in found.items() if count}

    def finish(self, id: int, *, dagster: Mapping[str, int] | None) -> Erasure:
        """Nothing is left in destinations and store. `dagster`: what went there; None: it is left to the sensor."""
        with self._engine.begin() as database:
            own = erasures.c.id == id
            if dagster is not None:
                _add(database, id, "dagster", dagster)
            end = {"finished_at": func.coalesce(erasures.c.finished_at, func.now())}
            change = update(erasures).where(own).values(**end).returning(*_COLUMNS)
            found = _erasure(database.execute(change).mappings().one())
            values: dict[str, Any] = {"digest": func.coalesce(erasures.c.digest, digest_of(found))}
            if dagster is not None:
                values |= {"customer_id": None, "digest": erasures.c.digest, "final_digest": digest_of(found)}
            change = update(erasures).where(own).values(**values).returning(*_COLUMNS)
            return _erasure(database.execute(change).mappings().one())

    def waiting(self) -> list[Erasure]:
        """Those that are finished but for Dagster's part."""
        query = select(*_COLUMNS).where(erasures.c.customer_id.is_not(None), erasures.c.finished_at.is_not(None))
        with self._engine.connect() as database:
            return [_erasure(row) for row in database.execute(query.order_by(erasures.c.id)).mappings()]

    def page(self, *, customer_id: str | None = None, before: int | None = None, limit: int = 50) -> Sequence[Erasure]:
        """Receipts, newest first: at most `limit`, of one customer where it is given, of lower ids than `before`."""
        query = select(*_COLUMNS).order_by(erasures.c.id.desc()).limit(limit)
        if customer_id is not None:
            # A receipt does not say whose it is: each has a salt of its own.
            salted = func.sha256(func.convert_to(erasures.c.salt.concat(customer_id), "UTF8"))
            query = query.where(erasures.c.customer_hash == func.encode(salted, "hex"))
        if before is not None:
            query = query.where(erasures.c.id < before)
        with self._engine.connect() as database:
            return [_erasure(row) for row in database.execute(query).mappings()]


def whose(table: Table, customer_id: str) -> ColumnElement[bool] | None:
    """Which rows of a table are the customer's; None for a table that holds nothing of customers."""
    if table.name in HOLDS_NOTHING:
        return None
    if table is audit:
        return _audited(customer_id)
    if table is requests:
        return requests.c.customers == [customer_id]
    if "customer_id" in table.c:
        return table.c.customer_id == customer_id
    return _by_reference(table, customer_id)


def _by_reference(table: Table, customer_id: str) -> ColumnElement[bool] | None:
    found = []
    for key in table.foreign_keys:
        parent, column = key.column.table, key.parent
        condition = whose(parent, customer_id)
        if condition is not None:
            found.append(column.in_(select(key.column).where(condition)))
    return or_(*found) if found else None


def _audited(customer_id: str) -> ColumnElement[bool]:
    """Entries of a sync stay, without the customer: they are about others too."""
    return and_(audit.c.customers.contains([customer_id]), func.split_part(audit.c.subject, " ", 1) != "sync")


def _add(database: Database, id: int, part: str, counts: Mapping[str, int]) -> None:
    own = erasures.c.id == id
    removed = dict(database.execute(select(erasures.c.removed).where(own).with_for_update()).scalar_one())
    before = removed.get(part, {})
    removed[part] = {name: before.get(name, 0) + counts.get(name, 0) for name in sorted({*before, *counts})}
    database.execute(update(erasures).where(own).values(removed=removed))


def _hash(salt: str, customer_id: str) -> str:
    return hashlib.sha256(f"{salt}{customer_id}".encode()).hexdigest()


def digest_of(found: Erasure) -> str:
    """SHA-256 of what the receipt says, as JSON with sorted keys and without spaces."""
    said = {
        "receipt": str(found.id),
        **{name: getattr(found, name) for name in ("customer_hash", "salt", "actor", "removed", "troubles")},
        "begun_at": found.begun_at.astimezone(UTC).isoformat(),
        "access": list(found.access.values()),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _erasure(row: RowMapping) -> Erasure:
    return Erasure(**row)
