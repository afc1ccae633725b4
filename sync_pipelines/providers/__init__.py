"""The vendors we know: one line each."""

from collections.abc import Callable, Mapping
from typing import Final

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import Provider
from sync_pipelines.providers.hubspot import hubspot
from sync_pipelines.providers.salesforce import salesforce

_MAKERS: Final[Mapping[str, Callable[..., Provider]]] = {"hubspot": hubspot, "salesforce": salesforce}

PROVIDERS: Final[Mapping[str, Provider]] = {name: make() for name, make in _MAKERS.items()}


def provider(name: str, api_version: str | None = None) -> Provider:
    """The provider by its name, at another API version if one is given. ConfigurationError names the known ones."""
    if name not in PROVIDERS:
        raise ConfigurationError(f"There is no provider {name!r}: choose one of {', '.join(sorted(PROVIDERS))}.")
    return PROVIDERS[name] if api_version is None else _MAKERS[name](api_version)
