"""dlt's rest_api source with its defaults: extract, normalize, load, write disposition merge."""

import os
from typing import Any, Final

import dlt
from dlt.sources.rest_api import rest_api_source

from benchmarks.fields import COLUMNS
from benchmarks.peers.arguments import Arguments, postgres_url, read_arguments
from benchmarks.plain_mapping import ROWS

TYPES: Final = {
    "text": "text",
    "numeric": "decimal",
    "bigint": "bigint",
    "boolean": "bool",
    "date": "date",
    "timestamptz": "timestamp",
    "jsonb": "json",
}
HINTS: Final = {name: {"data_type": TYPES[kind], "nullable": name != "id"} for name, kind in COLUMNS.items()}


def pipeline(given: Arguments) -> dlt.Pipeline:
    """Into the given schema, with its working folder in ours."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    return dlt.pipeline(
        pipeline_name="benchmark",
        pipelines_dir=str(given.folder),
        destination=dlt.destinations.postgres(postgres_url()),
        dataset_name=given.schema,
    )


def source(given: Arguments) -> Any:
    """Pages and paging as the documentation of rest_api writes them."""
    paginators = {
        "hubspot": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"},
        "salesforce": {"type": "json_link", "next_url_path": "nextRecordsUrl"},
    }
    contacts = {
        "name": "contacts",
        "primary_key": "id",
        "write_disposition": "merge",
        "columns": HINTS,
        "endpoint": {
            "path": given.path.removeprefix("/"),
            "params": given.params,
            "data_selector": given.records_path,
            "paginator": paginators[given.vendor],
        },
        "processing_steps": [{"map": ROWS[given.vendor]}],
    }
    return rest_api_source({"client": {"base_url": given.url}, "resources": [contacts]})


if __name__ == "__main__":
    arguments = read_arguments()
    pipeline(arguments).run(source(arguments)).raise_on_failed_jobs()
