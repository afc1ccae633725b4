"""Columns of stored rows made anew: which rows there are, and the statement that sets only what differs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from psycopg import sql

from sync_pipelines.destinations.postgres.layout import KEY, SQL_TYPES, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.model.destination import ROW_HEAD, Columns, StoredRecord

_SCOPE: Final = (
    "t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s AND t.{customer_id} = %(customer_id)s"
)
_BY_KEY: Final = b"SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"
"""A table without statistics would be taken for empty and sorted as a whole for every page."""

_STORED: Final = """
SELECT t.id, coalesce(t.is_deleted, false), t.raw_data::text FROM {table} t
WHERE {scope} {behind} ORDER BY t.id LIMIT %(limit)s
"""
_BEHIND: Final = "AND t.id > %(after)s"

_ERRORS: Final = """
nullif((coalesce(t.{errors}, '{{}}') - %(names)s::text[]) || coalesce(s.errors, '{{}}'), '{{}}')
"""

# Found by place, as the planner may take a table without statistics for empty; in a partitioned table a place is only
# one together with its partition.
_REMAP: Final = """
UPDATE {table} t SET {assignments}{errors} = found.new_errors, {emitted_at} = %(now)s, {run_id} = %(run_id)s
FROM (
  SELECT s.*, t.ctid AS place, t.tableoid AS part, {merged} AS new_errors FROM {staging} s
  CROSS JOIN LATERAL (SELECT t.ctid, t.tableoid, t.* FROM {table} t WHERE {scope} AND t.id = s.id LIMIT 1) t
  WHERE {differs}t.{errors} IS DISTINCT FROM {merged}
) found
WHERE t.ctid = found.place AND t.tableoid = found.part AND {scope}
"""
_DIFFERS: Final = {
    "": "t.{} IS DISTINCT FROM s.{} OR ",
    "numeric": "t.{}::text IS DISTINCT FROM s.{}::text OR ",
}
"""By column type. 1.0 and 1.00 are one number, but not the same bytes."""


@dataclass(frozen=True, kw_only=True)
class Remapping:
    """Rendered for some columns of a layout. `types`: of id, errors and these columns, as they are staged."""

    remap: bytes
    staging: str
    make_staging: bytes
    copy_staging: bytes
    types: tuple[str, ...]


@lru_cache(maxsize=64)
def remapping_of(layout: Layout, columns: tuple[str, ...]) -> Remapping:
    kinds = {column.name: column.type for column in layout.table.columns}
    types = ("text", "jsonb", *(kinds[name] for name in columns))
    staging = f"_sync_remap_{hashlib.blake2s(','.join(types).encode(), digest_size=8).hexdigest()}"
    places = [f"c{place}" for place in range(len(columns))]
    parts = _parts(layout) | {"staging": sql.SQL(f"pg_temp.{staging}")}
    merged = sql.SQL(_ERRORS).format(**parts)
    pairs = [(in_query(name), sql.SQL(place)) for name, place in zip(columns, places, strict=True)]
    assignments = sql.SQL("").join(sql.SQL("{} = found.{}, ").format(*pair) for pair in pairs)
    differs = sql.SQL("").join(
        sql.SQL(_DIFFERS.get(kind, _DIFFERS[""])).format(*pair) for kind, pair in zip(types[2:], pairs, strict=True)
    )
    staged = [f"{name} {SQL_TYPES[kind]}" for name, kind in zip(("id", "errors", *places), types, strict=True)]
    return Remapping(
        remap=sql.SQL(_REMAP).format(**parts, merged=merged, assignments=assignments, differs=differs).as_bytes(None),
        staging=staging,
        make_staging=f"CREATE TEMP TABLE {staging} ({', '.join(staged)}) ON COMMIT DELETE ROWS".encode(),
        copy_staging=f"COPY pg_temp.{staging} FROM STDIN (FORMAT BINARY)".encode(),
        types=types,
    )


def staged_columns(ids: Sequence[str], columns: Columns) -> Columns:
    """A block's columns as they are staged: ids, errors, and what stands behind the head."""
    return (ids, columns[1], *columns[ROW_HEAD:])


def stored_records(
    connection: Connection, layout: Layout, scope: Mapping[str, Any], after: str | None, limit: int
) -> list[StoredRecord]:
    """See `model.destination.Landing.stored`."""
    with connection.transaction():
        connection.execute(_BY_KEY)
        values = {**scope, "after": after, "limit": limit}
        found = connection.execute(_stored(layout, first=after is None), values).fetchall()
    return [StoredRecord(id, deleted, None if raw is None else raw.encode()) for id, deleted, raw in found]


@lru_cache(maxsize=512)
def _stored(layout: Layout, *, first: bool) -> bytes:
    return sql.SQL(_STORED).format(**_parts(layout), behind=sql.SQL("" if first else _BEHIND)).as_bytes(None)


def _parts(layout: Layout) -> dict[str, sql.Composable]:
    names = {name: in_query(layout.meta(name)) for name in (*KEY, "errors", "emitted_at", "run_id")}
    scope = sql.SQL(_SCOPE).format(**names)
    return {**names, "scope": scope, "table": in_query(layout.schema, layout.physical)}
