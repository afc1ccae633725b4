"""Many connections and objects: bounded threads, one lease each, and a SyncRun for every one whatever happens.

One connection's failure never touches another's: each has its own session, transaction and outcome.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sync_pipelines.engine.inbound import Describe, Tally, Vendor, Work, sync_object
from sync_pipelines.model.destination import Destination, Observer
from sync_pipelines.model.errors import Reauthorize, SkipObject, SyncError, Wait
from sync_pipelines.model.run import SyncRun

log = logging.getLogger(__name__)


class Session(Vendor, Protocol):
    """A vendor session that was opened for one connection's work."""

    @property
    def calls(self) -> int: ...

    @property
    def quota(self) -> tuple[int, int] | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the work needs from outside: how to open a session and a destination, hold a lease, report an outcome."""

    session: Callable[[Work], Session]
    destination: Callable[[Work], Destination]
    lease: Callable[[Work], AbstractContextManager[bool]]
    describe: Callable[[Work, Session], Describe]
    observe: Observer
    stop: threading.Event


def sync_side_by_side(
    work: Sequence[Work], around: Surroundings, *, at_once: int, on_done: Callable[[SyncRun], None]
) -> list[SyncRun]:
    """Every work's outcome, in the order of the work. `on_done` is called as each one ends, from one thread.

    Objects take turns: of each one the first connection begins before any one's second.
    """
    if not work:
        return []
    outcomes: dict[int, SyncRun] = {}
    with ThreadPoolExecutor(max_workers=min(at_once, len(work)), thread_name_prefix="sync") as pool:
        waiting = {pool.submit(sync_one, work[at], around): at for at in _in_turns(work)}
        try:
            for future in as_completed(waiting):
                run = future.result()
                outcomes[waiting[future]] = run
                on_done(run)
        except BaseException:
            # The run is being ended: work that waits for its turn must not be waited for.
            around.stop.set()
            raise
    return [outcomes[at] for at in range(len(work))]


def _in_turns(work: Sequence[Work]) -> list[int]:
    begun: Counter[str] = Counter()
    turns = []
    for item in work:
        turns.append(begun[item.declared.object])
        begun[item.declared.object] += 1
    return sorted(range(len(work)), key=turns.__getitem__)


def sync_one(work: Work, around: Surroundings) -> SyncRun:
    """One connection's object under its lease. Never raises: what went wrong is in the SyncRun."""
    started, tally = datetime.now(UTC), Tally()
    if work.connection.status == "expired":
        return _outcome(work, started, tally, "skipped", error=Reauthorize(_reconnect(work)))
    if around.stop.is_set():
        return _outcome(work, started, tally, "skipped", message="The run was cancelled before this connection's turn.")
    session: Session | None = None
    try:
        with around.lease(work) as ours:
            if not ours:
                message = "Another run is syncing this connection's object at the moment; it was not done twice."
                return _outcome(work, started, tally, "skipped", message=message)
            session = around.session(work)
            describe = around.describe(work, session)
            destination = around.destination(work)
            sync_object(work, session, destination, tally, observe=around.observe, describe=describe)
        return _outcome(work, started, tally, "success", session=session)
    except SkipObject as problem:
        return _outcome(work, started, tally, "skipped", session=session, error=problem)
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
            session.close()


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
        error_message=str(error) if error else message,
        retry_at=error.until if isinstance(error, Wait) else None,
        notices=tuple(tally.notices),
        rejections=tuple(tally.rejections),
        vendor_calls=session.calls if session is not None else 0,
        quota={"used": quota[0], "allowed": quota[1]} if quota else {},
        account_id=tally.account_id,
    )
