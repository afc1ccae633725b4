"""The SQL of one table, rendered once: every statement that touches rows names the whole scope."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg import sql

from sync_pipelines.destinations.postgres.checkpoints import ids_of_reading
from sync_pipelines.destinations.postgres.layout import SQL_TYPES, Layout
from sync_pipelines.destinations.postgres.names import identifier, in_query
from sync_pipelines.model.destination import METADATA

STAGED = ("hash", "errors", "merged_into")
"""Metadata columns that come with each row; the others are the same for a whole load."""

_SCOPE = (
    "t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s AND t.{customer_id} = %(customer_id)s"
)

_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM {table} t WHERE {scope})"

# How the stored row of each key is found, in the order of cost. By range: keys that lie close together in the index, as
# those of a full read do, cost one walk over it; of rows between them only so many are looked at, and the row with the
# place -1 tells how many that were. By key: LIMIT keeps the planner at one index lookup for each. Left to itself it
# takes a table without statistics for empty, and reads a whole customer for each chunk.
_BY_RANGE = """
WITH k AS MATERIALIZED ({keys}), near AS MATERIALIZED (
  SELECT t.id, t.{hash} AS hash, t.{errors} AS errors FROM {table} t
  WHERE {scope} AND t.id >= (SELECT min(id) FROM k) AND t.id <= (SELECT max(id) FROM k)
  ORDER BY t.id LIMIT %(most)s
)
(SELECT k.place - 1, t.id IS NULL, {misfits} FROM k LEFT JOIN near t ON t.id = k.id
WHERE {differs} ORDER BY k.id COLLATE "C")
UNION ALL SELECT -1, NULL, count(*) FROM near
"""
_BY_KEY = """
SELECT k.place - 1, t.id IS NULL, {misfits} FROM ({keys}) k
LEFT JOIN LATERAL (
  SELECT t.id, t.{hash} AS hash, t.{errors} AS errors FROM {table} t WHERE {scope} AND t.id = k.id LIMIT 1
) t ON true
WHERE {differs} ORDER BY k.id COLLATE "C"
"""
_KEYS = "SELECT * FROM unnest(%(ids)s::text[], %(hashes)s::bigint[]) WITH ORDINALITY AS k (id, hash, place)"
_COMPARED = {
    "keys": _KEYS,
    "misfits": "CASE WHEN t.hash = k.hash THEN (SELECT count(*) FROM jsonb_object_keys(t.errors)) END",
    "differs": "t.hash IS DISTINCT FROM k.hash OR t.errors IS NOT NULL",
}
# Where rows are only added, a stored one is as it should be, whatever its hash.
_LOOKED_UP = {
    "keys": _KEYS,
    "misfits": "(SELECT count(*) FROM jsonb_object_keys(t.errors))",
    "differs": "t.id IS NULL OR t.errors IS NOT NULL",
}

_SAME_TYPES = """
SELECT NOT EXISTS (
  SELECT FROM unnest(%(names)s::text[], %(types)s::text[]) AS wanted (name, type)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(%(relation)s) AND a.attname = wanted.name
    AND NOT a.attisdropped
  WHERE format_type(a.atttypid, a.atttypmod) IS DISTINCT FROM wanted.type
)
"""

# Rows whose text differs but whose content does not (keys in another order, a new mapping that makes the same values)
# learn the new hash and nothing else. Found by place, as the planner may take a table without statistics for empty; in
# a partitioned table a place is only one together with its partition.
_REFRESH = """
UPDATE {table} t SET {hash} = same.hash
FROM (
  SELECT s.c0 AS hash, t.ctid AS place, t.tableoid AS part FROM {staging} s
  CROSS JOIN LATERAL (SELECT t.ctid, t.tableoid, t.* FROM {table} t WHERE {scope} AND t.id = s.{staged_id} LIMIT 1) t
  WHERE {same}
) same
WHERE t.ctid = same.place AND t.tableoid = same.part AND {scope}
"""

_UPSERT = """
WITH written AS (
  INSERT INTO {table} AS t ({columns})
  SELECT %(application_id)s, %(customer_id)s, %(provider)s, %(now)s, %(run_id)s, {staged}
  FROM {staging} s
  LEFT JOIN LATERAL (SELECT t.{hash} AS hash FROM {table} t WHERE {scope} AND t.id = s.{staged_id} LIMIT 1) t ON true
  WHERE t.hash IS DISTINCT FROM s.c0
  ORDER BY s.{staged_id}
  ON CONFLICT ({key}) DO UPDATE SET {assignments}
  WHERE t.{hash} IS DISTINCT FROM EXCLUDED.{hash}
    AND (t.last_modified_at <= EXCLUDED.last_modified_at) IS NOT FALSE
  RETURNING 1
)
SELECT count(*), (
  SELECT count(*) FROM {staging} s WHERE NOT EXISTS (SELECT FROM {table} t WHERE {scope} AND t.id = s.{staged_id})
) FROM written
"""

_MERGE = """
UPDATE {table} t SET is_deleted = true, {merged_into} = %(survivors)s::jsonb ->> t.id,
  {hash} = CASE WHEN t.is_deleted THEN t.{hash} END,
  {emitted_at} = %(now)s, {run_id} = %(run_id)s
WHERE {scope} AND t.id = ANY(%(losers)s::text[])
  AND (t.is_deleted IS NOT TRUE OR t.{merged_into} IS DISTINCT FROM %(survivors)s::jsonb ->> t.id)
"""

_REMOVE = "DELETE FROM {table} t WHERE {scope} AND t.id = ANY(%(ids)s::text[])"
_MARK_GONE = """
UPDATE {table} t SET is_deleted = true, {hash} = NULL, {emitted_at} = %(now)s, {run_id} = %(run_id)s
WHERE {scope} AND t.id = ANY(%(ids)s::text[]) AND t.is_deleted IS NOT TRUE
"""

# The first part needs the key's index alone, the second looks at the few rows that are left: the usual full read, which
# deletes next to nothing, does not touch the wide rows.
_REGROUP = """
DELETE FROM {table} t
WHERE {scope} AND t.{group} = ANY(%(groups)s::text[])
  AND NOT EXISTS (SELECT FROM unnest(%(ids)s::text[]) AS kept (id) WHERE kept.id = t.id)
"""

_COUNT_UNSEEN = """
WITH unseen AS MATERIALIZED (
  SELECT t.id FROM {table} t WHERE {scope} AND NOT EXISTS (SELECT FROM {ids} s WHERE s.id = t.id)
)
SELECT count(*) FROM unseen u
CROSS JOIN LATERAL (SELECT t.is_deleted FROM {table} t WHERE {scope} AND t.id = u.id LIMIT 1) t
WHERE t.is_deleted IS NOT TRUE
"""
_COUNT_ALIVE = "SELECT count(*) FROM {table} t WHERE {scope} AND t.is_deleted IS NOT TRUE"
_MARK_UNSEEN = """
UPDATE {table} t SET is_deleted = true, {hash} = NULL, {emitted_at} = %(now)s, {run_id} = %(run_id)s
WHERE {scope} AND t.is_deleted IS NOT TRUE AND NOT EXISTS (SELECT FROM {ids} s WHERE s.id = t.id)
"""
_REMOVE_UNSEEN = """
DELETE FROM {table} t
WHERE {scope} AND NOT EXISTS (SELECT FROM {ids} s WHERE s.id = t.id)
"""
_REMOVE_DELETED = "DELETE FROM {table} t WHERE {scope} AND t.is_deleted"

_SAMPLE = "SELECT * FROM {named} t WHERE {scope} ORDER BY t.{emitted_at} DESC, t.id LIMIT %(limit)s"


@dataclass(frozen=True, kw_only=True)
class Statements:
    """Rendered for one layout. COPY, the making of the staging table and ANALYZE take no parameters.

    `expected` fills same_types. `types`: of the columns of a Row, in its order. `staging`: the staging table's name,
    the same for equal types.
    """

    is_empty: bytes
    compare_by_range: bytes
    compare_by_key: bytes
    same_types: bytes
    expected: Mapping[str, Any]
    refresh: bytes
    upsert: bytes
    merge: bytes
    remove: bytes
    regroup: bytes
    mark_gone: bytes
    count_unseen: bytes
    count_alive: bytes
    mark_unseen: bytes
    remove_unseen: bytes
    remove_deleted: bytes
    sample: bytes
    analyze: bytes
    copy_new: bytes
    copy_staging: bytes
    make_staging: bytes
    staging: str
    types: tuple[str, ...]


@lru_cache(maxsize=512)
def statements_of(layout: Layout) -> Statements:
    types = (*(METADATA[name] for name in STAGED), *(column.type for column in layout.table.columns))
    staging = f"_sync_staging_{hashlib.blake2s(','.join(types).encode(), digest_size=8).hexdigest()}"
    parts = _parts(layout, staging, len(types))

    scope = sql.SQL(_SCOPE).format(**parts)

    def rendered(template: str) -> bytes:
        return sql.SQL(template).format(**parts, scope=scope).as_bytes(None)

    table = identifier(layout.schema, layout.physical)
    staged = [f"c{place} {SQL_TYPES[kind]}" for place, kind in enumerate(types)]
    key = sql.SQL(", ").join(map(identifier, layout.key))
    columns = sql.SQL(", ").join(identifier(column.name) for column in layout.columns)
    return Statements(
        is_empty=rendered(_IS_EMPTY),
        compare_by_range=rendered(_BY_RANGE),
        compare_by_key=rendered(_BY_KEY),
        same_types=_SAME_TYPES.encode(),
        expected={
            "relation": table.as_string(None),
            "names": [column.name for column in layout.columns],
            "types": [SQL_TYPES[column.type] for column in layout.columns],
        },
        refresh=rendered(_REFRESH),
        upsert=rendered(_UPSERT),
        merge=rendered(_MERGE),
        remove=rendered(_REMOVE),
        regroup=rendered(_REGROUP) if layout.table.grouped_by else b"",
        mark_gone=rendered(_MARK_GONE),
        count_unseen=rendered(_COUNT_UNSEEN),
        count_alive=rendered(_COUNT_ALIVE),
        mark_unseen=rendered(_MARK_UNSEEN),
        remove_unseen=rendered(_REMOVE_UNSEEN),
        remove_deleted=rendered(_REMOVE_DELETED),
        sample=rendered(_SAMPLE),
        analyze=sql.SQL("ANALYZE (SKIP_LOCKED) {} ({})").format(table, key).as_bytes(None),
        copy_new=sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, columns).as_bytes(None),
        copy_staging=f"COPY pg_temp.{staging} FROM STDIN (FORMAT BINARY)".encode(),
        make_staging=(
            f"CREATE TEMP TABLE {staging} ({', '.join(staged)}) WITH (toast_tuple_target = 8160) ON COMMIT DELETE ROWS"
        ).encode(),
        staging=staging,
        types=types,
    )


def _parts(layout: Layout, staging: str, width: int) -> dict[str, sql.Composable]:
    own = [column.name for column in layout.columns]
    written = [name for name in own if name not in layout.key]
    staged_id = next(place for place, column in enumerate(layout.table.columns) if column.name == "id") + len(STAGED)
    return {
        **{name: in_query(layout.meta(name)) for name in METADATA},
        **{name: sql.SQL(text) for name, text in (_LOOKED_UP if layout.table.append else _COMPARED).items()},
        "table": in_query(layout.schema, layout.physical),
        "group": in_query(layout.table.grouped_by or "id"),
        "named": in_query(layout.schema, layout.named),
        "ids": ids_of_reading(layout.schema),
        "columns": sql.SQL(", ").join(map(in_query, own)),
        "key": sql.SQL(", ").join(map(in_query, layout.key)),
        "same": sql.SQL(" AND ").join(_comparisons(layout)),
        "assignments": sql.SQL(", ").join(_assignment(layout, name) for name in written),
        "staging": sql.SQL(f"pg_temp.{staging}"),
        "staged": sql.SQL(", ").join(sql.SQL(f"s.c{place}") for place in range(width)),
        "staged_id": sql.SQL(f"c{staged_id}"),
    }


def _kept_survivor(deleted: sql.Composable, theirs: sql.Composable, ours: sql.Composable) -> sql.Composable:
    """What merged_into becomes."""
    # Where the survivor names its losers, the loser's own record does not say it: its next version keeps it.
    return sql.SQL("CASE WHEN {deleted} THEN COALESCE({theirs}, {ours}) ELSE {theirs} END").format(
        deleted=deleted, theirs=theirs, ours=ours
    )


def _assignment(layout: Layout, name: str) -> sql.Composable:
    if name == layout.meta("merged_into"):
        column = in_query(name)
        kept = _kept_survivor(
            sql.SQL("EXCLUDED.is_deleted"), sql.SQL("EXCLUDED.{}").format(column), sql.SQL("t.{}").format(column)
        )
        return sql.SQL("{} = {}").format(column, kept)
    return sql.SQL("{0} = EXCLUDED.{0}").format(in_query(name))


def _comparisons(layout: Layout) -> list[sql.Composable]:
    """Conditions under which a stored row and a staged one have the same content, the cheapest to refute first."""
    staged = {name: f"c{place}" for place, name in enumerate([*map(layout.meta, STAGED), *_names(layout)])}
    compared = [name for name in staged if name not in (layout.meta("hash"), "id")]
    wide = {column.name for column in layout.columns if column.type == "jsonb"}
    compared.sort(key=lambda name: (name != "last_modified_at", name == "raw_data", name in wide))
    return [_comparison(layout, name, staged) for name in compared]


def _names(layout: Layout) -> list[str]:
    return [column.name for column in layout.table.columns]


def _comparison(layout: Layout, name: str, staged: Mapping[str, str]) -> sql.Composable:
    ours: sql.Composable = sql.SQL("t.{}").format(in_query(name))
    theirs: sql.Composable = sql.SQL(f"s.{staged[name]}")
    if name == layout.meta("merged_into"):
        deleted = sql.SQL(f"s.{staged['is_deleted']}")
        theirs = _kept_survivor(deleted, theirs, ours)
    if name == "raw_data" and layout.table.volatile:
        ours, theirs = _without_volatile(layout, ours), _without_volatile(layout, theirs)
    return sql.SQL("{} IS NOT DISTINCT FROM {}").format(ours, theirs)


def _without_volatile(layout: Layout, raw: sql.Composable) -> sql.Composable:
    """Two jsonb values are equal in this form if nothing but volatile keys tells them apart."""
    at = sql.SQL("{}::text[]").format(sql.Literal(list(layout.table.volatile_at)))
    names = sql.SQL("{}::text[]").format(sql.Literal(list(layout.table.volatile)))
    kept = sql.SQL("{raw} - {names}" if not layout.table.volatile_at else _INNER_KEPT)
    # A record may have something else than an object there, from which no key can be taken.
    return sql.SQL("CASE jsonb_typeof({raw} #> {at}) WHEN 'object' THEN {kept} ELSE {raw} END").format(
        raw=raw, at=at, kept=kept.format(raw=raw, at=at, names=names)
    )


_INNER_KEPT = "jsonb_build_array({raw} #- {at}, ({raw} #> {at}) - {names})"
