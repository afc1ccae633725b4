"""Salesforce: one record at a time, and which records changed or went."""

from typing import Any

import msgspec

from sync_pipelines.sandbox import changes
from sync_pipelines.sandbox.clock import DAY_MS, parse, salesforce_iso
from sync_pipelines.sandbox.cutting import decode
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.salesforce_describe import VERSIONED, wanted
from sync_pipelines.sandbox.salesforce_errors import not_found, refused
from sync_pipelines.sandbox.salesforce_query import render
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.soql_sql import NUMERIC
from sync_pipelines.sandbox.storage import Row

OBJECT = VERSIONED + "/sobjects/{object}"
RECORD = OBJECT + "/{id}"
LOOK_BACK_MS = {"deleted": 15 * DAY_MS, "updated": 30 * DAY_MS}


def get(call: Call) -> Answer:
    spec = wanted(call)
    row = _row(call, spec)
    asked = call.first("fields")
    if asked:
        fields = []
        for name in asked.split(","):
            field = spec.find(name.strip())
            if field is None:
                raise refused(400, f"No such column '{name}' on sobject of type {spec.name}", "INVALID_FIELD")
            fields.append(field)
    else:
        fields = [field for field in spec.fields.values() if field.served]
    return Answer(200, render(call, spec, fields, [row])[0])


def create(call: Call) -> Answer:
    spec = wanted(call)
    fields = _fields(call, spec)
    missing = [field.name for field in spec.fields.values() if field.required and fields.get(field.name) in (None, "")]
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise refused(400, message, "REQUIRED_FIELD_MISSING", tuple(missing))
    id = changes.create(call.world, call.own, spec, fields)
    return as_json({"id": id, "success": True, "errors": []}, 201)


def update(call: Call) -> Answer:
    spec = wanted(call)
    row = _row(call, spec)
    changes.update(call.world, call.own, spec, row, _fields(call, spec), at=call.world.clock.now())
    return Answer(204, content_type=None)


def delete(call: Call) -> Answer:
    spec = wanted(call)
    changes.delete(call.world, call.own, spec, _row(call, spec), call.world.clock.now())
    return Answer(204, content_type=None)


def _row(call: Call, spec: ObjectSpec) -> Row:
    try:
        row = changes.find(call.world, call.own, spec, call.parts["id"])
    except LookupError:
        raise not_found() from None
    if row.deleted:
        raise refused(404, "entity is deleted", "ENTITY_IS_DELETED", ())
    return row


def _fields(call: Call, spec: ObjectSpec) -> dict[str, Any]:
    """What a write call asks for, by the fields' own names; refused in the vendor's words."""
    try:
        body = call.json()
    except msgspec.DecodeError as problem:
        raise refused(400, f"Unexpected character: {problem}", "JSON_PARSER_ERROR") from problem
    if not isinstance(body, dict):
        raise refused(400, "The body must be one JSON object", "JSON_PARSER_ERROR")
    fields = {}
    for name, value in body.items():
        if name == "attributes":
            continue
        field = spec.find(name)
        if field is None:
            raise refused(400, f"No such column '{name}' on sobject of type {spec.name}", "INVALID_FIELD")
        if not field.writable:
            message = f"Unable to create/update fields: {field.name}. Please check the security settings of this field."
            raise refused(400, message, "INVALID_FIELD_FOR_INSERT_UPDATE", (field.name,))
        fields[field.name] = _checked(field.name, field.type, field.length, value)
    return fields


def _checked(name: str, type: str, length: int, value: Any) -> Any:
    if value is None or value == "":
        return False if type == "boolean" else None
    fits = (
        isinstance(value, bool)
        if type == "boolean"
        else isinstance(value, int | float) and not isinstance(value, bool)
        if type in NUMERIC
        else isinstance(value, str)
    )
    if not fits:
        raise refused(400, f"Cannot deserialize a value of {name} as {type}", "JSON_PARSER_ERROR", (name,))
    if type == "datetime":
        return salesforce_iso(parse(value))
    if isinstance(value, str) and type not in ("date",) and len(value) > length:
        message = f"{name}: data value too large (max length={length})"
        raise refused(400, message, "STRING_TOO_LONG", (name,))
    return value


def deleted(call: Call) -> Answer:
    spec = wanted(call)
    low, high = _window(call, "deleted")
    rows = call.world.storage.select(
        call.own.tables[spec.name],
        "AND modified >= ? AND modified < ? AND +deleted = 1 ORDER BY modified, key",
        (low, high),
    )
    found = [
        {"id": call.own.id_of_key(spec, row.key), "deletedDate": decode(row.body)["SystemModstamp"]} for row in rows
    ]
    earliest = call.world.clock.now() - LOOK_BACK_MS["deleted"]
    return as_json(
        {
            "deletedRecords": found,
            "earliestDateAvailable": salesforce_iso(earliest),
            "latestDateCovered": salesforce_iso(min(high, call.world.clock.now())),
        }
    )


def updated(call: Call) -> Answer:
    spec = wanted(call)
    low, high = _window(call, "updated")
    rows = call.world.storage.keys(
        call.own.tables[spec.name],
        "AND modified >= ? AND modified < ? AND +deleted = 0 ORDER BY modified, key",
        (low, high),
    )
    ids = [call.own.id_of_key(spec, key) for key in rows]
    return as_json({"ids": ids, "latestDateCovered": salesforce_iso(min(high, call.world.clock.now()))})


def _window(call: Call, what: str) -> tuple[int, int]:
    """Start and end in whole minutes: the vendor ignores seconds."""
    try:
        low, high = (parse(call.first(name).replace(" ", "+")) // 60_000 * 60_000 for name in ("start", "end"))
    except ValueError:
        raise refused(400, "start and end must be dates and times", "INVALID_REPLICATION_DATE") from None
    if high <= low:
        raise refused(400, "endDate must be at least one minute after startDate", "INVALID_REPLICATION_DATE")
    if low < call.world.clock.now() - LOOK_BACK_MS[what]:
        raise refused(400, "startDate before org replication enabled date", "INVALID_REPLICATION_DATE")
    return low, high


ROUTES = (
    Route("GET", OBJECT + "/deleted", deleted),
    Route("GET", OBJECT + "/updated", updated),
    Route("POST", OBJECT, create),
    Route("GET", RECORD, get),
    Route("PATCH", RECORD, update),
    Route("DELETE", RECORD, delete),
)
