"""Names that Dagster accepts, made of the names that people gave to syncs and objects."""

import re
from collections.abc import Iterable

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync

CLAIM_TAG = "sync_pipelines/claim"
SYNC_TAG = "sync_pipelines/sync"
PROVIDER_TAG = "sync_pipelines/provider"

LOCATION = "sync_pipelines"
"""Name of the code location, in every workspace that we write."""


def snake(name: str) -> str:
    """Lower snake: `EmailMessage` -> `email_message`, `Employee__c` -> `employee__c`, `2-123` -> `2_123`."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^A-Za-z0-9_]", "_", separated).lower()


def step_name(sync: str, object_name: str) -> str:
    return f"{snake(sync)}__{snake(object_name)}"


def refuse_ambiguous_names(syncs: Iterable[Sync]) -> None:
    """ConfigurationError when two (sync, object) pairs would be the same asset or step."""
    known: dict[str, str] = {}
    for sync in syncs:
        for each in sync.objects:
            spoken = f"object '{each.object}' of sync '{sync.name}'"
            other = known.setdefault(step_name(sync.name, each.object), spoken)
            if other is not spoken:
                raise ConfigurationError(f"The {spoken} and the {other} have the same asset name: rename one of them.")
