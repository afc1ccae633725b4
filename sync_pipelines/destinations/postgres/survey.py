"""A database looked at as a whole: tables by the catalogue, all customers' positions and rows by a few statements."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import msgspec
from psycopg import sql

from sync_pipelines.config import RowLevelSecurity
from sync_pipelines.destinations.postgres.failures import told_as_ours
from sync_pipelines.destinations.postgres.former import remade, renames
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, KEY, SQL_TYPES, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Connection, Pools
from sync_pipelines.destinations.postgres.tables import Found, has_lz4, look_at, make_ready, missing, names_of
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.survey import Position, TableLook

SCHEMAS_AT_ONCE: Final = 200
"""Of customers with a schema of their own. One statement for all of ten thousand would be megabytes long."""

_POSITIONS = """
SELECT {schema}, sync, object, customer_id, (state - 'reading')::text, version FROM {checkpoints}
WHERE application_id = %(application_id)s AND sync = ANY(%(syncs)s::text[])
"""
_ROWS = """
SELECT {provider_name}, {customer_id}, count(*) FROM {table}
WHERE {application_id} = %(application_id)s AND (NOT %(deleted)s OR is_deleted) GROUP BY 1, 2
"""
_decode = msgspec.json.Decoder(Checkpoint).decode


class PostgresSurvey:
    """See model.survey.Survey. `place` names any one schema of the database."""

    def __init__(self, place: Place, pools: Pools) -> None:
        self._place = place
        self._pools = pools
        self._pool = pools.take(place.server)

    def tables(self, wanted: Mapping[str, Sequence[Table]]) -> dict[str, list[TableLook]]:
        layouts = {schema: [Layout(schema, table) for table in tables] for schema, tables in wanted.items()}
        names = sorted({name for several in layouts.values() for layout in several for name in names_of(layout)})
        with self._connection() as connection:
            lz4 = has_lz4(connection)
            found = look_at(connection, list(wanted), names)
        security = self._place.row_level_security
        return {schema: list(_looks(found[schema], several, security, lz4)) for schema, several in layouts.items()}

    def positions(self, schemas: Sequence[str], application_id: str, syncs: Sequence[str]) -> list[Position]:
        values = {"application_id": application_id, "syncs": list(syncs)}
        found: list[Position] = []
        with self._connection() as connection:
            here = look_at(connection, schemas, [CHECKPOINTS])
            having = [schema for schema, relations in here.items() if relations and CHECKPOINTS in relations]
            for at in range(0, len(having), SCHEMAS_AT_ONCE):
                some = having[at : at + SCHEMAS_AT_ONCE]
                parts = [_positions_of(schema) for schema in some]
                found += map(_position, connection.execute(sql.SQL(" UNION ALL ").join(parts), values))
        return found

    def rows(
        self, schema: str, table: Table, application_id: str, *, deleted: bool = False
    ) -> dict[tuple[str, str], int]:
        layout = Layout(schema, table)
        with self._connection() as connection:
            relation = (look_at(connection, [schema], [layout.physical])[schema] or {}).get(layout.physical)
            if relation is None or not set(layout.key) <= relation.columns.keys():
                return {}
            statement = sql.SQL(_ROWS).format(
                table=in_query(schema, layout.physical), **{name: in_query(layout.meta(name)) for name in KEY}
            )
            values = {"application_id": application_id, "deleted": deleted}
            counted = connection.execute(statement, values)
            return {(provider, customer): rows for provider, customer, rows in counted}

    def make_ready(self, schema: str, table: Table) -> None:
        with self._connection() as connection:
            make_ready(connection, Layout(schema, table), self._place.row_level_security)

    def close(self) -> None:
        self._pools.leave(self._place.server)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with told_as_ours(self._place), self._pool.lend(self._place) as lent:
            yield lent.connection


def _positions_of(schema: str) -> sql.Composed:
    literal = sql.Literal(schema).as_string(None).replace("%", "%%")
    return sql.SQL(_POSITIONS).format(schema=sql.SQL(literal), checkpoints=in_query(schema, CHECKPOINTS))


def _position(row: tuple[Any, ...]) -> Position:
    schema, sync, object_name, customer, state, version = row
    checkpoint = replace(_decode(state), version=version)
    return Position(schema=schema, sync=sync, object=object_name, customer_id=customer, checkpoint=checkpoint)


def _looks(
    found: Found, layouts: Sequence[Layout], security: RowLevelSecurity | None, lz4: bool
) -> Iterator[TableLook]:
    """What one table's statements make (the schema, the checkpoints) is there for the next one."""
    made_before: set[str] = set()
    for layout in layouts:
        there = (found or {}).get(layout.physical)
        types = {column.name: SQL_TYPES[column.type] for column in layout.columns}
        present = dict(there.columns) if there is not None else {}
        try:
            statements = [each.as_string(None) for each in missing(found, layout, security, lz4=lz4)]
        except DestinationError as problem:
            yield TableLook(name=layout.named, found=present or None, problem=str(problem))
            continue
        own = [each for each in statements if each not in made_before]
        made_before.update(own)
        renamed = renames(layout, present) if there is not None else []
        yield TableLook(
            name=layout.named,
            found=present if there is not None else None,
            added={} if there is None else {name: kind for name, kind in types.items() if name not in present},
            retyped={
                name: (present[name], kind) for name, kind in types.items() if _is_retyped(name, kind, present, own)
            },
            renamed=dict(renamed),
            remade=remade(layout, there.numbers) if there is not None else {},
            left=tuple(name for name in present if name not in types),
            statements=tuple(own),
        )


def _is_retyped(column: str, kind: str, present: Mapping[str, str], statements: Sequence[str]) -> bool:
    """Whether the column has another type afterwards: in place, or by moving aside for a new one."""
    name = sql.Identifier(column).as_string(None)
    ways = (f" ALTER COLUMN {name} TYPE ", f" RENAME COLUMN {name} TO ")
    return column in present and present[column] != kind and any(way in each for way in ways for each in statements)
