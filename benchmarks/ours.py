"""Ours, in a process of its own: open the project, sync one object of one customer, say what it cost.

`warm`: another customer with few records is synced first, so that what a process does only once (imports at first use,
reading the certificate store) is not divided by the number of records.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.measure import high_water_mb, tree_cpu
from benchmarks.our_project import OBJECTS, opened
from sync_pipelines.project import Project


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("vendor")
    parser.add_argument("customer")
    parser.add_argument("--warm", default="", help="the small customer to sync first")
    parser.add_argument("--full", action="store_true", help="read everything again")
    parser.add_argument("--postgres", type=int, default=0, help="its process id")
    parser.add_argument("--wal", default="", help="URL of the server whose WAL to count")
    parser.add_argument("--profile", type=Path, help="write a cProfile here")
    wanted = parser.parse_args()
    with opened(wanted.folder) as project:
        if wanted.warm:
            _sync(project, wanted.vendor, wanted.warm, full=True)
        with _wal(wanted.wal) as position:
            before = position()
            found = _measured(
                lambda: _sync(project, wanted.vendor, wanted.customer, full=wanted.full),
                wanted.postgres,
                wanted.profile,
            )
            found["wal_bytes"] = position() - before
    print(json.dumps(found))


def _sync(project: Project, vendor: str, customer: str, *, full: bool) -> dict[str, int]:
    (run,) = project.sync_connections(vendor, OBJECTS[vendor], [customer], run_id="benchmark", full=full)
    if run.status != "success":
        raise SystemExit(f"the sync of {customer} ended as {run.status}: {run.error_type} {run.error_message}")
    counts = run.counts
    return {name: getattr(counts, name) for name in ("read", "created", "updated", "unchanged", "deleted")}


@contextmanager
def _wal(url: str) -> Iterator[Callable[[], int]]:
    """Asks how much WAL the server has written in its life; always 0 without a URL."""
    if not url:
        yield lambda: 0
        return
    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda: int(connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()[0])  # type: ignore[index]


def _measured(sync: Callable[[], dict[str, int]], postgres: int, profile: Path | None) -> dict[str, Any]:
    before, usage, began = tree_cpu(postgres) if postgres else 0.0, _cpu(), time.perf_counter()
    counts = _profiled(sync, profile) if profile else sync()
    wall, client = time.perf_counter() - began, _cpu() - usage
    return {
        "wall": wall,
        "client_cpu": client,
        "postgres_cpu": tree_cpu(postgres) - before if postgres else 0.0,
        "peak_mb": high_water_mb(),
        "counts": counts,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _profiled(sync: Callable[[], dict[str, int]], file: Path) -> dict[str, int]:
    import cProfile  # noqa: PLC0415 - only where it is asked for
    import threading  # noqa: PLC0415

    # The work happens in threads of a pool, which a profile of this thread would not see.
    profile = cProfile.Profile()
    threading.setprofile(lambda *_: profile.enable())
    try:
        return sync()
    finally:
        threading.setprofile(None)
        profile.disable()
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
