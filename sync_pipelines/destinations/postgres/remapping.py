"""Columns of stored rows made anew: which rows there are, and the statement that sets only what differs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
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
_OUTDATED: Final = """
SELECT t.id, t.raw_data::text FROM jsonb_each(%(patches)s::jsonb) AS k (id, patch)
CROSS JOIN LATERAL (SELECT t.id, t.raw_data, t.is_deleted FROM {table} t WHERE {scope} AND t.id = k.id LIMIT 1) t
WHERE t.is_deleted IS NOT TRUE AND NOT t.raw_data @> k.patch
"""
_BEHIND: Final = "AND t.id > %(after)s"

_ERRORS: Final = """
nullif((coalesce(t.{errors}, '{{}}') - %(names)s::text[]) || coalesce(s.errors, '{{}}'), '{{}}')
"""

# Found by place, as the planner may take a table without statistics for empty; in a partitioned table a place is only
# one together with its partition.
_REMAP: Final = """
UPDATE {table} t SET {assignments}{with_hash}{errors} = found.new_errors, {emitted_at} = %(now)s, {run_id} = %(run_id)s
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
    """Rendered for some columns of a layout. `types`: of id, errors, the hash where the record's text is another one,
    and these columns, as they are staged."""

    sets_hash: bool
    remap: bytes
    staging: str
    make_staging: bytes
    copy_staging: bytes
    types: tuple[str, ...]


@lru_cache(maxsize=64)
def remapping_of(layout: Layout, columns: tuple[str, ...]) -> Remapping:
    kinds = {column.name: column.type for column in layout.table.columns}
    sets_hash = "raw_data" in columns
    head = ("id", "errors", "hash")[: 2 + sets_hash]
    types = (*("text", "jsonb", "bigint")[: len(head)], *(kinds[name] for name in columns))
    staging = f"_sync_remap_{hashlib.blake2s(','.join(head + types).encode(), digest_size=8).hexdigest()}"
    places = [f"c{place}" for place in range(len(columns))]
    parts = _parts(layout) | {"staging": sql.SQL(f"pg_temp.{staging}")}
    merged = sql.SQL(_ERRORS).format(**parts)
    pairs = [(in_query(name), sql.SQL(place)) for name, place in zip(columns, places, strict=True)]
    assignments = sql.SQL("").join(sql.SQL("{} = found.{}, ").format(*pair) for pair in pairs)
    differs = sql.SQL("").join(
        sql.SQL(_DIFFERS.get(kind, _DIFFERS[""])).format(*pair)
        for kind, pair in zip(types[len(head) :], pairs, strict=True)
    )
    staged = [f"{name} {SQL_TYPES[kind]}" for name, kind in zip((*head, *places), types, strict=True)]
    with_hash = sql.SQL("{hash} = found.hash, ").format(**parts) if sets_hash else sql.SQL("")
    parts |= {"merged": merged, "assignments": assignments, "differs": differs, "with_hash": with_hash}
    return Remapping(
        sets_hash=sets_hash,
        remap=sql.SQL(_REMAP).format(**parts).as_bytes(None),
        staging=staging,
        make_staging=f"CREATE TEMP TABLE {staging} ({', '.join(staged)}) ON COMMIT DELETE ROWS".encode(),
        copy_staging=f"COPY pg_temp.{staging} FROM STDIN (FORMAT BINARY)".encode(),
        types=types,
    )


def staged_columns(ids: Sequence[str], columns: Columns, *, with_hash: bool) -> Columns:
    """A block's columns as they are staged: ids, errors, hashes, and what stands behind the head."""
    return (ids, columns[1], *columns[:1][:with_hash], *columns[ROW_HEAD:])


def stored_records(
    connection: Connection, layout: Layout, scope: Mapping[str, Any], after: str | None, limit: int
) -> list[StoredRecord]:
    """See `model.destination.Landing.stored`."""
    with connection.transaction():
        connection.execute(_BY_KEY)
        values = {**scope, "after": after, "limit": limit}
        found = connection.execute(_stored(layout, first=after is None), values).fetchall()
    return [StoredRecord(id, deleted, None if raw is None else raw.encode()) for id, deleted, raw in found]


def outdated_records(
    connection: Connection, layout: Layout, scope: Mapping[str, Any], patches: Mapping[str, bytes]
) -> list[StoredRecord]:
    """See `model.destination.Landing.outdated`."""
    told = msgspec.json.encode({id: msgspec.Raw(patch) for id, patch in patches.items()}).decode()
    with connection.transaction():
        connection.execute(_BY_KEY)
        found = connection.execute(_outdated(layout), {**scope, "patches": told}).fetchall()
    return [StoredRecord(id, False, raw.encode()) for id, raw in found]


@lru_cache(maxsize=512)
def _outdated(layout: Layout) -> bytes:
    return sql.SQL(_OUTDATED).format(**_parts(layout)).as_bytes(None)


@lru_cache(maxsize=512)
def _stored(layout: Layout, *, first: bool) -> bytes:
    return sql.SQL(_STORED).format(**_parts(layout), behind=sql.SQL("" if first else _BEHIND)).as_bytes(None)


def _parts(layout: Layout) -> dict[str, sql.Composable]:
    names = {name: in_query(layout.meta(name)) for name in (*KEY, "errors", "emitted_at", "run_id", "hash")}
    scope = sql.SQL(_SCOPE).format(**names)
    return {**names, "scope": scope, "table": in_query(layout.schema, layout.physical)}
