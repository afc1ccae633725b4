"""What an org of the small accounts answers: describe, queries by key and by change, counts, who it is."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from benchmarks.answers import Answer
from benchmarks.scale.accounts import Accounts, Record, salesforce_json
from benchmarks.scale.fields import SALESFORCE

ROOT: Final = "/services/data/v67.0"
ALLOWED: Final = 100_000
"""Calls of an org in 24 hours."""
_SELECT: Final = re.compile(
    r"SELECT (?P<fields>.+?) FROM (?P<name>\w+)(?: WHERE (?P<where>.+?))?(?: ORDER BY (?P<order>[\w, ]+?))?"
    r"(?: LIMIT (?P<limit>\d+))?"
)
_WINDOW: Final = re.compile(r"SystemModstamp (>=|<) (\S+Z)")
_AFTER_KEY: Final = re.compile(r"\(\(SystemModstamp = (\S+Z) AND Id > '(\w+)'\) OR SystemModstamp > \S+Z\)")
_AFTER_ID: Final = re.compile(r"Id > '(\w+)'")


def _answer(value: Any, status: int = 200) -> Answer:
    return Answer([msgspec.json.encode(value)], status)


def _refusal(code: str, message: str, status: int) -> Answer:
    return _answer([{"errorCode": code, "message": message}], status)


def _field(name: str, kind: str) -> dict[str, Any]:
    custom = name.endswith("__c")
    choices = [{"active": True, "defaultValue": False, "label": one, "value": one} for one in ("EUR", "USD")]
    return {
        "name": name,
        "type": kind,
        "label": name.removesuffix("__c").replace("_", " "),
        "calculated": False,
        "createable": True,
        "custom": custom,
        "filterable": True,
        "length": 255,
        "nillable": True,
        "picklistValues": choices if kind == "picklist" else [],
        "referenceTo": ["User"] if kind == "reference" else [],
        "sortable": True,
        "updateable": True,
    }


def _types(name: str) -> dict[str, str]:
    deleted = {} if name == "User" else {"IsDeleted": "boolean"}
    moments = {"CreatedDate": "datetime", "SystemModstamp": "datetime"}
    return {"Id": "id", **deleted, **moments, **{field: made.type for field, made in SALESFORCE[name].items()}}


_DESCRIBED: Final = {
    f"{ROOT}/sobjects/{name}/describe": _answer(
        {"name": name, "queryable": True, "fields": [_field(field, kind) for field, kind in _types(name).items()]}
    )
    for name in SALESFORCE
}


def answer(accounts: Accounts, number: int, path: str, query: Mapping[str, str]) -> Answer:
    """Of one request of an account that may ask."""
    described = _DESCRIBED.get(path)
    if described is not None:
        return described
    if path == "/services/oauth2/userinfo":
        return _answer({"organization_id": f"00DBx0000{number:06d}IAA", "name": f"Org {number}"})
    if path in (f"{ROOT}/queryAll", f"{ROOT}/query"):
        return _queried(accounts, number, query["q"], deleted=path.endswith("queryAll"))
    return _refusal("NOT_FOUND", "The requested resource does not exist", 404)


def _queried(accounts: Accounts, number: int, statement: str, *, deleted: bool) -> Answer:
    """All in one page: the accounts are small."""
    parsed = _SELECT.fullmatch(statement)
    if parsed is None or parsed["name"] not in SALESFORCE:
        return _refusal("INVALID_TYPE", f"this org does not understand {statement[:200]}", 400)
    name, where = parsed["name"], parsed["where"] or ""
    found = [one for one in accounts.records(number, name) if (deleted or not one.deleted) and _matches(one, where)]
    if parsed["fields"] == "COUNT()":
        return _answer({"totalSize": len(found), "done": True, "records": []})
    wanted = parsed["fields"].split(", ")
    if unknown := sorted(set(wanted) - set(_types(name))):
        return _refusal("INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{name}'.", 400)
    if (parsed["order"] or "").startswith("SystemModstamp"):
        found.sort(key=lambda one: (one.modified, one.id))
    limit = int(parsed["limit"]) if parsed["limit"] else None
    records = [_shown(name, one, wanted) for one in found[:limit]]
    return _answer({"totalSize": len(records), "done": True, "records": records})


def _shown(name: str, record: Record, wanted: list[str]) -> dict[str, Any]:
    values = salesforce_json(name, record)
    envelope = {"type": name, "url": f"{ROOT}/sobjects/{name}/{record.id}"}
    return {"attributes": envelope, **{field: values[field] for field in wanted}}


def _matches(record: Record, where: str) -> bool:
    """The conditions that reads and counts put: what lives, a window of changes, the key of the last record."""
    if "IsDeleted = false" in where and record.deleted:
        return False
    if key := _AFTER_KEY.search(where):
        if (record.modified, record.id) <= (_moment(key[1]), key[2]):
            return False
        where = where.replace(key[0], "")
    elif (after := _AFTER_ID.search(where)) and record.id <= after[1]:
        return False
    return all(
        record.modified >= _moment(value) if operator == ">=" else record.modified < _moment(value)
        for operator, value in _WINDOW.findall(where)
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
