"""When a delivery is tried again."""

from datetime import datetime, timedelta
from typing import Final

DELAYS: Final = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Before each attempt, counted from the one before: the schedule that Standard Webhooks advises, 10 attempts in 75.6
hours."""

SPREAD: Final = 0.1
"""The share of a delay that is added by chance at most, so that what failed together does not come back together."""

LONGEST_ASKED: Final = timedelta(hours=24)
"""A receiver's own Retry-After counts up to this."""

_SHORTEST_HOLD: Final = timedelta(seconds=5)
_LONGEST_HOLD: Final = timedelta(minutes=5)


def next_attempt(attempts: int, now: datetime, chance: float, asked: timedelta | None = None) -> datetime | None:
    """After so many failed attempts; None when they were enough. `chance`: 0 to 1. `asked`: not before, the receiver
    says."""
    if attempts >= len(DELAYS):
        return None
    delay = DELAYS[attempts] * (1 + SPREAD * chance)
    return now + max(delay, min(asked or timedelta(0), LONGEST_ASKED))


def hold(failures: int, now: datetime, asked: timedelta | None = None) -> datetime:
    """Until when nothing at all is sent to an endpoint that failed so many times in a row, this one included."""
    doubled = 1 << min(failures - 1, 10)
    wait = min(_SHORTEST_HOLD * doubled, _LONGEST_HOLD)
    return now + max(wait, min(asked or timedelta(0), LONGEST_ASKED))
