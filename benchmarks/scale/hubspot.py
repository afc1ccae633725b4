"""What a portal of the small accounts answers: properties, lists, search, associations, owners."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from benchmarks.answers import Answer
from benchmarks.scale.accounts import Accounts, Record, association, companies_of, hubspot_json
from benchmarks.scale.fields import CURSORS, HUBSPOT, PIPELINES, STAGES

_OBJECT: Final = re.compile(r"/crm/v3/objects/(\w+)(/search)?")
_ASSOCIATED: Final = re.compile(r"/crm/v4/associations/(\w+)/companies/batch/read")
_PORTALS: Final = 40_000_000


def _answer(value: Any, status: int = 200) -> Answer:
    return Answer([msgspec.json.encode(value)], status)


def _property(name: str, kind: str) -> dict[str, Any]:
    own = name.startswith("own_")
    options = [{"label": label, "value": value, "hidden": False} for value, label in STAGES.items()]
    return {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "type": kind,
        "fieldType": "text",
        "description": "",
        "groupName": "information",
        "options": options if kind == "enumeration" else [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": not own,
        "modificationMetadata": {"archivable": own, "readOnlyDefinition": not own, "readOnlyValue": False},
        "formField": False,
    }


def _properties(name: str) -> Answer:
    cursor = CURSORS.get(name, "hs_lastmodifieddate")
    moments = {"createdate": "datetime", cursor: "datetime"}
    types = {"hs_object_id": "number", **moments, **{field: made.type for field, made in HUBSPOT[name].items()}}
    return _answer({"results": [_property(field, kind) for field, kind in types.items()]})


_DESCRIBED: Final = {f"/crm/v3/properties/{name}": _properties(name) for name in HUBSPOT if name != "owners"} | {
    "/crm/v3/pipelines/deals": _answer(
        {
            "results": [
                {"id": id, "label": label, "stages": [{"id": one, "label": told} for one, told in STAGES.items()]}
                for id, label in PIPELINES.items()
            ]
        }
    )
}
_UNKNOWN: Final = _answer({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Unknown address"}, 404)


def answer(accounts: Accounts, number: int, path: str, query: Mapping[str, str], body: bytes) -> Answer:
    """Of one request of an account that may ask."""
    described = _DESCRIBED.get(path)
    if described is not None:
        return described
    if path == "/account-info/v3/details":
        return _answer({"portalId": _PORTALS + number, "uiDomain": "app.hubspot.com", "timeZone": "UTC"})
    if path == "/crm/v3/owners":
        return _listed(accounts, number, "owners", query)
    if found := _OBJECT.fullmatch(path):
        name, search = found.groups()
        if name in HUBSPOT and search:
            return _searched(accounts, number, name, msgspec.json.decode(body))
        if name in HUBSPOT:
            return _listed(accounts, number, name, query)
    if found := _ASSOCIATED.fullmatch(path):
        return _associated(number, found[1], [one["id"] for one in msgspec.json.decode(body)["inputs"]])
    return _UNKNOWN


def _listed(accounts: Accounts, number: int, name: str, query: Mapping[str, str]) -> Answer:
    archived, limit, after = query.get("archived") == "true", int(query.get("limit", 10)), int(query.get("after", 0))
    found = [one for one in accounts.records(number, name) if one.deleted == archived and int(one.id) > after]
    page = [_shown(number, name, record) for record in found[:limit]]
    if "associations" in query and not archived:
        page = [{**shown, "associations": _associations(number, name, shown["id"])} for shown in page]
    paging = {"paging": {"next": {"after": page[-1]["id"]}}} if len(found) > limit else {}
    return _answer({"results": page, **paging})


def _shown(number: int, name: str, record: Record) -> dict[str, Any]:
    return hubspot_json(number, name, record)


def _associations(number: int, name: str, record_id: str) -> dict[str, Any]:
    companies, (primary, _) = companies_of(number, name, record_id), association(name)
    links = [{"id": company, "type": f"{primary}_unlabeled"} for company in companies]
    links += [{"id": company, "type": primary} for company in companies[:1]]
    return {"companies": {"results": links}} if links else {}


def _associated(number: int, name: str, ids: Sequence[str]) -> Answer:
    results = []
    for one in ids:
        companies, (_, primary) = companies_of(number, name, one), association(name)
        to = []
        for place, company in enumerate(companies):
            types = [{"category": "HUBSPOT_DEFINED", "typeId": primary, "label": "Primary"}] if place == 0 else []
            unlabeled = {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}
            to.append({"toObjectId": int(company), "associationTypes": [*types, unlabeled]})
        if to:
            results.append({"from": {"id": one}, "to": to})
    return _answer({"status": "COMPLETE", "results": results})


def _searched(accounts: Accounts, number: int, name: str, body: Mapping[str, Any]) -> Answer:
    filters = [one for group in body["filterGroups"] for one in group["filters"]]
    found = [
        one
        for one in accounts.records(number, name)
        if not one.deleted and all(_matches(one, name, each) for each in filters)
    ]
    limit, total = int(body["limit"]), len(found)
    page = [_shown(number, name, record) for record in found[:limit]]
    paging = {"paging": {"next": {"after": str(limit)}}} if total > limit else {}
    return _answer({"total": total, "results": page, **paging})


def _matches(record: Record, name: str, wanted: Mapping[str, str]) -> bool:
    """One filter of the kinds that a read uses: the cursor by milliseconds, ids by number."""
    if wanted["propertyName"] == "hs_object_id":
        value = int(record.id)
    elif wanted["propertyName"] == CURSORS.get(name, "hs_lastmodifieddate"):
        value = _milliseconds(record.modified)
    else:
        raise ValueError(f"this portal cannot search by {wanted['propertyName']}")
    other = int(wanted["value"])
    return {"GTE": value >= other, "LT": value < other, "GT": value > other}[wanted["operator"]]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
