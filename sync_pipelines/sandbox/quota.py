"""How the vendors count an account's calls of a day. Times are epoch ms of the vendors' clock."""

from collections import deque
from dataclasses import dataclass, field

from sync_pipelines.sandbox.clock import DAY_MS

BUCKET_MS = 60_000
HUBSPOT_OFFSET_MS = -18_000_000
"""Of the portals' time zone, as their account details tell it."""


@dataclass
class DailyCalls:
    """Calls of one party.

    `midnight_offset` None: those of the last 24 hours count; else those since midnight at so many ms from UTC.
    """

    midnight_offset: int | None = None
    _total: int = 0
    _minutes: deque[tuple[int, int]] = field(default_factory=deque)
    """(minute, calls), the oldest first."""

    def add(self, now: int, calls: int = 1) -> None:
        minute = now // BUCKET_MS
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1] = (minute, self._minutes[-1][1] + calls)
        else:
            self._minutes.append((minute, calls))
        self._total += calls

    def used(self, now: int) -> int:
        """How many count now."""
        begin = self._begin(now)
        while self._minutes and self._minutes[0][0] * BUCKET_MS < begin:
            self._total -= self._minutes.popleft()[1]
        return self._total

    def set(self, now: int, calls: int) -> None:
        """As if so many had been made by now."""
        self._minutes.clear()
        self._total = 0
        self.add(now, calls)

    def _begin(self, now: int) -> int:
        if self.midnight_offset is None:
            return now - DAY_MS
        return (now + self.midnight_offset) // DAY_MS * DAY_MS - self.midnight_offset


@dataclass
class CallWindow:
    """A short window that begins with its first call."""

    calls: int
    milliseconds: int
    began: int = 0
    used: int = 0

    def add(self, now: int) -> bool:
        """Count a call; whether it was one too many."""
        if not 0 <= now - self.began < self.milliseconds:
            self.began, self.used = now, 0
        self.used += 1
        return self.used > self.calls

    @property
    def left(self) -> int:
        return max(self.calls - self.used, 0)
