"""Many accounts in one run, in a process of its own: sync them all at once and say what it cost and who was done when.

`connections_at_once` comes from the environment, as it does in production. A small account is synced first, so that
what a process does only once is not measured. Waiting is real.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import high_water_mb, tree_cpu
from benchmarks.our_project import opened
from sync_pipelines.model.run import SyncRun
from sync_pipelines.project import Project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sync")
    parser.add_argument("customers", help="comma-separated, in the order of the work")
    parser.add_argument("--warm", required=True, help="the small customer to sync first")
    parser.add_argument("--postgres", type=int, required=True, help="its process id")
    wanted = parser.parse_args()
    with opened(wanted.folder, waiting=True) as project:
        _sync(project, wanted.sync, [wanted.warm], {})
        print(json.dumps(_measured(project, wanted.sync, wanted.customers.split(","), wanted.postgres)))


def _measured(project: Project, sync: str, customers: list[str], postgres: int) -> dict[str, Any]:
    done: dict[str, float] = {}
    memory_before, postgres_before, client_before = high_water_mb(), tree_cpu(postgres), _cpu()
    began = time.perf_counter()
    runs = _sync(project, sync, customers, done)
    wall = time.perf_counter() - began
    return {
        "wall": wall,
        "client_cpu": _cpu() - client_before,
        "postgres_cpu": tree_cpu(postgres) - postgres_before,
        "peak_mb": high_water_mb(),
        "grown_mb": high_water_mb() - memory_before,
        "records": sum(run.counts.created for run in runs),
        "calls": sum(run.vendor_calls for run in runs),
        "done": {customer: at - began for customer, at in done.items()},
    }


def _sync(project: Project, sync: str, customers: list[str], done: dict[str, float]) -> list[SyncRun]:
    """All objects of these customers. `done` is told when the last object of each one was."""

    def note(run: SyncRun) -> None:
        done[run.customer_id] = time.perf_counter()

    objects = {declared.object: customers for declared in project.sync(sync).objects}
    runs = project.sync_objects(sync, objects, run_id="benchmark", on_done=note)
    for run in runs:
        if run.status != "success":
            raise SystemExit(
                f"{run.object} of {run.customer_id} ended as {run.status}: {run.error_type} {run.error_message}"
            )
    return runs


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
