"""Tables, columns and the view of an object: compared with the catalogue, and made where something is missing.

The usual case, nothing missing, is one catalogue query without a lock. Only who finds something missing takes the
schema's lock, looks again, and changes what is still missing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from psycopg import sql

from sync_pipelines.config import RowLevelSecurity
from sync_pipelines.destinations.postgres.former import remade, renames
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
from sync_pipelines.model.former import TAKEN_IN

_INLINE_BYTES = 4080
"""Where the server has no lz4, rows up to this size stay uncompressed: the old compression costs more than all else."""

_CATALOGUE = """
SELECT n.nspname, c.relname, c.relkind::text, c.relrowsecurity,
  EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = %(policy)s),
  (SELECT jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnum) ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT jsonb_agg(a.attname ORDER BY place)
     FROM pg_catalog.pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, place), pg_catalog.pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum)
FROM pg_catalog.pg_namespace n
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = ANY(%(names)s::name[])
WHERE n.nspname = ANY(%(schemas)s::name[])
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
    """What the catalogue says of a name. `kind` r: table, p: partitioned table, v: view.

    `columns`: types by name. `numbers`: what tells a column from another one that has had its name.
    """

    kind: str
    columns: Mapping[str, str]
    numbers: Mapping[str, int]
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
    if missing(found, layout, security, lz4=False):
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_number(layout.schema)])
            lz4 = has_lz4(connection)
            for statement in missing(_look(connection, layout), layout, security, lz4=lz4):
                connection.execute(statement)
            found = _look(connection, layout)
    table = found.get(layout.physical) if found else None
    if security is not None or (table is not None and table.has_policy):
        _secure(connection, layout, security)
    if table is None:
        return layout
    return replace(layout.with_types(table.columns), remade=tuple(remade(layout, table.numbers).items()))


def _secure(connection: Connection, layout: Layout, security: RowLevelSecurity | None) -> None:
    """After the table is there and before a row is in it."""
    if not statements_to_secure(connection, layout, security):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_number(layout.schema)])
        for statement in statements_to_secure(connection, layout, security):
            connection.execute(statement)


def _look(connection: Connection, layout: Layout) -> Found:
    return look_at(connection, [layout.schema], names_of(layout))[layout.schema]


def names_of(layout: Layout) -> list[str]:
    """The relations that a layout is made of."""
    return [layout.physical, layout.named, *_OWN_TABLES]


def look_at(connection: Connection, schemas: Sequence[str], names: Sequence[str]) -> dict[str, Found]:
    """What the catalogue says of these names in each of these schemas: one query."""
    rows = connection.execute(_CATALOGUE, {"schemas": list(schemas), "names": list(names), "policy": POLICY}).fetchall()
    found: dict[str, dict[str, Relation]] = {}
    for schema, name, kind, is_secured, has_policy, columns, key in rows:
        known = found.setdefault(schema, {})
        if name is not None:
            types = {column: kind for column, kind, _ in columns or ()}
            numbers = {column: number for column, _, number in columns or ()}
            known[name] = Relation(kind, types, numbers, tuple(key or ()), is_secured, has_policy)
    return {schema: found.get(schema) for schema in schemas}


def has_lz4(connection: Connection) -> bool:
    """Whether new columns can be compressed the quick way."""
    return connection.execute(_HAS_LZ4).fetchone() == (True,)


def missing(found: Found, layout: Layout, security: RowLevelSecurity | None, *, lz4: bool) -> list[sql.Composed]:
    """The statements that make what is not there yet. DestinationError where something else is in the way."""
    statements: list[sql.Composed] = []
    if found is None:
        found = {}
        statements.append(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(identifier(layout.schema)))
    for name, statement in _OWN_TABLES.items():
        if name not in found:
            statements.append(sql.SQL(statement).format(identifier(layout.schema, name)))
    table, view = found.get(layout.physical), found.get(layout.named)
    if table is None:
        statements.extend(_new_table(layout, lz4))
    else:
        _refuse_strangers(table, layout)
        moved = renames(layout, table.columns)
        statements.extend(_moves(moved, layout, view))
        statements.extend(_changes(_after(moved, table), layout, lz4))
        view = _after(moved, view) if view is not None else None
    if layout.has_view:
        as_caller = security is not None or (table is not None and table.is_secured)
        statements.extend(_view(view, table, layout, as_caller=as_caller))
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
    key = sql.SQL(", ").join(map(identifier, layout.key))
    errors = identifier(layout.meta("errors"))
    # Of the few rows with values that did not fit, so that finding those reads no others. Other rows are not in it.
    indexes = [sql.SQL("CREATE INDEX ON {} ({}) WHERE {} IS NOT NULL").format(name, key, errors)]
    if layout.table.grouped_by is not None:
        indexed = (*layout.key[:-1], layout.table.grouped_by)
        indexes.append(sql.SQL("CREATE INDEX ON {} ({})").format(name, sql.SQL(", ").join(map(identifier, indexed))))
    return [statement, *indexes, *(_comment(layout, column) for column in layout.table.columns if column.description)]


def _column(column: Column, lz4: bool) -> sql.Composed:
    compression = " COMPRESSION lz4" if lz4 and column.type in ("text", "jsonb") else ""
    return sql.SQL("{} {}").format(identifier(column.name), sql.SQL(SQL_TYPES[column.type] + compression))


def _comment(layout: Layout, column: Column) -> sql.Composed:
    name = identifier(layout.schema, layout.physical, column.name)
    return sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(column.description))


def _refuse_strangers(table: Relation, layout: Layout) -> None:
    if table.kind not in ("r", "p") or set(table.key) != set(layout.key):
        raise DestinationError(
            f"{layout.schema}.{layout.physical} exists already and is not a table of this project (it has not the "
            f"primary key {', '.join(layout.key)}): rename it, or give the object another table in the sync."
        )


def _after(moved: Sequence[tuple[str, str]], relation: Relation) -> Relation:
    """The relation with its columns renamed. A column that takes the place of another comes after it in `moved`."""
    columns = dict(relation.columns)
    for old, new in moved:
        if old in columns:
            columns = {new if name == old else name: kind for name, kind in columns.items()}
    return replace(relation, columns=columns)


def _moves(moved: Sequence[tuple[str, str]], layout: Layout, view: Relation | None) -> Iterator[sql.Composed]:
    for old, new in moved:
        names = [identifier(layout.schema, layout.physical)]
        if layout.has_view and view is not None and view.kind == "v" and old in view.columns:
            # The view gives a column the name it had; what others built on it goes on showing the old column.
            names.append(identifier(layout.schema, layout.named))
        for name, kind in zip(names, ("TABLE", "VIEW"), strict=False):
            yield sql.SQL(f"ALTER {kind} {{}} RENAME COLUMN {{}} TO {{}}").format(
                name, identifier(old), identifier(new)
            )


def _changes(table: Relation, layout: Layout, lz4: bool) -> list[sql.Composed]:
    statements: list[sql.Composed] = []
    name = identifier(layout.schema, layout.physical)
    for column in layout.columns:
        existing, wanted = table.columns.get(column.name), SQL_TYPES[column.type]
        if existing is None:
            statements.append(sql.SQL("ALTER TABLE {} ADD COLUMN {}").format(name, _column(column, lz4)))
            if column.description:
                statements.append(_comment(layout, column))
        elif (existing, wanted) in TAKEN_IN:
            statements.append(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(name, identifier(column.name), sql.SQL(wanted))
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
