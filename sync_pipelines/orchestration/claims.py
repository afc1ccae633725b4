"""What becomes of claimed work: kept while its run waits or works, closed by what its connections came to."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.orchestration.underway import objects_claimed
from sync_pipelines.store import Claim, Outcome, Store
from sync_pipelines.store.treatment import treatment_of, worst

QUEUED_SECONDS: Final = 15.0
"""A run that waits for longer in Dagster's queue waits for a place."""

ENDED: Final = frozenset({dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})

NOT_BEGUN: Final = frozenset(
    {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING}
)
"""No process keeps the claim of such a run yet."""


def close_ended_claims(store: Store, instance: dg.DagsterInstance, sync: Sync) -> None:
    """Close a sync's claims whose runs have ended, however they ended, and keep those whose runs have not begun.

    A claim whose run works is kept by the run itself, which closes it for the customers whose work has ended; one whose
    run never came to be expires in the store.
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
            most = len(sync.objects) * len(claim.customers)
            finished = store.runs.list(run_id=run.run_id, sync=sync.name, limit=most)
            repeat = run.status != dg.DagsterRunStatus.CANCELED
            settle(store, sync, claim, claim.customers, finished, repeat=repeat)
        elif run.status in NOT_BEGUN:
            waiting.append(claim.id)
    if waiting:
        store.due.heartbeat(waiting)


def settle(
    store: Store,
    sync: Sync,
    claim: Claim,
    customers: Sequence[str],
    finished: Sequence[SyncRun],
    *,
    repeat: bool = True,
) -> None:
    """Close the claim for these customers, by what their claimed objects came to.

    Who made room for others is given back, for what is left to do; unless a person stopped the work.
    """
    objects_of = objects_claimed(sync, claim)
    left = _left(customers, objects_of, finished) if repeat else {}
    if left:
        begun = {run.customer_id for run in finished if run.status != "skipped"}
        store.due.give_back(claim.id, left, begun=begun)
    if ended := [customer for customer in customers if customer not in left]:
        store.due.done(claim.id, outcomes_of(ended, objects_of, finished, repeat=repeat))


def _left(
    customers: Sequence[str], objects_of: Callable[[str], Sequence[str]], finished: Sequence[SyncRun]
) -> dict[str, Sequence[str]]:
    """Of customers who made room the objects that are left to do; none where that is all."""
    by_work = {(run.customer_id, run.object): run for run in finished}
    making_room = {run.customer_id for run in finished if run.gave_way}
    stopped = {run.customer_id for run in finished if run.status == "cancelled" and not run.gave_way}
    left: dict[str, Sequence[str]] = {}
    for customer in (who for who in customers if who in making_room - stopped):
        runs = {name: by_work.get((customer, name)) for name in objects_of(customer)}
        again = [name for name, run in runs.items() if _must_come_back(run) or (run is not None and run.gave_way)]
        left[customer] = again if len(again) < len(runs) else ()
    return left


def outcomes_of(
    customers: Sequence[str], objects_of: Callable[[str], Sequence[str]], finished: Sequence[SyncRun], *, repeat: bool
) -> list[Outcome]:
    """What each customer's objects came to. What has no SyncRun was cut off by the end of the run.

    `repeat` False: a person stopped the run, so that nothing comes back before its regular time.
    """
    by_work = {(run.customer_id, run.object): run for run in finished}
    return [
        _outcome(customer, {name: by_work.get((customer, name)) for name in objects_of(customer)}, repeat=repeat)
        for customer in customers
    ]


def _outcome(customer: str, runs: dict[str, SyncRun | None], *, repeat: bool) -> Outcome:
    failed = {name: run for name, run in runs.items() if _must_come_back(run)}
    if failed and not repeat:
        failed = {name: run for name, run in failed.items() if run is not None and run.status == "error"}
        if not failed:
            return Outcome(customer_id=customer, undecided=True)
    # Where trying again helps some, those are tried again, and their class decides when.
    helped = {name: run for name, run in failed.items() if treatment_of(_class(run)).first is not None}
    told = helped or failed
    error_type = worst(_class(run) for run in told.values())
    moments = [run.retry_at for run in runs.values() if run is not None and run.retry_at is not None]
    return Outcome(
        customer_id=customer,
        failed=bool(failed),
        failed_objects=tuple(told),
        error_type=error_type,
        error_message=_message(told, error_type),
        retry_at=max(moments, default=None),
        retry=repeat and bool(helped),
        partly=any(not _must_come_back(run) for run in runs.values()),
        undecided=any(run is not None and run.status == "cancelled" for run in runs.values()),
    )


def _class(run: SyncRun | None) -> str | None:
    return run.error_type if run is not None else None


def _message(failed: dict[str, SyncRun | None], error_type: str | None) -> str:
    for name, run in failed.items():
        if _class(run) == error_type:
            return f"{name}: {run.error_message}" if run is not None else f"{name}: {_CUT_OFF}"
    return ""


_CUT_OFF: Final = "its run ended before it was through; see the run in Dagster."


def _must_come_back(run: SyncRun | None) -> bool:
    """Not what was skipped for a reason of its own (the object is not there for this connection), or cancelled."""
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


def somebody_waits(instance: dg.DagsterInstance) -> bool:
    """Whether a run has been in Dagster's queue for longer than it takes to start one: all places are taken."""
    before = datetime.now(UTC) - timedelta(seconds=QUEUED_SECONDS)
    waiting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], created_before=before)
    return bool(instance.get_run_ids(filters=waiting, limit=1))
