"""What people write: providers, destinations and syncs as YAML or JSON, loaded, checked and explained."""

from sync_pipelines.config.configuration import (
    AnyDestinationConfig,
    Configuration,
    DestinationConfig,
    KeptDocument,
    ProviderConfig,
    RowLevelSecurity,
    S3DestinationConfig,
)
from sync_pipelines.config.json_schema import json_schema
from sync_pipelines.config.loading import configuration_files, load_configuration
from sync_pipelines.config.problems import ConfigurationProblems, Problem

__all__ = [
    "AnyDestinationConfig",
    "Configuration",
    "ConfigurationProblems",
    "DestinationConfig",
    "KeptDocument",
    "Problem",
    "ProviderConfig",
    "RowLevelSecurity",
    "S3DestinationConfig",
    "configuration_files",
    "json_schema",
    "load_configuration",
]
