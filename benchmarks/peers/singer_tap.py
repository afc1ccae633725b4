"""A tap on the Singer SDK, as its cookiecutter makes one: a REST stream, a schema, a paginator."""

import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator, JSONPathPaginator

from benchmarks.fields import COLUMNS
from benchmarks.peers.arguments import Arguments
from benchmarks.plain_mapping import ROWS

_TYPES: Final = {
    "text": th.StringType,
    "numeric": th.NumberType,
    "bigint": th.IntegerType,
    "boolean": th.BooleanType,
    "date": th.DateType,
    "timestamptz": th.DateTimeType,
}
_ARRAY: Final = th.ArrayType(th.ObjectType(additional_properties=True))


def _type(name: str, kind: str) -> Any:
    if kind != "jsonb":
        return _TYPES[kind]
    return th.ObjectType(additional_properties=True) if name == "raw_data" else _ARRAY


class Contacts(RESTStream[str]):
    """Both vendors' contacts, mapped to the columns."""

    name = "contacts"
    primary_keys = ("id",)
    schema = th.PropertiesList(*(th.Property(name, _type(name, kind)) for name, kind in COLUMNS.items())).to_dict()

    @property
    def given(self) -> Arguments:
        return Arguments(url=self.config["url"], vendor=self.config["vendor"], schema="", folder=self.config["folder"])

    @property
    def url_base(self) -> str:
        return str(self.config["url"])

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.given.path

    @property
    def records_jsonpath(self) -> str:  # type: ignore[override]
        return f"$.{self.given.records_path}[*]"

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        where = "$.paging.next.after" if self.config["vendor"] == "hubspot" else "$.nextRecordsUrl"
        return JSONPathPaginator(where)

    def get_url_params(self, context: Mapping[str, Any] | None, next_page_token: str | None) -> dict[str, Any]:
        if next_page_token is None or self.config["vendor"] == "salesforce":
            return dict(self.given.params)
        return {**self.given.params, "after": next_page_token}

    def get_http_request(self, *, page: Any) -> Any:
        """Salesforce names the address of its next page."""
        request, next_page_token = super().get_http_request(page=page), page.next_page_token
        if next_page_token is not None and self.config["vendor"] == "salesforce":
            request.url = self.url_base + urlsplit(next_page_token).path
        return request

    def post_process(self, row: dict[str, Any], context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return ROWS[self.config["vendor"]](row)


class BenchmarkTap(Tap):
    name = "tap-benchmark"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType, required=True),
        th.Property("vendor", th.StringType, required=True),
        th.Property("folder", th.StringType),
    ).to_dict()

    def discover_streams(self) -> list[Any]:
        return [Contacts(self)]


if __name__ == "__main__":
    BenchmarkTap.cli(sys.argv[1:])
