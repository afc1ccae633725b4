"""When claimed work is next, by what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping

from sync_pipelines.store.storable import storable
from sync_pipelines.store.timetable import backoff, jitter, next_time, period, schedule_of
from sync_pipelines.store.treatment import Treatment, treatment_of

LONGEST_MESSAGE = 1_000

_STANDING = ("attempts", "failing_since", "nothing_since", "error_since", "error_type", "error_message")
_NO_FAILURE: Mapping[str, Any] = {**dict.fromkeys(_STANDING), "attempts": 0, "error_message": ""}


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
    if outcome.failed and row["mended_at"] is not None:
        return _mended(row, outcome, now)
    schedule = schedule_of(row, row["customer_id"])
    length = period(schedule, now)
    standing = _standing(row, outcome, length, now)
    in_error = standing["error_since"] is not None
    regular, scheduled = row["regular_at"], row["scheduled_at"]
    was_regular = scheduled is not None and scheduled <= row["claimed_at"] and row["claimed_objects"] is None
    if was_regular or (row["error_since"] is not None and not in_error):
        spread = jitter(row["sync"], row["customer_id"], schedule, length)
        # The clock of who claimed it may be ahead of ours: the same time must not come twice.
        regular = next_time(schedule, max(now, row["claimed_at"]), spread)
        scheduled = None if regular is None else regular + spread
    if in_error and scheduled is not None:
        scheduled = _probe(row, outcome, standing["attempts"], scheduled, now)
    elif outcome.retry_at is not None and scheduled is not None:
        scheduled = max(scheduled, outcome.retry_at)
    retry_at = _retry_at(row, outcome, standing, length, now)
    return {
        "sync": row["sync"],
        "connection_id": row["connection_id"],
        "regular_at": _text(regular),
        "scheduled_at": _text(scheduled),
        **{name: _text(value) if isinstance(value, datetime) else value for name, value in standing.items()},
        **_retry(row, outcome, scheduled if in_error and retry_at is not None else retry_at, scheduled),
    }


def _mended(row: RowMapping, outcome: Outcome, now: datetime) -> dict[str, Any]:
    """What may have mended the failure came while it was at work: due at once, as if it had never failed."""
    at = max(now, outcome.retry_at or now)
    scheduled = None if row["scheduled_at"] is None else at
    # Whether a retry would have helped was said of what there was before.
    asked = row["claimed_full"] or row["retry_full"] or scheduled is None
    return {
        "sync": row["sync"],
        "connection_id": row["connection_id"],
        "regular_at": _text(row["regular_at"]),
        "scheduled_at": _text(scheduled),
        **_NO_FAILURE,
        **_retry(row, outcome, at if asked else None, scheduled),
    }


def _standing(row: RowMapping, outcome: Outcome, length: timedelta | None, now: datetime) -> dict[str, Any]:
    """Failures in a row, what the last one was, and since when nothing got through."""
    kept = {name: row[name] for name in _STANDING}
    if outcome.failed:
        counts = outcome.error_type != "rate_limit"
        # A retry of what failed says nothing of the objects that got through before it.
        tells = row["claimed_objects"] is None or row["attempts"] == 0
        nothing_since = row["nothing_since"] or (now if counts and tells else None)
        failing = {
            "attempts": row["attempts"] + counts,
            "failing_since": kept["failing_since"] or now,
            "nothing_since": None if outcome.partly else nothing_since,
            "error_type": outcome.error_type,
            "error_message": storable(outcome.error_message, LONGEST_MESSAGE),
        }
        return {**failing, "error_since": (kept["error_since"] or now) if _is_error(failing, length, now) else None}
    if outcome.undecided:
        return kept
    if row["retry_at"] is not None:
        # That some of its objects went well says nothing of those that wait for their retry.
        return {**kept, "nothing_since": None, "error_since": None}
    return dict(_NO_FAILURE)


def _is_error(failing: dict[str, Any], length: timedelta | None, now: datetime) -> bool:
    treatment = treatment_of(failing["error_type"])
    if failing["nothing_since"] is None or treatment.error_after is None:
        return False
    # Where nobody will try it again, giving up is the error.
    return _lasts(failing, treatment, failing["nothing_since"], now) or (length is None and treatment.first is None)


def _lasts(failing: dict[str, Any], treatment: Treatment, since: datetime, now: datetime) -> bool:
    most = treatment.error_after
    return most is not None and failing["attempts"] >= most and now - since >= treatment.lasting


def _probe(row: RowMapping, outcome: Outcome, attempts: int, scheduled: datetime, now: datetime) -> datetime:
    """When a scheduled sync's work in the error state is looked at again, all of its objects.

    What waits for a person is not looked at more often than it would be without being in error.
    """
    treatment = treatment_of(outcome.error_type if outcome.failed else row["error_type"])
    wait = backoff(treatment.probe, treatment.probe, attempts, row["sync"], row["customer_id"])
    at = max(now + wait, scheduled) if treatment.first is None else now + wait
    return at if outcome.retry_at is None else max(at, outcome.retry_at)


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
    row: RowMapping, outcome: Outcome, standing: dict[str, Any], length: timedelta | None, now: datetime
) -> datetime | None:
    if not outcome.failed or not outcome.retry:
        return None
    if outcome.retry_at is not None:
        return max(outcome.retry_at, now)
    treatment = treatment_of(outcome.error_type)
    if treatment.first is None:
        return None
    since = standing["nothing_since"] or standing["failing_since"]
    if length is None and _lasts(standing, treatment, since, now):
        return None  # A sync that only runs when asked gives up; a scheduled one comes back.
    longest = treatment.longest if length is None else min(treatment.longest, max(length, treatment.first))
    return now + backoff(treatment.first, longest, standing["attempts"], row["sync"], row["customer_id"])


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
