"""HubSpot: records as its answers write them."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.cutting import cutter, encode
from sync_pipelines.sandbox.exchange import Call
from sync_pipelines.sandbox.hubspot_errors import invalid
from sync_pipelines.sandbox.salesforce_query import scarred
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.storage import Row


def wanted(call: Call, name: str = "type") -> ObjectSpec:
    """The object named in the path."""
    text = call.parts[name]
    spec = call.own.find(text)
    if spec is None or spec.name == "owners":
        raise invalid(call, f"Unable to infer object type from: {text}")
    return spec


def asked_properties(call: Call) -> list[str]:
    """Both ways to ask: the parameter repeated, or names with commas between."""
    return [name for value in call.every("properties") for name in value.split(",") if name]


def shown(spec: ObjectSpec, asked: Iterable[str]) -> tuple[str, ...]:
    """The properties an answer holds: the asked ones that exist, else the default set; id and stamps always."""
    names = {name for name in asked if name in spec.fields and spec.fields[name].served}
    if not any(True for _ in asked):
        names = {field.name for field in spec.fields.values() if field.shown and field.served}
    return tuple(sorted(names | {"hs_object_id", spec.created_field, spec.modified_field}))


def render(
    call: Call,
    spec: ObjectSpec,
    rows: Sequence[Row],
    properties: tuple[str, ...],
    *,
    associations: Mapping[int, bytes] | None = None,
    url: bool = True,
) -> list[bytes]:
    """JSON texts of the records; `associations`: what is linked to each key, as JSON."""
    cut = cutter(properties)
    page = f'","url":"https://app.hubspot.com/contacts/{call.own.id}/record/{spec.type_id}/'
    identify = call.own.id_of_key
    records = []
    for row in rows:
        id = identify(spec, row.key)
        tail = f'"createdAt":"{iso(row.created)}","updatedAt":"{iso(row.modified)}","archived":'
        tail += f'true,"archivedAt":"{iso(row.archived)}"' if row.archived is not None else "false"
        linked = None if associations is None else associations.get(row.key)
        end = b"" if linked is None else b',"associations":' + linked
        site = f"{page}{id}".encode()[1:] + b'"' if url else b""
        records.append(
            f'{{"id":"{id}","properties":'.encode() + cut(row.body) + b"," + tail.encode() + end + site + b"}"
        )
    return records


def spoiled(call: Call, spec: ObjectSpec, records: list[bytes]) -> list[bytes]:
    """The page after the faults that are switched on for pages."""
    if not records:
        return records
    if call.fault("record_without_id", spec.name):
        records[0] = b"{" + records[0][records[0].index(b",") + 1 :]
    if call.fault("duplicate_id", spec.name):
        records.append(records[0])
    scar = call.fault("surrogates", spec.name)
    if scar is not None:
        records = [scarred(record, str(scar.options.get("field", "name"))) for record in records]
    return records


def results(records: Sequence[bytes], paging: Mapping[str, object] | None, total: int | None = None) -> bytes:
    """{total?, results, paging?}"""
    head = b"{" if total is None else b'{"total":%d,' % total
    tail = b"" if paging is None else b',"paging":' + encode({"next": paging})
    return head + b'"results":[' + b",".join(records) + b"]" + tail + b"}"


def body_of(call: Call) -> dict[str, object]:
    """The JSON object that was sent, or a refusal."""
    try:
        body = call.json()
    except msgspec.DecodeError as problem:
        raise invalid(call, f"Invalid input JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise invalid(call, "Invalid input JSON: an object is expected")
    return body


def whole(call: Call, name: str, otherwise: int, highest: int) -> int:
    """A positive number from the parameters, not above `highest`."""
    text = call.first(name)
    if not text:
        return otherwise
    if not text.isdigit() or int(text) < 1:
        raise invalid(call, f"{name} must be a positive number, not {text!r}")
    if int(text) > highest:
        raise invalid(call, f"{name} must be at most {highest}, not {text}")
    return int(text)
