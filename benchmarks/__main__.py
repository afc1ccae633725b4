"""The benchmark: `make bench`, or `python -m benchmarks --size 20000 --peers dlt_merge,pandas`."""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks import contestants, report
from benchmarks.compare import Different, Landed, compare, write_expected
from benchmarks.contestants import CONTESTANTS, Arena
from benchmarks.fields import VENDORS
from benchmarks.measure import Cost, Failed, run
from benchmarks.our_project import STORE_URL, TABLE, connect, opened, schema_of, write_project
from benchmarks.postgres import Postgres, running
from benchmarks.results import Match, assemble
from benchmarks.scenes import CUSTOMER, PEER, WARM, Scenes, Stage, play
from benchmarks.standin import REPOSITORY, StandIn, standing_in

WORK: Final = REPOSITORY / "benchmarks" / ".work"
RESULTS: Final = REPOSITORY / "benchmarks" / "results"
WARM_SIZE: Final = 300
MOST_PEER_RECORDS: Final = 100_000
OURS_PER_PEERS: Final = 3
"""How often ours runs beside one run of each peer: it is short, so noise would weigh more."""


@dataclass(frozen=True)
class Wanted:
    size: int
    peer_size: int
    peers: tuple[str, ...]
    vendors: tuple[str, ...]
    rounds: int
    binaries: Path | None


def main() -> int:
    wanted = _wanted()
    try:
        for name in wanted.peers:
            for environment in (CONTESTANTS[name].environment, *CONTESTANTS[name].also):
                contestants.make_environment(WORK / "environments", environment)
        results = _bench(wanted)
    except (Different, Failed) as problem:
        _say(str(problem))
        return 1
    _say(report.scenes_table(results), "")
    if results["costs"]["first_load_processes"]:
        _say(f"First loads of {wanted.peer_size:,} records, process start to exit:", report.peers_table(results), "")
    _say(report.goals_table(results))
    complete = set(wanted.peers) == CONTESTANTS.keys() and set(wanted.vendors) == set(VENDORS)
    folder = RESULTS if complete else WORK / "partial_results"
    report.write(results, folder)
    _say("", f"Written to {folder.relative_to(REPOSITORY)}/latest.json")
    return 0


def _wanted() -> Wanted:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=30_000, help="records of each vendor")
    parser.add_argument(
        "--peer-size", type=int, help=f"records for the peers; at most {MOST_PEER_RECORDS:,} unless given"
    )
    parser.add_argument("--peers", default=",".join(CONTESTANTS), help="names with commas; empty for none")
    parser.add_argument("--vendors", default=",".join(VENDORS))
    parser.add_argument("--rounds", type=int, help="of ours and the limit; 3 up to 100,000 records, then 1")
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    given = parser.parse_args()
    if unknown := set(filter(None, given.peers.split(","))) - CONTESTANTS.keys():
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(CONTESTANTS)}")
    if given.size < 1_000:
        parser.error("fewer than 1,000 records measure nothing")
    return Wanted(
        size=given.size,
        peer_size=given.peer_size or min(given.size, MOST_PEER_RECORDS),
        peers=tuple(filter(None, given.peers.split(","))),
        vendors=tuple(given.vendors.split(",")),
        rounds=given.rounds or (3 if given.size <= 100_000 else 1),
        binaries=given.postgres_bin,
    )


def _bench(wanted: Wanted) -> dict[str, Any]:
    with _set_up(wanted) as (stage, arena):
        scenes = {vendor: Scenes() for vendor in wanted.vendors}
        for number in range(wanted.rounds):
            for vendor in wanted.vendors:
                _say(f"Ours and the limit, {vendor}, round {number + 1} of {wanted.rounds} ...")
                play(stage, vendor, scenes[vendor], check=number == 0)
        matches: dict[str, Match] = {vendor: Match() for vendor in contestants.VENDORS if vendor in wanted.vendors}
        if wanted.peers:
            for vendor, match in matches.items():
                _play_match(stage, arena, vendor, match, wanted.peers)
        return assemble(
            size=wanted.size,
            peer_size=wanted.peer_size,
            versions=_versions(stage.postgres, wanted.peers),
            scenes=scenes,
            matches=matches if wanted.peers else {},
            rounds=wanted.rounds,
        )


@contextmanager
def _set_up(wanted: Wanted) -> Iterator[tuple[Stage, Arena]]:
    """Postgres, the stand-ins, a project that is connected to them, and what should land."""
    flavour = "postgres" if wanted.binaries is None else "postgres-" + str(wanted.binaries).strip("/").replace("/", "-")
    with ExitStack() as stack:
        postgres = stack.enter_context(running(WORK / flavour, wanted.binaries))
        standins = {
            size: stack.enter_context(standing_in(WORK / "pages" / str(size), size))
            for size in {WARM_SIZE, wanted.size, wanted.peer_size}
        }
        environment = {**os.environ, STORE_URL: postgres.url("store", "psycopg")}
        os.environ[STORE_URL] = environment[STORE_URL]
        write_project(WORK / "project", postgres)
        with opened(WORK / "project") as project:
            project.store.migrate()
            for customer, size in ((CUSTOMER, wanted.size), (WARM, WARM_SIZE), (PEER, wanted.peer_size)):
                connect(project, customer, standins[size].url)
        _say("Writing down what should land ...")
        write_expected(postgres, wanted.vendors, max(wanted.size, wanted.peer_size))
        stage = Stage(postgres, standins[wanted.size], WORK / "project", environment)
        yield stage, Arena(postgres, standins[wanted.peer_size], WORK / "environments", WORK / "scratch")


def _play_match(stage: Stage, arena: Arena, vendor: str, match: Match, peers: tuple[str, ...]) -> None:
    """Ours between the peers, so that both meet the same noise; each from process start to exit."""
    _say(f"Peers, {vendor} ...")
    turns = {peers[at * len(peers) // OURS_PER_PEERS] for at in range(OURS_PER_PEERS)}
    for name in peers:
        if name in turns:
            match.ours.append(_ours_cold(stage, arena.standin, vendor))
        match.peers.setdefault(name, []).append(arena.run(name, vendor))
        landed = CONTESTANTS[name].landed(arena.schema(name, vendor), vendor)
        match.notes[name] = compare(stage.postgres, name, landed, vendor, size=arena.standin.size)
        arena.forget(name, vendor)
    landed = Landed(schema_of(vendor), TABLE, where=f"_sync_customer_id = '{PEER}'")
    compare(stage.postgres, "ours", landed, vendor, size=arena.standin.size)


def _ours_cold(stage: Stage, standin: StandIn, vendor: str) -> Cost:
    """As a peer is measured: a new process, nothing warmed, into tables that are not there."""
    with stage.postgres.connect() as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema_of(vendor)} CASCADE".encode())
        connection.execute("CHECKPOINT")
    cost, _ = run(
        [sys.executable, "-m", "benchmarks.ours", str(stage.project), vendor, PEER],
        postgres_pid=stage.postgres.pid,
        server_pid=standin.pid,
        environment=stage.environment,
        folder=REPOSITORY,
        log=WORK / "ours.log",
    )
    return cost


def _versions(postgres: Postgres, peers: tuple[str, ...]) -> dict[str, Any]:
    return {
        "sync_pipelines": version("sync-pipelines"),
        "python": platform.python_version(),
        "postgres": postgres.described(),
        "cores": os.cpu_count(),
        "peers": {name: contestants.version_of(CONTESTANTS[name]) for name in peers},
    }


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
