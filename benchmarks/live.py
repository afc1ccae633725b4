"""How long a change at the vendor takes to the row: `make live`.

A process of the sandbox, one of the API and one of `sync-pipelines live`, on a real Postgres. Three HubSpot portals
change records, 20 a second all told, and tell them by signed webhooks. The clock of a change starts before the sandbox
is asked to make it, and ends when another connection to Postgres sees the row.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from tabulate import tabulate

from benchmarks.__main__ import RESULTS, WORK
from benchmarks.measure import tree_cpu
from benchmarks.postgres import DATABASE, Postgres, running
from benchmarks.standin import REPOSITORY
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project, opened
from sync_pipelines.sandbox.control import Control, SandboxAccount
from sync_pipelines.sandbox.serving import serve_process
from sync_pipelines.settings import DEVELOPMENT_KEY, read_settings

RATE, SECONDS = 20, 60
GOAL_SECONDS: Final = 3.0
LOST_AFTER: Final = 60.0
"""Seconds after the last change until which it is waited for."""
LOOK_EVERY: Final = 0.05
MARK: Final = "Change "
_SEEN: Final = """
SELECT last_name FROM live.crm_contact
WHERE last_name LIKE 'Change %' AND _sync_emitted_at > now() - interval '30 seconds'
"""
_COMMAND: Final = (sys.executable, "-c", "from sync_pipelines.cli import app; app()")


@dataclass
class Watch:
    """When changes were made and when their rows were seen, by number; seconds of the monotonic clock."""

    made: dict[int, float] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)

    def until(self, stop: threading.Event, postgres: Postgres) -> None:
        with postgres.connect() as connection:
            while not stop.is_set():
                rows = connection.execute(_SEEN).fetchall()
                now = time.monotonic()
                for (name,) in rows:
                    self.seen.setdefault(int(name.removeprefix(MARK)), now)
                stop.wait(LOOK_EVERY)

    @property
    def missing(self) -> int:
        return len(self.made.keys() - self.seen.keys())

    def latencies(self) -> list[float]:
        return sorted(self.seen[number] - at for number, at in self.made.items() if number in self.seen)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=__doc__)
    parser.add_argument("--rate", type=float, default=RATE, help="changes a second, of all portals together")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    parser.add_argument("--results", type=Path, default=RESULTS / "live.json")
    given = parser.parse_args()
    results = _play(given.rate, given.seconds, given.postgres_bin)
    print(_told(results))
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _play(rate: float, seconds: float, binaries: Path | None) -> dict[str, Any]:
    shutil.rmtree(WORK / "live_sandbox", ignore_errors=True)
    with ExitStack() as stack:
        postgres = stack.enter_context(running(WORK / "live", binaries))
        control = stack.enter_context(serve_process(WORK / "live_sandbox", scale=0.3))
        project = stack.enter_context(_project(postgres, control))
        portals = [account for account in control.accounts() if account.vendor == "hubspot"]
        ids = {portal.id: _first_load(project, portal) for portal in portals}
        api = stack.enter_context(_process("api", "--port", "0"))
        live = stack.enter_context(_process("live"))
        url = api.line.split()[1].removesuffix("/api/v1")
        control.webhooks(f"{url}/webhooks/hubspot", _subscriptions())
        before = os.getloadavg()
        cpu = [tree_cpu(each.pid) for each in (api, live)]
        watch = Watch()
        with _watching(watch, postgres):
            changed = _change(control, ids, watch, rate, seconds)
            deadline = time.monotonic() + LOST_AFTER
            while watch.missing and time.monotonic() < deadline:
                time.sleep(LOOK_EVERY)
        used = [tree_cpu(each.pid) - begun for each, begun in zip((api, live), cpu, strict=True)]
        calls = sum(run.vendor_calls for run in project.store.runs.list(limit=10_000) if run.run_id.startswith("live-"))
    return _summed(watch, changed, rate) | {
        "vendor_calls": calls,
        "api_cpu_seconds": round(used[0], 2),
        "live_cpu_seconds": round(used[1], 2),
        "load_before": [round(each, 2) for each in before],
        "load_after": [round(each, 2) for each in os.getloadavg()],
        "cores": os.cpu_count(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def _project(postgres: Postgres, control: Control) -> Iterator[Project]:
    folder = WORK / "live_project"
    account = control.accounts()[0]
    _write(
        folder / "providers" / "hubspot.yaml",
        provider_name="hubspot",
        auth_type="oauth2",
        oauth={"client_id": account.client_id, "client_secret": account.client_secret},
        login_url=f"{control.url}/hubspot",
        api_url=f"{control.url}/hubspot",
    )
    credentials = {
        "host": postgres.host,
        "port": postgres.port,
        "database": DATABASE,
        "schema": "live",
        "user": postgres.user,
    }
    _write(folder / "destinations" / "warehouse.yaml", name="warehouse", type="postgres", credentials=credentials)
    _write(
        folder / "syncs" / "live.yaml",
        name="live",
        provider="hubspot",
        destination="warehouse",
        objects=["contact"],
    )
    os.environ.update(
        SYNC_PIPELINES_ENVIRONMENT="development",
        SYNC_PIPELINES_STORE_URL=postgres.url("store", "psycopg"),
        SYNC_PIPELINES_ENCRYPTION_KEYS=DEVELOPMENT_KEY,
        SYNC_PIPELINES_SYNCS_DIR=str(folder),
        SYNC_PIPELINES_LOG_LEVEL="WARNING",
    )
    postgres.execute("DROP SCHEMA IF EXISTS live CASCADE")
    with opened(read_settings()) as project:
        project.store.migrate()
        for connection in project.store.connections.list():
            project.store.connections.disconnect(connection)
        yield project


def _write(file: Path, **document: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _first_load(project: Project, portal: SandboxAccount) -> list[str]:
    """Ids of live contacts of a portal that is connected and was synced once."""
    project.store.connections.connect(
        customer_id=portal.id,
        provider="hubspot",
        tokens=Tokens(access_token=Secret(portal.access_token), refresh_token=Secret(portal.refresh_token)),
        api_url=portal.api_url,
    )
    (run,) = project.sync_connections("live", "contact", [portal.id], run_id=uuid.uuid4().hex)
    if run.status != "success":
        raise SystemExit(f"The first load of {portal.id} failed: {run.error_message}")
    destination = project.destination(project.sync("live"), portal.id)
    scope = project.scope_of(project.sync("live"), project.declared("live", "contact"), portal.id)
    with destination.open(scope, project.table("live", "contact"), "", lambda step: None) as landing:
        return [record.id for record in landing.stored(None, 1_000_000) if not record.deleted]


@dataclass(frozen=True)
class _Running:
    """A process of ours, and the line with which it said that it is there."""

    pid: int
    line: str


@contextmanager
def _process(*arguments: str) -> Iterator[_Running]:
    process = subprocess.Popen(
        [*_COMMAND, *arguments], cwd=REPOSITORY, env=dict(os.environ), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield _Running(process.pid, process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _subscriptions() -> list[Mapping[str, str]]:
    return [
        {"eventType": "contact.creation"},
        {"eventType": "contact.propertyChange", "propertyName": "lastname"},
    ]


@contextmanager
def _watching(watch: Watch, postgres: Postgres) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=watch.until, args=(stop, postgres), name="watch")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _change(control: Control, ids: Mapping[str, Sequence[str]], watch: Watch, rate: float, seconds: float) -> float:
    """Make changes at an even pace, every fifth a new record; for how many seconds that went on."""
    begun, customers = time.monotonic(), list(ids)
    for number in range(round(rate * seconds)):
        wait = begun + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        customer = customers[number % len(customers)]
        known = ids[customer]
        existing = {} if number % 5 == 4 else {"id": known[number // len(customers) % len(known)]}
        watch.made[number] = time.monotonic()
        control.record(customer, "contacts", fields={"lastname": f"{MARK}{number}"}, **existing)
    return time.monotonic() - begun


def _summed(watch: Watch, seconds: float, rate: float) -> dict[str, Any]:
    found = watch.latencies()
    cuts = statistics.quantiles(found, n=100)
    return {
        "events": len(watch.made),
        "rate_wanted": rate,
        "rate_made": round(len(watch.made) / seconds, 1),
        "lost": watch.missing,
        "p50_seconds": round(cuts[49], 2),
        "p95_seconds": round(cuts[94], 2),
        "p99_seconds": round(cuts[98], 2),
        "max_seconds": round(found[-1], 2),
        "goal_p95_seconds": GOAL_SECONDS,
    }


def _told(results: Mapping[str, Any]) -> str:
    met = results["p95_seconds"] < GOAL_SECONDS and not results["lost"]
    rows = [[name, value] for name, value in results.items()]
    return tabulate([*rows, [f"95 of 100 within {GOAL_SECONDS:g} s, none lost", "yes" if met else "NO"]])


if __name__ == "__main__":
    sys.exit(main())
