"""Starts Dagster's real processes on a code location whose project is a fake."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.measure import process_seconds, tree
from sync_pipelines.orchestration.environment import BATCHING
from sync_pipelines.orchestration.graphql import DagsterClient, DagsterRefused, DagsterTimeout
from sync_pipelines.orchestration.processes import DagsterProcesses, NotReady, ProcessDied, free_port

ROOT = Path(__file__).parents[2]
CONTACT = ("hubspot_crm", "contact")
ACCOUNT = ("hubspot_crm", "account")
DEADLINE_SECONDS = 90
FOLDER = "sync_pipelines_tests.orchestration"


@pytest.fixture
def processes_on(database, tmp_path):
    """Makes processes on a code location of this folder; whatever is left of them is stopped after the test."""
    made = []

    def processes_on(location, **environment):
        values = {**BATCHING, "SYNC_PIPELINES_DAGSTER_URL": database.url("psycopg2"), "PYTHONPATH": str(ROOT)}
        made.append(
            DagsterProcesses(
                tmp_path / "home",
                instance_file=ROOT / "dagster.yaml",
                environment=values | environment,
                working_directory=ROOT,
                module=f"{FOLDER}.{location}",
            )
        )
        return made[-1]

    yield processes_on
    for processes in made:
        processes.stop()


@pytest.fixture
def instance_of(monkeypatch):
    def instance_of(processes):
        for name, value in processes.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAGSTER_HOME", str(processes.home))
        return dg.DagsterInstance.get()

    return instance_of


def alive(pid):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def listening(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_dagster_starts_works_like_its_ui_tells_who_died_and_leaves_nothing_behind(
    processes_on, instance_of, monkeypatch
):
    """One story, because a start costs seconds, and a backfill is launched by a daemon that looks twice a minute."""
    processes = processes_on("location")
    processes.start()
    pids = [each.pid for each in processes.started]
    assert len(pids) == 3
    processes.check()
    with instance_of(processes) as instance, DagsterClient(processes.url) as client:
        instance.add_dynamic_partitions("hubspot_connections", ["acme", "bolt", "corvo", "bad", "delta"])
        assert client.partition_keys(CONTACT) == ["acme", "bolt", "corvo", "bad", "delta"]
        backfill = client.backfill([CONTACT], ["acme", "corvo"])
        of_two_objects = client.backfill([CONTACT, ACCOUNT], ["acme", "bad"])
        one_partition_from_the_ui(client)
        a_range_with_a_failure_from_the_ui(client)
        with pytest.raises(DagsterRefused, match="no_such_job"):
            client.launch_job("no_such_job")
        assert {run.status for run in client.wait_for_backfill(backfill, expected_runs=2)} == {"SUCCESS"}
        two_objects_of_scattered_customers(client, of_two_objects)
        statuses = client.partition_statuses(CONTACT)
        assert statuses.materialized == {"acme", "bolt", "corvo", "delta"}
        assert statuses.failed == {"bad"}
        assert not statuses.missing | statuses.materializing
    runs_were_forked(processes)
    a_process_that_dies_is_started_again(processes)
    what_keeps_dying_is_told(processes, monkeypatch)
    processes.stop()
    assert not [pid for pid in pids if alive(pid)]
    assert not listening(processes.url)


def one_partition_from_the_ui(client):
    run = client.wait_for_run(client.materialize(CONTACT, "bolt"))
    assert run.status == "SUCCESS"
    assert run.tags["dagster/partition"] == "bolt"
    [event] = client.materializations(CONTACT, partitions=["bolt"])
    assert event.partition == "bolt"
    assert event.run_id == run.run_id
    assert event.metadata["rows_created"] == 2
    assert event.metadata["duration_seconds"] == 2.5
    assert event.metadata["dagster/column_schema"]["columns"][0]["name"] == "id"
    assert event.metadata["sample"].startswith("| id")


def a_range_with_a_failure_from_the_ui(client):
    run_id = client.materialize_range(CONTACT, "bad", "delta")
    with pytest.raises(DagsterTimeout, match="is still"):
        client.wait_for_run(run_id, seconds=0)
    assert client.wait_for_run(run_id).status == "FAILURE"
    statuses = client.partition_statuses(CONTACT)
    assert statuses.failed == {"bad"}
    assert statuses.materialized >= {"bolt", "delta"}


def two_objects_of_scattered_customers(client, backfill):
    """Each customer's run is one for both objects, and what fails of one is not told of the other."""
    runs = {
        run.tags["dagster/asset_partition_range_start"]: run
        for run in client.wait_for_backfill(backfill, expected_runs=2)
    }
    assert {customer: run.status for customer, run in runs.items()} == {"acme": "SUCCESS", "bad": "FAILURE"}
    found = {each.partition: each.run_id for each in client.materializations(ACCOUNT)}
    assert found == {customer: run.run_id for customer, run in runs.items()}
    statuses = client.partition_statuses(ACCOUNT)
    assert statuses.materialized == {"acme", "bad"}
    assert statuses.missing == {"bolt", "corvo", "delta"}
    assert not statuses.failed | statuses.materializing


def runs_were_forked(processes):
    """All of them have ended: what is left is the one process they came from, which waited for each."""
    code_server = next(each for each in processes.started if each.name == "code server")
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in tree(code_server.pid)}
    [fork_server] = [pid for pid, command in commands.items() if "forkserver" in command]
    assert not [command for command in commands.values() if "multiprocessing.spawn" in command]
    assert process_seconds(fork_server)[1] > 0
    # A fork of a process with threads may find their locks taken for ever.
    assert os.listdir(f"/proc/{fork_server}/task") == [str(fork_server)]
    assert "SYNC_PIPELINES" not in commands[fork_server]


def a_process_that_dies_is_started_again(processes):
    killed = next(each for each in processes.started if each.name == "webserver")
    os.killpg(killed.pid, signal.SIGKILL)
    stop = threading.Event()
    watching = threading.Thread(target=processes.watch, args=(stop,))
    watching.start()
    try:
        wait_until(lambda: not listening(processes.url))
        wait_until(lambda: listening(processes.url))
    finally:
        stop.set()
        watching.join()
    processes.check()
    assert killed not in processes.started
    assert len(processes.started) == 3


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def what_keeps_dying_is_told(processes, monkeypatch):
    monkeypatch.setattr("sync_pipelines.orchestration.processes.MOST_RESTARTS", 0)
    code_server = next(each for each in processes.started if each.name == "code server")
    os.killpg(code_server.pid, signal.SIGKILL)
    with pytest.raises(ProcessDied, match=r"code server of Dagster ended \(killed by SIGKILL\)(.|\n)*process_logs"):
        processes.watch(threading.Event())
    with pytest.raises(ProcessDied, match="code server"):
        processes.check()


def test_a_configuration_that_does_not_load_is_told_and_nothing_stays_behind(processes_on):
    processes = processes_on("broken_location")
    with pytest.raises(NotReady, match=r"syncs/crm\.yaml:7: objects\[0\]\.object"):
        processes.start()
    assert processes.started == []
    assert not listening(processes.url)


def test_watching_ends_when_it_is_told_to(processes_on):
    stop = threading.Event()
    stop.set()
    processes_on("location").watch(stop)


def test_a_free_port_can_be_bound():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
