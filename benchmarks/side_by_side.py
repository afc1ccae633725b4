"""Whether connections side by side help, stay fair and keep the vendor's limits: `make parallel`.

Accounts with three objects each are read from a stand-in that takes 50 to 200 ms for an answer, by one
`Project.sync_objects` call in a process of its own, with 1, 2, 4 and 8 connections at once. Pacing is real.
"""

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from tabulate import tabulate

from benchmarks.__main__ import RESULTS, WORK
from benchmarks.charts import line_chart
from benchmarks.far_server import FASTEST, SLOWEST, Resident, Town
from benchmarks.measure import Failed, tree_cpu
from benchmarks.our_project import STORE_URL, connect, opened, schema_of, write_project, write_sync
from benchmarks.pages import write_pages
from benchmarks.postgres import Postgres, running
from benchmarks.standin import REPOSITORY, listening
from sync_pipelines.model.provider import Limits
from sync_pipelines.providers import PROVIDERS

AT_ONCE_SETTING: Final = "SYNC_PIPELINES_CONNECTIONS_AT_ONCE"
OBJECTS: Final = {"hubspot": ("contacts", "companies", "products"), "salesforce": ("Contact", "Account", "Lead")}
WARM: Final = "warm"
WARM_RECORDS: Final = 300

GOALS: Final = {
    "speed_up_at_4": ("speed-up with 4 at once, 50 to 200 ms a call", "at least", 3.0),
    "memory_mb_per_connection": ("memory of a further account at once, MB, the worst scene", "at most", 48.0),
    "small_accounts_later": ("small accounts beside a large one, over without it, 4 at once", "at most", 1.6),
    "over_the_limits": ("accounts that saw more than the vendor allows", "at most", 0.0),
}


@dataclass(frozen=True)
class Scene:
    """`records` of each object, an account each. Account 0 is the large one where there is one."""

    name: str
    title: str
    vendor: str
    records: tuple[int, ...]
    settings: tuple[int, ...]
    far: bool = True
    first: int = 0

    def residents(self, at_once: int) -> dict[str, Resident]:
        """By customer. Each setting has its own customers, so that each one begins with nothing."""
        numbered = enumerate(self.records, self.first)
        names = {number: f"{self.name}-{at_once}-{number:02d}" for number, _ in numbered}
        return {
            name: Resident(f"token-{name}", number, self.records[number - self.first], self.far)
            for number, name in names.items()
        }


EVEN: Final = Scene("even", "12 equal accounts", "hubspot", (400,) * 12, (1, 2, 4, 8))
SMALL: Final = Scene("small", "11 small accounts", "hubspot", (300,) * 11, (4, 8), first=1)
LARGE: Final = Scene("large", "a large account, then these 11", "hubspot", (5_000, *(300,) * 11), (4, 8))
NEAR: Final = Scene("near", "2 accounts, no latency", "salesforce", (20_000,) * 2, (1, 2), far=False)
SCENES: Final = (EVEN, SMALL, LARGE, NEAR)


@dataclass(frozen=True)
class Place:
    """Where everything runs."""

    postgres: Postgres
    project: Path
    url: str
    server_pid: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    given = parser.parse_args()
    measured: dict[str, dict[str, Any]] = {}
    with _set_up(given.postgres_bin) as place:
        for scene in SCENES:
            for at_once in scene.settings:
                print(f"{scene.title}, {at_once} at once ...", flush=True)
                measured.setdefault(scene.name, {})[str(at_once)] = _play(place, scene, at_once)
        versions = {"postgres": place.postgres.described(), "cores": os.cpu_count()}
    results = _assemble(measured) | {"versions": versions}
    print(_told(results))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "side_by_side.json").write_text(json.dumps(results, indent=2) + "\n")
    (RESULTS / "side_by_side.svg").write_text(_plot(results))
    return 0


@contextmanager
def _set_up(binaries: Path | None) -> Iterator[Place]:
    """Pages, stand-in, Postgres, and a project to which every scene's customers are connected."""
    everybody = {WARM: Resident("token-warm", 0, WARM_RECORDS, False)}
    for scene in SCENES:
        for at_once in scene.settings:
            everybody |= scene.residents(at_once)
    folder, pages = WORK / "side_by_side_project", WORK / "pages"
    for size in {resident.records for resident in everybody.values()}:
        write_pages(pages / str(size), size)
    with ExitStack() as stack:
        postgres = stack.enter_context(running(WORK / "side_by_side", binaries))
        os.environ[STORE_URL] = postgres.url("store", "psycopg")
        write_project(folder, postgres)
        for vendor, objects in OBJECTS.items():
            write_sync(folder, vendor, objects)
        town = folder / "town.json"
        town.write_bytes(msgspec.json.encode(Town(str(pages), list(everybody.values()))))
        url, pid = stack.enter_context(listening("benchmarks.far_server", town))
        with opened(folder) as project:
            project.store.migrate()
            for known in project.store.connections.list():
                project.store.connections.disconnect(known)
            for customer, resident in everybody.items():
                connect(project, customer, url, resident.token)
        yield Place(postgres, folder, url, pid)


def _play(place: Place, scene: Scene, at_once: int) -> dict[str, Any]:
    """One setting of a scene, into tables that are not there."""
    with place.postgres.connect() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema_of(scene.vendor)} CASCADE".encode())
        connection.execute("CHECKPOINT")
    residents = scene.residents(at_once)
    command = [sys.executable, "-m", "benchmarks.crowd", str(place.project), scene.vendor]
    command += [",".join(residents), "--warm", WARM, "--postgres", str(place.postgres.pid)]
    _control(place.url, "POST", "forget")
    server = tree_cpu(place.server_pid)
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, AT_ONCE_SETTING: str(at_once)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{scene.title}, {at_once} at once:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    wanted = sum(scene.records) * len(OBJECTS[scene.vendor])
    if found["records"] != wanted:
        raise Failed(f"{scene.title}, {at_once} at once: {found['records']} of {wanted} records were created")
    found["server_cpu"] = tree_cpu(place.server_pid) - server
    found["cores"] = sum(found[name] for name in ("client_cpu", "postgres_cpu", "server_cpu")) / found["wall"]
    small = [at for customer, at in found["done"].items() if residents[customer].records == min(scene.records)]
    found["last_small_done"] = max(small)
    seen = _control(place.url, "GET", "seen")
    return found | _limits_kept(seen, PROVIDERS[scene.vendor].limits, [one.token for one in residents.values()])


def _control(url: str, method: str, what: str) -> Any:
    request = urllib.request.Request(f"{url}/control/{what}", method=method)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def _limits_kept(seen: dict[str, Any], limits: Limits, tokens: Sequence[str]) -> dict[str, Any]:
    """What the stand-in saw at most, of one account and of all, and how many accounts saw more than is allowed."""
    accounts = [seen[token] for token in tokens]
    allowed = {f"{family} in {limits.per.total_seconds():g} s": most for family, most in limits.requests.items()}
    allowed |= {f"{family} in 1 s": most for family, most in limits.per_second.items()}
    over = [
        one
        for one in accounts
        if one["most_under_way"] > limits.concurrent
        or any(one["windows"][window] > most for window, most in allowed.items())
    ]
    return {
        "under_way": {
            "all": seen[""]["most_under_way"],
            "of_one_account": max(one["most_under_way"] for one in accounts),
            "allowed": limits.concurrent,
        },
        "windows": {window: max(one["windows"][window] for one in accounts) for window in accounts[0]["windows"]},
        "allowed": allowed,
        "accounts_over_a_limit": len(over),
    }


def _assemble(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    even, near = measured[EVEN.name], measured[NEAR.name]
    reached = {
        "speed_up_at_4": even["1"]["wall"] / even["4"]["wall"],
        "memory_mb_per_connection": max(_memory_of_a_further_one(even), _memory_of_a_further_one(near)),
        "small_accounts_later": measured[LARGE.name]["4"]["last_small_done"] / measured[SMALL.name]["4"]["wall"],
        "over_the_limits": sum(
            found["accounts_over_a_limit"] for scene in measured.values() for found in scene.values()
        ),
    }
    return {
        "latency_ms": [FASTEST * 1000, SLOWEST * 1000],
        "objects": OBJECTS,
        "scenes": {scene.name: {"title": scene.title, "records_of_an_object": scene.records} for scene in SCENES},
        "reached": {name: round(value, 2) for name, value in reached.items()},
        "settings": measured,
    }


def _memory_of_a_further_one(settings: dict[str, Any]) -> float:
    """Megabytes of the process, from the fewest to the most at once."""
    peaks = {int(at_once): found["peak_mb"] for at_once, found in settings.items()}
    fewest, most = min(peaks), max(peaks)
    return float((peaks[most] - peaks[fewest]) / (most - fewest))


def _told(results: dict[str, Any]) -> str:
    rows = []
    for scene in SCENES:
        settings = results["settings"][scene.name]
        alone = settings.get("1")
        for at_once, found in settings.items():
            under_way, (window, allowed) = found["under_way"], next(iter(found["allowed"].items()), ("", None))
            in_window = f"{found['windows'][window]} of {allowed}" if window else "no limit"
            costs = [found[name] for name in ("client_cpu", "postgres_cpu", "server_cpu", "cores", "peak_mb")]
            rows.append(
                [
                    *(scene.title, at_once, found["wall"], alone["wall"] / found["wall"] if alone else None, *costs),
                    *(found["last_small_done"], under_way["all"]),
                    *(f"{under_way['of_one_account']} of {under_way['allowed']}", in_window),
                ]
            )
    head = [
        "accounts, 3 objects each",
        "at once",
        "wall s",
        "speed-up",
        "client s",
        "postgres s",
        "stand-in s",
        "cores",
    ]
    head += ["peak MB", "last small s", "calls at once", "of one account", "in 10 s, of one"]
    floats = ("", "", ".1f", ".2f", ".2f", ".2f", ".2f", ".2f", ".0f", ".1f")
    return f"{tabulate(rows, head, floatfmt=floats)}\n\n{_goals(results['reached'])}"


def _goals(reached: dict[str, float]) -> str:
    rows = []
    for name, (title, direction, goal) in GOALS.items():
        kept = reached[name] >= goal if direction == "at least" else reached[name] <= goal
        rows.append([title, f"{direction} {goal:g}", f"{reached[name]:g}", "yes" if kept else "NO"])
    return tabulate(rows, ["goal", "asked", "reached", "met"], disable_numparse=True)


def _plot(results: dict[str, Any]) -> str:
    settings = {int(at_once): found["wall"] for at_once, found in results["settings"][EVEN.name].items()}
    lines = {
        "12 equal accounts of 3 objects": list(settings.items()),
        "if each further one helped fully": [(at_once, settings[1] / at_once) for at_once in settings],
    }
    return line_chart("Seconds of one run, by connections at once", lines)


if __name__ == "__main__":
    sys.exit(main())
