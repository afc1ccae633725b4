"""How fast one connected account is asked: one pace for all sessions of this process."""

import threading
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from sync_pipelines.http_client.budget import AccountBudget
from sync_pipelines.model.budget import Window, spendable
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.provider import Limits, Provider

MARGIN_SECONDS: Final = 0.05
"""Requests spread a little on the way, so a window is kept slightly longer than the vendor's."""
REMEMBERED_ACCOUNTS: Final = 10_000


@dataclass
class _Places:
    """The newest `allowed` times of a window of so many seconds, in order."""

    seconds: float
    allowed: int
    taken: list[float] = field(default_factory=list)

    def next_one(self) -> float:
        """When there is room again; long ago while there is."""
        return self.taken[-self.allowed] + self.seconds if len(self.taken) >= self.allowed else 0.0

    def take(self, at: float) -> None:
        insort(self.taken, at)
        del self.taken[: max(0, len(self.taken) - self.allowed)]


class Pace:
    """Hands out times to send, so that no rolling window of the vendor's ever holds too many requests.

    `reserve` is the share of a window that is left to others, where the vendor tells how full the window is.
    `budget` is the account's over the day.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic, reserve: float = 0.0) -> None:
        self._clock = clock
        self._reserve = reserve
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._held: dict[str, float] = {}
        self._windows: dict[str, list[_Places]] = {}
        for counts, seconds in ((limits.requests, limits.per.total_seconds()), (limits.per_second, 1.0)):
            for family, allowed in counts.items():
                self._windows.setdefault(family, []).append(_Places(seconds + MARGIN_SECONDS, allowed))
        self.slots = threading.BoundedSemaphore(limits.concurrent)
        """One is held while a request is under way."""
        self.budget = AccountBudget()

    def reserve(self, family: str) -> float:
        """Take the next free place in the family's windows. Returns the seconds to wait until it comes."""
        with self._lock:
            now = self._clock()
            return self._take(family, now) - now

    @contextmanager
    def turn(self, family: str, sleep: Callable[[float], None], admit: Callable[[], None]) -> Iterator[None]:
        """The next free place of the family and a slot: in the block a request is sent at once.

        Of each family one request at a time waits for its place, by `sleep`, and it holds no slot meanwhile, so that
        other families go on. `admit` is asked before, and raises where waiting is of no use.
        """
        with ExitStack() as slot:
            with self._gate(family):
                admit()
                self.wait_for_place(family, sleep, lambda: slot.enter_context(self.slots))
            yield

    def wait_for_place(
        self, family: str, sleep: Callable[[float], None], then: Callable[[], object] = lambda: None
    ) -> None:
        """Take the next free place and wait for it by `sleep`, and after it for what `then` waits for.

        On a busy machine a thread wakes up late, and the vendor counts from when the request comes: so does the place.
        """
        with self._lock:
            now = self._clock()
            at = self._take(family, now)
        sleep(at - now)
        then()
        with self._lock:
            woken = self._clock()
            for places in self._windows.get(family, []):
                if woken > at and at in places.taken:
                    places.taken.remove(at)
                    insort(places.taken, woken)

    def _gate(self, family: str) -> threading.Lock:
        with self._lock:
            return self._gates.setdefault(family, threading.Lock())

    def _take(self, family: str, now: float) -> float:
        windows = self._windows.get(family, [])
        at = max(now, self._held.get(family, now), *(places.next_one() for places in windows))
        for places in windows:
            places.take(at)
        return at

    def held(self, family: str) -> float:
        """Seconds for which the vendor still wants nothing of this family; 0 when it has not said so."""
        with self._lock:
            return max(0.0, self._held.get(family, 0.0) - self._clock())

    def hold(self, family: str, seconds: float) -> None:
        """The vendor said that it is too much: nobody sends to this family for so long."""
        with self._lock:
            self._held[family] = max(self._held.get(family, 0.0), self._clock() + seconds)

    def heed(self, family: str, window: Window) -> None:
        """Keep to the window as the vendor tells it, and leave its reserve alone until it is over.

        Others who share the window show in what is left of it: other processes, and the customer's own apps.
        """
        ours = max(1, spendable(window.most, self._reserve))
        with self._lock:
            for places in self._windows.get(family, [])[:1]:
                places.seconds, places.allowed = window.seconds + MARGIN_SECONDS, ours
        if window.left < window.most - ours:
            self.hold(family, window.seconds)


_paces: OrderedDict[tuple[str, str], Pace] = OrderedDict()
_paces_lock = threading.Lock()


def pace_of(provider: Provider, connection: Connection, reserve: float = 0.0) -> Pace:
    """The pace that this connection's account shares with every other session of the process.

    An account that is connected under two providers of one vendor has one pace, with the first one's `reserve`.
    """
    key = (provider.vendor, connection.account_id or f"connection {connection.id}")
    with _paces_lock:
        pace = _paces.get(key)
        if pace is None:
            pace = _paces[key] = Pace(provider.limits, reserve=reserve)
            pace.budget = AccountBudget(provider.title, reserve, provider.quota)
        _paces.move_to_end(key)
        while len(_paces) > REMEMBERED_ACCOUNTS:
            _paces.popitem(last=False)
        return pace
