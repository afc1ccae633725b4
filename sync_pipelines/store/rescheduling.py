"""When claimed work is next, by what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from sync_pipelines.store.timetable import backoff, jitter, next_time, period, schedule_of

MOST_RETRIES_UNSCHEDULED = 5
"""A sync that only runs when asked gives up after so many retries; a scheduled one comes back with its schedule."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one customer of a claim.

    `failed`: whether anything did; `failed_objects` are what to try again (empty means all that was claimed).
    `retry_at` is when the vendor wants us back: nothing of this connection runs before. `retry` False: trying again
    before the next regular time changes nothing.
    """

    customer_id: str
    failed: bool = False
    failed_objects: tuple[str, ...] = ()
    retry_at: datetime | None = None
    retry: bool = True


def rescheduled(row: RowMapping, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """New values of a line of the plan, as JSON can carry them. `row` is the line joined with its sync's schedule."""
    schedule = schedule_of(row)
    length = period(schedule, now)
    regular, scheduled = row["regular_at"], row["scheduled_at"]
    if scheduled is not None and scheduled <= row["claimed_at"] and row["claimed_objects"] is None:
        spread = jitter(row["sync"], row["customer_id"], length)
        regular = next_time(schedule, regular, now, spread)
        scheduled = None if regular is None else regular + spread
    if outcome.retry_at is not None and scheduled is not None:
        scheduled = max(scheduled, outcome.retry_at)
    attempts = row["attempts"] + 1 if outcome.failed else 0
    return {
        "sync": row["sync"],
        "connection_id": row["connection_id"],
        "regular_at": _text(regular),
        "scheduled_at": _text(scheduled),
        "attempts": attempts,
        **_retry(row, outcome, _retry_at(outcome, attempts, length, now), scheduled),
    }


def _retry(row: RowMapping, outcome: Outcome, retry_at: datetime | None, scheduled: datetime | None) -> dict[str, Any]:
    """What is to be tried again and when, together with what waited for its retry already."""
    waiting = {"objects": row["retry_objects"], "full": row["retry_full"], "at": row["retry_at"]}
    if retry_at is None:
        return {
            "retry_at": _text(waiting["at"]),
            "retry_objects": waiting["objects"],
            "retry_full": waiting["full"],
        }
    full = row["claimed_full"] or waiting["full"]
    if scheduled is not None and retry_at >= scheduled and not full:
        # The regular run comes first and does this work too.
        return {"retry_at": None, "retry_objects": None, "retry_full": False}
    objects = list(outcome.failed_objects) or row["claimed_objects"]
    if waiting["at"] is not None:
        objects = None if objects is None or waiting["objects"] is None else sorted({*objects, *waiting["objects"]})
    return {"retry_at": _text(retry_at), "retry_objects": objects, "retry_full": full}


def _retry_at(outcome: Outcome, attempts: int, length: timedelta | None, now: datetime) -> datetime | None:
    if not outcome.failed or not outcome.retry:
        return None
    if outcome.retry_at is not None:
        return max(outcome.retry_at, now)
    if length is None and attempts > MOST_RETRIES_UNSCHEDULED:
        return None
    return now + backoff(attempts, length)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
