"""Questions to Salesforce: which fields, how many records, whose org."""

from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from sync_pipelines.model.errors import ConfigurationError, InvalidField, ProtocolError, SkipObject
from sync_pipelines.model.filter import Filter
from sync_pipelines.model.flow import Flow, Get, Notice
from sync_pipelines.model.provider import Account, CrmObject, ObjectSchema, VendorField
from sync_pipelines.providers.salesforce.conditions import soql_of
from sync_pipelines.providers.salesforce.soql import CURSORS, Query, long_id, moment

UNSELECTABLE: Final = frozenset({"address", "location", "base64"})
"""Compound and binary types: Bulk refuses them, and their parts are fields of their own."""
TYPES: Final = {
    "boolean": "boolean",
    "int": "integer",
    "long": "integer",
    "double": "number",
    "currency": "number",
    "percent": "number",
    "date": "date",
    "datetime": "timestamp",
}


class QueryPage(msgspec.Struct, rename={"found": "records", "total": "totalSize", "next": "nextRecordsUrl"}):
    """One answer of query and queryAll."""

    done: bool
    total: int
    found: list[msgspec.Raw] | None = None
    next: str | None = None

    @property
    def records(self) -> list[msgspec.Raw]:
        """None for COUNT() by the SOQL reference, empty by what clients show."""
        return self.found or []


class _Choice(msgspec.Struct):
    value: str | None = None
    active: bool = True


class _Field(msgspec.Struct, rename={"choices": "picklistValues", "refers_to": "referenceTo"}):
    name: str
    type: str
    label: str | None = None
    custom: bool = False
    calculated: bool = False
    choices: list[_Choice] | None = None
    refers_to: list[str] | None = None


class _Description(msgspec.Struct):
    fields: list[_Field]
    queryable: bool = True


class _WhoWeAre(msgspec.Struct):
    organization_id: str
    name: str | None = None


def describe(root: str, crm_object: CrmObject) -> Flow:
    """The object's readable fields. SkipObject when the org does not have it."""
    try:
        response = yield Get(f"{root}/sobjects/{quote(crm_object.name, safe='')}/describe")
    except SkipObject as refusal:
        raise SkipObject(
            f"Salesforce does not let this connection read the object {crm_object.name}: check its API name (one of "
            "your own ends in __c) and what the connected user may see.",
            detail=refusal.detail,
        ) from refusal
    description: _Description = response.decode(_Description)
    if not description.queryable:
        raise SkipObject(f"Salesforce does not let anybody query {crm_object.name}: take it out of the sync.")
    return ObjectSchema(
        fields=tuple(_field(told) for told in description.fields if told.type not in UNSELECTABLE),
        unreadable=tuple(_field(told) for told in description.fields if told.type in UNSELECTABLE),
    )


def _field(told: _Field) -> VendorField:
    return VendorField(
        name=told.name,
        label=told.label or "",
        type=TYPES.get(told.type, "text"),
        vendor_type=told.type,
        custom=told.custom,
        calculated=told.calculated,
        refers_to=tuple(told.refers_to or ()),
        choices=tuple(choice.value for choice in told.choices or () if choice.active and choice.value is not None),
    )


def count(root: str, crm_object: CrmObject, where: Filter | None = None) -> Flow:
    """How many records exist now and fit, deleted ones not counted.

    By queryAll, as records are read: `query` would leave away archived tasks and events, which are not deleted.
    """
    condition = "" if where is None else soql_of(where)
    if crm_object.shape.deleted is not None:
        try:
            alive = f"IsDeleted = false{f' AND {condition}' if condition else ''}"
            return (yield from _total(root, crm_object, alive))
        except InvalidField as refusal:
            if condition and "IsDeleted" not in refusal.fields:
                raise
            # one of the few objects that cannot be deleted
    return (yield from _total(root, crm_object, condition))


def changed(root: str, crm_object: CrmObject, since: datetime) -> Flow:
    """How many records were created, changed or deleted since; None for an object that has no time of change."""
    for cursor in CURSORS:
        try:
            return (yield from _total(root, crm_object, f"{cursor} >= {moment(since)}"))
        except InvalidField:
            continue
    return None


def _total(root: str, crm_object: CrmObject, condition: str = "") -> Flow:
    statement = f"SELECT COUNT() FROM {crm_object.name}{f' WHERE {condition}' if condition else ''}"  # noqa: S608
    response = yield Get(f"{root}/queryAll", params={"q": statement})
    return response.decode(QueryPage).total


def identify() -> Flow:
    """The org behind the connection, by the OpenID user info of its user."""
    told: _WhoWeAre = (yield Get("/services/oauth2/userinfo")).decode(_WhoWeAre)
    return Account(id=long_id(told.organization_id), name=told.name or "")


def without_refused(root: str, crm_object: CrmObject, query: Query, refusal: InvalidField) -> Flow:
    """The query without fields that vanished since they were described; a Notice for each."""
    hinted = {name.casefold() for name in refusal.fields}
    gone = frozenset(name for name in query.names if name.casefold() in hinted)
    if not gone:
        schema = yield from describe(root, crm_object)
        gone = frozenset(query.names) - {known.name for known in schema.fields}
    if not gone or "Id" in gone:
        raise ProtocolError(
            f"Salesforce refuses a field of {crm_object.name} and does not say which: run the sync again, and check "
            "the connected user's field permissions.",
            detail=refusal.detail,
        )
    for name in sorted(gone):
        if name in query.filtered:
            raise ConfigurationError(
                f"The filter asks for the field {name} of {crm_object.name}, which is gone from Salesforce: give the "
                "permission, or change the filter."
            )
        yield Notice(message=f"The field {name} of {crm_object.name} is gone from Salesforce; left empty.", field=name)
    return query.without(gone)
