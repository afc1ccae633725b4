"""The files' configuration and what was made by API, together as one."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError

from sync_pipelines.config import Configuration
from sync_pipelines.config.by_api import INBOUND, ApiDocument, Documents
from sync_pipelines.model.errors import SetupError
from sync_pipelines.model.provider import Provider
from sync_pipelines.providers import provider as find_provider
from sync_pipelines.settings import Settings
from sync_pipelines.store import ApiSide, ApiSync, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """`mark`: of what the store holds; None where it could not be asked."""

    configuration: Configuration
    mark: str | None


class Together:
    """Looks into the store at its first use, and whenever it is told to. Safe to use from several threads.

    A store that is away, or that no store is set, leaves what the files declare.
    """

    def __init__(
        self, settings: Settings, in_files: Configuration, documents: Documents | None, store: Callable[[], Store]
    ) -> None:
        self.documents = documents
        self._in_files = in_files
        self._has_store = documents is not None and bool(settings.store_url.get_secret_value())
        self._store = store
        self._seen: _Seen | None = None
        self._lock = threading.Lock()

    @property
    def configuration(self) -> Configuration:
        return self._first().configuration

    @property
    def mark(self) -> str | None:
        """Of what was made by API and `configuration` is made with; None where the store could not be asked."""
        return self._first().mark

    def refresh(self) -> None:
        """See what others made, changed or deleted meanwhile: one small query where there is nothing new."""
        if not self._has_store or self.documents is None:
            return
        mark = self._store().api_syncs.mark()
        if self._seen is not None and self._seen.mark == mark:
            return
        # What is changed between these two lines is seen again, by its mark, at the next look.
        store = self._store()
        sides, closed = opened_sides(store, store.api_sides.list())
        configuration = self.documents.laid_over([*sides, *documents_of(store.api_syncs.list(INBOUND))])
        configuration = replace(configuration, sides_aside={**configuration.sides_aside, **closed})
        for sentence in told_aside(configuration):
            log.warning("%s", sentence)
        self._seen = _Seen(configuration, mark)

    def why_unknown(self, name: str) -> str:
        """Why there is no sync of this name, with those that there are."""
        if reason := self.configuration.set_aside.get(name):
            return f"The sync {name}, made by API, does not run: {reason}"
        known = ", ".join(sorted(self.configuration.syncs)) or "none"
        away = " The store does not answer, so that syncs made by API are not among them." if self._is_away else ""
        return f"There is no sync named {name}. Known are: {known}.{away}"

    @property
    def _is_away(self) -> bool:
        return self._has_store and self.mark is None

    def _first(self) -> _Seen:
        with self._lock:
            if self._seen is None:
                self._seen = _Seen(self._in_files, None)
                try:
                    self.refresh()
                except DBAPIError as problem:
                    self._seen = _Seen(self._without_store(type(problem.orig).__name__), None)
            return self._seen

    def _without_store(self, why: str) -> Configuration:
        warning = f"The store could not be asked for syncs made by API ({why}): they are not among these."
        log.warning(warning)
        return replace(self._in_files, warnings=(*self._in_files.warnings, warning))


def providers_of(configuration: Configuration) -> Mapping[str, Provider]:
    """The declaration of each provider's vendor, at its API version, under the provider's name."""
    return {
        name: replace(find_provider(config.provider_name, config.api_version), name=name)
        for name, config in configuration.providers.items()
    }


def told_aside(configuration: Configuration) -> list[str]:
    """What was made by API and cannot be beside the rest, for a person."""
    sides = [
        f"The {kind.removesuffix('s')} {name}, made by API, is not used: {reason}"
        for (kind, name), reason in configuration.sides_aside.items()
    ]
    syncs = [
        f"The sync {name}, made by API, does not run: {reason}" for name, reason in configuration.set_aside.items()
    ]
    return [*sides, *syncs]


def opened_sides(store: Store, sides: Sequence[ApiSide]) -> tuple[list[ApiDocument], dict[tuple[str, str], str]]:
    """Documents with their secrets, and why those that no key opens are none."""
    opened: list[ApiDocument] = []
    closed: dict[tuple[str, str], str] = {}
    for each in sides:
        try:
            opened.append(ApiDocument(kind=each.kind, name=each.name, value=store.api_sides.opened(each)))
        except SetupError as problem:
            closed[each.kind, each.name] = str(problem)
    return opened, closed


def documents_of(syncs: list[ApiSync]) -> list[ApiDocument]:
    return [ApiDocument(name=each.name, value=each.document) for each in syncs]
