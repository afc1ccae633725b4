"""Dagster's runs on a real project: the sandbox over HTTP, store and warehouse in Postgres."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from sync_pipelines.model.errors import DestinationBusy
from sync_pipelines.orchestration import claims, keeping
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.orchestration.fakes import giving

PATIENCE = 120
PARTITIONS = dg.DynamicPartitionsDefinition(name="salesforce_connections")


@pytest.fixture
def place(place):
    place.write_sync(objects=["contact", "account"], schedule={"cron": "0 3 1 1 *"})
    place.connect(ACME, BRIGHTWATER)
    return place


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def holding(place, monkeypatch):
    """Has a function called with object and customer whenever a lease is held, before its work begins."""

    def holding(then):
        hold = place.project.store.leases.hold

        @contextmanager
        def watched(application_id, sync, customer_id, object_name):
            with hold(application_id, sync, customer_id, object_name) as ours:
                then(object_name, customer_id)
                yield ours

        monkeypatch.setattr(place.project.store.leases, "hold", watched)

    return holding


@pytest.fixture
def tick(place, instance):
    """One tick of the sync's sensor, as the daemon does it; what it asks to run."""
    repository = definitions_of(place.project, giving(place.project)).get_repository_def()

    def tick():
        resources = {"sync_project": giving(place.project)}
        with dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources) as context:
            return repository.get_sensor_def("crm_due").evaluate_tick(context).run_requests

    return tick


@pytest.fixture
def run_of(place, instance):
    def run_of(request):
        job = definitions_of(place.project, giving(place.project)).resolve_job_def("sync_crm")
        return job.execute_in_process(
            run_config=request.run_config,
            tags=request.tags,
            asset_selection=request.asset_selection,
            instance=instance,
            raise_on_error=False,
        )

    return run_of


def statuses(instance, object_name):
    found = instance.get_status_by_partition(dg.AssetKey(["crm", object_name]), [ACME, BRIGHTWATER], PARTITIONS)
    return {customer: status and status.value for customer, status in found.items()}


def test_two_objects_of_one_run_are_at_work_at_the_same_time(place, instance, holding, tick, run_of):
    """Each waits, with its lease held, until the other is there too: in turns, none would ever get on."""
    meeting = threading.Barrier(2)
    begun = {"contact": threading.Lock(), "account": threading.Lock()}

    def meet(object_name, customer):
        if begun[object_name].acquire(blocking=False):
            meeting.wait(timeout=60)

    holding(meet)
    [request] = tick()
    assert run_of(request).success
    for object_name in ("contact", "account"):
        assert begun[object_name].locked()
        assert statuses(instance, object_name) == {ACME: "MATERIALIZED", BRIGHTWATER: "MATERIALIZED"}
    assert place.differences(ACME, BRIGHTWATER) == []


def test_a_claim_gives_back_the_object_that_failed_and_not_the_other(place, instance, holding, tick, run_of):
    def busy(object_name, customer):
        if object_name == "account":
            raise DestinationBusy("The database does not answer; it comes back by itself.")

    holding(busy)
    [request] = tick()
    assert not run_of(request).success
    assert statuses(instance, "contact") == {ACME: "MATERIALIZED", BRIGHTWATER: "MATERIALIZED"}
    assert statuses(instance, "account") == {ACME: "FAILED", BRIGHTWATER: "FAILED"}
    due = place.project.store.due
    assert due.open_claims() == []
    [claim] = due.claim(datetime.now(UTC) + timedelta(minutes=10), sync="crm")
    assert (claim.customers, claim.objects) == ((ACME, BRIGHTWATER), ("account",))


def test_a_customer_runs_again_while_another_one_of_its_run_is_still_at_work(
    place, instance, holding, tick, run_of, monkeypatch
):
    """Asked for anew, though its first run still has hours to go with somebody else."""
    monkeypatch.setattr(keeping, "WATCH_SECONDS", 0.05)
    reported, go_on, failed = threading.Event(), threading.Event(), []
    due = place.project.store.due
    done = due.done

    def tell(*told):
        found = done(*told)
        reported.set()
        return found

    def slow_for_acme(object_name, customer):
        if customer == ACME:
            assert go_on.wait(PATIENCE)
        elif object_name == "account" and not failed:
            failed.append(customer)
            raise DestinationBusy("The database does not answer; it comes back by itself.")

    monkeypatch.setattr(due, "done", tell)
    holding(slow_for_acme)
    [request] = tick()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run_of, request)
        try:
            assert reported.wait(PATIENCE)
            [work] = due.list("crm", BRIGHTWATER)
            assert (work.claim_id, work.attempts) == (None, 1)
            due.request("crm", [BRIGHTWATER])
            [again] = tick()
            assert again.run_config["ops"]["objects_of_crm"]["config"]["connections"] == [BRIGHTWATER]
            assert run_of(again).success
            assert not first.done()
        finally:
            go_on.set()
        assert not first.result().success, "it tells what failed in it"
    # That is no longer what shows: the second run got through.
    for object_name in ("contact", "account"):
        assert statuses(instance, object_name) == {ACME: "MATERIALIZED", BRIGHTWATER: "MATERIALIZED"}
    assert due.open_claims() == []
    assert place.differences(ACME, BRIGHTWATER) == []


def test_what_is_cancelled_while_its_run_waits_does_not_begin(place, instance, tick, run_of):
    [request] = tick()
    assert place.project.store.lifecycle.cancel("crm", [ACME]) == (ACME,)
    assert run_of(request).success
    runs = place.project.store.runs
    assert {run.status for run in runs.list(customer_id=ACME)} == {"cancelled"}
    assert {run.status for run in runs.list(customer_id=BRIGHTWATER)} == {"success"}
    assert place.rows("crm_contact", ACME) == []
    assert tick() == []
    # The next time is a new one.
    place.project = place.open()
    place.project.store.due.request("crm", [ACME])
    [claim] = place.project.store.due.claim(sync="crm")
    assert place.project.store.lifecycle.cancelled_of(claim.id) == frozenset()


@pytest.fixture
def crowded(place, monkeypatch, holding):
    """One place for two large customers, of whom the first has it; its many chunks come after its time is over."""
    monkeypatch.setattr(keeping, "WATCH_SECONDS", 0.05)
    place.options |= {"connections_at_once": 1, "chunk_rows": 15, "give_way_after_seconds": 1}
    place.sleep = lambda seconds: None
    place.open()
    place.control.fault(ACME, "short_pages", size=10)
    asked = threading.Event()
    give_way = place.project.stops.give_way

    def told(customer):
        give_way(customer)
        if customer == ACME:
            asked.set()

    monkeypatch.setattr(place.project.stops, "give_way", told)
    holding(lambda object_name, customer: customer != ACME or asked.wait(PATIENCE))
    return place


def told_of(place, customer):
    return {run.object: (run.status, run.gave_way) for run in place.project.store.runs.list(customer_id=customer)}


def test_long_work_makes_room_for_others_of_its_run_and_goes_on_in_the_next(crowded, instance, tick, run_of):
    [request] = tick()
    assert run_of(request).success
    assert told_of(crowded, BRIGHTWATER) == {"contact": ("success", False), "account": ("success", False)}
    assert told_of(crowded, ACME) == {"contact": ("cancelled", True)}
    stored = len(crowded.rows("crm_contact", ACME))
    assert 0 < stored < len(list(crowded.control.truth(ACME, "Contact")))
    assert statuses(instance, "contact") == {ACME: None, BRIGHTWATER: "MATERIALIZED"}

    [again] = tick()
    assert again.run_config["ops"]["objects_of_crm"]["config"]["connections"] == [ACME]
    crowded.open()
    assert run_of(again).success
    [contacts] = crowded.project.store.runs.list(customer_id=ACME, object="contact", status="success")
    assert stored + contacts.counts.created == len(crowded.rows("crm_contact", ACME))
    assert crowded.differences(ACME, BRIGHTWATER) == []
    assert crowded.project.store.due.open_claims() == []


def test_a_run_that_had_its_time_ends_where_other_runs_wait_for_a_place(crowded, instance, tick, run_of, monkeypatch):
    assert not claims.somebody_waits(instance)
    location = RegisteredCodeLocationOrigin(location_name="here")
    repository = RemoteRepositoryOrigin(code_location_origin=location, repository_name="all")
    other = RemoteJobOrigin(repository_origin=repository, job_name="other")
    queued = dg.DagsterRun(job_name="other", status=dg.DagsterRunStatus.QUEUED, remote_job_origin=other)
    instance.run_storage.add_run(queued)
    assert not claims.somebody_waits(instance), "it may still begin within seconds"
    monkeypatch.setattr(claims, "QUEUED_SECONDS", -60)

    [request] = tick()
    assert run_of(request).success
    assert told_of(crowded, ACME) == {"contact": ("cancelled", True)}
    assert told_of(crowded, BRIGHTWATER) == {}, "it goes first in the next run"
    [again] = tick()
    assert again.run_config["ops"]["objects_of_crm"]["config"]["connections"] == [BRIGHTWATER, ACME]
    instance.delete_run(queued.run_id)
    crowded.options |= {"connections_at_once": 4, "give_way_after_seconds": 600}
    crowded.open()
    assert run_of(again).success
    assert crowded.differences(ACME, BRIGHTWATER) == []
    assert crowded.project.store.due.open_claims() == []
