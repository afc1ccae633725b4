"""One record's row, with all that is known of it."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql

from sync_pipelines.destinations.postgres.checkpoints import Checkpoints, scope_parameters
from sync_pipelines.destinations.postgres.former import remade
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, KEY, SEEN, Layout
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.destinations.postgres.tables import look_at, names_of
from sync_pipelines.model.destination import Found, Scope, StoredRow

_ROW: Final = """
SELECT to_jsonb(t)::text FROM {table} t
WHERE t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s
  AND t.{customer_id} = %(customer_id)s AND t.id = %(id)s
"""


def find_row(connection: Connection, layout: Layout, scope: Scope, id: str) -> Found:
    """See `model.destination.Destination.find`."""
    relations = look_at(connection, [layout.schema], names_of(layout))[layout.schema] or {}
    checkpoint = None
    if {CHECKPOINTS, SEEN} <= relations.keys():
        checkpoint = Checkpoints(layout.schema, scope, "").read(connection).checkpoint
    relation = relations.get(layout.physical)
    if relation is None or not set(layout.key) <= relation.columns.keys():
        return Found(checkpoint=checkpoint)
    names = {name: in_query(layout.meta(name)) for name in KEY}
    statement = sql.SQL(_ROW).format(table=in_query(layout.schema, layout.physical), **names)
    found = connection.execute(statement, scope_parameters(scope) | {"id": id}).fetchone()
    row = None if found is None else _row(layout, json.loads(found[0], parse_float=Decimal))
    return Found(checkpoint=checkpoint, row=row, remade=remade(layout, relation.numbers))


def _row(layout: Layout, told: Mapping[str, Any]) -> StoredRow:
    def meta(name: str) -> Any:
        return told.get(layout.meta(name))

    kinds = {column.name: column.type for column in layout.table.columns}
    emitted = meta("emitted_at")
    return StoredRow(
        emitted_at=None if emitted is None else datetime.fromisoformat(emitted),
        run_id=meta("run_id"),
        errors=meta("errors") or {},
        merged_into=meta("merged_into"),
        values={name: _value(kind, told[name]) for name, kind in kinds.items() if name in told},
    )


def _value(kind: str, told: Any) -> Any:
    """What JSON says of a value, in the type of its column. A column of another type keeps what it holds."""
    try:
        if kind == "timestamptz" and isinstance(told, str):
            return datetime.fromisoformat(told)
        if kind == "date" and isinstance(told, str):
            return date.fromisoformat(told)
        if kind == "numeric" and isinstance(told, int | str) and not isinstance(told, bool):
            return Decimal(told)
    except (ValueError, ArithmeticError):
        return told
    return told
