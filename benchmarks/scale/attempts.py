"""What the store recorded of the measured time: lateness, idle attempts, and whose failures were whose."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, Final

import psycopg

from benchmarks.scale.accounts import customer_of, vendor_of
from benchmarks.scale.faults import ERROR_TYPES

Due = Mapping[str, datetime]
"""By customer, when its work was due in the measured time. Every customer has one sync."""

_ATTEMPTS: Final = """
    SELECT customer_id, object, started_at, due_at, status, error_type, created + updated + deleted AS changed,
        vendor_calls
    FROM runs WHERE started_at >= %s ORDER BY started_at
"""


@dataclass(frozen=True)
class Attempt:
    """One object of one customer, once."""

    customer: str
    object: str
    started_at: datetime
    due_at: datetime | None
    status: str
    error_type: str | None
    changed: int
    calls: int

    @property
    def is_idle(self) -> bool:
        return self.status == "success" and not self.changed


def attempts_since(database: psycopg.Connection[Any], began: datetime) -> list[Attempt]:
    return [Attempt(*row) for row in database.execute(_ATTEMPTS, [began])]


def lateness(attempts: Sequence[Attempt], due: Due, objects: int, ended: datetime) -> list[float]:
    """Seconds from when work was due until it began, ascending: for every attempt that was due in the measured time.

    What never began counts as late as it is by `ended`, once for each object that is missing.
    """
    late, begun = [], defaultdict(set)
    first = min(due.values(), default=ended)
    for one in attempts:
        if one.due_at is not None and one.due_at >= first:
            late.append((one.started_at - one.due_at).total_seconds())
        if one.customer in due and one.started_at >= due[one.customer]:
            begun[one.customer].add(one.object)
    for customer, moment in due.items():
        if moment < ended:
            late += [(ended - moment).total_seconds()] * max(0, objects - len(begun[customer]))
    return sorted(late)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed; 0 of nothing."""
    return ascending[max(0, ceil(len(ascending) * share) - 1)] if ascending else 0.0


@dataclass(frozen=True)
class Attribution:
    """`attributed`: accounts whose recorded errors are exactly of the type that was injected. `wrong` and `others` in
    words: injected accounts without or with other errors, and accounts that had errors of their own."""

    attributed: int
    wrong: Sequence[str]
    others: Sequence[str]


def attribution(attempts: Sequence[Attempt], injected: Mapping[int, str]) -> Attribution:
    """Compare the errors recorded with the failures injected, account by account."""
    recorded: dict[str, set[str]] = defaultdict(set)
    for one in attempts:
        if one.error_type is not None or one.status == "error":
            recorded[one.customer].add(one.error_type or "none")
    wrong = []
    for number, kind in injected.items():
        found = recorded.pop(customer_of(number), set())
        if found != {ERROR_TYPES[kind]}:
            wrong.append(f"{customer_of(number)} ({vendor_of(number)}, {kind}): {sorted(found) or 'no error'}")
    others = [f"{customer}: {sorted(types)}" for customer, types in sorted(recorded.items())]
    return Attribution(len(injected) - len(wrong), wrong, others)


def per_day(grown_mb: float, seconds: float) -> float:
    """Growth in the measured time as megabytes a day."""
    return grown_mb * 86_400 / seconds


def per_attempt_ms(cpu: Mapping[str, float], attempts: int, without: Collection[str] = ()) -> float:
    """Milliseconds of CPU of all kinds of process but some, divided by all attempts."""
    return sum(seconds for kind, seconds in cpu.items() if kind not in without) * 1000 / max(1, attempts)
