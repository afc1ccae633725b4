"""Values as binary COPY takes them, column by column: psycopg's fast dumpers do the rest.

Where psycopg would dump in Python (timestamps, booleans, JSON), the bytes are made here and passed through as bytea:
the wire carries no types, so the server reads them as the column's own.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import repeat
from typing import Any, TypeAlias

from sync_pipelines.model.destination import Columns

Values: TypeAlias = Sequence[Any]

_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_POSTGRES_DAY = date(2000, 1, 1).toordinal()
_MICROSECOND = timedelta(microseconds=1)
_eight_bytes = struct.Struct(">q").pack
_four_bytes = struct.Struct(">i").pack
_BOOLEANS = {True: b"\x01", False: b"\x00", None: None}


def moment(value: datetime) -> bytes:
    """timestamptz. Years 1 to 9999 of an aware datetime; infinity and BC cannot be said in one."""
    return _eight_bytes((value - _POSTGRES_EPOCH) // _MICROSECOND)


def _moments(values: Values) -> Values:
    return [None if value is None else moment(value) for value in values]


def _dates(values: Values) -> Values:
    return [None if value is None else _four_bytes(value.toordinal() - _POSTGRES_DAY) for value in values]


def _booleans(values: Values) -> Values:
    return [_BOOLEANS[value] for value in values]


def _jsonb(values: Values) -> Values:
    return [None if value is None else b"\x01" + value for value in values]


def _same(values: Values) -> Values:
    return values


COPY_TYPES: Mapping[str, tuple[str, Callable[[Values], Values]]] = {
    "text": ("text", _same),
    "numeric": ("numeric", _same),
    "bigint": ("int8", _same),
    "boolean": ("bytea", _booleans),
    "timestamptz": ("bytea", _moments),
    "date": ("bytea", _dates),
    "jsonb": ("bytea", _jsonb),
}
"""By column type: the type to tell psycopg, and what to make of the column's values first."""


def copy_types(types: Iterable[str]) -> list[str]:
    """For `Copy.set_types`, by our column types."""
    return [COPY_TYPES[kind][0] for kind in types]


def encoded(columns: Columns, types: Sequence[str], head: Sequence[Any] = ()) -> Iterable[tuple[Any, ...]]:
    """Rows with values ready for `Copy.write_row`, each with the head's values before its own."""
    made: dict[tuple[int, str], Values] = {}
    for column, kind in zip(columns, types, strict=True):
        # Two columns may be one and the same list.
        if (id(column), kind) not in made:
            made[id(column), kind] = COPY_TYPES[kind][1](column)
    ready = [made[id(column), kind] for column, kind in zip(columns, types, strict=True)]
    return zip(*map(repeat, head), *ready)  # noqa: B905 - the head's values repeat without an end


def text_array(values: Sequence[str]) -> str:
    """A text[] literal: much cheaper to make and to read than a parameter for each element."""
    if not values:
        return "{}"
    inner = '","'.join(values)
    if "\\" in inner or inner.count('"') != 2 * (len(values) - 1):
        inner = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return f'{{"{inner}"}}'


def bigint_array(values: Iterable[int]) -> str:
    """A bigint[] literal."""
    return f"{{{','.join(map(str, values))}}}"
