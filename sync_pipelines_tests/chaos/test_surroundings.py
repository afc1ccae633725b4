"""What the runs stand on gives way in the middle of one: Postgres, the vendors, the disk; and two daemons at once."""

import os
import signal
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.cli.stage import WAREHOUSE
from sync_pipelines.settings import environment_variables
from sync_pipelines_tests.chaos.full_disk import full_disk
from sync_pipelines_tests.chaos.scene import FORCE, HUB

pytestmark = pytest.mark.chaos

TEN_MINUTES = timedelta(minutes=10)


def errors(scene, sync):
    return {(run.error_type, run.status) for run in scene.project.store.runs.list(sync=sync, since=scene.since)}


def test_one_postgres_for_everything_crashes_and_comes_back(scene):
    """The destination's, the store's and Dagster's at the same time."""
    scene.hit_in_the_middle(HUB)
    os.kill(scene.stage.postgres.pid, signal.SIGKILL)
    scene.stage.postgres.start()
    scene.at_rest(HUB)
    assert scene.wrong() == []


def test_a_vendors_clock_that_is_off_by_ten_minutes_costs_no_record(scene):
    """Behind ours, then ahead of it. What was changed just before and just after it was set is read all the same."""
    assert scene.control.now() < datetime.now(UTC) - TEN_MINUTES  # since the beginning of the scene
    sync_what_changed(scene)
    scene.change(FORCE)
    scene.control.clock(set=datetime.now(UTC) + TEN_MINUTES)
    sync_what_changed(scene)
    sync_what_changed(scene)


def sync_what_changed(scene):
    scene.change(FORCE)
    scene.ask(FORCE)
    scene.at_rest(FORCE)
    assert scene.wrong() == []


def test_vendors_that_cannot_be_reached_are_an_error_until_they_are_back(scene):
    run_id = scene.hit_in_the_middle(HUB)
    scene.vendors.go_away()
    assert scene.ended(run_id) == "FAILURE"
    assert ("network", "error") in errors(scene, HUB)
    again = scene.until("what failed is tried again in vain", lambda: tried_again(scene, HUB))
    assert {run.error_type for run in again} == {"network"}
    scene.vendors.come_back()
    scene.at_rest(HUB)
    assert scene.wrong() == []


def tried_again(scene, sync):
    """The second failures of the same work."""
    scene.the_minute_passes()
    failed = {}
    for run in scene.project.store.runs.list(sync=sync, status="error", since=scene.since):
        failed.setdefault((run.customer_id, run.object), []).append(run)
    return [runs[0] for runs in failed.values() if len(runs) > 1]


def test_a_full_disk_is_an_error_that_says_so_until_there_is_room(scene):
    with full_disk(scene.stage.postgres, WAREHOUSE, "crm.crm_contact"):
        scene.change(FORCE)
        scene.ask(FORCE)
        told = scene.until(
            "the disk is full",
            lambda: scene.project.store.runs.list(sync=FORCE, object="contact", status="error", since=scene.since),
        )
        assert {run.error_type for run in told} == {"destination"}
        assert "disk" in told[0].error_message
        assert "full: make room" in told[0].error_message
        scene.until("the other table is written all the same", lambda: accounts_synced(scene))
    scene.at_rest(FORCE)
    assert scene.wrong() == []


def accounts_synced(scene):
    through = scene.project.store.runs.list(sync=FORCE, object="account", status="success", since=scene.since)
    return {run.customer_id for run in through} == {account.id for account in scene.accounts[FORCE]}


@contextmanager
def second_daemon(stage):
    first = next(each for each in stage.dagster.started if each.name == "daemon")
    home = {"DAGSTER_HOME": str(stage.dagster.home)}
    log = stage.dagster.home / "second_daemon.log"
    with log.open("wb") as output:
        second = subprocess.Popen(
            first.command,
            cwd=stage.dagster.working_directory,
            env={**environment_variables(), **stage.dagster.environment, **home},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
        assert second.poll() is None
    finally:
        os.killpg(second.pid, signal.SIGTERM)
        second.wait(60)


def test_two_daemons_by_mistake_launch_and_sync_nothing_twice(scene):
    with second_daemon(scene.stage) as log:
        scene.until("both are at work", lambda: b"Checking for new runs for sensor" in log.read_bytes())
        for _ in range(2):
            for sync in (HUB, FORCE):
                scene.change(sync)
            before = scene.since
            for sync in (HUB, FORCE):
                scene.ask(sync)
            scene.at_rest(HUB, FORCE)
            assert begun_once(scene, before)
            assert scene.wrong() == []


def begun_once(scene, since):
    """Every work was done by one run, and tried once."""
    works = [(run.sync, run.object, run.customer_id) for run in scene.project.store.runs.list(since=since, limit=2_000)]
    return len(works) == len(set(works))
