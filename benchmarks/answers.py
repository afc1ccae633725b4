"""What the stand-in says to each request: metadata made from our field lists, pages cut from files."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec

from benchmarks.fields import HUBSPOT, HUBSPOT_LIST, HUBSPOT_PAGE, SALESFORCE, SALESFORCE_PAGE, SALESFORCE_ROOT, VENDORS
from benchmarks.pages import Library
from benchmarks.records import hubspot_id, number_of

Piece: TypeAlias = bytes | memoryview
Query: TypeAlias = Mapping[str, str]

TOKEN: Final = "stand-in-token"  # noqa: S105 - nothing is behind it
_TOKENS: Final = {
    "access_token": TOKEN,
    "refresh_token": TOKEN,
    "token_type": "bearer",
    "expires_in": 1800,
    "issued_at": "1767225600000",
    "id": "https://login.example/id/00DBx0000000001IAA/005Bx0000000001IAA",
}
_MOST_ROWS: Final = 10_000
_JOB: Final = "750Bx0000000001IAA"
_CSV_HEAD: Final = (",".join(f'"{name}"' for name in SALESFORCE) + "\n").encode()
_AFTER_ID: Final = re.compile(r"Id > '(\w+)'")


@dataclass
class Answer:
    pieces: Sequence[Piece]
    status: int = 200
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def _json(value: Any, status: int = 200) -> Answer:
    return Answer([msgspec.json.encode(value)], status)


_NOT_FOUND: Final = [{"errorCode": "NOT_FOUND", "message": "The stand-in does not know this address."}]


class Vendors:
    """Everything that one folder of pages can answer."""

    def __init__(self, folder: Path) -> None:
        self._libraries = {vendor: Library(folder, vendor) for vendor in VENDORS}
        self._hubspot, self._salesforce, self._bulk = (self._libraries[vendor] for vendor in VENDORS)
        self._fixed = {
            "/account-info/v3/details": _json({"portalId": 77001, "uiDomain": "app.hubspot.com", "timeZone": "UTC"}),
            "/oauth/v1/token": _json(_TOKENS),
            "/services/oauth2/token": _json(_TOKENS),
            "/services/oauth2/userinfo": _json({"organization_id": "00DBx0000000001IAA", "name": "Invented"}),
            "/crm/v3/properties/contacts": _json(_properties()),
            f"{SALESFORCE_ROOT}/sobjects/Contact/describe": _json(_describe()),
        }

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Of one request; 404 for what nobody should ask."""
        address = urlsplit(target)
        fixed = self._fixed.get(address.path)
        if fixed is not None:
            return fixed
        query = dict(parse_qsl(address.query))
        if address.path == "/control/state":
            for library in self._libraries.values():
                library.show(body.decode())
            return _json({})
        if address.path.startswith("/crm/"):
            return self._of_hubspot(address.path, query, body)
        path = address.path.removeprefix(SALESFORCE_ROOT)
        if path.startswith("/jobs/query"):
            return self._of_bulk(method, path, query)
        if path.startswith("/query"):
            return self._of_salesforce(path, query)
        return _json(_NOT_FOUND, 404)

    def _of_hubspot(self, path: str, query: Query, body: bytes) -> Answer:
        if path == HUBSPOT_LIST:
            return _json({"results": []}) if query.get("archived") == "true" else self._hubspot_list(query)
        if path == f"{HUBSPOT_LIST}/search":
            return self._hubspot_search(msgspec.json.decode(body))
        if path.endswith("/companies/batch/read"):
            return _json(_associated(msgspec.json.decode(body)["inputs"]))
        return _json(_NOT_FOUND, 404)

    def _hubspot_list(self, query: Query) -> Answer:
        start = int(query.get("after", 0))
        end = start + min(int(query.get("limit", 10)), HUBSPOT_PAGE)
        paging = b"" if end >= len(self._hubspot) else b',"paging":{"next":{"after":"%d"}}' % end
        return Answer([b'{"results":[', *_unended(self._hubspot.records(start, end)), b"]" + paging + b"}"])

    def _hubspot_search(self, body: dict[str, Any]) -> Answer:
        filters = [one for group in body.get("filterGroups", ()) for one in group["filters"]]
        after = next((one["value"] for one in filters if one["propertyName"] == "hs_object_id"), hubspot_id(-1))
        start, limit = self._hubspot.changed_from(number_of(after) + 1), int(body["limit"])
        total, end = self._hubspot.amount_changed, start + limit
        if not filters:  # a question for the number of records
            return _json({"total": len(self._hubspot), "results": []})
        paging = b',"paging":{"next":{"after":"%d"}}' % limit if end < total else b""
        found = _unended(self._hubspot.changes(start, end))
        return Answer([b'{"total":%d,"results":[' % (total - start), *found, b"]" + paging + b"}"])

    def _of_salesforce(self, path: str, query: Query) -> Answer:
        if path.count("/") > 1:  # a next page, whatever else is asked
            kind, first, place = path.rpartition("/")[2].split("-")
            return self._salesforce_page(kind, int(first), int(place))
        statement = query.get("q", "")
        if statement.startswith("SELECT COUNT()"):
            return _json({"totalSize": len(self._salesforce), "done": True, "records": []})
        after = _AFTER_ID.search(statement)
        if "SystemModstamp >=" in statement:
            start = self._salesforce.changed_from(number_of(after[1]) + 1) if after else 0
            return self._salesforce_page("changes", start, start)
        start = number_of(after[1]) + 1 if after else 0
        return self._salesforce_page("records", start, start)

    def _salesforce_page(self, kind: str, first: int, start: int) -> Answer:
        """The page of a query whose result began at `first`, from `start` on."""
        changes = kind == "changes"
        total = self._salesforce.amount_changed if changes else len(self._salesforce)
        end = start + SALESFORCE_PAGE
        found = self._salesforce.changes(start, end) if changes else self._salesforce.records(start, end)
        head = b'{"totalSize":%d,"done":%s,' % (total - first, b"true" if end >= total else b"false")
        if end < total:
            head += f'"nextRecordsUrl":"{SALESFORCE_ROOT}/query/{kind}-{first}-{end}",'.encode()
        return Answer([head + b'"records":[', *_unended(found), b"]}"])

    def _of_bulk(self, method: str, path: str, query: Query) -> Answer:
        if not path.endswith("/results"):
            return _json({"id": _JOB, "state": "UploadComplete" if method == "POST" else "JobComplete"})
        start = int(query.get("locator", 0))
        end = min(start + min(int(query.get("maxRecords", _MOST_ROWS)), _MOST_ROWS), len(self._bulk))
        headers = {
            "sforce-locator": "null" if end >= len(self._bulk) else str(end),
            "sforce-numberofrecords": str(end - start),
        }
        return Answer([_CSV_HEAD, *self._bulk.records(start, end)], 200, "text/csv;charset=UTF-8", headers)


def _unended(pieces: list[memoryview]) -> list[memoryview]:
    """Without the comma behind the last record."""
    for place in range(len(pieces) - 1, -1, -1):
        if len(pieces[place]):
            pieces[place] = pieces[place][:-1]
            break
    return pieces


def _properties() -> dict[str, Any]:
    return {
        "results": [
            {"name": name, "label": name, "type": kind, "fieldType": "text", "hubspotDefined": True, "options": []}
            for name, kind in HUBSPOT.items()
        ]
    }


def _describe() -> dict[str, Any]:
    return {
        "name": "Contact",
        "queryable": True,
        "fields": [
            {"name": name, "label": name, "type": kind, "custom": name.endswith("__c"), "picklistValues": []}
            for name, kind in SALESFORCE.items()
        ],
    }


def _associated(inputs: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The same companies as on the list's pages."""
    kind = {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"}
    results = []
    for one in inputs:
        n = number_of(one["id"])
        if n % 10 < 7:
            to = {"toObjectId": 50_000 + n % 20_000, "associationTypes": [kind]}
            results.append({"from": {"id": one["id"]}, "to": [to]})
    return {"status": "COMPLETE", "results": results}
