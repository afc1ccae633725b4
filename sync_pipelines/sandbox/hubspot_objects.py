"""HubSpot: listing records and reading them by id."""

from typing import Any

from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.exchange import Answer, Call, Route
from sync_pipelines.sandbox.hubspot_associations import inside_records
from sync_pipelines.sandbox.hubspot_errors import invalid, refused
from sync_pipelines.sandbox.hubspot_render import (
    asked_properties,
    body_of,
    render,
    results,
    shown,
    spoiled,
    wanted,
    whole,
)
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import Row

PAGE = 10
LARGEST_PAGE = 100
LARGEST_BATCH = 100
FAMILIES = ("/hubspot/crm/v3/objects", "/hubspot/crm/v4/objects", "/hubspot/crm/objects/2026-03")


def listed(call: Call) -> Answer:
    spec = wanted(call)
    limit = whole(call, "limit", PAGE, LARGEST_PAGE)
    short = call.fault("short_pages", spec.name)
    if short is not None:
        limit = min(limit, int(short.options.get("size", 1)))
    archived = call.wants("archived")
    start = _start(call, spec)
    rows = call.world.storage.select(
        call.own.tables[spec.name],
        "AND deleted = ? AND key >= ? ORDER BY key LIMIT ?",
        (int(archived), start, limit + 1),
    )
    page = rows[:limit]
    associations = inside_records(call, spec, page)
    records = render(call, spec, page, shown(spec, asked_properties(call)), associations=associations)
    paging = None
    if len(rows) > limit:
        following = page[0] if call.fault("repeated_page_token", spec.name) else rows[limit]
        after = call.own.id_of_key(spec, following.key)
        paging = {"after": after, "link": f"{call.site}{call.path}?limit={limit}&after={after}"}
    return Answer(200, results(spoiled(call, spec, records), paging))


def _start(call: Call, spec: ObjectSpec) -> int:
    after = call.first("after")
    if not after:
        return call.world.storage.bounds(call.own.tables[spec.name])[0]
    key = call.own.key(spec, after)
    if key is None:
        raise invalid(call, f"Invalid value for after: {after!r}")
    return key


def get(call: Call) -> Answer:
    spec = wanted(call)
    row = found(call, spec, call.parts["id"], call.first("idProperty"))
    archived = call.wants("archived")
    if row is None or bool(row.deleted) != archived:
        raise not_found(call)
    associations = inside_records(call, spec, [row])
    return Answer(200, render(call, spec, [row], shown(spec, asked_properties(call)), associations=associations)[0])


def not_found(call: Call) -> Exception:
    return refused(call, 404, "resource not found", "OBJECT_NOT_FOUND")


def found(call: Call, spec: ObjectSpec, id: str, id_property: str = "") -> Row | None:
    """A record by its id or by a unique property. A merged one leads to the record it went into."""
    if id_property and id_property != "hs_object_id":
        field = spec.fields.get(id_property)
        if field is None or not field.unique:
            raise invalid(call, f"{id_property!r} is not a unique property of {spec.name}")
        return by_value(call, spec, id_property, id)
    key = call.own.key(spec, id)
    row = None if key is None else call.world.storage.get(key)
    if row is not None and row.deleted:
        winner = call.world.storage.select(
            call.own.tables[spec.name],
            "AND deleted = 0 AND ';' || json_extract(body, '$.hs_merged_object_ids') || ';' LIKE ? LIMIT 1",
            (f"%;{id};%",),
        )
        return winner[0] if winner and not call.wants("archived") else row
    return row


def by_value(call: Call, spec: ObjectSpec, property: str, value: str) -> Row | None:
    rows = call.world.storage.select(
        call.own.tables[spec.name],
        "AND deleted = 0 AND json_extract(body, ?) = ? COLLATE NOCASE LIMIT 1",
        (f'$."{property}"', value),
    )
    return rows[0] if rows else None


def batch_inputs(call: Call, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The inputs of a batch call: at least one, at most 100, no id twice."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not inputs or not all(isinstance(part, dict) for part in inputs):
        raise invalid(call, "inputs must be a list with at least one object")
    if len(inputs) > LARGEST_BATCH:
        raise invalid(call, f"Batch of {len(inputs)} is too large: the most is {LARGEST_BATCH}")
    ids = [part["id"] for part in inputs if "id" in part]
    if len(set(ids)) < len(ids):
        raise invalid(call, f"Duplicate IDs found in batch input: {sorted({id for id in ids if ids.count(id) > 1})}")
    return inputs


def batch_read(call: Call) -> Answer:
    spec = wanted(call)
    body: dict[str, Any] = body_of(call)
    inputs = batch_inputs(call, body)
    archived = int(call.wants("archived"))
    asked = body.get("properties") or []
    id_property = str(body.get("idProperty") or "")
    rows, missing = [], []
    for part in inputs:
        row = found(call, spec, str(part.get("id", "")), id_property)
        if row is None or row.deleted != archived:
            missing.append(str(part.get("id", "")))
        else:
            rows.append(row)
    unique = list({row.key: row for row in rows}.values())
    records = render(call, spec, unique, shown(spec, asked), url=False)
    problems = []
    if missing:
        message = f"Could not get some {spec.label.upper()} objects, they may be deleted or not exist."
        problems.append(
            {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message, "context": {"ids": missing}}
        )
    return batch_answer(call, spoiled(call, spec, records), problems)


def batch_answer(
    call: Call, records: list[bytes], problems: list[dict[str, Any]], status: int = 200, count: int | None = None
) -> Answer:
    """{status: COMPLETE, results, errors?}: 207 when something went wrong. `count`: how many inputs did."""
    now = iso(call.world.clock.now())
    head = {"status": "COMPLETE", "startedAt": now, "completedAt": now}
    if problems:
        head |= {"numErrors": count or len(problems), "errors": problems}  # type: ignore[dict-item]
        status = 207
    return Answer(status, encode(head)[:-1] + b',"results":[' + b",".join(records) + b"]}")


ROUTES = tuple(
    route
    for family in FAMILIES
    for route in (
        Route("GET", family + "/{type}", listed),
        Route("POST", family + "/{type}/batch/read", batch_read),
        Route("GET", family + "/{type}/{id}", get),
    )
)
