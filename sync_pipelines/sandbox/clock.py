"""The vendors' clock: real time moved by an offset, or standing still. Times inside the sandbox are epoch ms, UTC."""

import time
from datetime import UTC, date, datetime
from email.utils import formatdate
from functools import lru_cache

DAY_MS = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Clock:
    """Real time plus `offset` (ms), unless frozen."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self._frozen_at: int | None = None

    @classmethod
    def beginning_at(cls, epoch: int) -> "Clock":
        """One that shows `epoch` now and goes on from there."""
        return cls(epoch - _real_ms())

    def now(self) -> int:
        return _real_ms() + self.offset if self._frozen_at is None else self._frozen_at

    def advance(self, milliseconds: int) -> None:
        """Move by so much, backwards when negative."""
        if self._frozen_at is None:
            self.offset += milliseconds
        else:
            self._frozen_at += milliseconds

    def set(self, moment: int) -> None:
        self.advance(moment - self.now())

    def freeze(self) -> None:
        self._frozen_at = self.now()

    def thaw(self) -> None:
        if self._frozen_at is not None:
            moment, self._frozen_at = self._frozen_at, None
            self.offset = moment - _real_ms()

    @property
    def frozen(self) -> bool:
        return self._frozen_at is not None


def _real_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(moment: int) -> str:
    """2026-05-01T07:25:37.123Z, as HubSpot writes it."""
    seconds, milliseconds = divmod(moment, 1000)
    return f"{_calendar(seconds)}.{milliseconds:03d}Z"


def salesforce_iso(moment: int) -> str:
    """2026-05-01T07:25:37.000+0000, as Salesforce's REST answers write it: whole seconds."""
    return f"{_calendar(moment // 1000)}.000+0000"


def soql_iso(moment: int) -> str:
    """2026-05-01T07:25:37.000Z, as SOQL and Bulk results write it."""
    return f"{_calendar(moment // 1000)}.000Z"


def day(moment: int) -> str:
    return _calendar(moment // 1000)[:10]


def http_date(moment: int) -> str:
    return formatdate(moment / 1000, usegmt=True)


def parse(text: str) -> int:
    """Epoch ms of an ISO 8601 text or of a number written as text. ValueError when it is neither."""
    if text.lstrip("-").isdigit():
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _calendar(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_date(days)}T{hour:02d}:{minute:02d}:{second:02d}"


@lru_cache(maxsize=8192)
def _date(days: int) -> str:
    return date.fromordinal(_EPOCH_DAY + days).isoformat()
