"""Many connections and objects: bounded threads, one lease each, and a SyncRun for every one whatever happens.

One connection's failure never touches another's: each has its own session, transaction and outcome.
"""

import logging
import queue
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

from sync_pipelines.engine.inbound import Describe, Tally, Vendor, Work, sync_object
from sync_pipelines.engine.schema_policy import SchemaMemory
from sync_pipelines.engine.stopping import Stops
from sync_pipelines.logs import bound, without_known
from sync_pipelines.model.budget import Hold
from sync_pipelines.model.destination import Destination, Observer
from sync_pipelines.model.errors import GaveWay, Reauthorize, SkipObject, Stopped, SyncError, Wait
from sync_pipelines.model.run import SyncRun

log = logging.getLogger(__name__)

TOGETHER: Final = 50
"""So many outcomes are recorded at a time ..."""
TOGETHER_SECONDS: Final = 1.0
"""... or as many as there are so long after the first of them."""


class Session(Vendor, Protocol):
    """A vendor session that was opened for one connection's work."""

    @property
    def calls(self) -> int: ...

    @property
    def quota(self) -> tuple[int, int] | None: ...

    @property
    def hold(self) -> Hold | None: ...

    def close(self) -> None: ...


def _close(session: Session) -> None:
    session.close()


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the work needs from outside: how to open a session and a destination, hold a lease, report an outcome.

    `held` tells of which connections nothing may be asked now; their work is not begun.
    """

    session: Callable[[Work], Session]
    destination: Callable[[Work], Destination]
    lease: Callable[[Work], AbstractContextManager[bool]]
    describe: Callable[[Work, Session], Describe]
    observe: Observer
    stops: Stops
    held: Callable[[Work], Hold | None] = lambda work: None
    memory: Callable[[Work], SchemaMemory | None] = lambda work: None
    """What is remembered of the fields of the work's object."""
    begun: Callable[[Work], None] = lambda work: None
    """Told of each work that gets its place."""
    record: Callable[[Sequence[SyncRun]], None] | None = None
    """Stores outcomes, several at a time."""
    let_go: Callable[[Any], None] = _close
    """What becomes of a session when its work is done."""


_Ended: TypeAlias = "queue.SimpleQueue[Future[tuple[int, SyncRun]]]"


def sync_side_by_side(
    work: Sequence[Work], around: Surroundings, *, at_once: int, on_done: Callable[[SyncRun], None]
) -> list[SyncRun]:
    """Every work's outcome, in the order of the work. `on_done` is called as each one ends, from one thread.

    Where outcomes are recorded, `on_done` is told of each behind that, so that nobody hears of what is not stored.
    Accounts share the places evenly and objects take turns, so that neither a large account nor a large object keeps
    the others waiting.
    """
    if not work:
        return []
    turns = _Turns(work)
    outcomes: dict[int, SyncRun] = {}
    ended: _Ended = queue.SimpleQueue()
    unrecorded: dict[int, SyncRun] = {}

    def next_one() -> tuple[int, SyncRun]:
        with turns.one() as at, bound(**_fields(work[at])):
            around.begun(work[at])
            return at, sync_one(work[at], around)

    with ThreadPoolExecutor(max_workers=min(at_once, len(work)), thread_name_prefix="sync") as pool:
        try:
            for _ in work:
                pool.submit(next_one).add_done_callback(ended.put)
            while len(outcomes) < len(work):
                most = min(len(work) - len(outcomes), TOGETHER if around.record else 1)
                for at, run in _next_few(ended, most):
                    unrecorded[at] = run
                several, unrecorded = unrecorded, {}
                _record(list(several.values()), around)
                for at, run in several.items():
                    outcomes[at] = run
                    on_done(run)
        except BaseException:
            # The run is being ended: work that waits for its turn must not be waited for.
            around.stops.set()
            _rescue(list(unrecorded.values()), around)
            raise
    return [outcomes[at] for at in range(len(work))]


def _fields(work: Work) -> dict[str, str]:
    """Whose work it is, for every line of the log."""
    return {
        "run_id": work.run_id,
        "sync": work.sync.name,
        "object": work.declared.object,
        "provider": work.provider.name,
        "customer_id": work.connection.customer_id,
    }


def _next_few(ended: _Ended, most: int) -> Iterator[tuple[int, SyncRun]]:
    """What ends next, and what ends soon after it."""
    yield ended.get().result()
    until = time.monotonic() + TOGETHER_SECONDS
    for _ in range(most - 1):
        try:
            yield ended.get(timeout=max(0.0, until - time.monotonic())).result()
        except queue.Empty:
            return


def _record(runs: Sequence[SyncRun], around: Surroundings) -> None:
    """Of what made room before its turn there is nothing to tell."""
    told = [run for run in runs if not (run.gave_way and run.status == "skipped")]
    if told and around.record is not None:
        around.record(told)


def _rescue(runs: Sequence[SyncRun], around: Surroundings) -> None:
    """Record what ended before the run was told to end."""
    try:
        _record(runs, around)
    except SyncError as problem:
        log.warning("%d outcomes could not be recorded: %s %s", len(runs), problem, problem.detail)


class _Turns:
    """Which work comes next: the account's with the least under way, of these the object's that has begun least often.

    An account's calls are limited by its vendor, so further places help it least; and every object of a large account
    at once would leave no place to the small ones.
    """

    def __init__(self, work: Sequence[Work]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._under_way: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()
        self._waiting: dict[str, OrderedDict[int, None]] = {}
        for at, item in enumerate(work):
            self._waiting.setdefault(item.declared.object, OrderedDict())[at] = None

    @contextmanager
    def one(self) -> Iterator[int]:
        """The place of the next work, which is under way for the time of the block. As often as there is work."""
        with self._lock:
            at = min(self._candidates(), key=self._rank)
            item = self._work[at]
            del self._waiting[item.declared.object][at]
            self._begun[item.declared.object] += 1
            self._under_way[item.connection.customer_id] += 1
        try:
            yield at
        finally:
            with self._lock:
                self._under_way[item.connection.customer_id] -= 1

    def _candidates(self) -> Iterator[int]:
        """Of every object the first work of an idle account, and what stands before it: a few, however many wait."""
        for waiting in self._waiting.values():
            for at in waiting:
                yield at
                if not self._under_way[self._work[at].connection.customer_id]:
                    break

    def _rank(self, at: int) -> tuple[int, int, int]:
        item = self._work[at]
        return self._under_way[item.connection.customer_id], self._begun[item.declared.object], at


def sync_one(work: Work, around: Surroundings) -> SyncRun:
    """One connection's object under its lease. Never raises: what went wrong is in the SyncRun."""
    started, tally = datetime.now(UTC), Tally()
    if (left := _left_alone(work, around, started)) is not None:
        return left
    session: Session | None = None
    try:
        with around.lease(work) as ours:
            if not ours:
                message = "Another run is syncing this connection's object at the moment; it was not done twice."
                return _outcome(work, started, tally, "skipped", message=message)
            session = around.session(work)
            describe = around.describe(work, session)
            destination = around.destination(work)
            memory = around.memory(work)
            room = replace(work, at_checkpoint=lambda: _give_way(work, around.stops))
            sync_object(room, session, destination, tally, observe=around.observe, describe=describe, memory=memory)
        return _outcome(work, started, tally, "success", session=session)
    except SkipObject as problem:
        return _outcome(work, started, tally, "skipped", session=session, error=problem)
    except GaveWay as problem:
        gave_way = _outcome(work, started, tally, "cancelled", session=session, message=str(problem))
        return replace(gave_way, retry_at=gave_way.finished_at)
    except Stopped as problem:
        if around.stops.is_cancelled(work.connection.customer_id):
            return _outcome(work, started, tally, "cancelled", session=session, message=_CANCELLED)
        return _outcome(work, started, tally, "error", session=session, error=problem)
    except SyncError as problem:
        log.warning(
            "%s %s of %s failed (%s): %s %s",
            work.sync.name,
            work.declared.object,
            work.connection.customer_id,
            problem.error_type,
            problem,
            problem.detail,
        )
        return _outcome(work, started, tally, "error", session=session, error=problem)
    except Exception as problem:
        # A bug in one connection's path must not take the other connections of the run down with it.
        log.exception("%s %s of %s", work.sync.name, work.declared.object, work.connection.customer_id)
        bug = SyncError(f"An unexpected error ({type(problem).__name__}); its trace is in the log of this run.")
        return _outcome(work, started, tally, "error", session=session, error=bug)
    finally:
        if session is not None:
            around.let_go(session)


def _left_alone(work: Work, around: Surroundings, started: datetime) -> SyncRun | None:
    """What becomes of work that must not begin, None where it may."""
    tally = Tally()
    if work.connection.status == "expired":
        return _outcome(work, started, tally, "skipped", error=Reauthorize(_reconnect(work)))
    if around.stops.is_cancelled(work.connection.customer_id):
        return _outcome(work, started, tally, "cancelled", message=_CANCELLED)
    if around.stops.is_set():
        return _outcome(work, started, tally, "skipped", message="The run was cancelled before this connection's turn.")
    if around.stops.gives_way(work.connection.customer_id):
        return replace(_outcome(work, started, tally, "skipped", message=_NOT_ITS_TURN), retry_at=started)
    hold = around.held(work)
    if hold is not None:
        return _outcome(work, started, tally, "error", error=Wait(hold.reason, until=hold.until))
    return None


def _give_way(work: Work, stops: Stops) -> None:
    if stops.gives_way(work.connection.customer_id):
        raise GaveWay(
            "It made room for others that waited; what was stored stays, and the next run goes on from there."
        )


_NOT_ITS_TURN = "The run ended before its turn, so that others could begin; the next run does it."
_CANCELLED = "Somebody cancelled it; what was stored stays, and the next run goes on from there."


def _reconnect(work: Work) -> str:
    return (
        f"The connection of {work.connection.customer_id} to {work.provider.title} has expired: "
        "the customer must reconnect. Its work waits until then."
    )


def _outcome(
    work: Work,
    started: datetime,
    tally: Tally,
    status: str,
    *,
    session: Session | None = None,
    error: SyncError | None = None,
    message: str = "",
) -> SyncRun:
    quota = session.quota if session is not None else None
    return SyncRun(
        run_id=work.run_id,
        sync=work.sync.name,
        object=work.declared.object,
        provider=work.provider.name,
        customer_id=work.connection.customer_id,
        started_at=started,
        finished_at=datetime.now(UTC),
        status=status,
        full=tally.full,
        counts=tally.counts,
        error_type=error.error_type if error else None,
        error_message=without_known(str(error)) if error else message,
        retry_at=error.until if isinstance(error, Wait) else None,
        notices=_notices(tally),
        rejections=tuple(tally.rejections),
        vendor_calls=session.calls if session is not None else 0,
        quota={"used": quota[0], "allowed": quota[1]} if quota else {},
        account_id=tally.account_id,
        due_at=work.due_at,
        changes=tuple(tally.log.changes) if tally.log is not None else (),
        hold=session.hold if session is not None else None,
    )


def _notices(tally: Tally) -> tuple[str, ...]:
    if tally.log is None or not tally.log.left_out:
        return tuple(tally.notices)
    more = f"{tally.log.left_out:,} more records changed than the {len(tally.log.changes):,} that the record log holds."
    return (*tally.notices, more)
