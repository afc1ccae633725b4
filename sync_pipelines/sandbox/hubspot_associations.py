"""HubSpot: which records are linked to which, inside other answers and on their own."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.generation import CONTACT_TO_COMPANY, DEAL_TO_COMPANY, DEAL_TO_CONTACT, both_ways
from sync_pipelines.sandbox.hubspot_errors import invalid, refused
from sync_pipelines.sandbox.hubspot_render import body_of, wanted, whole
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import NUMBER_MASK, Link, Row

INSIDE = 100
"""How many links a record shows inside a list; the rest is behind nested paging."""
PAGE = 500
LARGEST_BATCH = 1000

_PAIRS = {
    ("contacts", "companies"): CONTACT_TO_COMPANY,
    ("deals", "companies"): DEAL_TO_COMPANY,
    ("deals", "contacts"): DEAL_TO_CONTACT,
    ("tickets", "contacts"): ((16, 15),),
}
_PRIMARY = frozenset((1, 2, 5, 6))
_SINGULAR = {"contacts": "contact", "companies": "company", "deals": "deal", "tickets": "ticket", "leads": "lead"}


def inside_records(call: Call, spec: ObjectSpec, rows: Sequence[Row]) -> dict[int, bytes] | None:
    """For `associations=` in a list or get: {companies: {results: [{id, type}], paging?}} as JSON by record key."""
    names = [name for value in call.every("associations") for name in value.split(",") if name]
    if not names or not rows:
        return None
    found: dict[int, list[str]] = {}
    keys = [row.key for row in rows]
    for name in names:
        other = call.own.find(name)
        if other is None or other.name == "owners":
            raise invalid(call, f"Unable to infer object type from: {name}")
        links = call.world.storage.links(keys, call.own.tables[other.name])
        types: dict[int, str] = {}
        for link in links:
            if link.type_id not in types:
                types[link.type_id] = f'","type":"{_type_name(spec, other, link.type_id)}"}}'
        for key, group in groupby(links, _from_key):
            shown = [f'{{"id":"{link.to_key & NUMBER_MASK}{types[link.type_id]}' for link in group]
            found.setdefault(key, []).append(f'"{other.name}":{_nested(call, spec, other, key, shown)}')
    return {key: f"{{{','.join(parts)}}}".encode() for key, parts in found.items()}


_from_key = attrgetter("from_key")


def _nested(call: Call, spec: ObjectSpec, other: ObjectSpec, key: int, shown: list[str]) -> str:
    if len(shown) <= INSIDE:
        return f'{{"results":[{",".join(shown)}]}}'
    own = call.own.id_of_key(spec, key)
    link = f"{call.site}/hubspot/crm/v3/objects/{spec.name}/{own}/associations/{other.name}?after={INSIDE}"
    paging = encode({"next": {"after": str(INSIDE), "link": link}}).decode()
    return f'{{"results":[{",".join(shown[:INSIDE])}],"paging":{paging}}}'


def _type_name(spec: ObjectSpec, other: ObjectSpec, type_id: int) -> str:
    name = f"{_SINGULAR.get(spec.name, spec.name)}_to_{_SINGULAR.get(other.name, other.name)}"
    paired = {spec.name, other.name} in ({"contacts", "companies"}, {"deals", "companies"})
    return f"{name}_unlabeled" if paired and type_id not in _PRIMARY else name


def of_record_v3(call: Call) -> Answer:
    """The older answer: {results: [{id, type}], paging?}."""
    spec, other, key = _one(call)
    links = call.world.storage.links([key], call.own.tables[other.name])
    start, limit = _offset(call), whole(call, "limit", PAGE, PAGE)
    shown = [
        {"id": call.own.id_of_key(other, link.to_key), "type": _type_name(spec, other, link.type_id)}
        for link in links[start : start + limit]
    ]
    return as_json({"results": shown} | _next(call, start + limit, len(links)))


def of_record(call: Call) -> Answer:
    _, other, key = _one(call)
    targets = _targets(call, other, call.world.storage.links([key], call.own.tables[other.name]))
    start, limit = _offset(call), whole(call, "limit", PAGE, PAGE)
    shown = targets[start : start + limit]
    return as_json({"results": shown} | _next(call, start + limit, len(targets)))


def _next(call: Call, end: int, total: int) -> dict[str, Any]:
    return (
        {"paging": {"next": {"after": str(end), "link": f"{call.site}{call.path}?after={end}"}}} if end < total else {}
    )


def _offset(call: Call) -> int:
    after = call.first("after", "0")
    if not after.isdigit():
        raise invalid(call, f"Invalid value for after: {after!r}")
    return int(after)


def _one(call: Call) -> tuple[ObjectSpec, ObjectSpec, int]:
    spec, other = wanted(call), wanted(call, "to")
    key = call.own.key(spec, call.parts["id"])
    if key is None or call.world.storage.get(key) is None:
        raise refused(call, 404, "resource not found", "OBJECT_NOT_FOUND")
    return spec, other, key


def _targets(call: Call, other: ObjectSpec, links: Sequence[Link]) -> list[dict[str, Any]]:
    """The v4 shape, one entry for each linked record with all its labels."""
    return [
        {
            "toObjectId": call.own.id_of_key(other, key),
            "associationTypes": [_type(link.type_id) for link in group],
        }
        for key, group in groupby(links, lambda link: link.to_key)
    ]


def _type(type_id: int) -> dict[str, Any]:
    return {"category": "HUBSPOT_DEFINED", "typeId": type_id, "label": "Primary" if type_id in _PRIMARY else None}


def batch_read(call: Call) -> Answer:
    spec, other = wanted(call, "from"), wanted(call, "to")
    inputs: Any = body_of(call).get("inputs")
    if not isinstance(inputs, list) or not inputs or len(inputs) > LARGEST_BATCH:
        raise invalid(call, f"inputs must be a list of 1 to {LARGEST_BATCH} objects")
    found, problems = [], []
    for part in inputs:
        id = str(part.get("id", ""))
        key = call.own.key(spec, id)
        links = [] if key is None else call.world.storage.links([key], call.own.tables[other.name])
        if not links:
            problems.append(_no_links(spec, other, id))
            continue
        targets = _targets(call, other, links)
        start = int(part.get("after") or 0)
        entry: dict[str, Any] = {"from": {"id": id}, "to": targets[start : start + PAGE]}
        if start + PAGE < len(targets):
            entry["paging"] = {"next": {"after": str(start + PAGE)}}
        found.append(entry)
    now = iso(call.world.clock.now())
    answer: dict[str, Any] = {"status": "COMPLETE", "results": found, "startedAt": now, "completedAt": now}
    if problems:
        answer |= {"numErrors": len(problems), "errors": problems}
    return as_json(answer, 207 if problems else 200)


def _no_links(spec: ObjectSpec, other: ObjectSpec, id: str) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {_SINGULAR.get(other.name, other.name)} is associated with "
        f"{_SINGULAR.get(spec.name, spec.name)} {id}.",
        "context": {"fromObjectId": [id], "fromObjectType": [spec.type_id], "toObjectType": [other.type_id]},
    }


def labels(call: Call) -> Answer:
    spec, other = wanted(call, "from"), wanted(call, "to")
    return as_json({"results": [_type(there) for there, _ in _types(spec, other)]})


def _types(spec: ObjectSpec, other: ObjectSpec) -> tuple[tuple[int, int], ...]:
    if (spec.name, other.name) in _PAIRS:
        return _PAIRS[(spec.name, other.name)]
    turned = _PAIRS.get((other.name, spec.name), ())
    return tuple((back, there) for there, back in turned)


def put(call: Call) -> Answer:
    """Link two records: with the labels in the body, or by the default type."""
    spec, other, key = _one(call)
    to_key = call.own.key(other, call.parts["to_id"])
    if to_key is None or call.world.storage.get(to_key) is None:
        raise refused(call, 404, "resource not found", "OBJECT_NOT_FOUND")
    known = dict(_types(spec, other))
    plain = "/default/" in call.path
    wishes: Any = [] if plain else call.json()
    asked: list[int] = [max(known, default=0)] if plain else [part.get("associationTypeId") for part in wishes]
    unknown = [type_id for type_id in asked if type_id not in known]
    if unknown:
        raise invalid(call, f"association type {unknown[0]} is not known between {spec.name} and {other.name}")
    pairs = tuple((type_id, known[type_id]) for type_id in asked)
    call.world.storage.link(both_ways(call.own, key, to_key, pairs))
    answer = {
        "fromObjectTypeId": spec.type_id,
        "fromObjectId": call.parts["id"],
        "toObjectTypeId": other.type_id,
        "toObjectId": call.parts["to_id"],
        "labels": [],
    }
    return as_json(answer, 200 if plain else 201)


def delete(call: Call) -> Answer:
    _, other, key = _one(call)
    to_key = call.own.key(other, call.parts["to_id"])
    if to_key is not None:
        call.world.storage.unlink(key, to_key)
        call.world.storage.unlink(to_key, key)
    return Answer(204, content_type=None)


_V4, _DATED = "/hubspot/crm/v4/objects", "/hubspot/crm/objects/2026-03"
ROUTES = (
    Route("GET", "/hubspot/crm/v3/objects/{type}/{id}/associations/{to}", of_record_v3),
    *(
        route
        for family in (_V4, _DATED)
        for route in (
            Route("GET", family + "/{type}/{id}/associations/{to}", of_record),
            Route("PUT", family + "/{type}/{id}/associations/default/{to}/{to_id}", put),
            Route("PUT", family + "/{type}/{id}/associations/{to}/{to_id}", put),
            Route("DELETE", family + "/{type}/{id}/associations/{to}/{to_id}", delete),
        )
    ),
    *(
        route
        for family in ("/hubspot/crm/v4/associations", "/hubspot/crm/associations/2026-03")
        for route in (
            Route("POST", family + "/{from}/{to}/batch/read", batch_read),
            Route("GET", family + "/{from}/{to}/labels", labels),
        )
    ),
)
