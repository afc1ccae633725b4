"""Files: runs side by side, readers in between, deaths at every step between a commit and its files' final names."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sync_pipelines.destinations import open_destination
from sync_pipelines.destinations.s3 import compaction
from sync_pipelines.model.errors import DestinationBusy, LeaseLost
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    Crash,
    alive,
    crash_at,
    ignore,
    load,
    names,
    row,
    rows,
    scope,
)
from sync_pipelines_tests.destinations.reading_files import filesystem_of, latest

RACER = """
import sys
from datetime import timedelta
from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.destinations import open_destination
from sync_pipelines.model.errors import LeaseLost
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, ignore, load, row, scope

folder, name = sys.argv[1:]
destination = open_destination(S3DestinationConfig(name="lake", folder=folder, grace=timedelta(0)), "acme")
won = 0
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    try:
        with destination.open(scope(), CONTACTS, f"{name} {number}", ignore) as landing:
            load(landing, [row(f"{name} {number}"), row("both", minute=number, name=name)], DONE)
            won += 1
    except LeaseLost:
        pass
print(won, flush=True)
"""


@pytest.fixture(params=["folder", "bucket"])
def destination_kind(request):
    return request.param


@pytest.fixture
def look(request, destination_kind, config_of_kind):
    """What a reader sees at this moment."""

    def seen():
        config = config_of_kind()
        if destination_kind == "folder":
            return latest(config.folder)
        bucket = request.getfixturevalue("bucket")
        return latest(f"s3://{bucket.name}/{config.prefix}", filesystem=filesystem_of(bucket))

    return seen


def test_readers_never_see_half_a_chunk_nor_what_is_not_committed(destination, look):
    seen = []

    def watch(step):
        found = look()
        seen.append((step, len(found), sum(entry["first_name"] == "Bea" for entry in found)))

    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(*range(50)), DONE)
    with destination.open(scope(), CONTACTS, "run-2", watch) as landing:
        load(landing, [row(str(n), name="Bea", minute=1) for n in range(100)], DONE)
    assert {state for _, *state in map(tuple, seen) for state in [tuple(state)]} == {(50, 0)}
    assert [step for step, *_ in seen][-1] == "load.committed"
    found = look()
    assert (len(found), {entry["first_name"] for entry in found}) == (100, {"Bea"})


def test_a_run_that_died_before_its_files_had_their_names_is_shown_by_the_next(destination, open_again, look):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at("load.committed")) as landing:
        load(landing, [row("1", name="Bea", minute=1)], DONE)
    assert [entry["first_name"] for entry in look()] == ["Ann"]
    with open_again().open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert names(landing) == {"1": "Bea"}
        assert [entry["first_name"] for entry in look()] == ["Bea"]
        assert load(landing, [row("1", name="Bea", minute=1)], DONE) == Counts(unchanged=1)


def test_of_many_that_commit_at_once_one_gets_through(destination, open_again):
    racers = 8
    together = threading.Barrier(racers)

    def race(number):
        with open_again().open(scope(), CONTACTS, f"run-{number}", ignore) as landing:
            together.wait(timeout=120)
            try:
                return number, load(landing, rows(number, "all"), DONE)
            except LeaseLost:
                return number, None

    with ThreadPoolExecutor(racers) as pool:
        outcomes = dict(pool.map(race, range(racers)))
    (winner,) = [number for number, counts in outcomes.items() if counts is not None]
    with destination.open(scope(), CONTACTS, "check", ignore) as landing:
        assert alive(landing) == sorted([str(winner), "all"])
        assert landing.checkpoint.version == 1


def test_syncs_that_share_a_table_wait_for_each_other(destination, open_again):
    """They have checkpoints of their own, so neither of them is behind."""
    syncs = [f"sync {number}" for number in range(4)]
    together = threading.Barrier(len(syncs))

    def run(name):
        with open_again().open(scope(sync=name), CONTACTS, name, ignore) as landing:
            together.wait(timeout=120)
            return [load(landing, rows(f"{name} {number}", "all"), DONE).created for number in range(5)]

    with ThreadPoolExecutor(len(syncs)) as pool:
        created = list(pool.map(run, syncs))
    assert sum(map(sum, created)) == 21
    with destination.open(scope(sync=syncs[0]), CONTACTS, "check", ignore) as landing:
        assert len(alive(landing)) == 21
        assert landing.checkpoint.version == 5


def test_two_processes_that_race_for_one_scope_lose_nothing(folder_config):
    folder = folder_config().folder
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, folder, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in ("left", "right")
    ]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        won = [int(racer.communicate(timeout=240)[0]) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    with open_destination(folder_config(), "acme").open(scope(), CONTACTS, "check", ignore) as landing:
        assert len(alive(landing)) == sum(won) + 1
        assert landing.checkpoint.version == sum(won)
    assert {entry["id"] for entry in latest(folder)} == set(alive(landing))


def test_who_is_behind_while_its_files_are_compacted_away_goes_on_from_the_newest_ones(folder_config, monkeypatch):
    """Nobody is given time to go on reading what was replaced."""
    monkeypatch.setattr(compaction, "MANY", 3)
    slow, quick = (open_destination(folder_config(), "acme") for _ in range(2))
    with quick.open(scope(sync="other"), CONTACTS, "first", ignore) as landing:
        load(landing, [row("both", minute=0), row("own", minute=0)], DONE)
    with slow.open(scope(), CONTACTS, "slow", ignore) as landing:
        before = set(listed(folder_config()))
        for number in range(1, 8):
            with quick.open(scope(sync="other"), CONTACTS, f"run-{number}", ignore) as other:
                load(other, [row("both", minute=number)], DONE)
        assert before - set(listed(folder_config()))
        assert load(landing, [row("both", minute=30), row("own", minute=30)], DONE) == Counts(updated=2)
    with quick.open(scope(), CONTACTS, "check", ignore) as landing:
        assert landing.checkpoint.version == 1
    assert sorted(entry["id"] for entry in latest(folder_config().folder)) == ["both", "own"]


def test_a_file_that_somebody_removed_is_told_and_not_waited_for(folder_config):
    destination = open_destination(folder_config(), "acme")
    with destination.open(scope(), CONTACTS, "first", ignore) as landing:
        load(landing, [row("1", minute=0)], DONE)
        first = listed(folder_config())
        load(landing, [row("2", minute=0)], DONE)
    for path in first:
        path.unlink()
    with destination.open(scope(), CONTACTS, "second", ignore) as landing:
        with pytest.raises(DestinationBusy, match="somebody removed files"):
            load(landing, [row("1", minute=1, name="Ann")], DONE)
        assert landing.checkpoint.version == 2


def listed(config):
    return [path for path in Path(config.folder).rglob("*.parquet") if "_own" not in path.parts]


def test_twenty_customers_at_once(open_again, look):
    customers = [f"customer {number}" for number in range(20)]
    together = threading.Barrier(len(customers))

    def run(customer):
        together.wait(timeout=120)
        for number in range(3):
            with open_again(customer).open(scope(customer), CONTACTS, f"run-{number}", ignore) as landing:
                load(landing, [row(str(n), minute=number, name=customer) for n in range(number, 5)], DONE)

    with ThreadPoolExecutor(len(customers)) as pool:
        list(pool.map(run, customers))
    assert sorted((entry["_sync_customer_id"], entry["id"], entry["first_name"]) for entry in look()) == sorted(
        (customer, str(n), customer) for customer in customers for n in range(5)
    )


def test_compactions_and_runs_and_readers_do_not_hinder_each_other(open_again, look, monkeypatch, destination_kind):
    """With a grace that is long enough for the readers, every look finds all that was committed before it."""
    grace = {"grace": compaction.timedelta(minutes=10)}
    monkeypatch.setattr(compaction, "MANY", 3)
    writer, done, problems = open_again(**grace), threading.Event(), []

    def compact():
        other = open_again(**grace)
        while not done.is_set():
            other.compact(scope(), CONTACTS)

    def read():
        least = 0
        while not done.is_set():
            found = look() if committed else []
            problems.extend([] if len(found) >= least else [(len(found), least)])
            least = max(committed, default=0)

    committed = []
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(compact), pool.submit(read)]
        try:
            for number in range(12 if destination_kind == "folder" else 6):
                with writer.open(scope(), CONTACTS, f"run-{number}", ignore) as landing:
                    load(landing, rows(*range(number * 10, number * 10 + 10)), DONE)
                    load(landing, [row(str(number * 10), minute=1, name="Bea")], DONE)
                committed.append(number * 10 + 10)
        finally:
            done.set()
        for other in others:
            other.result()
    assert problems == []
    assert len(look()) == committed[-1]
