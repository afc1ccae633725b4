"""Whether what landed is what the vendor has: every column of every record, in SQL, against a plain mapping.

Types that a tool cannot hold are cast before they are compared, and the cast is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from psycopg import sql

from benchmarks.fields import COLUMNS
from benchmarks.plain_mapping import ROWS
from benchmarks.postgres import Postgres
from benchmarks.records import CHANGED_EVERY, CHANGED_PLACE, RECORDS, is_changed

SCHEMA: Final = "expected"
SHOWN: Final = 5
_TABLES: Final = {"hubspot": "hubspot", "salesforce": "salesforce", "bulk": "salesforce"}
"""Bulk's CSV and REST's JSON are the same records."""
_FULL_NAMES: Final = {"timestamptz": "timestamp with time zone"}
_SHORT_NAMES: Final = {"timestamp without time zone": "no time zone", "ARRAY": "jsonb[]"}
# Whose companies: ours keeps the ids, the vendor's page has objects with types. The envelope is no part of a record.
_PLAIN: Final = """
CREATE OR REPLACE FUNCTION expected.plain(record jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (record - 'attributes' - 'associations') || jsonb_build_object('companies', CASE
    WHEN jsonb_typeof(record #> '{associations,companies}') = 'object'
    THEN jsonb_path_query_array(record, '$.associations.companies.results[*].id')
    ELSE coalesce(record #> '{associations,companies}', '[]') END)
$$
"""


@dataclass(frozen=True)
class Landed:
    """Where a contestant's rows are. `expressions`: SQL for columns that are not there under their own name, over the
    table and `also`; `without`: columns that it does not have at all, which are then not compared."""

    schema: str
    table: str = "contacts"
    where: str = "true"
    also: str = ""
    """Further columns that expressions use, worked out once for each row."""
    expressions: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


class Different(AssertionError):
    """Content differs; the text says which column of which record."""


def write_expected(postgres: Postgres, vendors: Iterable[str], size: int) -> None:
    """Tables of what should land: all records as they are first, and the changed ones as they are then."""
    for name in dict.fromkeys(_TABLES[vendor] for vendor in vendors):
        _write_expected(postgres, name, size)


def _write_expected(postgres: Postgres, vendor: str, size: int) -> None:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with postgres.connect() as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.execute(_PLAIN)
        for version in (0, 1):
            name = f"{SCHEMA}.{vendor}_{version}"
            connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
            connection.execute(f"CREATE UNLOGGED TABLE {name} (n integer PRIMARY KEY, {columns})".encode())
            with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN".encode()) as copy:
                for row in _rows(vendor, size, version):
                    copy.write_row(row)
            # Made comparable here, once, and not at every comparison.
            connection.execute(f"UPDATE {name} SET raw_data = {SCHEMA}.plain(raw_data)".encode())
            connection.execute(f"VACUUM (ANALYZE) {name}".encode())


def _rows(vendor: str, size: int, version: int) -> Iterator[list[Any]]:
    make, mapped = RECORDS[vendor], ROWS[vendor]
    for n in range(size):
        if version == 0 or is_changed(n):
            row = mapped(make(n, version))
            yield [n, *(_written(row[name], kind) for name, kind in COLUMNS.items())]


def _written(value: Any, kind: str) -> Any:
    return msgspec.json.encode(value).decode() if kind == "jsonb" and value is not None else value


def compare(
    postgres: Postgres, who: str, landed: Landed, vendor: str, *, size: int, changed: bool = False
) -> list[str]:
    """What had to be cast or left away. Different when a value, a record too much or a record too few is found."""
    expressions, notes = _expressions(postgres, landed)
    names = [name for name in COLUMNS if name not in landed.without and name != "id"]
    table = f"{SCHEMA}.{_TABLES[vendor]}"
    expected = f"SELECT * FROM {table}_0 WHERE n < {size}"
    if changed:
        expected += f" AND n % {CHANGED_EVERY} <> {CHANGED_PLACE} UNION ALL SELECT * FROM {table}_1 WHERE n < {size}"
    pairs = {name: (_comparable("e", name), _comparable("l", name)) for name in names}
    differs = " OR ".join(f"{left} IS DISTINCT FROM {right}" for left, right in pairs.values())
    shown = ", ".join(f"{side}::text" for pair in pairs.values() for side in pair)
    found = ", ".join(f"{expression} AS {name}" for name, expression in expressions.items())
    statement = f"""
        WITH e AS ({expected}), l AS (SELECT {found} FROM ({_rows_of(landed)}) t)
        SELECT e.id, l.id, {shown} FROM e FULL JOIN l ON e.id = l.id
        WHERE e.id IS NULL OR l.id IS NULL OR {differs} LIMIT {SHOWN}"""
    with postgres.connect() as connection:
        connection.execute("SET work_mem = '256MB'")
        different = connection.execute(statement.encode()).fetchall()
    if different:
        told = [text for row in different for text in _differences(row, names)]
        raise Different(f"{who}, {vendor}: what landed is not what the vendor has\n  " + "\n  ".join(told[:20]))
    return notes


def _rows_of(landed: Landed) -> str:
    also = f", {landed.also}" if landed.also else ""
    return f"SELECT *{also} FROM {landed.schema}.{landed.table} WHERE {landed.where} OFFSET 0"


def _comparable(side: str, name: str) -> str:
    return f"{SCHEMA}.plain(l.raw_data)" if (side, name) == ("l", "raw_data") else f"{side}.{name}"


def _differences(row: tuple[Any, ...], names: list[str]) -> list[str]:
    expected, landed, values = row[0], row[1], row[2:]
    if landed is None:
        return [f"record {expected} is missing"]
    if expected is None:
        return [f"record {landed} is too much"]
    pairs = zip(names, values[::2], values[1::2], strict=True)
    return [
        f"record {expected}, {name}: expected {one!r}, found {other!r}" for name, one, other in pairs if one != other
    ]


def _expressions(postgres: Postgres, landed: Landed) -> tuple[dict[str, str], list[str]]:
    """({column: SQL with the type it should have}, what was unlike what was asked for)."""
    kinds = dict(
        postgres.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
            landed.schema,
            landed.table,
        )
    )
    expressions: dict[str, str] = {}
    odd: dict[str, str] = {}
    for name, kind in COLUMNS.items():
        if name in landed.without:
            odd[name] = "missing"
        elif name in landed.expressions:
            expressions[name] = f"({landed.expressions[name]})"
        elif name not in kinds:
            expressions[name], odd[name] = f"NULL::{kind}", "no column"
        elif kinds[name] == _FULL_NAMES.get(kind, kind) or (kind == "text" and kinds[name] == "character varying"):
            expressions[name] = name
        else:
            expressions[name] = _cast(name, kind, kinds[name])
            odd[name] = _SHORT_NAMES.get(kinds[name], str(kinds[name]))
    return expressions, [*_grouped(odd), *_no_key(postgres, landed)]


def _cast(name: str, kind: str, found: str) -> str:
    if kind == "timestamptz" and found == "timestamp without time zone":
        return f"{name} AT TIME ZONE 'UTC'"
    if found == "ARRAY":
        return f"to_jsonb({name})"
    return f"{name}::{kind}"


def _grouped(odd: Mapping[str, str]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for name, kind in odd.items():
        kinds.setdefault(kind, []).append(name)
    return [f"{kind}: {', '.join(names)}" for kind, names in kinds.items()]


def _no_key(postgres: Postgres, landed: Landed) -> list[str]:
    statement = sql.SQL("SELECT 1 FROM pg_index WHERE indrelid = {}::regclass AND indisprimary")
    with postgres.connect() as connection:
        name = sql.Identifier(landed.schema, landed.table).as_string(connection)
        found = connection.execute(statement.format(sql.Literal(name))).fetchone()
    return [] if found else ["no primary key"]
