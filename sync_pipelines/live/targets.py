"""Where changes of an object of a connection go: the syncs that copy it, and only those that may work now."""

from collections.abc import Sequence

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project


def targets_of(project: Project, connection: Connection, object_name: str) -> list[tuple[Sync, SyncObject]]:
    """Syncs that neither stand still nor leave this customer out, with what each calls the object.

    `object_name`: any name of it. What a sync that stands still does not get now, its next run reads.
    """
    provider = project.providers.get(connection.provider)
    if provider is None:
        return []
    try:
        wanted = provider.find_object(object_name).name
    except ConfigurationError:
        return []
    still = project.store.lifecycle.standing_still(connection.id)
    return [
        (sync, declared)
        for sync in project.configuration.syncs.values()
        if sync.provider == connection.provider and sync.direction == "inbound" and sync.name not in still
        if not sync.customers or connection.customer_id in sync.customers
        for declared in _objects(sync, connection.customer_id)
        if provider.find_object(declared.object).name == wanted
    ]


def _objects(sync: Sync, customer_id: str) -> Sequence[SyncObject]:
    return sync.objects_of(customer_id)
