"""Everything that the store holds of one customer, and the receipts of what was erased.

A table is the customer's by its column customer_id, by a reference to such a table, or by one of the few rules below.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Engine,
    RowMapping,
    Table,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import Connection as Database

from sync_pipelines.store.connect_tables import erasures
from sync_pipelines.store.tables import audit, due, metadata, requests

HOLDS_NOTHING: Final[Mapping[str, str]] = {
    "planned": "syncs as the data team configured them: take the customer out of the configuration",
    "api_syncs": "syncs as they were made by API, with the ids of customers named there",
    "configuration_versions": "configurations as the data team applied them, with the ids of customers named there",
    "sync_states": "what people decided about syncs",
    "vendor_event_days": "counts of what vendors sent for accounts that nobody has connected",
    "erasures": "the receipts; the customer's id stands there until everything is gone",
}
"""Tables in which nothing is looked for, and why."""

_NAMED: Final = text(
    """
    UPDATE audit SET
        old = CASE WHEN jsonb_exists(old -> 'customers', :customer)
            THEN jsonb_set(old, '{customers}', (old -> 'customers') - :customer) ELSE old END,
        new = CASE WHEN jsonb_exists(new -> 'customers', :customer)
            THEN jsonb_set(new, '{customers}', (new -> 'customers') - :customer) ELSE new END
    WHERE jsonb_exists(old -> 'customers', :customer) OR jsonb_exists(new -> 'customers', :customer)
    """
)
"""Entries about several customers stay, without this one."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """A receipt. `removed`: rows by where they were. `customer_id`: while something may be left. `finished_at` None: it
    was begun and has not come to its end."""

    id: int
    customer_id: str | None
    salt: str
    customer_hash: str
    actor: str
    begun_at: datetime
    removed: Mapping[str, Any]
    finished_at: datetime | None
    digest: str | None

    def of(self, customer_id: str) -> bool:
        """Whether it is the receipt of this customer."""
        return self.customer_hash == _hash(self.salt, customer_id)


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

    def add(self, id: int, part: str, counts: Mapping[str, int]) -> None:
        """Count what was removed of a part, besides what was removed of it before."""
        with self._engine.begin() as database:
            _add(database, id, part, counts)

    def remove(self, id: int, customer_id: str) -> Mapping[str, int]:
        """Delete everything of the customer in one transaction, counted in the receipt; rows by table."""
        with self._engine.begin() as database:
            counts: dict[str, int] = {}
            for table in reversed(metadata.sorted_tables):
                condition = whose(table, customer_id)
                if condition is not None and (count := database.execute(delete(table).where(condition)).rowcount):
                    counts[table.name] = count
            shared = update(requests).where(requests.c.customers.contains([customer_id]))
            database.execute(shared.values(customers=func.array_remove(requests.c.customers, customer_id)))
            database.execute(_NAMED, {"customer": customer_id})
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
            if dagster is not None:
                _add(database, id, "dagster", dagster)
            finished: dict[str, Any] = {"finished_at": func.coalesce(erasures.c.finished_at, func.now())}
            if dagster is not None:
                finished["customer_id"] = None
            change = update(erasures).where(erasures.c.id == id).values(**finished).returning(*_COLUMNS)
            found = _erasure(database.execute(change).mappings().one())
            digest = _digest(found)
            change = update(erasures).where(erasures.c.id == id).values(digest=digest).returning(*_COLUMNS)
            return _erasure(database.execute(change).mappings().one())

    def waiting(self) -> list[Erasure]:
        """Those that are finished but for Dagster's part."""
        query = select(*_COLUMNS).where(erasures.c.customer_id.is_not(None), erasures.c.finished_at.is_not(None))
        with self._engine.connect() as database:
            return [_erasure(row) for row in database.execute(query.order_by(erasures.c.id)).mappings()]

    def list(self) -> list[Erasure]:
        """All receipts, newest first."""
        with self._engine.connect() as database:
            rows = database.execute(select(*_COLUMNS).order_by(erasures.c.id.desc())).mappings()
            return [_erasure(row) for row in rows]


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
    """Subjects are such as `connection acme/salesforce`; a token's entry names its customer."""
    about = func.substr(audit.c.subject, func.strpos(audit.c.subject, " ") + 1)
    return or_(
        about == customer_id,
        func.starts_with(about, f"{customer_id}/"),
        audit.c.new["customer_id"].astext == customer_id,
        audit.c.old["customer_id"].astext == customer_id,
    )


def _add(database: Database, id: int, part: str, counts: Mapping[str, int]) -> None:
    own = erasures.c.id == id
    removed = dict(database.execute(select(erasures.c.removed).where(own).with_for_update()).scalar_one())
    before = removed.get(part, {})
    removed[part] = {name: before.get(name, 0) + counts.get(name, 0) for name in sorted({*before, *counts})}
    database.execute(update(erasures).where(own).values(removed=removed))


def _hash(salt: str, customer_id: str) -> str:
    return hashlib.sha256(f"{salt}{customer_id}".encode()).hexdigest()


def _digest(found: Erasure) -> str:
    """Of what the receipt says, however it is written down."""
    said = [found.id, found.customer_hash, found.actor, found.begun_at.isoformat(), found.removed]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _erasure(row: RowMapping) -> Erasure:
    return Erasure(**row)
