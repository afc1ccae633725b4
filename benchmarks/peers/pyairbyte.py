"""PyAirbyte: a declarative source as the connector builder writes it, into its Postgres cache."""

import os
from typing import Any, Final

import airbyte as ab
from airbyte.caches import PostgresCache

from benchmarks.fields import SALESFORCE
from benchmarks.peers.arguments import Arguments, read_arguments

_TEXT: Final = {"type": ["null", "string"]}
_KINDS: Final[dict[str, dict[str, Any]]] = {
    "boolean": {"type": ["null", "boolean"]},
    "currency": {"type": ["null", "number"]},
    "int": {"type": ["null", "integer"]},
    "date": {**_TEXT, "format": "date"},
    "datetime": {**_TEXT, "format": "date-time"},
}
_OBJECT: Final = {"type": ["null", "object"], "additionalProperties": True}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "hubspot": {
        "id": {"type": "string"},
        "properties": _OBJECT,
        "createdAt": _KINDS["datetime"],
        "updatedAt": _KINDS["datetime"],
        "archived": _KINDS["boolean"],
        "associations": _OBJECT,
    },
    "salesforce": {name: _KINDS.get(kind, _TEXT) for name, kind in SALESFORCE.items()},
}


def _paginator(given: Arguments) -> dict[str, Any]:
    if given.vendor == "hubspot":
        return {
            "type": "DefaultPaginator",
            "page_token_option": {"type": "RequestOption", "field_name": "after", "inject_into": "request_parameter"},
            "pagination_strategy": {
                "type": "CursorPagination",
                "cursor_value": "{{ response.get('paging', {}).get('next', {}).get('after') }}",
                "stop_condition": "{{ not response.get('paging', {}).get('next', {}) }}",
            },
        }
    return {
        "type": "DefaultPaginator",
        "page_token_option": {"type": "RequestPath"},
        "pagination_strategy": {
            "type": "CursorPagination",
            "cursor_value": given.url + "{{ response.get('nextRecordsUrl') }}",
            "stop_condition": "{{ response.get('done') }}",
        },
    }


def manifest(given: Arguments) -> dict[str, Any]:
    """The declarative source."""
    requester = {
        "type": "HttpRequester",
        "url_base": given.url,
        "path": given.path,
        "http_method": "GET",
        "request_parameters": {name: str(value) for name, value in given.params.items()},
    }
    selector = {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": [given.records_path]}}
    stream = {
        "type": "DeclarativeStream",
        "name": "contacts",
        "primary_key": ["id" if given.vendor == "hubspot" else "Id"],
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester,
            "record_selector": selector,
            "paginator": _paginator(given),
        },
        "schema_loader": {
            "type": "InlineSchemaLoader",
            "schema": {"type": "object", "additionalProperties": True, "properties": _FIELDS[given.vendor]},
        },
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["contacts"]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def main() -> None:
    given = read_arguments()
    source = ab.get_source("source-benchmark", config={}, source_manifest=manifest(given), streams=["contacts"])
    # No host: libpq then takes the socket's folder from the environment.
    cache = PostgresCache(
        host="",
        port=int(os.environ["PGPORT"]),
        username=os.environ["PGUSER"],
        password="unused",  # noqa: S106 - the server asks for none
        database=os.environ["PGDATABASE"],
        schema_name=given.schema,
        cache_dir=given.folder / "cache",
    )
    source.read(cache=cache)


if __name__ == "__main__":
    main()
