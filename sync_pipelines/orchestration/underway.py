"""What of a claim's work has ended, while the rest of it is still at work."""

import threading
from collections.abc import Callable, Iterable, Sequence

from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync
from sync_pipelines.store import Claim


class Underway:
    """The claimed objects of each customer. One thread takes what ended, another asks for it."""

    def __init__(self, sync: Sync, claim: Claim) -> None:
        of_customer = objects_claimed(sync, claim)
        self._lock = threading.Lock()
        self._open = {customer: set(of_customer(customer)) for customer in claim.customers}
        self._runs: dict[str, list[SyncRun]] = {customer: [] for customer in claim.customers}

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
                del self._open[customer], self._runs[customer]


def objects_claimed(sync: Sync, claim: Claim) -> Callable[[str], Sequence[str]]:
    """Which objects a claim is for, by customer."""

    def of_customer(customer: str) -> Sequence[str]:
        own = [declared.object for declared in sync.objects_of(customer)]
        return [name for name in own if claim.is_for(customer, name)]

    return of_customer
