"""HubSpot: creating, updating, archiving and merging records."""

from typing import Any

from sync_pipelines.sandbox import changes
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.exchange import Answer, Call, Refused, Route
from sync_pipelines.sandbox.hubspot_errors import invalid, refused
from sync_pipelines.sandbox.hubspot_objects import FAMILIES, batch_answer, batch_inputs, by_value, found, not_found
from sync_pipelines.sandbox.hubspot_render import body_of, render, shown, wanted
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import Row


def create(call: Call) -> Answer:
    spec = wanted(call)
    body = body_of(call)
    fields = _checked(call, spec, body.get("properties"))
    row = _create(call, spec, fields)
    return Answer(201, _written(call, spec, row, fields, body))


def update(call: Call) -> Answer:
    spec = wanted(call)
    body = body_of(call)
    fields = _checked(call, spec, body.get("properties"))
    row = _live(call, spec, call.parts["id"], call.first("idProperty"))
    return Answer(200, _written(call, spec, _update(call, spec, row, fields), fields, body))


def archive(call: Call) -> Answer:
    """Archiving what is not there is no error."""
    spec = wanted(call)
    _archive(call, spec, call.parts["id"])
    return Answer(204, content_type=None)


def merge(call: Call) -> Answer:
    spec = wanted(call)
    body = body_of(call)
    winner = _live(call, spec, str(body.get("primaryObjectId", "")))
    loser = _live(call, spec, str(body.get("objectIdToMerge", "")))
    if winner.key == loser.key:
        raise invalid(call, "A record cannot be merged with itself")
    changes.merge(call.world, call.own, spec, winner=winner, loser=loser, at=call.world.clock.now())
    return Answer(200, render(call, spec, call.world.storage.many([winner.key]), shown(spec, ()))[0])


def erase(call: Call) -> Answer:
    """gdpr-delete: gone without a trace."""
    spec = wanted(call)
    row = found(call, spec, str(body_of(call).get("objectId", "")), str(body_of(call).get("idProperty") or ""))
    if row is not None:
        call.world.storage.remove(row.key)
    return Answer(204, content_type=None)


def batch_create(call: Call) -> Answer:
    spec = wanted(call)
    inputs = batch_inputs(call, body_of(call))
    checked = [_checked(call, spec, part.get("properties")) for part in inputs]
    return _each(
        call,
        inputs,
        lambda place, part: _written(call, spec, _create(call, spec, checked[place]), checked[place], part),
        201,
    )


def batch_update(call: Call) -> Answer:
    spec = wanted(call)
    inputs = batch_inputs(call, body_of(call))
    checked = [_checked(call, spec, part.get("properties")) for part in inputs]

    def one(place: int, part: dict[str, Any]) -> bytes:
        row = _live(call, spec, str(part.get("id", "")), str(part.get("idProperty") or ""))
        return _written(call, spec, _update(call, spec, row, checked[place]), checked[place], part)

    return _each(call, inputs, one, 200)


def batch_upsert(call: Call) -> Answer:
    spec = wanted(call)
    inputs = batch_inputs(call, body_of(call))
    checked = [_checked(call, spec, part.get("properties")) for part in inputs]

    def one(place: int, part: dict[str, Any]) -> bytes:
        property, value = str(part.get("idProperty") or "hs_object_id"), str(part.get("id", ""))
        row = found(call, spec, value, property)
        fields = checked[place]
        if row is None or row.deleted:
            if property == "hs_object_id":
                raise not_found(call)
            fresh = _create(call, spec, {**fields, property: value})
        else:
            fresh = _update(call, spec, row, fields)
        written = _written(call, spec, fresh, fields, part)
        return written[:-1] + (b',"new":true}' if row is None else b',"new":false}')

    return _each(call, inputs, one, 200)


def batch_archive(call: Call) -> Answer:
    spec = wanted(call)
    for part in batch_inputs(call, body_of(call)):
        _archive(call, spec, str(part.get("id", "")))
    return Answer(204, content_type=None)


def _each(call: Call, inputs: list[dict[str, Any]], one: Any, status: int) -> Answer:
    """Every input by itself: what is refused becomes an error beside the others' results."""
    records, problems = [], []
    for place, part in enumerate(inputs):
        try:
            records.append(one(place, part))
        except Refused as refusal:
            problems.append(_problem(refusal, part))
    return batch_answer(call, records, problems, status)


def _problem(refusal: Refused, part: dict[str, Any]) -> dict[str, Any]:
    told = refusal.answer.told()
    context: dict[str, Any] = {"ids": [str(part["id"])]} if "id" in part else {}
    if part.get("objectWriteTraceId"):
        context["objectWriteTraceId"] = [part["objectWriteTraceId"]]
    return {"status": "error", "category": told["category"], "message": told["message"], "context": context}


def _written(call: Call, spec: ObjectSpec, row: Row, fields: dict[str, Any], asked: dict[str, Any]) -> bytes:
    """The record after a write: what was written beside the default properties, and the caller's trace id."""
    names = tuple(sorted({*fields, *shown(spec, ())}))
    record = render(call, spec, [row], names)[0]
    trace = asked.get("objectWriteTraceId")
    return record if not trace else record[:-1] + b',"objectWriteTraceId":' + encode(trace) + b"}"


def _create(call: Call, spec: ObjectSpec, fields: dict[str, Any]) -> Row:
    _unique(call, spec, fields, None)
    id = changes.create(call.world, call.own, spec, fields)
    return changes.find(call.world, call.own, spec, id)


def _update(call: Call, spec: ObjectSpec, row: Row, fields: dict[str, Any]) -> Row:
    _unique(call, spec, fields, row)
    return changes.update(call.world, call.own, spec, row, fields, at=call.world.clock.now())


def _unique(call: Call, spec: ObjectSpec, fields: dict[str, Any], own: Row | None) -> None:
    for name, value in fields.items():
        if not spec.fields[name].unique or not value:
            continue
        other = by_value(call, spec, name, value)
        if other is not None and (own is None or other.key != own.key):
            id = call.own.id_of_key(spec, other.key)
            raise refused(call, 409, f"{spec.label} already exists. Existing ID: {id}", "CONFLICT")


def _live(call: Call, spec: ObjectSpec, id: str, id_property: str = "") -> Row:
    row = found(call, spec, id, id_property)
    if row is None or row.deleted:
        raise not_found(call)
    return row


def _archive(call: Call, spec: ObjectSpec, id: str) -> None:
    row = found(call, spec, id)
    if row is not None and not row.deleted:
        changes.delete(call.world, call.own, spec, row, call.world.clock.now())


def _checked(call: Call, spec: ObjectSpec, properties: Any) -> dict[str, Any]:
    """The values to write, all texts or null; a property that is not there or cannot be written refuses the call."""
    if not isinstance(properties, dict):
        raise invalid(call, "properties must be an object")
    problems = []
    fields: dict[str, Any] = {}
    for name, value in properties.items():
        field = spec.fields.get(name)
        text = value if value is None or isinstance(value, str) else encode(value).decode().strip('"')
        if field is None or not field.served:
            problems.append(_wrong(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
        elif not field.writable:
            problems.append(_wrong(name, "READ_ONLY_VALUE", f'"{name}" is a read only property'))
        elif field.type == "enumeration" and text and field.choices and text not in field.choices:
            problems.append(_wrong(name, "INVALID_OPTION", f'{text} was not one of the allowed options of "{name}"'))
        elif field.type == "number" and text and not _is_number(text):
            problems.append(_wrong(name, "INVALID_NUMBER", f"{text} was not a valid number"))
        else:
            fields[name] = text or None
    if problems:
        raise invalid(call, f"Property values were not valid: {encode(problems).decode()}", errors=problems)
    return fields


def _wrong(name: str, code: str, message: str) -> dict[str, Any]:
    return {"message": message, "code": code, "context": {"propertyName": [name]}}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


ROUTES = tuple(
    route
    for family in FAMILIES
    for route in (
        Route("POST", family + "/{type}/batch/create", batch_create),
        Route("POST", family + "/{type}/batch/update", batch_update),
        Route("POST", family + "/{type}/batch/upsert", batch_upsert),
        Route("POST", family + "/{type}/batch/archive", batch_archive),
        Route("POST", family + "/{type}/merge", merge),
        Route("POST", family + "/{type}/gdpr-delete", erase),
        Route("POST", family + "/{type}", create),
        Route("PATCH", family + "/{type}/{id}", update),
        Route("DELETE", family + "/{type}/{id}", archive),
    )
)
