"""What is due, put together into as few claims as possible: each claim becomes a run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import RowMapping


@dataclass(frozen=True, order=True)
class DueKind:
    """What a line of the plan asks for; lines of one kind fit one claim. `objects` empty means all of them.

    `kind`: asked, retry, schedule, or again (a claim that nobody finished).
    """

    sync: str
    kind: str
    objects: tuple[str, ...]
    full: bool

    @property
    def is_ordinary_retry(self) -> bool:
        return self.kind == "retry" and not self.full


def grouped(rows: Sequence[RowMapping], now: datetime, batch: int) -> Iterator[tuple[DueKind, list[int]]]:
    """Lines of the plan as kinds of work with ids of connections, at most `batch` of these at a time."""
    works = sorted(_joined([(_kind_of(row, now), row["connection_id"]) for row in rows]))
    for kind, group in groupby(works, key=lambda each: each[0]):
        ids = [connection_id for _, connection_id in group]
        for start in range(0, len(ids), batch):
            yield kind, ids[start : start + batch]


def _kind_of(row: RowMapping | Mapping[str, Any], now: datetime) -> DueKind:
    def is_due(name: str) -> bool:
        return row[name] is not None and row[name] <= now

    if row["claim_id"] is not None:
        return DueKind(row["sync"], "again", tuple(row["claimed_objects"] or ()), row["claimed_full"])
    if is_due("asked_at"):
        return DueKind(row["sync"], "asked", tuple(row["asked_objects"] or ()), row["asked_full"])
    retry = DueKind(row["sync"], "retry", tuple(row["retry_objects"] or ()), row["retry_full"])
    # A regular run does the work of an ordinary retry too, but not that of a full one.
    if is_due("scheduled_at") and not (is_due("retry_at") and row["retry_full"]):
        return DueKind(row["sync"], "schedule", (), False)
    return retry


def _joined(works: Sequence[tuple[DueKind, int]]) -> Iterable[tuple[DueKind, int]]:
    """Ordinary retries of a sync join its regular work, or else each other's: a claim, not each of them, costs a run.

    Each line of the claim keeps the objects that are its own to try again.
    """
    regular = {kind.sync for kind, _ in works if kind.kind == "schedule"}
    retried = {kind for kind, _ in works if kind.is_ordinary_retry}
    for kind, connection_id in works:
        if not kind.is_ordinary_retry:
            yield kind, connection_id
        elif kind.sync in regular:
            yield DueKind(kind.sync, "schedule", (), False), connection_id
        else:
            yield replace(kind, objects=_all_of(one for one in retried if one.sync == kind.sync)), connection_id


def _all_of(kinds: Iterable[DueKind]) -> tuple[str, ...]:
    named = [kind.objects for kind in kinds]
    return tuple(sorted({name for objects in named for name in objects})) if all(named) else ()
