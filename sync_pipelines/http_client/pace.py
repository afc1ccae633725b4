"""How fast one connected account is asked: one pace for all sessions of this process."""

import threading
import time
from collections import OrderedDict, deque
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
        self._windows: dict[str, list[tuple[float, deque[float]]]] = {}
        for counts, seconds in ((limits.requests, limits.per.total_seconds()), (limits.per_second, 1.0)):
            for family, allowed in counts.items():
                window: deque[float] = deque(maxlen=allowed)
                self._windows.setdefault(family, []).append((seconds + MARGIN_SECONDS, window))
        self.slots = threading.BoundedSemaphore(limits.concurrent)
        """One is held while a request is under way."""

    def reserve(self, family: str) -> float:
        """Take the next free place in the family's windows. Returns the seconds to wait until it comes."""
        with self._lock:
            now = self._clock()
            at = max(now, self._held.get(family, now))
            windows = self._windows.get(family, [])
            for seconds, sent in windows:
                if len(sent) == sent.maxlen:
                    at = max(at, sent[0] + seconds)
            for _, sent in windows:
                sent.append(at)
            return at - now

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
