"""What a load is about to do to single rows: one statement that compares the staged rows with those they replace."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from psycopg import sql

from sync_pipelines.destinations.postgres.layout import KEY, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.destinations.postgres.statements import STAGED, statements_of
from sync_pipelines.model.record_log import CREATED, DELETED, UNLOGGED, UPDATED, RecordChange, RecordLog

_SCOPE: Final = (
    "t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s AND t.{customer_id} = %(customer_id)s"
)
# The rows that the upsert behind it writes, by its own conditions; it runs in the same transaction, behind the fence.
_CHANGES: Final = """
SELECT s.{staged_id}, t.id IS NULL, CASE WHEN t.id IS NOT NULL THEN (
  SELECT jsonb_object_agg(v.name, jsonb_build_array(v.old, v.new)) FROM (VALUES {pairs}) v (name, old, new)
  WHERE v.old IS DISTINCT FROM v.new
) END
FROM {staging} s
LEFT JOIN LATERAL (SELECT t.* FROM {table} t WHERE {scope} AND t.id = s.{staged_id} LIMIT 1) t ON true
WHERE t.{hash} IS DISTINCT FROM s.c0 AND (t.last_modified_at <= s.{modified}) IS NOT FALSE
ORDER BY s.{staged_id} LIMIT %(most)s
"""


class Gathering:
    """What one transaction does to single rows; the log is told when it has committed. Without one nothing is asked."""

    def __init__(self) -> None:
        self.log: RecordLog | None = None
        self._waiting: list[Callable[[RecordLog], None]] = []
        self._staged: list[RecordChange] = []

    def begin(self) -> None:
        self._waiting = []

    def commit(self) -> None:
        if self.log is not None:
            for tell in self._waiting:
                tell(self.log)
        self._waiting = []

    def created(self, ids: Sequence[str]) -> None:
        if self.log is not None and ids:
            self._waiting.append(lambda log: log.add_ids(CREATED, ids))

    def staged(self, connection: Connection, layout: Layout, scope: Mapping[str, Any]) -> None:
        """Before the upsert of what is staged."""
        self._staged = [] if self.log is None else _changes_of(connection, layout, scope, self.log.room)

    def upserted(self, rows: int) -> None:
        """Behind it: how many rows it wrote."""
        changes = self._staged

        def tell(log: RecordLog) -> None:
            log.add(changes)
            log.left_out += rows - len(changes)

        self._waiting.append(tell)

    def gone(self, connection: Connection, statement: bytes, values: Mapping[str, Any], message: str = "") -> int:
        """Executes a statement that deletes rows `t` or marks them; how many."""
        if self.log is None:
            return connection.execute(statement, values).rowcount
        cursor = connection.execute(statement.rstrip() + b" RETURNING t.id", values)
        ids = [str(id) for (id,) in cursor.fetchall()]
        self._waiting.append(lambda log: log.add_ids(DELETED, ids, message))
        return len(ids)


def _changes_of(connection: Connection, layout: Layout, scope: Mapping[str, Any], most: int) -> list[RecordChange]:
    """Of what is staged, at most so many."""
    found = connection.execute(_rendered(layout), {**scope, "most": most})
    return [
        RecordChange(
            record=id,
            operation=CREATED if new else UPDATED,
            fields={name: (old, now) for name, (old, now) in (fields or {}).items()},
        )
        for id, new, fields in found
    ]


@lru_cache(maxsize=512)
def _rendered(layout: Layout) -> bytes:
    places = {column.name: f"c{place}" for place, column in enumerate(layout.table.columns, len(STAGED))}
    names = {name: in_query(layout.meta(name)) for name in (*KEY, "hash")}
    told = [column.name for column in layout.table.columns if column.name not in UNLOGGED]
    pairs = [
        sql.SQL("({}, to_jsonb(t.{}), to_jsonb(s.{}))").format(_literal(name), in_query(name), sql.SQL(places[name]))
        for name in told
    ]
    return (
        sql.SQL(_CHANGES)
        .format(
            **names,
            scope=sql.SQL(_SCOPE).format(**names),
            table=in_query(layout.schema, layout.physical),
            staging=sql.SQL(f"pg_temp.{statements_of(layout).staging}"),
            staged_id=sql.SQL(places["id"]),
            modified=sql.SQL(places["last_modified_at"]),
            pairs=sql.SQL(", ").join(pairs),
        )
        .as_bytes(None)
    )


def _literal(name: str) -> sql.SQL:
    """A column's name as a text of a statement with placeholders."""
    return sql.SQL(sql.Literal(name).as_string(None).replace("%", "%%"))
