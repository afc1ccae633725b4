"""Salesforce: which objects there are and which fields they have."""

from email.utils import parsedate_to_datetime
from typing import Any

from sync_pipelines.sandbox.clock import http_date
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.salesforce_errors import not_found
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.soql_sql import NUMERIC

API = "/salesforce/{org}/services/data"
VERSIONED = API + "/v{version}"
VERSIONS = tuple(range(58, 68))

_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "currency": "xsd:double", "double": "xsd:double",
    "percent": "xsd:double", "int": "xsd:int", "long": "xsd:long", "date": "xsd:date", "datetime": "xsd:dateTime",
    "address": "urn:address", "base64": "xsd:base64Binary",
}  # fmt: skip


def versions(call: Call) -> Answer:
    return as_json(
        [
            {"label": f"Release {number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
            for number in VERSIONS
        ]
    )


def resources(call: Call) -> Answer:
    root = f"/services/data/v{call.parts['version']}"
    names = ("sobjects", "query", "queryAll", "limits", "jobs", "composite", "search")
    return as_json({name: f"{root}/{name}" for name in names})


def objects(call: Call) -> Answer:
    found = [_summary(call, spec) for spec in call.own.objects.values()]
    return as_json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})


def wanted(call: Call) -> ObjectSpec:
    """The object named in the path; 404 when the organisation has none of that name."""
    spec = call.own.find(call.parts["object"])
    if spec is None:
        raise not_found()
    return spec


def basic(call: Call) -> Answer:
    return as_json({"objectDescribe": _summary(call, wanted(call)), "recentItems": []})


def describe(call: Call) -> Answer:
    spec = wanted(call)
    changed = call.own.described_at
    since = call.headers.get("if-modified-since")
    if since is not None and parsedate_to_datetime(since).timestamp() * 1000 >= changed // 1000 * 1000:
        return Answer(304, content_type=None)
    fields = [_field(spec, field) for field in spec.fields.values() if field.described]
    found = {
        **_summary(call, spec),
        "actionOverrides": [],
        "childRelationships": [],
        "fields": fields,
        "recordTypeInfos": [],
        "supportedScopes": [{"label": "All", "name": "everything"}],
    }
    return as_json(found, headers={"Last-Modified": http_date(changed)})


def _summary(call: Call, spec: ObjectSpec) -> dict[str, Any]:
    root = f"/services/data/v{call.parts['version']}/sobjects/{spec.name}"
    writable = spec.name not in ("User", "EmailMessage")
    return {
        "activateable": False,
        "createable": True,
        "custom": spec.custom,
        "customSetting": False,
        "deletable": writable,
        "deprecatedAndHidden": False,
        "feedEnabled": False,
        "hasSubtypes": False,
        "keyPrefix": spec.type_id,
        "label": spec.label,
        "labelPlural": spec.plural,
        "layoutable": True,
        "mergeable": "MasterRecordId" in spec.fields,
        "name": spec.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": True,
        "triggerable": True,
        "undeletable": writable,
        "updateable": True,
        "urls": {"sobject": root, "describe": f"{root}/describe", "rowTemplate": root + "/{ID}"},
    }


_TEXTUAL = frozenset(("string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "id", "reference"))
_SAME_FOR_ALL = {
    "calculatedFormula": None,
    "caseSensitive": False,
    "deprecatedAndHidden": False,
    "externalId": False,
    "queryByDistance": False,
    "restrictedPicklist": False,
}


def _field(spec: ObjectSpec, field: FieldSpec) -> dict[str, Any]:
    textual, numeric = field.type in _TEXTUAL, field.type in NUMERIC
    searchable = field.type not in ("textarea", "address", "base64")
    return _SAME_FOR_ALL | {
        "aggregatable": searchable and field.type != "boolean",
        "autoNumber": field.name == "CaseNumber",
        "byteLength": field.length * 3 if textual else 0,
        "calculated": field.calculated,
        "compoundFieldName": _compound_of(spec, field),
        "createable": field.writable,
        "custom": field.custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultedOnCreate": field.type == "boolean" or not field.writable,
        "digits": 9 if field.type == "int" else 0,
        "filterable": searchable,
        "groupable": searchable and field.type not in ("double", "currency", "datetime"),
        "idLookup": field.type == "id",
        "label": field.label or field.name,
        "length": field.length if textual else 0,
        "name": field.name,
        "nameField": field.name == "Name",
        "nillable": not field.required and field.type not in ("id", "boolean"),
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
            for value in field.choices
        ],
        "precision": 18 if numeric and field.type != "int" else 0,
        "referenceTo": list(field.refers_to),
        "relationshipName": field.name.removesuffix("Id") if field.refers_to else None,
        "scale": field.scale if numeric else 0,
        "soapType": _SOAP.get(field.type, "xsd:string"),
        "sortable": searchable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.writable,
    }


def _compound_of(spec: ObjectSpec, field: FieldSpec) -> str | None:
    """The compound field that this one is a part of: an address, or a person's Name."""
    if field.name in ("FirstName", "LastName") and "Name" in spec.fields:
        return "Name"
    return next((known.name for known in spec.fields.values() if field.name in known.parts), None)


ROUTES = (
    Route("GET", API, versions, open=True),
    Route("GET", VERSIONED, resources),
    Route("GET", VERSIONED + "/sobjects", objects),
    Route("GET", VERSIONED + "/sobjects/{object}", basic),
    Route("GET", VERSIONED + "/sobjects/{object}/describe", describe),
)
