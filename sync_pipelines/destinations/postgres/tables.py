"""Tables, columns and the view of an object: compared with the catalogue, and made where something is missing.

The usual case, nothing missing, is one catalogue query without a lock. Only who finds something missing takes the
schema's lock, looks again, and changes what is still missing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from psycopg import sql

from sync_pipelines.config import RowLevelSecurity
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, SEEN, SQL_TYPES, VISIBLE, Layout
from sync_pipelines.destinations.postgres.names import identifier
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.destinations.postgres.row_security import (
    POLICY,
    refuse_views_of_old_servers,
    statements_to_secure,
)
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.errors import DestinationError

_TAKEN_IN = {("bigint", "numeric")}
"""(narrow, wide): every narrow value is a wide one. A narrow column is widened, a wide one is left as it is."""

_INLINE_BYTES = 4080
"""Where the server has no lz4, rows up to this size stay uncompressed: the old compression costs more than all else."""

_CATALOGUE = """
SELECT c.relname, c.relkind::text, c.relrowsecurity,
  EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = %(policy)s),
  (SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT jsonb_agg(a.attname ORDER BY place)
     FROM pg_catalog.pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, place), pg_catalog.pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum)
FROM pg_catalog.pg_namespace n
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = ANY(%(names)s::name[])
WHERE n.nspname = %(schema)s
"""

_HAS_LZ4 = "SELECT 'lz4' = ANY(enumvals) FROM pg_catalog.pg_settings WHERE name = 'default_toast_compression'"

_OWN_TABLES = {
    CHECKPOINTS: """CREATE TABLE IF NOT EXISTS {} (
        application_id text NOT NULL, provider_name text NOT NULL, customer_id text NOT NULL,
        sync text NOT NULL, object text NOT NULL,
        state jsonb NOT NULL, version bigint NOT NULL, seen bigint NOT NULL,
        run_id text, updated_at timestamptz NOT NULL,
        PRIMARY KEY (application_id, provider_name, customer_id, sync, object)
    ) WITH (fillfactor = 50)""",
    # Ids seen by full reads under way: one row for each chunk, not for each id, so that neither an index nor dead rows
    # grow with the records; unlogged, so that an unchanged record costs no WAL. After a crash of the server it is
    # empty, which a reading notices by the count in its checkpoint. A table for each read would bloat the catalogue
    # with thousands of small customers.
    SEEN: """CREATE UNLOGGED TABLE IF NOT EXISTS {} (
        application_id text NOT NULL, provider_name text NOT NULL, customer_id text NOT NULL,
        sync text NOT NULL, object text NOT NULL,
        reading text NOT NULL, version bigint NOT NULL, amount bigint NOT NULL, ids text[] NOT NULL,
        PRIMARY KEY (application_id, provider_name, customer_id, sync, object, reading, version)
    )""",
}


@dataclass(frozen=True)
class Relation:
    """What the catalogue says of a name. `kind` r: table, p: partitioned table, v: view."""

    kind: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    is_secured: bool = False
    has_policy: bool = False


Found: TypeAlias = Mapping[str, Relation] | None
"""Relations of a schema by name; None when there is no schema."""


def make_ready(connection: Connection, layout: Layout, security: RowLevelSecurity | None = None) -> Layout:
    """Bring tables and view into the layout's shape, and tell it with the types that the columns really have.

    DestinationError where something else is in the way.
    """
    if security is not None:
        refuse_views_of_old_servers(connection, layout)
    found = _look(connection, layout)
    if _missing(found, layout, security, lz4=False):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_number(layout.schema)])
            lz4 = connection.execute(_HAS_LZ4).fetchone() == (True,)
            for statement in _missing(_look(connection, layout), layout, security, lz4=lz4):
                connection.execute(statement)
            found = _look(connection, layout)
    table = found.get(layout.physical) if found else None
    if security is not None or (table is not None and table.has_policy):
        _secure(connection, layout, security)
    return layout.with_types(table.columns) if table is not None else layout


def _secure(connection: Connection, layout: Layout, security: RowLevelSecurity | None) -> None:
    """After the table is there and before a row is in it."""
    if not statements_to_secure(connection, layout, security):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_number(layout.schema)])
        for statement in statements_to_secure(connection, layout, security):
            connection.execute(statement)


def _look(connection: Connection, layout: Layout) -> Found:
    names = [layout.physical, layout.named, *_OWN_TABLES]
    rows = connection.execute(_CATALOGUE, {"schema": layout.schema, "names": names, "policy": POLICY}).fetchall()
    if not rows:
        return None
    return {
        name: Relation(kind, dict(columns or []), tuple(key or []), is_secured, has_policy)
        for name, kind, is_secured, has_policy, columns, key in rows
        if name is not None
    }


def _missing(found: Found, layout: Layout, security: RowLevelSecurity | None, *, lz4: bool) -> list[sql.Composed]:
    """The statements that make what is not there yet."""
    statements: list[sql.Composed] = []
    if found is None:
        found = {}
        statements.append(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(identifier(layout.schema)))
    for name, statement in _OWN_TABLES.items():
        if name not in found:
            statements.append(sql.SQL(statement).format(identifier(layout.schema, name)))
    table = found.get(layout.physical)
    if table is None:
        statements.extend(_new_table(layout, lz4))
    else:
        statements.extend(_changes(table, layout, lz4))
    if layout.has_view:
        as_caller = security is not None or (table is not None and table.is_secured)
        statements.extend(_view(found.get(layout.named), table, layout, as_caller=as_caller))
    return statements


def _new_table(layout: Layout, lz4: bool) -> list[sql.Composed]:
    name = identifier(layout.schema, layout.physical)
    required = {layout.meta(meta) for meta in VISIBLE}
    columns = [
        sql.SQL("{}{}").format(_column(column, lz4), sql.SQL(" NOT NULL" if column.name in required else ""))
        for column in layout.columns
    ]
    statement = sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({})){}").format(
        name,
        sql.SQL(", ").join(columns),
        sql.SQL(", ").join(map(identifier, layout.key)),
        sql.SQL("" if lz4 else f" WITH (toast_tuple_target = {_INLINE_BYTES})"),
    )
    return [statement, *(_comment(layout, column) for column in layout.table.columns if column.description)]


def _column(column: Column, lz4: bool) -> sql.Composed:
    compression = " COMPRESSION lz4" if lz4 and column.type in ("text", "jsonb") else ""
    return sql.SQL("{} {}").format(identifier(column.name), sql.SQL(SQL_TYPES[column.type] + compression))


def _comment(layout: Layout, column: Column) -> sql.Composed:
    name = identifier(layout.schema, layout.physical, column.name)
    return sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(column.description))


def _changes(table: Relation, layout: Layout, lz4: bool) -> list[sql.Composed]:
    if table.kind not in ("r", "p") or set(table.key) != set(layout.key):
        raise DestinationError(
            f"{layout.schema}.{layout.physical} exists already and is not a table of this project (it has not the "
            f"primary key {', '.join(layout.key)}): rename it, or give the object another table in the sync."
        )
    statements: list[sql.Composed] = []
    name = identifier(layout.schema, layout.physical)
    for column in layout.columns:
        existing, wanted = table.columns.get(column.name), SQL_TYPES[column.type]
        if existing is None:
            statements.append(sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(name, _column(column, lz4)))
            if column.description:
                statements.append(_comment(layout, column))
        elif (existing, wanted) in _TAKEN_IN and not layout.has_view:
            statements.append(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(name, identifier(column.name), sql.SQL(wanted))
            )
        elif existing != wanted and (wanted, existing) not in _TAKEN_IN:
            raise DestinationError(
                f"The column {column.name} of {layout.schema}.{layout.physical} has the type {existing}, but "
                f"{wanted} is to be written: change the field's type in the custom schema, or rename or drop the "
                f"column in the database and set {layout.meta('hash')} of its rows to null (the column is then made "
                "anew and filled by the next full read)."
            )
    return statements


def _view(view: Relation | None, table: Relation | None, layout: Layout, *, as_caller: bool) -> list[sql.Composed]:
    """`as_caller`: it reads with the rights of who asks, so that it shows nobody more than the table does."""
    if view is not None and (view.kind != "v" or table is None):
        raise DestinationError(
            f"{layout.schema}.{layout.named} exists already and is not the view that this project makes there: rename "
            "it, or give the object another table in the sync."
        )
    present = list(view.columns) if view is not None else []
    added = [name for name in layout.viewed if name not in present]
    if view is not None and not added:
        return []
    # A view can only grow at its end, and what others built on it must live on.
    columns = sql.SQL(", ").join(map(identifier, present + added))
    return [
        sql.SQL("CREATE OR REPLACE VIEW {}{} AS SELECT {} FROM {}").format(
            identifier(layout.schema, layout.named),
            # A view that is replaced keeps no option that is not said again.
            sql.SQL(" WITH (security_invoker = true)" if as_caller else ""),
            columns,
            identifier(layout.schema, layout.physical),
        )
    ]


def _lock_number(schema: str) -> int:
    digest = hashlib.blake2b(f"sync_pipelines tables of {schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
