"""Salesforce: query, queryAll and the pages behind a locator."""

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sync_pipelines.sandbox import soql
from sync_pipelines.sandbox.clock import DAY_MS
from sync_pipelines.sandbox.cutting import cutter, decode_raw, encode
from sync_pipelines.sandbox.exchange import Answer, Call, Route
from sync_pipelines.sandbox.salesforce_campaigns import members
from sync_pipelines.sandbox.salesforce_describe import VERSIONED
from sync_pipelines.sandbox.salesforce_errors import refused
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.soql_sql import field_of, to_sql
from sync_pipelines.sandbox.storage import Row

PAGE = 2000
SMALLEST_PAGE = 200
LOCATOR_LIFE_MS = 2 * DAY_MS
MAX_OFFSET = 2000
MAX_LOCATORS = 1000


@dataclass(frozen=True, kw_only=True)
class Locator:
    """A result as it was when it was asked: which records, in which order. Later pages come from this list."""

    object: str
    fields: tuple[FieldSpec, ...]
    keys: "array[int]"
    size: int
    born: int
    owner: str


def query(call: Call) -> Answer:
    return _first_page(call, deleted_too=False)


def query_all(call: Call) -> Answer:
    return _first_page(call, deleted_too=True)


def _first_page(call: Call, *, deleted_too: bool) -> Answer:
    text = call.first("q")
    if campaign_members := members(call, text):
        return campaign_members
    parsed, spec = parse_for(call, text)
    fields = chosen_fields(spec, parsed, text)
    sql = sql_for(call, spec, parsed, text, deleted_too)
    tbl = call.own.tables[spec.name]
    if parsed.count:
        total = call.world.storage.count(tbl, sql.rest, sql.parameters)
        return Answer(200, b'{"totalSize":%d,"done":true,"records":[]}' % total)
    keys = call.world.storage.keys(tbl, sql.rest, sql.parameters)
    size = _page_size(call, spec)
    found = Locator(
        object=spec.name,
        fields=fields,
        keys=keys,
        size=size,
        born=call.world.clock.now(),
        owner=call.own.customer.id,
    )
    name = ""
    if len(keys) > size:
        sessions = call.world.sessions
        number = sessions["locators"] = sessions.get("locators", 0) + 1
        name = f"0r8{call.own.id[3:5]}{number:010d}AAA"
        sessions[name] = found
        _forget_oldest(sessions)
    return _page(call, found, name, 0)


def more(call: Call) -> Answer:
    """The page behind nextRecordsUrl: {locator}-{offset}."""
    name, _, offset = call.parts["locator"].partition("-")
    found = call.world.sessions.get(name)
    expired = call.fault("expired_locator")
    if (
        expired is not None
        or not isinstance(found, Locator)
        or found.owner != call.own.customer.id
        or call.world.clock.now() - found.born > LOCATOR_LIFE_MS
        or not offset.isdigit()
        or int(offset) > len(found.keys)
    ):
        raise refused(400, "invalid query locator", "INVALID_QUERY_LOCATOR")
    return _page(call, found, name, int(offset))


def _page(call: Call, found: Locator, name: str, start: int) -> Answer:
    end = min(start + found.size, len(found.keys))
    version = call.parts["version"]
    spec = call.own.objects[found.object]
    rows = call.world.storage.many(found.keys[start:end].tolist())
    records = spoiled(call, spec, render(call, spec, found.fields, rows))
    head = b'{"totalSize":%d,"done":%s' % (len(found.keys), b"true" if end >= len(found.keys) else b"false")
    if end < len(found.keys):
        following = start if call.fault("repeated_page_token", spec.name) else end
        head += f',"nextRecordsUrl":"/services/data/v{version}/query/{name}-{following}"'.encode()
    return Answer(200, head + b',"records":[' + b",".join(records) + b"]}")


def render(call: Call, spec: ObjectSpec, fields: Sequence[FieldSpec], rows: Sequence[Row]) -> list[bytes]:
    """Records as REST writes them: attributes first, then the asked fields in the asked order."""
    url = f"/services/data/v{call.parts['version']}/sobjects/{spec.name}/"
    head = f'{{"attributes":{{"type":"{spec.name}","url":"{url}'.encode()
    cut = (
        _compounding(fields) if any(field.parts for field in fields) else cutter(tuple(field.name for field in fields))
    )
    identify = call.own.id_of_key
    return [head + identify(spec, row.key).encode() + b'"},' + cut(row.body)[1:] for row in rows]


def _compounding(fields: Sequence[FieldSpec]) -> Callable[[bytes], bytes]:
    """Like a cutter, with compound fields built of their parts."""

    def cut(body: bytes) -> bytes:
        record = decode_raw(body)
        found: dict[str, Any] = {}
        for field in fields:
            found[field.name] = _compound(field, record) if field.parts else record.get(field.name)
        return encode(found)

    return cut


def _compound(field: FieldSpec, record: dict[str, msgspec.Raw]) -> dict[str, Any] | None:
    street, city, state, postal, country = (record.get(part) for part in field.parts)
    if all(part is None or bytes(part) == b"null" for part in (street, city, state, postal, country)):
        return None
    return {
        "city": city,
        "country": country,
        "geocodeAccuracy": None,
        "latitude": None,
        "longitude": None,
        "postalCode": postal,
        "state": state,
        "street": street,
    }


def spoiled(call: Call, spec: ObjectSpec, records: list[bytes]) -> list[bytes]:
    """The page after the faults that are switched on for pages."""
    if not records:
        return records
    if call.fault("record_without_id", spec.name):
        records[0] = re.sub(rb'"Id":"\w+",?', b"", records[0])
    if call.fault("duplicate_id", spec.name):
        records.append(records[0])
    scar = call.fault("surrogates", spec.name)
    if scar is not None:
        records = [scarred(record, str(scar.options.get("field", "Name"))) for record in records]
    return records


def scarred(record: bytes, field: str) -> bytes:
    """A lone surrogate and a NUL before the text of a field, as JSON escapes."""
    mark = f'"{field}":"'.encode()
    return record.replace(mark, mark + rb"\ud83d\u0000", 1)


def parse_for(call: Call, text: str) -> tuple[soql.Query, ObjectSpec]:
    """Read a query and find its object, or refuse in the vendor's words."""
    if not text.strip():
        raise refused(400, "The query is missing: give it as the parameter q", "MALFORMED_QUERY")
    try:
        parsed = soql.read(text)
    except soql.SoqlError as problem:
        raise _refused_at(text, "", problem) from problem
    spec = call.own.find(parsed.object)
    if spec is None:
        unknown = soql.SoqlError(
            f"sObject type '{parsed.object}' is not supported. If you are attempting to use a custom object, be sure "
            "to append the '__c' after the entity name. Please reference your WSDL or the describe call for the "
            "appropriate names.",
            "INVALID_TYPE",
        )
        raise _refused_at(text, parsed.object, unknown)
    if parsed.offset > MAX_OFFSET:
        raise refused(400, f"Maximum SOQL offset allowed is {MAX_OFFSET}", "NUMBER_OUTSIDE_VALID_RANGE")
    return parsed, spec


def chosen_fields(spec: ObjectSpec, parsed: soql.Query, text: str) -> tuple[FieldSpec, ...]:
    """The selected fields, each known and named once."""
    fields: dict[str, FieldSpec] = {}
    for name in parsed.fields:
        try:
            field = field_of(spec, name)
        except soql.SoqlError as problem:
            raise _refused_at(text, name, problem) from problem
        if field.name in fields:
            raise refused(400, f"duplicate field selected: {field.name}", "MALFORMED_QUERY")
        fields[field.name] = field
    return tuple(fields.values())


def sql_for(call: Call, spec: ObjectSpec, parsed: soql.Query, text: str, deleted_too: bool) -> Any:
    try:
        return to_sql(call.own, spec, parsed, deleted_too=deleted_too)
    except soql.SoqlError as problem:
        found = re.search(r"'([^']+)'", problem.message)
        raise _refused_at(text, found[1] if found else "", problem) from problem


def _refused_at(text: str, word: str, problem: soql.SoqlError) -> Exception:
    """With the place of the error, as the vendor shows it."""
    place = text.find(word) if word else -1
    if place < 0:
        return refused(400, problem.message, problem.code)
    shown = text[max(place - 40, 0) : place + 40]
    mark = " " * min(place, 40) + "^"
    message = f"\n{shown}\n{mark}\nERROR at Row:1:Column:{place + 1}\n{problem.message}"
    return refused(400, message, problem.code)


def _page_size(call: Call, spec: ObjectSpec) -> int:
    found = re.search(r"batchSize\s*=\s*(\d+)", call.headers.get("sforce-query-options", ""), re.I)
    size = PAGE if found is None else min(max(int(found[1]), SMALLEST_PAGE), PAGE)
    short = call.fault("short_pages", spec.name)
    return size if short is None else min(size, int(short.options.get("size", 1)))


def _forget_oldest(sessions: dict[str, Any]) -> None:
    names = [name for name, value in sessions.items() if isinstance(value, Locator)]
    for name in names[:-MAX_LOCATORS]:
        del sessions[name]


ROUTES = (
    Route("GET", VERSIONED + "/query", query),
    Route("GET", VERSIONED + "/queryAll", query_all),
    Route("GET", VERSIONED + "/query/{locator}", more),
    Route("GET", VERSIONED + "/queryAll/{locator}", more),
)
