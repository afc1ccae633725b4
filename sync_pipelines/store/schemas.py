"""The fields that each object of each connection had when it was last looked at, and how they changed.

By sync, because each decides for itself what to do about a change. Here and not in the checkpoint: it is about the
account and not about one destination, people read and accept it, and a checkpoint is written with every chunk, which
hundreds of field names would make dear.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, case, func, insert, select, text
from sqlalchemy import Connection as Database
from sqlalchemy.dialects.postgresql import insert as upsert

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.schema_change import FieldChange, Fields, KnownSchema, SeenChange, changes_between, mark_of
from sync_pipelines.store.audit import note
from sync_pipelines.store.mending import mend_customer
from sync_pipelines.store.tables import schema_changes, schemas


class RememberedSchema:
    """What is remembered of one object of one connection of one sync; see engine.schema_policy.SchemaMemory."""

    def __init__(self, engine: Engine, key: tuple[str, str, int], accepted: str, seen: str) -> None:
        self._engine = engine
        self._key = key
        self.accepted = accepted
        self.seen = seen

    def note(self, fields: Fields, policy: str, *, accept: bool) -> Fields:
        now = datetime.now(UTC)
        with self._engine.begin() as database:
            row = database.execute(select(schemas).filter_by(**_named(self._key)).with_for_update()).one_or_none()
            accepted: Fields = row.accepted if row is not None else {}
            changes = changes_between(_seen(row), fields) if row is not None else ()
            if changes:
                database.execute(
                    insert(schema_changes),
                    [
                        {**_named(self._key), "at": now, "policy": policy}
                        | {"field": change.field, "before": change.before, "after": change.after}
                        for change in changes
                    ],
                )
            self.seen = mark_of(fields)
            self.accepted = self.seen if accept else mark_of(accepted)
            if row is None or (row.accepted_mark, row.seen_mark) != (self.accepted, self.seen):
                _write(database, self._key, fields if accept else accepted, fields, now)
        return accepted


_FIELDS = text(
    """
    SELECT connection_id, ARRAY(
        SELECT name FROM jsonb_object_keys(CASE WHEN :accepted OR seen IS NULL THEN accepted ELSE seen END) AS name
        WHERE lower(name) = ANY(:names) OR octet_length(name) <> char_length(name)
    )
    FROM schemas WHERE sync = :sync AND object = :object AND connection_id = ANY(:ids)
    """
)
"""Other letters than ASCII have cases that Postgres does not fold as we do, so that such names all come."""


class Schemas:
    """By sync, object (as the sync names it) and connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def remembered(
        self, sync: str, objects: Iterable[str], connections: Sequence[int]
    ) -> dict[tuple[str, int], RememberedSchema]:
        """What is remembered of each of these objects of each of these connections, by both; nothing is "" marks."""
        names = sorted(set(objects))
        query = select(schemas.c.object, schemas.c.connection_id, schemas.c.accepted_mark, schemas.c.seen_mark).where(
            schemas.c.sync == sync,
            schemas.c.object == func.any(names),
            schemas.c.connection_id == func.any(list(connections)),
        )
        with self._engine.connect() as database:
            marks = {(name, id): (accepted, seen) for name, id, accepted, seen in database.execute(query)}
        return {
            (name, id): RememberedSchema(self._engine, (sync, name, id), *marks.get((name, id), ("", "")))
            for name in names
            for id in connections
        }

    def fields_of(
        self, sync: str, object_name: str, connections: Sequence[int], names: Iterable[str], *, accepted: bool
    ) -> dict[int, list[str]]:
        """By connection, which of these names (in any case) its object has as fields; where that is remembered.

        `accepted`: of the fields that were accepted, instead of those that were last seen. One query.
        """
        values = {
            "sync": sync,
            "object": object_name,
            "ids": list(connections),
            "names": [name.lower() for name in names],
            "accepted": accepted,
        }
        with self._engine.connect() as database:
            return {id: list(fields) for id, fields in database.execute(_FIELDS, values)}

    def known(self, connection: Connection, object_name: str) -> list[KnownSchema]:
        """What is remembered of an object, one for each sync that reads it."""
        query = select(schemas).where(*_of(schemas, connection, object_name)).order_by(schemas.c.sync)
        with self._engine.connect() as database:
            return [
                KnownSchema(
                    sync=row.sync,
                    object=row.object,
                    accepted=row.accepted,
                    accepted_at=row.accepted_at,
                    seen=_seen(row),
                    seen_at=row.seen_at,
                )
                for row in database.execute(query)
            ]

    def changes(self, connection: Connection, object_name: str, limit: int = 100) -> list[SeenChange]:
        """What changed, the newest first."""
        query = (
            select(schema_changes)
            .where(*_of(schema_changes, connection, object_name))
            .order_by(schema_changes.c.id.desc())
            .limit(limit)
        )
        with self._engine.connect() as database:
            return [
                SeenChange(
                    sync=row.sync,
                    object=row.object,
                    at=row.at,
                    policy=row.policy,
                    change=FieldChange(field=row.field, before=row.before, after=row.after),
                )
                for row in database.execute(query)
            ]

    def accept(
        self, connection: Connection, object_name: str, *, actor: str = "system"
    ) -> dict[str, tuple[FieldChange, ...]]:
        """Take the fields as they were last seen; by sync, what that changes. What failed because of it is due now."""
        now = datetime.now(UTC)
        taken: dict[str, tuple[FieldChange, ...]] = {}
        with self._engine.begin() as database:
            query = select(schemas).where(*_of(schemas, connection, object_name)).with_for_update()
            for row in database.execute(query).all():
                taken[row.sync] = changes_between(row.accepted, _seen(row))
                if taken[row.sync]:
                    _write(database, (row.sync, row.object, row.connection_id), _seen(row), _seen(row), now)
            if any(taken.values()):
                mend_customer(database, connection.customer_id, connection.provider, now)
                note(
                    database,
                    actor=actor,
                    action="accept",
                    subject=f"schema {connection.customer_id}/{connection.provider}/{object_name.casefold()}",
                    new={sync: [change.told for change in changes] for sync, changes in taken.items()},
                    customers=[connection.customer_id],
                )
        return taken


def _seen(row: Row[Any]) -> Fields:
    seen: Fields = row.accepted if row.seen is None else row.seen
    return seen


def _of(table: Any, connection: Connection, object_name: str) -> tuple[ColumnElement[bool], ...]:
    return (table.c.connection_id == connection.id, func.lower(table.c.object) == object_name.lower())


def _named(key: tuple[str, str, int]) -> dict[str, str | int]:
    return dict(zip(("sync", "object", "connection_id"), key, strict=True))


def _write(database: Database, key: tuple[str, str, int], accepted: Fields, seen: Fields, now: datetime) -> None:
    """Each time moves with what it is of."""
    marks = {"accepted_mark": mark_of(accepted), "seen_mark": mark_of(seen)}
    values = marks | {"accepted": dict(accepted), "seen": dict(seen) if seen != accepted else None}
    first = upsert(schemas).values(**_named(key), **values, accepted_at=now, seen_at=now)
    times = {
        f"{name}_at": case((schemas.c[f"{name}_mark"] == marks[f"{name}_mark"], schemas.c[f"{name}_at"]), else_=now)
        for name in ("accepted", "seen")
    }
    keys = ["sync", "object", "connection_id"]
    database.execute(first.on_conflict_do_update(index_elements=keys, set_=values | times))
