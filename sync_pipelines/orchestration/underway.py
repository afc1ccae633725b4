"""What of a claim's work has begun and what has ended, while the rest of it waits or is at work."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync
from sync_pipelines.store import Claim


class Underway:
    """The claimed objects of each customer. Some threads tell what they begin, one what has ended, another one asks."""

    def __init__(self, sync: Sync, claim: Claim, now: Callable[[], float] = time.monotonic) -> None:
        of_customer = objects_claimed(sync, claim)
        self._now = now
        self._lock = threading.Lock()
        self._waiting = {customer: set(of_customer(customer)) for customer in claim.customers}
        self._open = {customer: set(objects) for customer, objects in self._waiting.items()}
        self._runs: dict[str, list[SyncRun]] = {customer: [] for customer in claim.customers}
        self._began = now()
        self._begun: dict[str, float] = {}

    def begin(self, customer: str, object_name: str) -> None:
        """An object of a customer has got its place."""
        with self._lock:
            if customer in self._waiting:
                self._waiting[customer].discard(object_name)
                self._begun.setdefault(customer, self._now())

    def take(self, run: SyncRun) -> None:
        """One object of a customer has ended, and that is recorded."""
        with self._lock:
            if run.customer_id in self._open:
                self._open[run.customer_id].discard(run.object)
                self._runs[run.customer_id].append(run)

    def ended(self) -> dict[str, list[SyncRun]]:
        """Customers all of whose objects have ended and of whom nobody was told yet, with what these came to."""
        with self._lock:
            return {who: runs.copy() for who, runs in self._runs.items() if runs and not self._open[who]}

    def told(self, customers: Iterable[str]) -> None:
        """Forget them: their work is no longer this run's."""
        with self._lock:
            for customer in customers:
                del self._open[customer], self._runs[customer], self._waiting[customer]
                self._begun.pop(customer, None)

    def at_work(self) -> list[str]:
        """Customers of whom something has begun and not all has ended."""
        with self._lock:
            return list(self._begun)

    def lasts(self, seconds: float) -> bool:
        """Whether the work began so long ago, and some of it has not ended."""
        with self._lock:
            return bool(self._open) and self._now() - self._began >= seconds

    def too_long(self, seconds: float, *, wanted: bool) -> Collection[str]:
        """Who of a run that `lasts` makes room: those at work for so long while others of the run wait for a place.

        `wanted`: other runs wait for the place of this one. Then also those go who have not begun.
        """
        with self._lock:
            now = self._now()
            late = {who for who, since in self._begun.items() if now - since >= seconds}
            if wanted:
                return late | (self._open.keys() - self._begun.keys())
            return {who for who in late if any(self._waiting[other] for other in self._waiting.keys() - {who})}


def objects_claimed(sync: Sync, claim: Claim) -> Callable[[str], Sequence[str]]:
    """Which objects a claim is for, by customer."""

    def of_customer(customer: str) -> Sequence[str]:
        own = [declared.object for declared in sync.objects_of(customer)]
        return [name for name in own if claim.is_for(customer, name)]

    return of_customer
