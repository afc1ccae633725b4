"""Work of this process that nobody claimed, such as a sync at a terminal, heeds what people decide elsewhere."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy.exc import DBAPIError

from sync_pipelines.project import Project

log = logging.getLogger(__name__)

WATCH_SECONDS: Final = 5.0
"""Between two looks whether somebody wants a customer's work stopped."""


@contextmanager
def cancels_heeded(project: Project, sync: str) -> Iterator[None]:
    """Stop the customers whose work on a sync somebody cancels, from now until the end of the block."""
    since, ended = project.store.lifecycle.now(), threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            try:
                stop_cancelled(project, sync, since)
            except DBAPIError:
                # It may answer at the next look; the cancel still stands there then.
                log.warning("The store could not be asked whether somebody cancelled %s", sync, exc_info=True)

    watching = threading.Thread(target=watch, name="cancels", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def stop_cancelled(project: Project, sync: str, since: datetime) -> None:
    """Stop whom somebody wanted stopped since then, by the store's clock."""
    for customer in project.store.lifecycle.cancelled(sync, since):
        project.stops.cancel(customer)
