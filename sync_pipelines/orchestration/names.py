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


def step_name(sync: str) -> str:
    """The op that syncs a sync's objects, under which run config stands. No job of ours begins like it."""
    return f"objects_of_{snake(sync)}"


def refuse_ambiguous_names(syncs: Iterable[Sync]) -> None:
    """ConfigurationError when two syncs would be the same group and step, or two objects the same asset."""
    known: dict[tuple[str, ...], str] = {}
    for sync in syncs:
        _refuse_second(known, (snake(sync.name),), f"sync '{sync.name}'")
        for each in sync.objects:
            name = (snake(sync.name), snake(each.object))
            _refuse_second(known, name, f"object '{each.object}' of sync '{sync.name}'")


def _refuse_second(known: dict[tuple[str, ...], str], name: tuple[str, ...], spoken: str) -> None:
    other = known.setdefault(name, spoken)
    if other is not spoken:
        raise ConfigurationError(f"The {spoken} and the {other} have the same asset name: rename one of them.")
