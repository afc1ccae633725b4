import re
import time

import dagster as dg
import pytest

from sync_pipelines.orchestration.assets import multi_asset_of
from sync_pipelines.orchestration.launching import LAUNCHED_TAG
from sync_pipelines.orchestration.names import SYNC_TAG
from sync_pipelines.orchestration.pulse import ALIVE_TAG, fail_silent_runs, pulse
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_sync, giving, subjects_of

STARTED = dg.DagsterRunStatus.STARTED
DEADLINE_SECONDS = 60


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def run_that_is(instance):
    def run_that_is(status, silent=None):
        """A run whose last sign of life is so many seconds old; None: it never gave one."""

        @dg.job
        def anything():
            pass

        tags = {} if silent is None else {ALIVE_TAG: f"{time.time() - silent:.0f}"}
        return instance.create_run_for_job(anything, tags=tags, status=status)

    return run_that_is


def look(instance, last=10):
    """A look at all runs, so many seconds after the last one."""
    return fail_silent_runs(instance, silent_after=60, last_look=time.time() - last)


def sign_of(instance, run):
    return instance.get_run_by_id(run.run_id).tags.get(ALIVE_TAG)


def test_a_run_that_is_silent_for_too_long_ends_as_failed_and_says_why(instance, run_that_is):
    silent = run_that_is(STARTED, silent=100)
    assert look(instance) == [silent.run_id]
    assert instance.get_run_by_id(silent.run_id).status == dg.DagsterRunStatus.FAILURE
    messages = " ".join(entry.message for entry in instance.all_logs(silent.run_id))
    assert re.search(r"no sign of life for 1\d\d s", messages)
    assert look(instance) == []


@pytest.mark.parametrize(
    ("status", "silent"),
    [
        (STARTED, 20),
        (STARTED, None),
        (dg.DagsterRunStatus.STARTING, 100),
        (dg.DagsterRunStatus.SUCCESS, 100),
        (dg.DagsterRunStatus.CANCELED, 100),
    ],
)
def test_runs_that_give_signs_or_do_not_work_or_are_not_ours_are_left_alone(instance, run_that_is, status, silent):
    run = run_that_is(status, silent)
    assert look(instance) == []
    assert instance.get_run_by_id(run.run_id).status == status


@pytest.mark.parametrize(
    ("name", "tags", "ended"),
    [
        ("sync_crm", {SYNC_TAG: "crm", LAUNCHED_TAG: "yes"}, True),
        ("sync_crm", {SYNC_TAG: "crm"}, False),
        ("check_crm", {SYNC_TAG: "crm", LAUNCHED_TAG: "yes"}, False),
        ("sync_crm", {LAUNCHED_TAG: "yes"}, False),
    ],
)
def test_a_run_that_was_killed_before_its_first_sign_counts_as_silent_since_its_start(
    instance, monkeypatch, name, tags, ended
):
    """Where nobody gives signs, or another launcher decides when the process begins, nothing can be said."""

    @dg.job(name=name)
    def started():
        pass

    run = instance.create_run_for_job(started, tags=tags, status=dg.DagsterRunStatus.STARTING)
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, name), run.run_id)
    record = instance.get_run_record_by_id(run.run_id)
    assert record.dagster_run.status == STARTED
    assert look(instance) == []
    monkeypatch.setattr(time, "time", lambda: record.start_time + 61)
    assert look(instance) == ([run.run_id] if ended else [])


def test_nobody_is_judged_when_nobody_could_give_signs_for_a_while(instance, run_that_is):
    run = run_that_is(STARTED, silent=100)
    assert look(instance, last=90) == []
    assert fail_silent_runs(instance, silent_after=60, last_look=None) == []
    assert instance.get_run_by_id(run.run_id).status == STARTED
    assert look(instance) == [run.run_id]


def test_signs_are_given_again_and_again_while_the_work_lasts(instance, run_that_is):
    run = run_that_is(STARTED, silent=1_000)
    first = sign_of(instance, run)
    with pulse(instance, run.run_id, silent_after=1):
        later = wait_for_another(instance, run, first)
        wait_for_another(instance, run, later)
        assert look(instance) == []


def wait_for_another(instance, run, sign):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := sign_of(instance, run)) == sign:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_storage_that_is_away_for_a_moment_ends_neither_the_work_nor_the_signs(instance, run_that_is, monkeypatch):
    run = run_that_is(STARTED, silent=1_000)
    first, add, refused = sign_of(instance, run), instance.add_run_tags, []

    def away_at_first(run_id, tags):
        if not refused:
            refused.append(run_id)
            raise ConnectionError("the server closed the connection")
        add(run_id, tags)

    monkeypatch.setattr(instance, "add_run_tags", away_at_first)
    with pulse(instance, run.run_id, silent_after=1):
        wait_for_another(instance, run, first)
    assert refused


def test_every_run_of_ours_gives_signs_of_life(instance):
    project = FakeProject(a_sync(objects=("contact",)), customers=["acme"])
    sync = project.configuration.syncs["hubspot_crm"]
    instance.add_dynamic_partitions("hubspot_connections", ["acme"])
    made = multi_asset_of(sync, subjects_of(project, sync))
    began = time.time()
    result = dg.materialize(
        [made], instance=instance, resources={"sync_project": giving(project)}, partition_key="acme"
    )
    assert result.success
    assert float(instance.get_run_by_id(result.run_id).tags[ALIVE_TAG]) >= began - 1
