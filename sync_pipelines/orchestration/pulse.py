"""Signs of life that a run gives while it works, and the end of a run that gives none any more.

A process that is killed together with its code server, or whose machine is gone, tells nobody. Dagster would show its
run as started for ever, and count it among the runs that may work at once.
"""

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from sync_pipelines.orchestration.jobs import job_name
from sync_pipelines.orchestration.launching import LAUNCHED_TAG
from sync_pipelines.orchestration.names import SYNC_TAG

log = logging.getLogger(__name__)

ALIVE_TAG: Final = "sync_pipelines/alive_at"
"""Of a run: when its process gave its last sign of life, in seconds since 1970."""
SIGNS: Final = 6
"""Given in the time after which a run counts as silent, so that a few may be lost."""

GONE: Final = (
    "The process of this run has given no sign of life for {silent:.0f} s: it was killed, or its machine is gone. What "
    "it had stored stays; the rest comes back by itself and goes on from there."
)


@contextmanager
def pulse(instance: dg.DagsterInstance, run_id: str, *, silent_after: float) -> Iterator[None]:
    """Give signs of life for a run as long as the block takes."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            try:
                instance.add_run_tags(run_id, {ALIVE_TAG: f"{time.time():.0f}"})
            except Exception:
                # Dagster's storage may be back for the next one; the work needs it only at its end.
                log.warning("A sign of life of run %s could not be given", run_id, exc_info=True)
            if stop.wait(silent_after / SIGNS):
                return

    beating = threading.Thread(target=beat, name="pulse", daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()


def fail_silent_runs(instance: dg.DagsterInstance, *, silent_after: float, last_look: float | None) -> list[str]:
    """End those as failed that work by Dagster's account and have been silent for longer; their run ids.

    Only runs that ever gave a sign, and those of a sync's job that our launcher started: such a run gives its first
    sign within moments of its start, or it was killed in between. Others are not ours. `last_look`: when this was
    last asked, in seconds since 1970. If that is too long ago nobody is judged: Dagster's storage was away, and with it
    the place where signs are given.
    """
    if last_look is None or time.time() - last_look > silent_after * (1 - 1 / SIGNS):
        return []
    failed = []
    for record in instance.get_run_records(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        run = record.dagster_run
        silent = time.time() - _last_sign(run, record.start_time)
        if silent <= silent_after:
            continue
        latest = instance.get_run_by_id(run.run_id)
        if latest is not None and latest.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(latest, GONE.format(silent=silent))
            failed.append(run.run_id)
    return failed


def _last_sign(run: dg.DagsterRun, started: float | None) -> float:
    """Seconds since 1970; infinite for a run of which no sign is expected."""
    if ALIVE_TAG in run.tags:
        return float(run.tags[ALIVE_TAG])
    ours = LAUNCHED_TAG in run.tags and run.job_name == job_name(run.tags.get(SYNC_TAG, ""))
    return started if ours and started is not None else math.inf
