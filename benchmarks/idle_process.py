"""Small accounts in one run, in a process of its own: load them once, sync them again, and say what the rest cost.

The load is not measured, and neither is what it does once in a process. One more round goes before the measured ones.
"""

import argparse
import json
import resource
import threading
import uuid
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.measure import tree_cpu
from benchmarks.our_project import opened
from sync_pipelines.project import Project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sync")
    parser.add_argument("customers", help="comma-separated")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--postgres", type=int, required=True, help="its process id")
    parser.add_argument("--server", type=int, required=True, help="the stand-in's process id")
    parser.add_argument("--url", required=True, help="where to ask Postgres for its WAL")
    parser.add_argument("--profile", type=Path, help="write a cProfile here")
    wanted = parser.parse_args()
    customers = wanted.customers.split(",")
    with opened(wanted.folder) as project:
        loaded = _round(project, wanted.sync, customers)["created"]
        if _round(project, wanted.sync, customers)["changed"]:
            raise SystemExit("something changed in a round that should find nothing")
        found = _measured(project, wanted, customers)
    print(json.dumps(found | {"loaded": loaded, "accounts": len(customers)}))


def _measured(project: Project, wanted: argparse.Namespace, customers: list[str]) -> dict[str, Any]:
    before, client = _outside(wanted), _cpu()
    profile = _profiling() if wanted.profile else None
    rounds = [_round(project, wanted.sync, customers) for _ in range(wanted.rounds)]
    used = _cpu() - client
    if profile is not None:
        threading.setprofile(None)
        profile.dump_stats(wanted.profile)
    after = _outside(wanted)
    if any(one["changed"] for one in rounds):
        raise SystemExit("something changed in a round that should find nothing")
    return {
        "attempts": sum(one["attempts"] for one in rounds),
        "calls": sum(one["calls"] for one in rounds),
        "client_cpu": used,
        **{name: after[name] - before[name] for name in after},
    }


def _round(project: Project, sync: str, customers: list[str]) -> dict[str, int]:
    """Every object of everybody, as one run does it."""
    objects = {declared.object: customers for declared in project.sync(sync).objects}
    runs = project.sync_objects(sync, objects, run_id=uuid.uuid4().hex)
    for run in runs:
        if run.status != "success":
            raise SystemExit(
                f"{run.object} of {run.customer_id} ended as {run.status}: {run.error_type} {run.error_message}"
            )
    return {
        "attempts": len(runs),
        "calls": sum(run.vendor_calls for run in runs),
        "created": sum(run.counts.created for run in runs),
        "changed": sum(run.counts.changed for run in runs),
    }


def _outside(wanted: argparse.Namespace) -> dict[str, float]:
    """What Postgres and the stand-in have used so far, and how much WAL there is."""
    with psycopg.connect(wanted.url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    assert row is not None
    return {
        "postgres_cpu": tree_cpu(wanted.postgres),
        "server_cpu": tree_cpu(wanted.server),
        "wal_bytes": float(row[0]),
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _profiling() -> Any:
    import cProfile  # noqa: PLC0415 - only where it is asked for

    # The work happens in threads of a pool, which a profile of this thread would not see.
    profile = cProfile.Profile()
    threading.setprofile(lambda *_: profile.enable())
    return profile


if __name__ == "__main__":
    main()
