"""Where changes of an object of a connection go: the syncs that copy it, and only those that may work now."""

from sync_pipelines.covering import objects_covering
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
        for sync, declared in objects_covering(project, connection.customer_id, connection.provider)
        if sync.direction == "inbound" and sync.name not in still
        if provider.find_object(declared.object).name == wanted
    ]
