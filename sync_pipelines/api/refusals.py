"""Deliveries that were not the vendor's: counted here and written to the store together.

Whoever sends many of them must not keep the store busy.
"""

import logging
import threading
from collections import Counter
from typing import Final

from sqlalchemy.exc import DBAPIError

from sync_pipelines.project import Project

log = logging.getLogger(__name__)

GATHERED_FOR: Final = 1.0
"""Seconds."""


class Refusals:
    """Those of this process. What it has counted is in the store about a second later."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._counted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def add(self, provider: str) -> None:
        with self._lock:
            self._counted[provider] += 1
            if self._timer is None:
                self._timer = threading.Timer(GATHERED_FOR, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """What was counted goes to the store now. While it is away the counts stay here."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        try:
            for provider in sorted(counted):
                self._project.store.vendor_events.refused(provider, counted[provider])
                counted[provider] = 0
        except DBAPIError as problem:
            log.warning("Refused deliveries could not be counted yet: %s", type(problem.orig).__name__)
            with self._lock:
                self._counted += counted
