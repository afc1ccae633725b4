import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dagster as dg
import pytest

from sync_pipelines.orchestration.launching import ALREADY, OnceRunLauncher

SECONDS = 60


class Refused(Exception):
    """The code server did not take the run."""


@pytest.fixture
def run(postgres_instance):
    @dg.job
    def anything():
        pass

    return postgres_instance.create_run_for_job(anything, status=dg.DagsterRunStatus.STARTING)


@pytest.fixture
def daemon(postgres_instance):
    """Makes launchers, each as in a daemon of its own with the same storage."""
    opened = []

    def daemon():
        opened.append(dg.DagsterInstance.from_ref(postgres_instance.get_ref()))
        launcher = OnceRunLauncher()
        launcher.register_instance(opened[-1])
        return launcher

    yield daemon
    for instance in opened:
        instance.dispose()


@pytest.fixture
def launches(monkeypatch):
    """What Dagster's own launcher was asked to start, by a stand-in for the code server. Set `then` to act in it."""
    launches = SimpleNamespace(runs=[], then=lambda: None)

    def launch_run(self, context):
        launches.runs.append(context.dagster_run.run_id)
        launches.then()

    monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", launch_run)
    return launches


def messages(instance, run):
    return [entry.dagster_event.message for entry in instance.all_logs(run.run_id) if entry.dagster_event]


def test_two_daemons_that_take_the_same_run_at_once_start_it_once(postgres_instance, run, daemon, launches):
    launching, asked = threading.Event(), threading.Event()

    def both_are_here():
        launching.set()
        assert asked.wait(SECONDS)

    launches.then = both_are_here
    context = SimpleNamespace(dagster_run=run)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(daemon().launch_run, context)
        assert launching.wait(SECONDS)
        second = pool.submit(daemon().launch_run, context)
        wait_for_a_waiting_session(postgres_instance)
        asked.set()
        first.result(SECONDS)
        second.result(SECONDS)
    assert launches.runs == [run.run_id]
    assert messages(postgres_instance, run) == [ALREADY]


def wait_for_a_waiting_session(instance):
    """The second daemon stands before the lock that the first one holds."""
    waiting = threading.Event()
    with instance.run_storage.connect() as connection:
        for _ in range(SECONDS * 20):
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
                "(SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            if found.scalar_one() == 1:
                return
            waiting.wait(0.05)
    raise AssertionError("the second daemon does not wait")


def test_a_run_that_could_not_be_launched_may_be_launched_by_the_next(run, daemon, launches):
    def refuse():
        raise Refused

    launches.then = refuse
    context = SimpleNamespace(dagster_run=run)
    with pytest.raises(Refused):
        daemon().launch_run(context)
    launches.then = lambda: None
    daemon().launch_run(context)
    assert len(launches.runs) == 2


def test_storage_in_files_launches_too(tmp_path, launches):
    @dg.job
    def anything():
        pass

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(anything, status=dg.DagsterRunStatus.STARTING)
        launcher = OnceRunLauncher()
        launcher.register_instance(instance)
        launcher.launch_run(SimpleNamespace(dagster_run=run))
    assert launches.runs == [run.run_id]
