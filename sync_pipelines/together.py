"""The files' configuration and the syncs made by API, together as one."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError

from sync_pipelines.config import Configuration
from sync_pipelines.config.by_api import INBOUND, ApiDocument, Documents
from sync_pipelines.settings import Settings
from sync_pipelines.store import ApiSync, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """`mark`: of the syncs in the store; None where it could not be asked."""

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
        """Of the syncs made by API that `configuration` is made with; None where the store could not be asked."""
        return self._first().mark

    def refresh(self) -> None:
        """See what others made, changed or deleted meanwhile: one small query where there is nothing new."""
        if not self._has_store or self.documents is None:
            return
        mark = self._store().api_syncs.mark()
        if self._seen is not None and self._seen.mark == mark:
            return
        # What is changed between these two lines is seen again, by its mark, at the next look.
        documents = documents_of(self._store().api_syncs.list(INBOUND))
        configuration = self.documents.with_syncs(documents)
        for name, reason in configuration.set_aside.items():
            log.warning("The sync %s, made by API, does not run: %s", name, reason)
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


def documents_of(syncs: list[ApiSync]) -> list[ApiDocument]:
    return [ApiDocument(name=each.name, value=each.document) for each in syncs]
