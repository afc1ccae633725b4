"""requests + pandas + to_sql into a staging table + INSERT ... ON CONFLICT, by batches of 10,000."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pandas as pd
import requests
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects.postgresql import BIGINT, BOOLEAN, DATE, JSONB, NUMERIC, TEXT, TIMESTAMP

from benchmarks.fields import COLUMNS
from benchmarks.peers.arguments import Arguments, postgres_url, read_arguments
from benchmarks.plain_mapping import ROWS

BATCH: Final = 10_000
_TYPES: Final = {
    "text": TEXT(),
    "numeric": NUMERIC(),
    "bigint": BIGINT(),
    "boolean": BOOLEAN(),
    "date": DATE(),
    "timestamptz": TIMESTAMP(timezone=True),
    "jsonb": JSONB(),
}
DTYPES: Final[dict[str, Any]] = {name: _TYPES[kind] for name, kind in COLUMNS.items()}
TABLE: Final = "contacts"


def records(given: Arguments) -> Iterator[dict[str, Any]]:
    """All records, page after page."""
    with requests.Session() as session:
        url, params = given.url + given.path, dict(given.params)
        while True:
            page = session.get(url, params=params, timeout=60).json()
            yield from page[given.records_path]
            if given.vendor == "hubspot":
                if "paging" not in page:
                    return
                params["after"] = page["paging"]["next"]["after"]
            else:
                if page["done"]:
                    return
                url, params = given.url + page["nextRecordsUrl"], {}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """One batch with the types that to_sql needs."""
    batch = pd.DataFrame(rows, columns=list(COLUMNS))
    for name, kind in COLUMNS.items():
        if kind == "timestamptz":
            batch[name] = pd.to_datetime(batch[name], utc=True, format="ISO8601")
        elif kind == "date":
            batch[name] = pd.to_datetime(batch[name]).dt.date
        elif kind == "bigint":
            batch[name] = batch[name].astype("Int64")
        elif kind == "boolean":
            batch[name] = batch[name].astype("boolean")
    return batch


def upsert(database: Connection, batch: pd.DataFrame, schema: str) -> None:
    """Staging table by to_sql, then one statement."""
    batch.to_sql("staging", database, schema=schema, if_exists="replace", index=False, dtype=DTYPES)
    names = ", ".join(COLUMNS)
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS if name != "id")
    database.execute(
        text(
            f"INSERT INTO {schema}.{TABLE} ({names}) SELECT {names} FROM {schema}.staging "
            f"ON CONFLICT (id) DO UPDATE SET {changes}"
        )
    )


def main() -> None:
    given = read_arguments()
    rows = map(ROWS[given.vendor], records(given))
    engine = create_engine(postgres_url("postgresql+psycopg"))
    with engine.begin() as database:
        database.execute(text(f"CREATE SCHEMA {given.schema}"))
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        database.execute(text(f"CREATE TABLE {given.schema}.{TABLE} ({columns}, PRIMARY KEY (id))"))
    while batch := list(islice(rows, BATCH)):
        with engine.begin() as database:
            upsert(database, frame(batch), given.schema)
    with engine.begin() as database:
        database.execute(text(f"DROP TABLE IF EXISTS {given.schema}.staging"))


if __name__ == "__main__":
    main()
