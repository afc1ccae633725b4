"""How many calls a vendor lets a connected account make, and which of them are ours."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How a vendor counts an account's calls of a day.

    `rolling`: those of the last 24 hours, at any time; else those since midnight where the account lives. `pause` is
    how long to stay away when nothing is left and nobody told when calls are free again. `always_told`: every answer
    tells the count, so that it is worth waiting for the first one.
    """

    rolling: bool = True
    always_told: bool = False
    pause: timedelta = timedelta(minutes=20)


@dataclass(frozen=True, kw_only=True)
class Window:
    """What an answer tells of the vendor's short window: `left` of `most` calls in `seconds`."""

    left: int
    most: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Hold:
    """No call of the account before `until` (UTC). `reason` is a sentence for the user that says what to do."""

    until: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """An account's budget as it was seen once: `used` of `allowed` calls by the vendor's count."""

    seen_at: datetime
    used: int
    allowed: int


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is known of a connection's account. `used` and `allowed` None: its vendor tells no quota.

    `calls` are ours of the last 24 hours. `runs_out_at`: when everything but the reserve will be used at the present
    rate; None if that is not before the vendor's period ends.
    """

    used: int | None = None
    allowed: int | None = None
    seen_at: datetime | None = None
    held_until: datetime | None = None
    held_reason: str = ""
    calls: int = 0
    runs_out_at: datetime | None = None


def spendable(allowed: int, reserve: float) -> int:
    """Calls that are ours to make when a share of `reserve` is left to others. The reserve is rounded up."""
    # Rounded before, since 0.07 * 100 is a little more than 7.
    return allowed - math.ceil(round(allowed * reserve, 6))


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a configured provider says about budgets: whose API it is, how it counts, which share is left to others."""

    vendor: str
    quota: Quota
    reserve: float


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What one batch of work learnt of a connection's budget: `calls` that it made, and the vendor's newest count.

    `at` is when the work ended. `used` and `allowed` None: the vendor did not tell.
    """

    connection_id: int
    at: datetime
    calls: int
    used: int | None = None
    allowed: int | None = None
    hold: Hold | None = None
