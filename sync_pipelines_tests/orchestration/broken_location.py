"""A code location whose configuration is broken."""

from sync_pipelines.model.errors import ConfigurationError

raise ConfigurationError("syncs/crm.yaml:7: objects[0].object: no such object; did you mean contact?")
