"""Syncs on a real Celery worker: rows, failures, a worker that is killed and a run that is cancelled."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync_pipelines.orchestration.environment import BATCHING
from sync_pipelines.orchestration.graphql import DagsterClient
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.orchestration.processes import DagsterProcesses
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines.sync_changes import make_sync
from sync_pipelines_tests.deploy.conftest import Workers, end, wait_for
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL

ROOT = Path(__file__).parents[2]
CONTACT = ("crm", "contact")
NEW = 60
TERMINATE = """
mutation Terminate($id: String!) {
  terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) { __typename ... on Error { message } }
}
"""


OWN_TRANSFORM = """
from sync_pipelines.own_transforms import transform


@transform("called_out_loud")
def called_out_loud(names):
    return names.str.upper() + "!"
"""
CALLED = {"name": "called", "sources": {"salesforce": {"source": "LastName", "transform": "called_out_loud"}}}


@pytest.fixture
def environment(place, database, redis_url):
    (place.folder / "transforms").mkdir()
    (place.folder / "transforms" / "calling.py").write_text(OWN_TRANSFORM)
    contact = {"object": "contact", "custom_schema": {"version": 1, "fields": [CALLED]}}
    # Due when they are new, and then in years.
    place.write_sync(schedule={"cron": "0 0 29 2 *"}, objects=[contact])
    place.connect(ACME, BRIGHTWATER, KESTREL)
    place.control.fault(BRIGHTWATER, "status", status=500)
    return {
        **BATCHING,
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_DAGSTER_URL": database.url("psycopg2"),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
        "SYNC_PIPELINES_RETRY_ATTEMPTS": "1",
        "SYNC_PIPELINES_DUE_EVERY_SECONDS": "1",
        "SYNC_PIPELINES_EXECUTOR": "celery",
        "SYNC_PIPELINES_CELERY_BROKER_URL": redis_url,
        **place.environ,
    }


@pytest.fixture
def workers(environment, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    made = Workers(environment, home)
    yield made
    made.stop()


@pytest.fixture
def dagster(environment, workers):
    processes = DagsterProcesses(
        workers.home,
        instance_file=ROOT / "dagster.yaml",
        environment={**environment, "PYTHONPATH": str(ROOT)},
        working_directory=ROOT,
        module="sync_pipelines_tests.deploy.location",
    )
    with processes, DagsterClient(processes.url) as client:
        yield client


@pytest.mark.chaos
def test_a_celery_worker_does_what_a_run_of_its_own_does(place, workers, dagster, redis_url):
    """One story, because Dagster's start costs seconds."""
    worker, log = workers.start()
    one_customer_fails_and_the_others_have_their_rows(place, dagster)
    assert "execute_plan" in log.read_text()
    place.control.clear_faults()
    lost = a_step_under_way(place, dagster)
    what_is_under_way_is_not_done_twice_at_once(place, dagster)
    end(worker)
    workers.start()
    what_the_dead_worker_had_comes_back(place, dagster, lost)
    cancelled = a_step_under_way(place, dagster)
    a_cancelled_run_ends_at_once_and_is_not_repeated(place, dagster, cancelled)
    password = redis_url.split("@")[0].removeprefix("redis://:")
    assert not [file for file in workers.home.rglob("*") if file.is_file() and password in file.read_text("latin-1")]


def one_customer_fails_and_the_others_have_their_rows(place, dagster):
    run = wait_for(lambda: dagster.runs(), "the first run is launched")[-1]
    run = dagster.wait_for_run(run.run_id)
    assert run.status == "FAILURE"
    outcomes = {each.customer_id: each.status for each in place.project.store.runs.list(run_id=run.run_id)}
    assert outcomes == {ACME: "success", BRIGHTWATER: "error", KESTREL: "success"}
    assert place.differences(ACME, KESTREL) == []
    called = {row["last_name"]: row["called"] for row in place.rows("crm_contact") if row["last_name"]}
    assert called == {name: f"{name.upper()}!" for name in called}, "the data team's own pandas, on the worker"
    statuses = dagster.partition_statuses(CONTACT)
    assert (statuses.failed, statuses.materialized) == ({BRIGHTWATER}, {ACME, KESTREL})


def a_step_under_way(place, dagster):
    """A run that waits for ACME's CRM, whose records have changed; KESTREL is through."""
    wait_for(lambda: claim(place) is None, "ACME is not claimed")
    place.control.change(ACME, "Contact", updated=7, created=NEW, deleted=3)
    # One record a page and seconds for each: minutes for all of them, and a place to stop after each.
    place.control.fault(ACME, "slow", seconds=3)
    place.control.fault(ACME, "short_pages", size=1)
    place.project.store.due.request("crm", [ACME, KESTREL])
    own = wait_for(lambda: claim(place), "ACME is claimed")
    (run,) = wait_for(lambda: dagster.runs(tags={CLAIM_TAG: str(own)}), "a run is launched")
    wait_for(lambda: place.project.store.runs.list(run_id=run.run_id, customer_id=KESTREL), "KESTREL is through")
    wait_for(lambda: place.control.faults()["on"][0]["used"], "ACME's CRM is asked")
    assert not place.project.store.runs.list(run_id=run.run_id, customer_id=ACME)
    return run.run_id


def claim(place):
    return work_of_acme(place).claim_id


def work_of_acme(place):
    """ACME's line of the plan."""
    (work,) = place.project.store.due.list(customer_id=ACME)
    return work


def lease_is_free(place):
    with place.project.store.leases.hold("default", "crm", ACME, "contact") as ours:
        return ours


def what_is_under_way_is_not_done_twice_at_once(place, dagster):
    assert not lease_is_free(place)
    second = dagster.wait_for_run(dagster.materialize(CONTACT, ACME))
    (outcome,) = place.project.store.runs.list(run_id=second.run_id)
    assert outcome.status == "skipped"
    assert "not done twice" in outcome.error_message


def what_the_dead_worker_had_comes_back(place, dagster, lost):
    """The dead worker's place is taken by one of the same name, which does not know of the step."""
    assert dagster.wait_for_run(lost).status == "FAILURE"
    wait_for(lambda: claim(place) is None, "the claim is closed")
    assert work_of_acme(place).attempts == 1
    place.control.clear_faults()
    known = run_ids(dagster)
    with place.store.connect() as connection:
        # Its wait is over: what the due table would do in a minute.
        connection.execute("UPDATE due SET retry_at = now() WHERE customer_id = %s AND retry_at IS NOT NULL", [ACME])
    last = wait_for(lambda: through(place, known), "ACME's work is repeated")
    assert dagster.wait_for_run(last.run_id).status == "SUCCESS"
    assert place.differences(ACME, KESTREL) == []
    assert ACME in dagster.partition_statuses(CONTACT).materialized


def through(place, known):
    """ACME's newest run, once it is none of the known ones and got through with the new records."""
    last = place.project.store.runs.last("crm", "contact", ACME)
    return last if last.run_id not in known and last.status == "success" and last.counts.created == NEW else None


def run_ids(dagster):
    return {run.run_id for run in dagster.runs()}


def a_cancelled_run_ends_at_once_and_is_not_repeated(place, dagster, cancelled):
    assert dagster.ask(TERMINATE, id=cancelled)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    assert dagster.wait_for_run(cancelled).status == "CANCELED"
    wait_for(lambda: lease_is_free(place), "the worker lets go of the step")
    wait_for(lambda: claim(place) is None, "the claim is closed")
    assert work_of_acme(place).next_at > datetime.now(UTC) + timedelta(hours=12)
    place.control.clear_faults()
    known = run_ids(dagster)
    place.project.store.due.request("crm", [ACME])
    last = wait_for(lambda: through(place, known), "ACME's work is done when asked for")
    assert dagster.wait_for_run(last.run_id).status == "SUCCESS"
    assert place.differences(ACME) == []


@pytest.mark.chaos
def test_a_worker_takes_a_sync_that_was_made_by_api_after_it_began(place, environment, workers):
    worker, _ = workers.start()
    processes = DagsterProcesses(
        workers.home,
        instance_file=ROOT / "dagster.yaml",
        environment={**environment, "PYTHONPATH": str(ROOT)},
        working_directory=ROOT,
    )
    with processes, DagsterClient(processes.url) as client:
        wait_for(lambda: client.runs(), "the worker is at work with the syncs that it began with")
        document = {"name": "late", "provider": "salesforce", "destination": "warehouse", "objects": ["lead"]}
        make_sync(place.project, {**document, "customers": [ACME], "schedule": "hourly"}, actor="test")
        runs = wait_for(lambda: place.project.store.runs.list(sync="late"), "the new sync has run")
        assert [(run.customer_id, run.status) for run in runs] == [(ACME, "success")]
        assert worker.poll() is None
    assert len(place.rows("crm_lead", ACME)) == len(list(place.control.truth(ACME, "Lead")))
