"""What names of objects in a configuration mean to the vendors. A mapping is for an object of the vendor, however syncs
spell it."""

from collections.abc import Mapping

from sync_pipelines.config import Configuration
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import Provider
from sync_pipelines.model.sync import Sync, SyncObject


def vendors_name(providers: Mapping[str, Provider], provider: str, object_name: str) -> str:
    """The vendor's own name of an object; the name as it is where the provider is not known or has no such object."""
    try:
        return providers[provider].find_object(object_name).name
    except (KeyError, ConfigurationError):
        return object_name


def fields_elsewhere(
    configuration: Configuration, providers: Mapping[str, Provider], sync: Sync, declared: SyncObject
) -> frozenset[str]:
    """Fields that custom schemas of other syncs have for the same object of the vendor."""
    wanted = vendors_name(providers, sync.provider, declared.object)
    return frozenset(
        field.name
        for other in configuration.syncs.values()
        if other.provider == sync.provider and other.name != sync.name
        for item in other.objects
        if item.custom_schema is not None and vendors_name(providers, sync.provider, item.object) == wanted
        for field in item.custom_schema.fields
    )
