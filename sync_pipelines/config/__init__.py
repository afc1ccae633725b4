"""What people write: providers, destinations and syncs as YAML or JSON, loaded, checked and explained."""

from sync_pipelines.config.configuration import (
    Configuration,
    DestinationConfig,
    KeptDocument,
    ProviderConfig,
    RowLevelSecurity,
)
from sync_pipelines.config.json_schema import json_schema
from sync_pipelines.config.loading import configuration_files, load_configuration
from sync_pipelines.config.problems import ConfigurationProblems, Problem

__all__ = [
    "Configuration",
    "ConfigurationProblems",
    "DestinationConfig",
    "KeptDocument",
    "Problem",
    "ProviderConfig",
    "RowLevelSecurity",
    "configuration_files",
    "json_schema",
    "load_configuration",
]
