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
FIRST_BACKOFF = timedelta(seconds=60)
LONGEST_BACKOFF = timedelta(hours=1)


def schedule_of(row: RowMapping | Mapping[str, Any]) -> Schedule:
    """The schedule as a row of the `planned` table holds it."""
    every = None if row["every_seconds"] is None else timedelta(seconds=row["every_seconds"])
    return Schedule(every=every, cron=row["cron"], timezone=row["timezone"])


def period(schedule: Schedule, at: datetime) -> timedelta | None:
    """Time between two runs around `at`; None for a schedule that only runs when asked."""
    if schedule.every is not None:
        return max(schedule.every, MINIMUM_INTERVAL)
    if schedule.cron is not None:
        first = _fire_after(schedule.cron, schedule.timezone, _minute(at))
        return _fire_after(schedule.cron, schedule.timezone, first) - first
    return None


def jitter(sync: str, customer_id: str, length: timedelta | None) -> timedelta:
    """A customer's own part of the spread, always the same: less than a tenth of the period and than a minute."""
    if length is None:
        return timedelta(0)
    digest = hashlib.blake2s(f"{sync}\0{customer_id}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    return share * min(length / 10, LARGEST_JITTER)


def next_time(schedule: Schedule, last: datetime, now: datetime, spread: timedelta) -> datetime | None:
    """The schedule's next time after `last` whose spread time is still to come; missed ones are not made up for.

    The answer is without the spread: the work is due at `next_time(...) + spread`.
    """
    after = max(last, now - spread)
    if schedule.every is not None:
        every = max(schedule.every, MINIMUM_INTERVAL)
        return last + every * ((after - last) // every + 1)
    if schedule.cron is not None:
        return _fire_after(schedule.cron, schedule.timezone, _minute(after))
    return None


def backoff(attempts: int, length: timedelta | None) -> timedelta:
    """How long to wait after so many failures in a row: a minute, doubled each time, at most the period or an hour."""
    longest = min(length or LONGEST_BACKOFF, LONGEST_BACKOFF)
    doublings: int = min(max(attempts, 1) - 1, 10)
    return min(FIRST_BACKOFF * 2.0**doublings, longest)


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
