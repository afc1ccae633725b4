"""What an attempt costs that finds nothing changed at the vendor: `make idle`.

Small accounts of both vendors with six objects each are loaded once, and then asked again and again, by
`Project.sync_objects` in a process of its own. Store and destination are real, the stand-in answers over HTTP at once.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from tabulate import tabulate

from benchmarks.__main__ import RESULTS, WORK
from benchmarks.far_server import Resident, Town
from benchmarks.measure import Failed
from benchmarks.our_project import STORE_URL, connect, opened, schema_of, write_project, write_sync
from benchmarks.pages import write_pages
from benchmarks.postgres import Postgres, running
from benchmarks.standin import REPOSITORY, listening

OBJECTS: Final = {
    "hubspot": ("contacts", "companies", "deals", "leads", "tickets", "products"),
    "salesforce": ("Contact", "Account", "Opportunity", "Lead", "Case", "User"),
}
RECORDS: Final = 20
"""Of each object of each account."""
CUSTOMERS, ROUNDS = 100, 3
GOAL_MS: Final = 10.0


@dataclass(frozen=True)
class Place:
    """Where everything runs."""

    postgres: Postgres
    project: Path
    server_pid: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idle", description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="each with an account at both vendors")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often everything is asked again")
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    parser.add_argument("--results", type=Path, default=RESULTS / "idle.json")
    parser.add_argument("--profile", type=Path, help="write cProfiles into this folder; the numbers are then too high")
    given = parser.parse_args()
    customers = [f"idle-{number:04d}" for number in range(given.customers)]
    with _set_up(customers, given.postgres_bin) as place:
        measured = {vendor: _play(place, vendor, customers, given.rounds, given.profile) for vendor in OBJECTS}
        versions = {"postgres": place.postgres.described(), "cores": os.cpu_count()}
    results = {"records_of_an_object": RECORDS, "goal_ms": GOAL_MS} | _assemble(measured) | {"versions": versions}
    print(_told(results))
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(results, indent=2) + "\n")
    return 0


@contextmanager
def _set_up(customers: Sequence[str], binaries: Path | None) -> Iterator[Place]:
    """Pages, stand-in, Postgres without tables, and a project to which the customers are connected."""
    residents = [Resident(f"token-{name}", 0, RECORDS, far=False) for name in customers]
    folder, pages = WORK / "idle_project", WORK / "pages"
    write_pages(pages / str(RECORDS), RECORDS)
    with ExitStack() as stack:
        postgres = stack.enter_context(running(WORK / "idle", binaries))
        os.environ[STORE_URL] = postgres.url("store", "psycopg")
        write_project(folder, postgres)
        for vendor, objects in OBJECTS.items():
            write_sync(folder, vendor, objects)
            postgres.execute(f"DROP SCHEMA IF EXISTS {schema_of(vendor)} CASCADE")  # type: ignore[arg-type]
        town = folder / "town.json"
        town.write_bytes(msgspec.json.encode(Town(str(pages), residents)))
        url, pid = stack.enter_context(listening("benchmarks.far_server", town))
        with opened(folder) as project:
            project.store.migrate()
            for known in project.store.connections.list():
                project.store.connections.disconnect(known)
            for resident in residents:
                connect(project, resident.token.removeprefix("token-"), url, resident.token)
        yield Place(postgres, folder, pid)


def _play(place: Place, vendor: str, customers: Sequence[str], rounds: int, profile: Path | None) -> dict[str, Any]:
    print(f"{vendor}: {len(customers)} accounts, {len(OBJECTS[vendor])} objects, {rounds} rounds ...", flush=True)
    command = [sys.executable, "-m", "benchmarks.idle_process", str(place.project), vendor, ",".join(customers)]
    command += ["--rounds", str(rounds), "--postgres", str(place.postgres.pid), "--server", str(place.server_pid)]
    command += ["--url", place.postgres.url()]
    if profile is not None:
        profile.mkdir(parents=True, exist_ok=True)
        command += ["--profile", str(profile / f"{vendor}.cprofile")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{vendor}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    wanted = len(customers) * len(OBJECTS[vendor])
    if found["attempts"] != wanted * rounds or found["loaded"] != wanted * RECORDS:
        raise Failed(f"{vendor}: {found['loaded']} records were loaded, {found['attempts']} attempts made")
    return found


def _assemble(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """By vendor and over both, per idle attempt: milliseconds of CPU, and how many of what."""
    by_vendor = {vendor: _per_attempt(found) for vendor, found in measured.items()}
    names = next(iter(measured.values())).keys() - {"loaded"}
    both = _per_attempt({name: sum(found[name] for found in measured.values()) for name in names})
    return {
        "attempts": sum(found["attempts"] for found in measured.values()),
        "cpu_ms_per_idle_attempt": both["cpu_ms"],
        "both": both,
        "by_vendor": by_vendor,
        "objects": OBJECTS,
        "accounts": sum(found["accounts"] for found in measured.values()),
    }


def _per_attempt(found: dict[str, Any]) -> dict[str, float]:
    attempts = found["attempts"]
    per = {
        "client_ms": 1000 * found["client_cpu"],
        "postgres_ms": 1000 * found["postgres_cpu"],
        "cpu_ms": 1000 * (found["client_cpu"] + found["postgres_cpu"]),
        "stand_in_ms": 1000 * found["server_cpu"],
        "vendor_calls": found["calls"],
        "wal_bytes": found["wal_bytes"],
    }
    return {name: round(value / attempts, 3) for name, value in per.items()}


def _told(results: dict[str, Any]) -> str:
    rows = [[name, *found.values()] for name, found in (*results["by_vendor"].items(), ("both", results["both"]))]
    head = ["per idle attempt", *(name.replace("_", " ") for name in results["both"])]
    reached = results["cpu_ms_per_idle_attempt"]
    goal = f"{results['attempts']} idle attempts, {reached:.2f} ms of CPU each; at most {GOAL_MS:g} ms wanted: "
    return f"{tabulate(rows, head, floatfmt='.2f')}\n\n{goal}{'yes' if reached <= GOAL_MS else 'NO'}"


if __name__ == "__main__":
    sys.exit(main())
