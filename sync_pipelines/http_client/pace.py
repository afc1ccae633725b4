"""How fast one connected account is asked: one pace for all sessions of this process."""

import threading
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.provider import Limits, Provider

MARGIN_SECONDS: Final = 0.05
"""Requests spread a little on the way, so a window is kept slightly longer than the vendor's."""
REMEMBERED_ACCOUNTS: Final = 10_000


class Pace:
    """Hands out times to send, so that no rolling window of the vendor's ever holds too many requests."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._windows: dict[str, list[tuple[float, int, list[float]]]] = {}
        """By family: seconds, how many may come in them, and when the newest so many come, in order."""
        for counts, seconds in ((limits.requests, limits.per.total_seconds()), (limits.per_second, 1.0)):
            for family, allowed in counts.items():
                self._windows.setdefault(family, []).append((seconds + MARGIN_SECONDS, allowed, []))
        self.slots = threading.BoundedSemaphore(limits.concurrent)
        """One is held while a request is under way, and while it waits for its place in the windows."""

    def reserve(self, family: str) -> float:
        """Take the next free place in the family's windows. Returns the seconds to wait until it comes."""
        with self._lock:
            now = self._clock()
            return self._take(family, now) - now

    def wait_for_place(self, family: str, sleep: Callable[[float], None]) -> None:
        """Take the next free place and wait for it by `sleep`, then send at once. To be called by who holds a slot.

        On a busy machine a thread wakes up late, and the vendor counts from when the request comes: so does the place.
        """
        with self._lock:
            now = self._clock()
            at = self._take(family, now)
        sleep(at - now)
        with self._lock:
            woken = self._clock()
            for _, _, taken in self._windows.get(family, []):
                if woken > at and at in taken:
                    taken.remove(at)
                    insort(taken, woken)

    def _take(self, family: str, now: float) -> float:
        at = max(now, self._held.get(family, now))
        windows = self._windows.get(family, [])
        for seconds, allowed, taken in windows:
            if len(taken) == allowed:
                at = max(at, taken[0] + seconds)
        for _, allowed, taken in windows:
            if len(taken) == allowed:
                del taken[0]
            insort(taken, at)
        return at

    def held(self, family: str) -> float:
        """Seconds for which the vendor still wants nothing of this family; 0 when it has not said so."""
        with self._lock:
            return max(0.0, self._held.get(family, 0.0) - self._clock())

    def hold(self, family: str, seconds: float) -> None:
        """The vendor said that it is too much: nobody sends to this family for so long."""
        with self._lock:
            self._held[family] = max(self._held.get(family, 0.0), self._clock() + seconds)


_paces: OrderedDict[tuple[str, str], Pace] = OrderedDict()
_paces_lock = threading.Lock()


def pace_of(provider: Provider, connection: Connection) -> Pace:
    """The pace that this connection's account shares with every other session of the process."""
    key = (provider.name, connection.account_id or f"connection {connection.id}")
    with _paces_lock:
        pace = _paces.get(key)
        if pace is None:
            pace = _paces[key] = Pace(provider.limits)
        _paces.move_to_end(key)
        while len(_paces) > REMEMBERED_ACCOUNTS:
            _paces.popitem(last=False)
        return pace
