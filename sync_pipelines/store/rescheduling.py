"""When claimed work is next, by what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from sync_pipelines.store.storable import storable
from sync_pipelines.store.timetable import backoff, jitter, next_time, period, schedule_of
from sync_pipelines.store.treatment import PROBE, treatment_of

MOST_RETRIES_UNSCHEDULED = 5
"""A sync that only runs when asked gives up after so many retries; a scheduled one comes back with its schedule."""

LONGEST_MESSAGE = 1_000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one customer of a claim.

    `failed`: whether anything did; `failed_objects` are what to try again (empty means all that was claimed), and
    `error_type` and `error_message` the worst of it. `retry_at` is when the vendor wants us back: nothing of this
    connection runs before. `retry` False: trying again before the next regular time changes nothing. `partly`: other
    objects got through, so that it is no error of the connection. `undecided`: it was stopped before anybody could
    tell, so that it counts neither as a success nor as a failure.
    """

    customer_id: str
    failed: bool = False
    failed_objects: tuple[str, ...] = ()
    error_type: str | None = None
    error_message: str = ""
    retry_at: datetime | None = None
    retry: bool = True
    partly: bool = False
    undecided: bool = False


def rescheduled(row: RowMapping, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """New values of a line of the plan, as JSON can carry them. `row` is the line joined with its sync's schedule."""
    schedule = schedule_of(row, row["customer_id"])
    length = period(schedule, now)
    regular, scheduled = row["regular_at"], row["scheduled_at"]
    if scheduled is not None and scheduled <= row["claimed_at"] and row["claimed_objects"] is None:
        spread = jitter(row["sync"], row["customer_id"], schedule, length)
        # The clock of who claimed it may be ahead of ours: the same time must not come twice.
        regular = next_time(schedule, max(now, row["claimed_at"]), spread)
        scheduled = None if regular is None else regular + spread
    if outcome.retry_at is not None and scheduled is not None:
        scheduled = max(scheduled, outcome.retry_at)
    standing = _standing(row, outcome, now)
    in_error = standing["error_since"] is not None
    if in_error and scheduled is not None:
        scheduled = max(scheduled, now + max(PROBE, length or PROBE))
    retry_at = None if in_error else _retry_at(row, outcome, standing["attempts"], length, now)
    return {
        "sync": row["sync"],
        "connection_id": row["connection_id"],
        "regular_at": _text(regular),
        "scheduled_at": _text(scheduled),
        **standing,
        **_retry(row, outcome, retry_at, scheduled),
    }


def _standing(row: RowMapping, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """Failures in a row, and what the last one was."""
    kept = {name: row[name] for name in ("attempts", "error_type", "error_message")}
    kept |= {name: _text(row[name]) for name in ("failing_since", "error_since")}
    if outcome.failed:
        attempts = row["attempts"] + (outcome.error_type != "rate_limit")
        most = treatment_of(outcome.error_type).error_after
        persistent = most is not None and attempts >= most and not outcome.partly
        return {
            "attempts": attempts,
            "failing_since": kept["failing_since"] or _text(now),
            "error_since": (kept["error_since"] or _text(now)) if persistent else None,
            "error_type": outcome.error_type,
            "error_message": storable(outcome.error_message, LONGEST_MESSAGE),
        }
    # That some of its objects went well says nothing of those that wait for their retry, or that made it an error.
    partly = row["claimed_objects"] is not None and row["error_since"] is not None
    if outcome.undecided or partly or row["retry_at"] is not None:
        return kept
    return {"attempts": 0, "failing_since": None, "error_since": None, "error_type": None, "error_message": ""}


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


def _retry_at(
    row: RowMapping, outcome: Outcome, attempts: int, length: timedelta | None, now: datetime
) -> datetime | None:
    if not outcome.failed or not outcome.retry:
        return None
    if outcome.retry_at is not None:
        return max(outcome.retry_at, now)
    if length is None and attempts > MOST_RETRIES_UNSCHEDULED:
        return None
    treatment = treatment_of(outcome.error_type)
    if treatment.first is None:
        return None
    longest = treatment.longest if length is None else min(treatment.longest, max(length, treatment.first))
    return now + backoff(treatment.first, longest, attempts, row["sync"], row["customer_id"])


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
