"""Counts on both sides, and what a difference means.

Records change while one counts, so a first difference means nothing: what is new is synced, and both sides are counted
again. What then still differs by more than changed lately is a gap. Nothing is locked, and nothing but an ordinary
sync writes.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from sync_pipelines.engine.beginning import overlap_of
from sync_pipelines.engine.filtering import resolve
from sync_pipelines.engine.inbound import Work
from sync_pipelines.engine.layout import plan_fields, table_of
from sync_pipelines.engine.selecting import shares
from sync_pipelines.engine.side_by_side import Session
from sync_pipelines.model.budget import Hold
from sync_pipelines.model.completeness import COMPLETE, GAP, UNKNOWN, Comparison, Stock
from sync_pipelines.model.destination import Destination
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.filter import KEEP, Filter, moves
from sync_pipelines.model.provider import ObjectSchema
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import APPEND, SyncObject

log = logging.getLogger(__name__)

Counted: TypeAlias = Stock | SyncError

_CHANGES_UNTOLD = "The two differ, and the vendor does not tell what changed meanwhile; look again."
_MOVING = (
    "The two differ by no more than changed in the last minutes ({moving:,}), so that it cannot be told; look again "
    "when the account is quieter."
)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What counting needs from outside.

    `sync` does works as ordinary runs, one outcome for each. `rejected`: how many records of each work were rejected
    since its last full read began, that one's own among them. `held` tells of which connections nothing may be asked
    now. `spent` is told of every session when its work is done, from several threads.
    """

    session: Callable[[Work], Session]
    destination: Callable[[Work], Destination]
    sync: Callable[[Sequence[Work]], Sequence[SyncRun]]
    rejected: Callable[[Sequence[Work]], Sequence[int]]
    at_once: int
    held: Callable[[Work], Hold | None]
    spent: Callable[[Work, Session], None]


def compare_side_by_side(work: Sequence[Work], around: Surroundings) -> list[Comparison]:
    """A Comparison for each work, in its order. One connection's failure never touches another's."""
    found = _each(work, _stocks(work, around), _first_look, around)
    again = [at for at, comparison in enumerate(found) if comparison.status == GAP]
    if not again:
        return found
    differing = [work[at] for at in again]
    runs = dict(zip(again, around.sync(differing), strict=True))
    settled = [at for at in again if runs[at].status == "success"]
    for at in set(again) - set(settled):
        found[at] = _told(work[at], UNKNOWN, found[at].source, found[at].destination, _unsynced(runs[at]))
    chosen = [work[at] for at in settled]
    seconds = _each(chosen, _stocks(chosen, around), compare, around)
    rejected = around.rejected(chosen) if chosen else ()
    for at, comparison, refused in zip(settled, seconds, rejected, strict=True):
        found[at] = explained(comparison, refused)
    return found


def compare(work: Work, stock: Stock, vendor: Session) -> Comparison:
    """Count at the vendor, after what was new has been synced, and judge the difference by what changed lately."""
    source = _count(work, vendor)
    if stock.read_until is None:
        return _told(work, UNKNOWN, source, stock.live, "It has not been read to its end yet.")
    if _is_enough(work, source, stock.live):
        return _complete(work, source, stock.live)
    changed = _changed(work, vendor, stock.read_until - overlap_of(work))
    if changed is None:
        return _told(work, UNKNOWN, source, stock.live, _CHANGES_UNTOLD)
    # What the vendor's index does not show yet has changed lately in the destination.
    moving = changed + stock.lately
    if abs(source - stock.live) <= moving:
        return _told(work, UNKNOWN, source, stock.live, _MOVING.format(moving=moving))
    return _told(work, GAP, source, stock.live, _gap(source, stock.live))


def explained(comparison: Comparison, rejected: int) -> Comparison:
    """The same, but records that were rejected are no gap."""
    missing = -(comparison.difference or 0)
    if comparison.status != GAP or not 0 < missing <= rejected:
        return comparison
    message = f"{missing:,} fewer rows, which is explained by {rejected:,} rejected records: see `sync-pipelines runs`."
    return replace(comparison, status=COMPLETE, message=message)


class _IncomparableError(Exception):
    """The vendor cannot count what the sync selects; the text says why."""


def _first_look(work: Work, stock: Stock, vendor: Session) -> Comparison:
    if stock.read_until is None:
        return _told(work, UNKNOWN, None, stock.live, "It has not been synced to its end yet.")
    source = _count(work, vendor)
    if _is_enough(work, source, stock.live):
        return _complete(work, source, stock.live)
    return _told(work, GAP, source, stock.live)


def _is_enough(work: Work, source: int, live: int) -> bool:
    """In append mode rows outlive their records."""
    return source == live or (work.sync.mode == APPEND and source < live)


def _complete(work: Work, source: int, live: int) -> Comparison:
    more = f"{live - source:,} rows are of records that are gone, which append keeps." if source < live else ""
    return _told(work, COMPLETE, source, live, more)


def _count(work: Work, vendor: Session) -> int:
    assert work.provider.count is not None
    where = _counted(work, vendor)
    flow = work.provider.count(work.crm_object) if where is None else work.provider.count(work.crm_object, where)
    found: int = vendor.ask(flow)
    return found


def _counted(work: Work, vendor: Session) -> Filter | None:
    """The filter by which the vendor counts. _IncomparableError where it can apply a part of it only."""
    if work.declared.filter is None:
        return None
    schema: ObjectSchema = vendor.ask(work.provider.describe(work.crm_object))
    plan = plan_fields(work.declared, work.crm_object, schema, work.provider.name, work.mapping)
    where = resolve(work.declared.filter, work.crm_object, schema, vendor.vendor_now(), plan.custom)
    part = work.provider.pushed(work.crm_object, where)
    if part != where:
        left = "; ".join(text for text, pushed in shares(where, part) if not pushed)
        raise _IncomparableError(
            f"{work.provider.title} cannot count by its filter ({left}): the two cannot be compared."
        )
    return where


def _changed(work: Work, vendor: Session, since: datetime) -> int | None:
    if work.provider.changed is None:
        return None
    found: int | None = vendor.ask(work.provider.changed(work.crm_object, since))
    return found


def _each(
    work: Sequence[Work],
    stocks: Sequence[Counted],
    look: Callable[[Work, Stock, Session], Comparison],
    around: Surroundings,
) -> list[Comparison]:
    """Look at each side by side; an error is an unknown with its reason."""

    def one(item: Work, stock: Counted) -> Comparison:
        if refusal := _refusal(item):
            return _told(item, UNKNOWN, None, None, refusal, countable=False)
        if reason := _not_now(item, around):
            return _told(item, UNKNOWN, None, None, reason)
        live = stock.live if isinstance(stock, Stock) else None
        try:
            if isinstance(stock, SyncError):
                raise stock
            with closing(around.session(item)) as session:
                try:
                    return look(item, stock, session)
                finally:
                    around.spent(item, session)
        except _IncomparableError as problem:
            return _told(item, UNKNOWN, None, live, str(problem), countable=False)
        except SyncError as problem:
            return _told(item, UNKNOWN, None, live, f"It could not be counted ({problem.error_type}): {problem}")
        except Exception as problem:
            # A bug in one connection's path must not take the others down with it.
            log.exception("%s %s of %s", item.sync.name, item.declared.object, item.connection.customer_id)
            return _told(item, UNKNOWN, None, live, f"An unexpected error ({type(problem).__name__}); see the log.")

    if not work:
        return []
    with ThreadPoolExecutor(max_workers=min(around.at_once, len(work)), thread_name_prefix="count") as pool:
        return list(pool.map(one, work, stocks))


def _not_now(work: Work, around: Surroundings) -> str:
    """Why nothing may be asked of this account at present; empty when it may."""
    if work.connection.status == "expired":
        return f"The connection to {work.provider.title} has expired: the customer must reconnect."
    hold = around.held(work)
    return f"The account rests until {hold.until:%Y-%m-%d %H:%M} UTC: {hold.reason}" if hold is not None else ""


def _refusal(work: Work) -> str:
    """Why it cannot be counted at any time; empty when it can."""
    if work.declared.is_associations:
        return "Associations are not counted: no vendor tells how many there are."
    if work.provider.count is None:
        return f"{work.provider.title} cannot count its records."
    return _beyond_counting(work.declared)


def _beyond_counting(declared: SyncObject) -> str:
    """Why what the sync selects is not what a count at the vendor finds; empty when it is."""
    if declared.history is not None:
        return "Its history brings a part of the records only, which no count at the vendor tells."
    if declared.filter is None:
        return ""
    if declared.leaving == KEEP:
        return "Rows of records that left the filter are kept, so there may be more than the filter finds."
    if moves(declared.filter):
        return "Records leave its filter as time passes, which the next full read notices."
    return ""


def _stocks(work: Sequence[Work], around: Surroundings) -> list[Counted]:
    """What the destination holds of each work: one question for all that share a table, however many customers."""
    places: dict[tuple[Hashable, ...], list[int]] = defaultdict(list)
    destinations: dict[int, Destination] = {}
    found: dict[int, Counted] = {}
    for at, item in enumerate(work):
        try:
            destinations[at] = around.destination(item)
        except SyncError as problem:
            found[at] = problem
        else:
            places[destinations[at].where, item.sync.name, item.declared.object].append(at)
    for members in places.values():
        item = work[members[0]]
        table = table_of(item.sync, item.declared, item.crm_object)
        counted: Iterable[Counted]
        try:
            scopes = [work[at].scope for at in members]
            counted = destinations[members[0]].stocks(scopes, table, overlap_of(item))
        except SyncError as problem:
            counted = [problem] * len(members)
        found.update(zip(members, counted, strict=True))
    return [found[at] for at in range(len(work))]


def _unsynced(run: SyncRun) -> str:
    return f"The two differ, and what is new could not be synced first: {run.error_message}"


def _gap(source: int, destination: int) -> str:
    missing = source - destination
    if missing > 0:
        return f"{missing:,} records of the account are not in the destination."
    return f"{-missing:,} rows of the destination are no records of the account any more."


def _told(
    work: Work,
    status: str,
    source: int | None,
    destination: int | None,
    message: str = "",
    *,
    countable: bool = True,
) -> Comparison:
    return Comparison(
        sync=work.sync.name,
        object=work.declared.object,
        customer_id=work.connection.customer_id,
        connection_id=work.connection.id,
        checked_at=datetime.now(UTC),
        status=status,
        source=source,
        destination=destination,
        message=message,
        countable=countable,
    )
