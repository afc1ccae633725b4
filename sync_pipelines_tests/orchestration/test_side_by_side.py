"""Dagster's runs on a real project: the sandbox over HTTP, store and warehouse in Postgres."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from sync_pipelines.model.errors import DestinationBusy
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.orchestration.fakes import giving

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
    """Has a function called with the object's name whenever a lease is held, before its work begins."""
    hold = place.project.store.leases.hold

    def holding(then):
        @contextmanager
        def watched(application_id, sync, customer_id, object_name):
            with hold(application_id, sync, customer_id, object_name) as ours:
                then(object_name)
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

    def meet(object_name):
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
    def busy(object_name):
        if object_name == "account":
            raise DestinationBusy("The database does not answer; it comes back by itself.")

    holding(busy)
    [request] = tick()
    assert not run_of(request).success
    assert statuses(instance, "contact") == {ACME: "MATERIALIZED", BRIGHTWATER: "MATERIALIZED"}
    assert statuses(instance, "account") == {ACME: "FAILED", BRIGHTWATER: "FAILED"}
    assert tick() == []
    due = place.project.store.due
    assert due.open_claims() == []
    [claim] = due.claim(datetime.now(UTC) + timedelta(minutes=10), sync="crm")
    assert (claim.customers, claim.objects) == ((ACME, BRIGHTWATER), ("account",))
