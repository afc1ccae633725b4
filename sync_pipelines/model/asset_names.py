"""Names that Dagster accepts, made of the names that people gave to syncs and objects."""

import re
from collections.abc import Iterable, Iterator

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync


def snake(name: str) -> str:
    """Lower snake: `EmailMessage` -> `email_message`, `Employee__c` -> `employee__c`, `2-123` -> `2_123`."""
    separated = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^A-Za-z0-9_]", "_", separated).lower()


def refuse_ambiguous_names(syncs: Iterable[Sync]) -> None:
    """ConfigurationError when two syncs would be the same group and step, or two objects the same asset."""
    for _, message in ambiguous_names(syncs):
        raise ConfigurationError(message)


def ambiguous_names(syncs: Iterable[Sync]) -> Iterator[tuple[str, str]]:
    """(the later sync's name, what is wrong) for each name that was taken by an earlier one."""
    known: dict[tuple[str, ...], str] = {}
    for sync in syncs:
        spoken: dict[tuple[str, ...], str] = {(snake(sync.name),): f"sync '{sync.name}'"}
        for each in sync.objects:
            name: tuple[str, ...] = (snake(sync.name), snake(each.object))
            if name in spoken:
                yield sync.name, _same(f"object '{each.object}' of sync '{sync.name}'", spoken[name])
            spoken[name] = f"object '{each.object}' of sync '{sync.name}'"
        for name, text in spoken.items():
            other = known.setdefault(name, text)
            if other is not text:
                yield sync.name, _same(text, other)


def _same(spoken: str, other: str) -> str:
    return f"The {spoken} and the {other} have the same asset name: rename one of them."
