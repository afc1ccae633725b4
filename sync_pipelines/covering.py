"""Which syncs and objects cover a customer. What is told to one customer or done for it goes by this, and by nothing
else: what covers others is not there for it."""

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project

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

    ConfigurationError when nowhere.
    """
    wanted = None if object_name is None else object_name.casefold()
    found = [
        (sync, declared)
        for sync, declared in objects_covering(project, customer_id, provider)
        if declared.custom_schema is not None and wanted in (None, declared.object.casefold())
    ]
    if not found:
        what = "an object" if object_name is None else f"an object {object_name}"
        raise ConfigurationError(f"No sync of {provider} has {what} with a custom_schema that {customer_id} maps onto.")
    return found
