"""When a sync is next: arithmetic on schedules, without a clock and without a database."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from sqlalchemy import RowMapping

from sync_pipelines.model.sync import MINIMUM_INTERVAL, Schedule

LARGEST_JITTER = timedelta(seconds=60)
_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday: intervals of whole weeks begin with one."""


def schedule_of(row: RowMapping | Mapping[str, Any], customer_id: str | None = None) -> Schedule:
    """The schedule as a row of the `planned` table holds it, of one customer where it has one of its own."""
    written = row["own_schedules"].get(customer_id) or row
    every, spread = written["every_seconds"], written["spread_seconds"]
    return Schedule(
        every=None if every is None else timedelta(seconds=every),
        cron=written["cron"],
        timezone=written["timezone"],
        spread=None if spread is None else timedelta(seconds=spread),
    )


def written(schedule: Schedule) -> dict[str, Any]:
    """The schedule as the `planned` table holds it."""
    every, spread = schedule.every, schedule.spread
    return {
        "every_seconds": None if every is None else int(max(every, MINIMUM_INTERVAL).total_seconds()),
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "spread_seconds": None if spread is None else int(spread.total_seconds()),
    }


def period(schedule: Schedule, at: datetime) -> timedelta | None:
    """Time between two runs around `at`; None for a schedule that only runs when asked."""
    if schedule.every is not None:
        return max(schedule.every, MINIMUM_INTERVAL)
    if schedule.cron is not None:
        first = _fire_after(schedule.cron, schedule.timezone, _minute(at))
        return _fire_after(schedule.cron, schedule.timezone, first) - first
    return None


def longest_period(schedule: Schedule) -> timedelta | None:
    """The longest time that passes between two runs, nights and weekends of a cron line included; None: it runs only
    when asked."""
    if schedule.cron is not None:
        return _longest_between(schedule.cron, schedule.timezone)
    return period(schedule, _EPOCH)


def jitter(sync: str, customer_id: str, schedule: Schedule, length: timedelta | None) -> timedelta:
    """A customer's own place in the spread, always the same.

    `length` is the schedule's period. Customers of an interval are spread over all of it: ten thousand that were
    connected in one minute do not come in one minute ever after.
    """
    if length is None:
        return timedelta(0)
    widest = length if schedule.every is not None else min(length / 10, LARGEST_JITTER)
    if schedule.spread is not None:
        widest = min(schedule.spread, length)
    return _share(sync, customer_id) * widest


def next_time(schedule: Schedule, now: datetime, spread: timedelta) -> datetime | None:
    """The schedule's next time whose spread time is still to come; missed ones are not made up for.

    The answer is without the spread: the work is due at `next_time(...) + spread`. Intervals are counted from a fixed
    moment, so that they neither drift nor depend on when a customer was connected.
    """
    after = now - spread
    if schedule.every is not None:
        every = max(schedule.every, MINIMUM_INTERVAL)
        return _EPOCH + every * ((after - _EPOCH) // every + 1)
    if schedule.cron is not None:
        return _fire_after(schedule.cron, schedule.timezone, _minute(after))
    return None


def backoff(first: timedelta, longest: timedelta, attempts: int, *parts: str) -> timedelta:
    """How long to wait after so many failures in a row: `first`, doubled each time, at most `longest`.

    The last quarter of it is spread by `parts`, so that what failed together does not come back together.
    """
    doublings: int = min(max(attempts, 1) - 1, 20)
    whole = min(first * 2.0**doublings, longest)
    return whole * (0.75 + 0.25 * _share(*parts, str(attempts)))


_A_FRIDAY = _EPOCH - timedelta(days=3)
_LONGER_THAN_A_MONTH = timedelta(days=35)
_MOST_FIRES = 5_000
"""More than there are from the Friday to Monday evening of a line that fires every minute."""


@lru_cache(maxsize=256)
def _longest_between(cron: str, timezone: str) -> timedelta:
    """Looks at a weekend and a month, or at two fires that are further apart."""
    fires = croniter(cron, _A_FRIDAY.astimezone(ZoneInfo(timezone)))
    before: datetime = fires.get_next(datetime).astimezone(UTC)
    longest, until = timedelta(0), before + _LONGER_THAN_A_MONTH
    for _ in range(_MOST_FIRES):
        fire: datetime = fires.get_next(datetime).astimezone(UTC)
        longest, before = max(longest, fire - before), fire
        if fire >= until:
            break
    return longest


def _share(*parts: str) -> float:
    """A number from 0 to below 1, always the same for the same parts."""
    written = "\0".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2s(written, digest_size=8).digest(), "big") / 2**64


def _minute(moment: datetime) -> datetime:
    """Cron counts minutes, so that all moments of one have the same next fire."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


@lru_cache(maxsize=1024)
def _fire_after(cron: str, timezone: str, minute: datetime) -> datetime:
    """The first fire after a whole minute, UTC.

    When clocks go forward, a time that does not exist fires as soon as it would have passed. When they go back, a line
    with fixed hours fires once; one that counts every hour (`*` or `*/n`) goes on firing by the hour.
    """
    zone = ZoneInfo(timezone)
    hours = cron.split()[1]
    fires = croniter(cron, minute.astimezone(zone))
    while True:
        fire: datetime = fires.get_next(datetime).astimezone(zone)
        if not fire.fold or hours.startswith("*"):
            return fire.astimezone(UTC)
