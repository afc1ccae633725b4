"""HubSpot: what a portal consists of: properties, pipelines, owners, schemas, the account itself."""

from typing import Any

from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.cutting import decode
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.hubspot_errors import refused
from sync_pipelines.sandbox.hubspot_render import wanted, whole
from sync_pipelines.sandbox.hubspot_schema import stages, ticket_stages
from sync_pipelines.sandbox.quota import HUBSPOT_OFFSET_MS
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.storage import Row

_FORM = {"string": "text", "number": "number", "date": "date", "datetime": "date", "bool": "booleancheckbox"}
_OWNERS_PAGE, _OWNERS_MOST = 100, 500


def properties(call: Call) -> Answer:
    spec = wanted(call)
    asked = call.first("dataSensitivity", "non_sensitive")
    archived = call.wants("archived")
    found = [
        _property(call, spec, field)
        for field in spec.fields.values()
        if field.described and not archived and field.sensitive == (asked != "non_sensitive")
    ]
    return as_json({"results": found})


def one_property(call: Call) -> Answer:
    spec = wanted(call)
    field = spec.fields.get(call.parts["property"])
    if field is None or not field.described:
        raise refused(call, 404, f"property {call.parts['property']!r} does not exist", "OBJECT_NOT_FOUND")
    return as_json(_property(call, spec, field))


def _property(call: Call, spec: ObjectSpec, field: FieldSpec) -> dict[str, Any]:
    known: dict[str, Any] = {
        "updatedAt": iso(call.own.described_at),
        "createdAt": iso(call.world.epoch),
        "name": field.name,
        "label": field.label or field.name.replace("_", " ").title(),
        "type": field.type,
        "fieldType": "select" if field.type == "enumeration" else _FORM.get(field.type, "text"),
        "description": "",
        "groupName": f"{spec.label.lower()}information",
        "options": [
            {"label": value.replace("_", " ").title(), "value": value, "displayOrder": place, "hidden": False}
            for place, value in enumerate(field.choices)
        ],
        "displayOrder": -1,
        "calculated": field.calculated,
        "externalOptions": field.name == "hubspot_owner_id",
        "hasUniqueValue": field.unique,
        "hidden": False,
        "hubspotDefined": not field.custom,
        "modificationMetadata": {
            "archivable": field.custom,
            "readOnlyDefinition": not field.custom,
            "readOnlyValue": not field.writable,
        },
        "formField": field.writable,
        "dataSensitivity": "sensitive" if field.sensitive else "non_sensitive",
    }
    if field.name == "hubspot_owner_id":
        known["referencedObjectType"] = "OWNER"
    return known


def pipelines(call: Call) -> Answer:
    return as_json({"results": _pipelines(call, wanted(call))})


def one_pipeline(call: Call) -> Answer:
    found = [known for known in _pipelines(call, wanted(call)) if known["id"] == call.parts["pipeline"]]
    if not found:
        raise refused(call, 404, f"pipeline {call.parts['pipeline']!r} does not exist", "OBJECT_NOT_FOUND")
    return as_json(found[0])


def pipeline_stages(call: Call) -> Answer:
    found = [known for known in _pipelines(call, wanted(call)) if known["id"] == call.parts["pipeline"]]
    if not found:
        raise refused(call, 404, f"pipeline {call.parts['pipeline']!r} does not exist", "OBJECT_NOT_FOUND")
    return as_json({"results": found[0]["stages"]})


_LEAD_STAGES = (
    (
        "lead-pipeline-id",
        "Lead Pipeline",
        (
            ("new-stage-id", "New", "", False),
            ("attempting-stage-id", "Attempting", "", False),
            ("connected-stage-id", "Connected", "", False),
        ),
    ),
)


def _pipelines(call: Call, spec: ObjectSpec) -> list[dict[str, Any]]:
    known = {"deals": stages(int(call.own.id)), "tickets": ticket_stages(), "leads": _LEAD_STAGES}.get(spec.name, ())
    stamps = {"createdAt": iso(call.world.epoch), "updatedAt": iso(call.world.epoch), "archived": False}
    return [
        {
            "id": pipeline,
            "label": label,
            "displayOrder": place,
            "stages": [
                {
                    "id": stage,
                    "label": name,
                    "displayOrder": order,
                    "metadata": _metadata(chance, closed),
                    "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                    **stamps,
                }
                for order, (stage, name, chance, closed) in enumerate(steps)
            ],
            **stamps,
        }
        for place, (pipeline, label, steps) in enumerate(known)
    ]


def _metadata(chance: str, closed: bool) -> dict[str, str]:
    if chance:
        return {"isClosed": "true" if closed else "false", "probability": chance}
    return {"ticketState": "CLOSED" if closed else "OPEN"}


def owners(call: Call) -> Answer:
    spec = call.own.objects["owners"]
    limit = whole(call, "limit", _OWNERS_PAGE, _OWNERS_MOST)
    archived = call.wants("archived")
    low = call.own.key(spec, call.first("after", "0")) or 0
    rows = call.world.storage.select(
        call.own.tables["owners"],
        "AND deleted = ? AND key >= ? ORDER BY key LIMIT ?",
        (int(archived), low, limit + 1),
    )
    found = [_owner(call, spec, row) for row in rows[:limit]]
    email = call.first("email")
    if email:
        found = [owner for owner in found if owner["email"] == email]
    answer: dict[str, Any] = {"results": found}
    if len(rows) > limit:
        after = call.own.id_of_key(spec, rows[limit].key)
        answer["paging"] = {"next": {"after": after, "link": f"{call.site}{call.path}?after={after}"}}
    return as_json(answer)


def one_owner(call: Call) -> Answer:
    spec = call.own.objects["owners"]
    key = call.own.key(spec, call.parts["owner"])
    row = None if key is None else call.world.storage.get(key)
    if row is None or bool(row.deleted) != call.wants("archived"):
        raise refused(call, 404, "resource not found", "OBJECT_NOT_FOUND")
    return as_json(_owner(call, spec, row))


def _owner(call: Call, spec: ObjectSpec, row: Row) -> dict[str, Any]:
    known = decode(row.body)
    user = known.pop("userId", None)
    return {
        "id": call.own.id_of_key(spec, row.key),
        **known,
        "userId": None if row.deleted else user,
        "userIdIncludingInactive": user,
        "createdAt": iso(row.created),
        "updatedAt": iso(row.modified),
        "archived": bool(row.deleted),
        "teams": [{"id": "178588", "name": "Field sales", "primary": True}],
    }


def schemas(call: Call) -> Answer:
    found = [] if call.wants("archived") else [spec for spec in call.own.objects.values() if spec.custom]
    return as_json({"results": [_schema(call, spec) for spec in found]})


def one_schema(call: Call) -> Answer:
    return as_json(_schema(call, wanted(call)))


def _schema(call: Call, spec: ObjectSpec) -> dict[str, Any]:
    stamps = {"createdAt": iso(call.world.epoch), "updatedAt": iso(call.own.described_at)}
    own = [field for field in spec.fields.values() if field.custom]
    return {
        "id": spec.type_id.partition("-")[2],
        "objectTypeId": spec.type_id,
        "name": spec.name.partition("_")[2] or spec.name,
        "fullyQualifiedName": spec.name,
        "labels": {"singular": spec.label, "plural": spec.plural},
        "primaryDisplayProperty": own[0].name if own else None,
        "secondaryDisplayProperties": [],
        "requiredProperties": [],
        "searchableProperties": [field.name for field in own[:2]],
        "properties": [_property(call, spec, field) for field in spec.fields.values() if field.described],
        "associations": [],
        "archived": False,
        **stamps,
    }


def details(call: Call) -> Answer:
    return as_json(
        {
            "portalId": int(call.own.id),
            "accountType": "STANDARD",
            "timeZone": "US/Eastern",
            "companyCurrency": "USD",
            "additionalCurrencies": ["EUR", "JPY"],
            "utcOffset": "-05:00",
            "utcOffsetMilliseconds": HUBSPOT_OFFSET_MS,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }
    )


_CRM = "/hubspot/crm"
ROUTES = (
    *(
        route
        for family in (f"{_CRM}/v3/properties", f"{_CRM}/properties/2026-03")
        for route in (
            Route("GET", family + "/{type}", properties),
            Route("GET", family + "/{type}/{property}", one_property),
        )
    ),
    *(
        route
        for family in (f"{_CRM}/v3/pipelines", f"{_CRM}/pipelines/2026-03")
        for route in (
            Route("GET", family + "/{type}", pipelines),
            Route("GET", family + "/{type}/{pipeline}", one_pipeline),
            Route("GET", family + "/{type}/{pipeline}/stages", pipeline_stages),
        )
    ),
    *(
        route
        for family in (f"{_CRM}/v3/owners", f"{_CRM}/owners/2026-03")
        for route in (
            Route("GET", family, owners),
            Route("GET", family + "/{owner}", one_owner),
        )
    ),
    *(
        route
        for family in (
            "/hubspot/crm-object-schemas/v3/schemas",
            f"{_CRM}/v3/schemas",
            "/hubspot/crm-object-schemas/2026-03/schemas",
        )
        for route in (Route("GET", family, schemas), Route("GET", family + "/{type}", one_schema))
    ),
    Route("GET", "/hubspot/account-info/v3/details", details),
    Route("GET", "/hubspot/account-info/2026-03/details", details),
)
