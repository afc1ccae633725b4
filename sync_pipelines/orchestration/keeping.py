"""How a run looks after its work: signs of life for its claim, whom somebody wants stopped, and what has ended."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from sync_pipelines.engine.inbound import Work
from sync_pipelines.heeding import stop_cancelled
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.claims import settle
from sync_pipelines.orchestration.underway import Underway
from sync_pipelines.project import Project
from sync_pipelines.store import Claim

log = logging.getLogger(__name__)

BEATS: Final = 3
"""Given for a claim while a run may be silent; it expires after twice that time."""
WATCH_SECONDS: Final = 5.0
"""How often a run looks whether somebody wants it stopped, and reports whose work has ended."""


class Keeping:
    """What one run looks after. `claim` None: a person started it, so that no claim is kept and nothing reported.

    `wanted` tells whether other runs wait for the place of this one.
    """

    def __init__(self, project: Project, sync: str, claim: str | None, wanted: Callable[[], bool]) -> None:
        self._project = project
        self._sync = sync
        self._claim = UUID(claim) if claim is not None else None
        self._began: datetime | None = None
        self._every = project.settings.silent_after_seconds / BEATS
        self._beat_at = time.monotonic()
        self._held: tuple[Sync, Claim, Underway] | None = None
        self._reported = False
        self._wanted = wanted

    def begin(self, sync: Sync) -> Claim | None:
        """The work begins: the claim as far as it is still held, of which is reported from now on what ends."""
        if self._claim is None:
            self._began = self._project.store.lifecycle.now()
        # Who was cancelled while the run waited for its turn must not begin.
        self._heed_cancels()
        claim = self._project.store.due.get(self._claim) if self._claim is not None else None
        if claim is not None:
            self._held = sync, claim, Underway(sync, claim)
        return claim

    def took_up(self, work: Work) -> None:
        """An object of a customer has got its place."""
        if self._held is not None:
            self._held[-1].begin(work.connection.customer_id, work.declared.object)

    def take(self, run: SyncRun) -> None:
        """An object of a customer has ended, and that is recorded."""
        if self._held is not None:
            self._held[-1].take(run)

    def look(self) -> None:
        """Heed cancels, keep the claim, report what has ended, make room: a few small statements for the whole run."""
        self._heed_cancels()
        if self._claim is not None and time.monotonic() >= self._beat_at:
            working = self._held[-1].at_work() if self._held is not None else ()
            self._project.store.due.heartbeat([self._claim], working=working)
            self._beat_at = time.monotonic() + self._every
        self.report()
        self._make_room()

    def _heed_cancels(self) -> None:
        """Stop whom somebody wanted stopped since the work was claimed, or began where nobody claimed it."""
        if self._claim is not None:
            for customer in self._project.store.lifecycle.cancelled_of(self._claim):
                self._project.stops.cancel(customer)
        elif self._began is not None:
            stop_cancelled(self._project, self._sync, self._began)

    def _make_room(self) -> None:
        """Long work ends at its next checkpoint where others wait: customers of this run, or other runs."""
        if self._held is None:
            return
        underway, seconds = self._held[-1], self._project.settings.give_way_after_seconds
        if underway.lasts(seconds):
            for customer in underway.too_long(seconds, wanted=self._wanted()):
                self._project.stops.give_way(customer)

    def report(self) -> None:
        """Close the claim for those whose claimed objects have all ended: they can be claimed again while others work.

        Not while the run is being ended: who ends it decides whether its work comes back.
        """
        if self._held is None or self._project.stops.is_set():
            return
        sync, claim, underway = self._held
        if ended := underway.ended():
            runs = [run for each in ended.values() for run in each]
            settle(self._project.store, sync, claim, list(ended), runs)
            underway.told(ended)
            self._reported = True

    def overtaken(self, finished: Sequence[SyncRun]) -> frozenset[str]:
        """Customers of these outcomes, of one object, whose work another run has done since: they show what it came to.

        Nobody before the first report, which is where a run that ends soon is spared the question.
        """
        if not self._reported:
            return frozenset()
        return frozenset(customer for _, customer in self._project.store.runs.overtaken(finished))


@contextmanager
def kept(
    project: Project, sync: str, claim: str | None, *, wanted: Callable[[], bool] = lambda: False
) -> Iterator[Keeping]:
    """Keep the claim (if there is one) from expiring, stop whom somebody wants stopped, report whose work has ended.

    While we work, or wait for the worker that does. `wanted`: whether other runs wait for a place.
    """
    keeping, ended = Keeping(project, sync, claim, wanted), threading.Event()

    def watch() -> None:
        while not ended.wait(WATCH_SECONDS):
            try:
                keeping.look()
            except Exception:
                # The store may be back for the next look; a claim that expires meanwhile costs a second look, no data.
                log.warning("The store could not be asked about the work on %s", sync, exc_info=True)

    watching = threading.Thread(target=watch, name="watch", daemon=True)
    watching.start()
    try:
        yield keeping
    finally:
        ended.set()
        watching.join()
    try:
        keeping.report()
    except Exception:
        # The sensor closes what is left of the claim when it sees that the run has ended.
        log.warning("The store could not be told what ended of %s", sync, exc_info=True)
