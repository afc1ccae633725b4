"""Custom schemas: what customers map onto, and who has mapped what. They are parts of syncs, and change with them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, JsonValue

from sync_pipelines.api.access import Caller, MappingsReader, TheProject
from sync_pipelines.api.known_syncs import SyncId, covers
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import Shape
from sync_pipelines.api.words import ObjectName, Text
from sync_pipelines.config.rules import written_rule
from sync_pipelines.model.mapping import CustomSchema, Mapping
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project

router = APIRouter(prefix="/custom-schemas", tags=["mappings"])
TheObject = Annotated[ObjectName, Path(description="The object, as the sync names it", examples=["contact"])]


class CustomFieldShape(Shape):
    """A field that customers map onto."""

    name: str = Field(examples=["tier"])
    type: str = Field(examples=["text"])
    required: bool
    description: str
    locked: bool = Field(description="Customers cannot map it otherwise")
    default: JsonValue = Field(description="The developer's own rule for this provider", examples=["Tier__c"])
    mapped: int | None = Field(None, description="How many customers have a rule of their own; null in lists")


class CustomSchemaShape(Shape):
    """A custom schema, as it is now. One of a file is changed there, one of a sync made by API with that sync."""

    sync: str = Field(examples=["crm"])
    object: str = Field(examples=["contact"])
    provider: str = Field(examples=["salesforce"])
    origin: Literal["file", "api"]
    version: int = Field(description="As the developer counts it")
    allow_additional_fields: bool
    fields: list[CustomFieldShape]


class MappedByShape(Shape):
    """A customer whom the sync covers, and what of the schema it has mapped. `version` 0: nothing."""

    customer_id: str
    version: int
    saved_at: datetime | None
    mapped: list[str] = Field(description="Fields with a rule of the customer")
    unmapped: list[str] = Field(description="Fields without any rule, except an equal name in the account")
    required: list[str] = Field(description="Those of `unmapped` that must be filled before anything is synced")


@router.get("", responses=answers())
def list_custom_schemas(
    project: TheProject,
    caller: MappingsReader,
    provider: Annotated[Text | None, Query()] = None,
    object: Annotated[ObjectName | None, Query()] = None,
    sync: Annotated[Text | None, Query()] = None,
) -> Listed[CustomSchemaShape]:
    """All custom schemas, by sync and object."""
    items = [
        _shape(project, each, declared, schema)
        for each, declared, schema in _schemas(project, caller)
        if provider in (None, each.provider) and sync in (None, each.name)
        if object is None or object.casefold() == declared.object.casefold()
    ]
    return Listed(items=items)


@router.get("/{id}/{object}", responses=answers(404))
def get_custom_schema(id: SyncId, object: TheObject, project: TheProject, caller: MappingsReader) -> CustomSchemaShape:
    """One custom schema, and how many customers have mapped each field."""
    sync, declared, schema = _found(project, caller, id, object)
    counted = project.store.mappings.counted(sync.provider, declared.object, _covered(sync, caller))
    shape = _shape(project, sync, declared, schema)
    for field in shape.fields:
        field.mapped = counted.get(field.name, 0)
    return shape


@router.get("/{id}/{object}/customers", responses=answers(404))
def list_mapped_by(
    id: SyncId,
    object: TheObject,
    project: TheProject,
    caller: MappingsReader,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[MappedByShape]:
    """Who maps it: the connected customers of the sync, by id."""
    sync, declared, schema = _found(project, caller, id, object)
    key = position(cursor, str)
    found = project.store.connections.customers_of(
        sync.provider, _covered(sync, caller), after=None if key is None else str(key[0]), limit=limit + 1
    )
    shown, following = page(found, limit, lambda each: (each,))
    known = project.store.mappings.current_of(sync.provider, [declared.object], shown)
    items = [_mapped_by(each, known.get((each, declared.object)), schema, sync.provider) for each in shown]
    return Listed(items=items, next_cursor=following)


def _schemas(project: Project, caller: Caller) -> Iterator[tuple[Sync, SyncObject, CustomSchema]]:
    for name in sorted(project.configuration.syncs):
        sync = project.configuration.syncs[name]
        if covers(sync, caller):
            objects = sync.objects if caller.customer_id is None else sync.objects_of(caller.customer_id)
            for declared in objects:
                if declared.custom_schema is not None:
                    yield sync, declared, declared.custom_schema


def _found(project: Project, caller: Caller, sync: str, object_name: str) -> tuple[Sync, SyncObject, CustomSchema]:
    for each in _schemas(project, caller):
        if each[0].name == sync and each[1].object.casefold() == object_name.casefold():
            return each
    raise not_found(f"There is no sync {sync} whose object {object_name} has a custom schema.")


def _covered(sync: Sync, caller: Caller) -> list[str] | None:
    """The customers to look at; None for all that are connected."""
    if caller.customer_id is not None:
        return [caller.customer_id]
    return list(sync.customers) or None


def _shape(project: Project, sync: Sync, declared: SyncObject, schema: CustomSchema) -> CustomSchemaShape:
    return CustomSchemaShape(
        sync=sync.name,
        object=declared.object,
        provider=sync.provider,
        origin="api" if sync.name in project.configuration.by_api else "file",
        version=schema.version,
        allow_additional_fields=schema.allow_additional_fields,
        fields=[
            CustomFieldShape(
                name=each.name,
                type=each.type,
                required=each.required,
                description=each.description,
                locked=each.locked,
                default=written_rule(rule) if (rule := each.sources.get(sync.provider)) else None,
            )
            for each in schema.fields
        ],
    )


def _mapped_by(customer_id: str, mapping: Mapping | None, schema: CustomSchema, provider: str) -> MappedByShape:
    own = mapping.fields if mapping else {}
    unmapped = [each for each in schema.fields if each.name not in own and provider not in each.sources]
    return MappedByShape(
        customer_id=customer_id,
        version=mapping.version if mapping else 0,
        saved_at=mapping.saved_at if mapping else None,
        mapped=[each.name for each in schema.fields if each.name in own],
        unmapped=[each.name for each in unmapped],
        required=[each.name for each in unmapped if each.required],
    )
