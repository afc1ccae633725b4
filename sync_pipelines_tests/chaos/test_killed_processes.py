"""SIGKILL of one process after the other while a run is in the middle of its work."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from sync_pipelines_tests.chaos.scene import FORCE, HUB

pytestmark = pytest.mark.chaos


def test_the_work_of_a_killed_run_comes_back(scene):
    run_id = scene.hit_in_the_middle(HUB)
    os.kill(scene.worker_of(run_id), signal.SIGKILL)
    assert scene.ended(run_id) == "FAILURE"
    scene.at_rest(HUB)
    assert scene.wrong() == []


def test_runs_whose_origin_is_killed_are_taken_for_dead_and_their_work_comes_back(scene):
    """The process that runs are forked from. Nobody else sees how a run ends, and the next one needs a new origin."""
    run_id = scene.hit_in_the_middle(HUB)
    origin = parent_of(scene.worker_of(run_id))
    assert "forkserver" in Path(f"/proc/{origin}/cmdline").read_text()
    os.kill(origin, signal.SIGKILL)
    assert scene.ended(run_id) == "FAILURE"
    scene.at_rest(HUB)
    assert scene.wrong() == []


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_runs_outlive_the_daemon_and_the_next_one_closes_what_they_did(scene):
    run_id = scene.hit_in_the_middle(HUB)
    scene.kill("daemon")
    scene.control.clear_faults()
    assert scene.ended(run_id) == "SUCCESS"
    scene.at_rest(HUB)
    assert scene.wrong() == []


def test_a_code_server_takes_its_runs_with_it_and_their_work_comes_back(scene):
    run_id = scene.hit_in_the_middle(HUB)
    scene.kill("code server")
    assert scene.ended(run_id) == "FAILURE"
    scene.at_rest(HUB)
    assert scene.wrong() == []


def test_runs_do_not_notice_that_the_webserver_is_killed(scene):
    run_id = scene.hit_in_the_middle(FORCE)
    scene.kill("webserver")
    scene.control.clear_faults()
    scene.until("the pages are back", lambda: pages_answer(scene))
    assert scene.ended(run_id) == "SUCCESS"
    scene.at_rest(FORCE)
    assert scene.wrong() == []


def pages_answer(scene):
    try:
        return scene.client.load_error() is None
    except httpx.HTTPError:
        return False
