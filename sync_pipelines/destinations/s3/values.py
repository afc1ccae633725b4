"""Rows between Python and Arrow."""

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa

from sync_pipelines.destinations.s3.layout import NUMBER, Layout
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Columns
from sync_pipelines.model.errors import RefusedValue

FileRow: TypeAlias = tuple[Any, ...]
"""One value for each of `Layout.columns`. JSON is text."""

_TOO_LONG = "has more than 20 digits before or 18 behind the point, which the number columns of files cannot hold"


def table_of(columns: Sequence[Column], schema: pa.Schema, rows: Sequence[FileRow]) -> pa.Table:
    """RefusedValue for a value that is none of its column's type."""
    every = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = []
    for column, values in zip(columns, every, strict=True):
        try:
            arrays.append(pa.array(values, schema.field(column.name).type))
        except (UnicodeError, OverflowError, pa.ArrowInvalid, pa.ArrowTypeError) as problem:
            raise RefusedValue(f"A value of the column {column.name} cannot be stored: {problem}.") from problem
    return pa.table(arrays, schema=schema)


def rows_of(table: pa.Table) -> list[FileRow]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def in_layout(table: pa.Table, layout: Layout, names: Mapping[str, str]) -> pa.Table:
    """A file's table with exactly the layout's columns: what it does not have is null, what was narrower is wide.

    `names`: what the file calls otherwise, {its name: ours}.
    """
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    columns = []
    for field in layout.schema:
        place = table.schema.get_field_index(field.name)
        if place < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            columns.append(table.column(place).cast(field.type))
    return pa.table(columns, schema=layout.schema)


def taken(columns: Columns, kinds: Sequence[Column]) -> tuple[list[list[Any]], int]:
    """Columns of a batch (hash, errors, merged_into, then these) as rows of files have them.

    Numbers that do not fit their column are kept in the row's errors; how many those are comes with it.
    """
    hashes, errors, merged, *values = (list(column) for column in columns)
    misfits = 0
    for place, column in enumerate(kinds):
        if column.type == "jsonb":
            values[place] = _texts(values[place])
        elif column.type == "numeric":
            misfits += _fit(values[place], errors, column.name)
    return [hashes, _texts(errors), merged, *values], misfits


def _texts(values: Iterable[Any]) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _fit(values: list[Any], errors: list[Any], column: str) -> int:
    """Set what is no number of the files to null, and tell of it in the errors of its row."""
    if _fits(values):
        return 0
    misfits = 0
    for row, value in enumerate(values):
        if not _fits([value]):
            told = json.loads(errors[row]) if errors[row] else {}
            told[column] = {"field": "", "value": _plain(value), "reason": _TOO_LONG}
            errors[row] = json.dumps(told, ensure_ascii=False)
            values[row] = None
            misfits += 1
    return misfits


def _fits(values: Sequence[Any]) -> bool:
    try:
        pa.array(values, NUMBER)
    except pa.ArrowInvalid:
        return False
    return True


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) < 100 else str(value)
