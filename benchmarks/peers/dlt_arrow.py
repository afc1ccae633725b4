"""dlt at its fastest as far as we could find: Arrow tables that skip its normalizer, parquet, ADBC, merge by upsert."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import dlt
import orjson
import pyarrow as pa
from dlt.sources.helpers import requests

from benchmarks.fields import COLUMNS
from benchmarks.peers.arguments import Arguments, read_arguments
from benchmarks.peers.dlt_merge import HINTS, pipeline
from benchmarks.plain_mapping import ROWS

BATCH: Final = 10_000
_TYPES: Final = {
    "text": pa.string(),
    "numeric": pa.decimal128(38, 9),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "jsonb": pa.string(),
}
_CASTS: Final[dict[str, Callable[[Any], Any]]] = {
    "numeric": lambda value: Decimal(str(value)),
    "date": date.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "jsonb": lambda value: orjson.dumps(value).decode(),
}


def pages(given: Arguments) -> Iterator[list[dict[str, Any]]]:
    """Records of one page after the other."""
    url, params = given.url + given.path, dict(given.params)
    while True:
        page = orjson.loads(requests.get(url, params=params).content)
        yield page[given.records_path]
        if given.vendor == "hubspot":
            if "paging" not in page:
                return
            params["after"] = page["paging"]["next"]["after"]
        else:
            if page["done"]:
                return
            url, params = given.url + page["nextRecordsUrl"], {}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """One batch as Arrow."""
    arrays = {}
    for name, kind in COLUMNS.items():
        cast = _CASTS.get(kind)
        values = [row[name] for row in rows]
        if cast is not None:
            values = [None if value is None else cast(value) for value in values]
        arrays[name] = pa.array(values, type=_TYPES[kind])
    return pa.table(arrays)


def contacts(given: Arguments) -> Any:
    """A resource that yields batches."""

    @dlt.resource(
        name="contacts",
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        columns=HINTS,
    )
    def batches() -> Iterator[pa.Table]:
        row, waiting = ROWS[given.vendor], []
        for page in pages(given):
            waiting += map(row, page)
            if len(waiting) >= BATCH:
                yield table(waiting)
                waiting = []
        if waiting:
            yield table(waiting)

    return batches


if __name__ == "__main__":
    arguments = read_arguments()
    run = pipeline(arguments).run(contacts(arguments), loader_file_format="parquet")
    run.raise_on_failed_jobs()
