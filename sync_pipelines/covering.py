"""Which syncs and objects cover a customer. What is told to one customer or done for it goes by this, and by nothing
else: what covers others is not there for it."""

from dataclasses import replace

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import SchemaField
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.vendor_names import vendors_name

Covered = list[tuple[Sync, SyncObject]]


def syncs_covering(project: Project, customer_id: str, provider: str) -> list[Sync]:
    """By name."""
    syncs = project.configuration.syncs.values()
    found = [sync for sync in syncs if sync.provider == provider and sync.covers(customer_id)]
    return sorted(found, key=lambda sync: sync.name)


def objects_covering(project: Project, customer_id: str, provider: str) -> Covered:
    """By the sync's name, and in its order."""
    syncs = syncs_covering(project, customer_id, provider)
    return [(sync, declared) for sync in syncs for declared in sync.objects_of(customer_id)]


def declared_for(sync: Sync, customer_id: str, object_name: str) -> SyncObject:
    """The sync's object as `Project.declared`, if it is among those of the customer. ConfigurationError otherwise."""
    objects = sync.objects_of(customer_id)
    for declared in objects:
        if declared.object.casefold() == object_name.casefold():
            return declared
    known = ", ".join(each.object for each in objects)
    raise ConfigurationError(f"The sync {sync.name} has no object {object_name} for {customer_id}. It has: {known}.")


def mappable_objects(project: Project, customer_id: str, provider: str, object_name: str | None = None) -> Covered:
    """Where the customer has a custom schema to map onto: in any object, or in the one of this name.

    The name may be any that the vendor's object has.
    ConfigurationError when nowhere.
    """
    wanted = None if object_name is None else _same(project, provider, object_name)
    found = [
        (sync, declared)
        for sync, declared in objects_covering(project, customer_id, provider)
        if declared.custom_schema is not None and wanted in (None, _same(project, provider, declared.object))
    ]
    if not found:
        what = "an object" if object_name is None else f"an object {object_name}"
        raise ConfigurationError(f"No sync of {provider} has {what} with a custom_schema that {customer_id} maps onto.")
    return found


def mapped_together(project: Project, found: Covered) -> list[SyncObject]:
    """Of all that is found, one object for each of the vendor's, with the fields of all its custom schemas.

    A mapping is for all of them. A field that several have is the one that is not locked, of the first such sync.
    """
    by_object: dict[str, list[SyncObject]] = {}
    for sync, declared in found:
        by_object.setdefault(_same(project, sync.provider, declared.object), []).append(declared)
    return [_together(several) for several in by_object.values()]


def _together(several: list[SyncObject]) -> SyncObject:
    schemas = [each.custom_schema for each in several if each.custom_schema is not None]
    fields: dict[str, SchemaField] = {}
    for field in sorted((field for schema in schemas for field in schema.fields), key=lambda field: field.locked):
        known = fields.setdefault(field.name, field)
        fields[field.name] = replace(known, required=known.required or field.required)
    order = dict.fromkeys(field.name for schema in schemas for field in schema.fields)
    more = any(schema.allow_additional_fields for schema in schemas)
    whole = replace(schemas[0], fields=tuple(fields[name] for name in order), allow_additional_fields=more)
    return replace(several[0], custom_schema=whole)


def _same(project: Project, provider: str, object_name: str) -> str:
    return vendors_name(project.providers, provider, object_name).casefold()
