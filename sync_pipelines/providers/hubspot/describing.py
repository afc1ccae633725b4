"""Questions to HubSpot: which properties and stages, whose portal."""

from typing import Final

import msgspec

from sync_pipelines.model.errors import SkipObject
from sync_pipelines.model.flow import Flow, Get
from sync_pipelines.model.provider import Account, CrmObject, ObjectSchema, VendorField
from sync_pipelines.providers.hubspot.paths import Paths

OWNERS: Final = "owners"
WITH_PIPELINES: Final = frozenset({"deals"})
TYPES: Final = {"number": "number", "bool": "boolean", "datetime": "timestamp", "date": "date"}

OWNER_FIELDS: Final = tuple(
    VendorField(name=name, label=label, type=kind, vendor_type=vendor_type)
    for name, label, kind, vendor_type in (
        ("id", "Owner ID", "text", "string"),
        ("email", "Email", "text", "string"),
        ("firstName", "First name", "text", "string"),
        ("lastName", "Last name", "text", "string"),
        ("userId", "User ID", "integer", "integer"),
        ("userIdIncludingInactive", "User ID, also of an inactive user", "integer", "integer"),
        ("type", "Type", "text", "string"),
        ("archived", "Archived", "boolean", "boolean"),
        ("createdAt", "Created", "timestamp", "date-time"),
        ("updatedAt", "Updated", "timestamp", "date-time"),
        ("teams", "Teams", "json", "array"),
    )
)
"""Owners have no properties endpoint: the fields of PublicOwner in the vendor's specification."""


class Next(msgspec.Struct):
    after: str | int


class Paging(msgspec.Struct):
    next: Next | None = None


class _Option(msgspec.Struct):
    value: str | None = None
    hidden: bool = False


class _Property(msgspec.Struct, rename={"defined": "hubspotDefined"}):
    name: str
    type: str = "string"
    label: str | None = None
    calculated: bool = False
    defined: bool = False
    options: list[_Option] | None = None


class _Properties(msgspec.Struct):
    results: list[_Property]


class _Stage(msgspec.Struct):
    id: str
    label: str


class _Pipeline(msgspec.Struct):
    id: str
    label: str
    stages: list[_Stage]


class _Pipelines(msgspec.Struct):
    results: list[_Pipeline]


class OwnersPage(msgspec.Struct):
    results: list[msgspec.Raw]
    paging: Paging | None = None


class _Portal(msgspec.Struct, rename={"id": "portalId", "domain": "uiDomain"}):
    id: int
    domain: str | None = None


def describe(paths: Paths, crm_object: CrmObject) -> Flow:
    """The object's properties, and for deals the labels of pipelines and stages. SkipObject for an unknown object."""
    if crm_object.name == OWNERS:
        return ObjectSchema(fields=OWNER_FIELDS)
    response = yield Get(paths.of(paths.properties, crm_object.name), accept=frozenset({400}))
    if response.status == 400:
        raise SkipObject(f"HubSpot does not know the object {crm_object.name}: check its name.")
    properties: _Properties = response.decode(_Properties)
    lookups = {}
    if crm_object.name in WITH_PIPELINES:
        found: _Pipelines = (yield Get(paths.of(paths.pipelines, crm_object.name))).decode(_Pipelines)
        lookups["pipelines"] = {pipeline.id: pipeline.label for pipeline in found.results}
        lookups["stages"] = {stage.id: stage.label for pipeline in found.results for stage in pipeline.stages}
    return ObjectSchema(fields=tuple(_field(told) for told in properties.results), lookups=lookups)


def _field(told: _Property) -> VendorField:
    return VendorField(
        name=told.name,
        label=told.label or "",
        type=TYPES.get(told.type, "text"),
        vendor_type=told.type,
        custom=not told.defined,
        calculated=told.calculated,
        choices=tuple(option.value for option in told.options or () if option.value is not None and not option.hidden),
    )


def next_after(paging: Paging | None) -> str | None:
    """The token of the next page; None on the last one."""
    return str(paging.next.after) if paging and paging.next else None


def identify(paths: Paths) -> Flow:
    """The portal behind the connection."""
    portal: _Portal = (yield Get(paths.account)).decode(_Portal)
    return Account(id=str(portal.id), name=f"{portal.domain or 'HubSpot'} {portal.id}")
