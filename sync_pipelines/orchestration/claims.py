"""What becomes of claimed work: kept while its run waits or works, closed by what its connections came to."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import dagster as dg

from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.project import Project
from sync_pipelines.store import Outcome, Store

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 60.0

ENDED: Final = frozenset({dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})

USELESS_TO_REPEAT: Final = frozenset({"configuration", "auth_expired"})
"""Error types that a person has to mend first; their work comes back with its schedule, not before."""


def close_ended_claims(store: Store, instance: dg.DagsterInstance, sync: Sync) -> None:
    """Close a sync's claims whose runs have ended, however they ended, and keep those whose runs wait in the queue.

    A claim whose run works is kept by the run itself; one whose run never came to be expires in the store.
    """
    claims = {str(claim.id): claim for claim in store.due.open_claims() if claim.sync == sync.name}
    if not claims:
        return
    waiting = []
    for run in instance.get_runs(filters=dg.RunsFilter(tags={CLAIM_TAG: list(claims)})):
        if (claim_id := claim_of(run)) is None:
            continue
        claim = claims[claim_id]
        if run.status in ENDED:
            objects = claim.objects or tuple(declared.object for declared in sync.objects)
            finished = store.runs.list(run_id=run.run_id, sync=sync.name, limit=len(objects) * len(claim.customers))
            repeat = run.status != dg.DagsterRunStatus.CANCELED
            store.due.done(claim.id, outcomes_of(claim.customers, objects, finished, repeat=repeat))
        elif run.status == dg.DagsterRunStatus.QUEUED:
            waiting.append(claim.id)
    if waiting:
        store.due.heartbeat(waiting)


def outcomes_of(
    customers: Sequence[str], objects: Sequence[str], finished: Sequence[SyncRun], *, repeat: bool
) -> list[Outcome]:
    """What each customer's objects came to. What has no SyncRun was cut off by the end of the run.

    `repeat` False: a person stopped the run, so that nothing comes back before its regular time.
    """
    by_work = {(run.customer_id, run.object): run for run in finished}
    return [
        _outcome(customer, {name: by_work.get((customer, name)) for name in objects}, repeat=repeat)
        for customer in customers
    ]


def _outcome(customer: str, runs: dict[str, SyncRun | None], *, repeat: bool) -> Outcome:
    failed = tuple(name for name, run in runs.items() if _must_come_back(run))
    errors = {run.error_type for name in failed if (run := runs[name]) is not None}
    useless = bool(errors) and errors <= USELESS_TO_REPEAT
    moments = [run.retry_at for run in runs.values() if run is not None and run.retry_at is not None]
    return Outcome(
        customer_id=customer,
        failed=bool(failed),
        failed_objects=failed,
        retry_at=max(moments, default=None),
        retry=repeat and not useless,
    )


def _must_come_back(run: SyncRun | None) -> bool:
    """Not what was skipped for a reason of its own (the object is not there for this connection)."""
    if run is None or run.status == "error":
        return True
    return run.status == "skipped" and run.error_type is None


def claim_of(run: dg.DagsterRun) -> str | None:
    """The claim that a run works for. Not that of a run which somebody repeats: the claim was the first one's."""
    return run.tags.get(CLAIM_TAG) if run.parent_run_id is None else None


def refuse_ended_run(context: dg.AssetExecutionContext) -> None:
    """dg.Failure when the run has ended: a queue may hand out a step after its run was cancelled or given up."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and run.status in ENDED:
        raise dg.Failure(
            description=f"This run is over ({run.status.value}), so its step does not begin.", allow_retries=False
        )


@contextmanager
def kept(project: Project, claim: str | None) -> Iterator[None]:
    """Keep a claim from expiring while we work on it or wait for who does. Nothing happens for a run without one."""
    if claim is None:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_SECONDS):
            try:
                project.store.due.heartbeat([UUID(claim)])
            except Exception:
                # The store may be back for the next beat; a claim that expires meanwhile costs a second look, no data.
                log.warning("The heartbeat of claim %s failed", claim, exc_info=True)

    beating = threading.Thread(target=beat, name="heartbeat", daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
