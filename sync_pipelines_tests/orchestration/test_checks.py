"""The checks of an asset as Dagster shows them: failed while something is wrong, passed again when it is mended."""

import uuid
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Override, SyncObject
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.checks import COMPLETE, FRESH, TOLD_AGAIN_AFTER, Checked, tick
from sync_pipelines.orchestration.sensors import request_for
from sync_pipelines.store import Claim, Outcome, Store
from sync_pipelines.verifying import verify
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_sync, giving, subjects_of

CONTACT = dg.AssetKey(["crm", "contact"])
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("salesforce_connections", [ACME, BRIGHTWATER, KESTREL])
        yield instance


def newest(instance, check, key=CONTACT):
    """The newest result of a check as the UI reads it, None where there is none."""
    check_key = dg.AssetCheckKey(key, check)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([check_key])
    return found[check_key].event.dagster_event.event_specific_data if check_key in found else None


def said(result):
    return (result.passed, result.severity.value, result.description)


def metadata(result):
    return {name: value.value for name, value in result.metadata.items()}


# Completeness


@pytest.fixture
def synced(unhurried):
    unhurried.connect(ACME, BRIGHTWATER, KESTREL)
    unhurried.sync()
    return unhurried


@pytest.fixture
def run(synced, instance):
    """Runs a job, or a part of one, in this process as the run launcher's process does."""

    def run(job="check_crm", *, assets=None, checks=None, config=None, **options):
        definitions = definitions_of(synced.project, giving(synced.project))
        whole = definitions.resolve_job_def(job) if job else definitions.resolve_implicit_global_asset_job_def()
        chosen = whole.get_subset(asset_selection=assets, asset_check_selection=checks)
        run_config = {"ops": {"checks_of_crm": {"config": config}}} if config else None
        return chosen.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False, **options)

    return run


def lose(place, customer, count):
    lost = "SELECT id FROM crm.crm_contact WHERE _sync_customer_id = %s AND NOT is_deleted ORDER BY id LIMIT %s"
    place.execute(f"DELETE FROM crm.crm_contact WHERE id IN ({lost})", customer, count)


def test_a_gap_fails_the_check_and_its_repair_passes_it_again(synced, run, instance):
    assert run().success
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", "3 of 3 customers complete.")
    lose(synced, KESTREL, 4)
    assert run().success, "a check that fails is a result, not an error of its run"
    failed = newest(instance, COMPLETE)
    assert said(failed) == (False, "ERROR", f"1 of 3 customers differs from the account: {KESTREL}.")
    told = metadata(failed)
    assert (told["customers"], told["complete"], told["gaps"], told["repairs_asked"]) == (3, 2, 1, 1)
    assert told["records_at_source"] - told["rows_in_destination"] == 4
    assert KESTREL in told["gaps_by_customer"]
    assert "4 records of the account" in told["gaps_by_customer"]
    due = synced.project.store.due
    (claim,) = due.claim(sync="crm")
    assert (claim.customers, claim.objects, claim.full) == ((KESTREL,), ("contact",), True)
    synced.sync(*claim.customers, full=claim.full)
    due.done(claim.id, [Outcome(customer_id=KESTREL)])
    run()
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", "3 of 3 customers complete.")


def test_a_check_may_be_told_whom_to_count_and_not_to_repair(synced, run, instance):
    run()
    lose(synced, KESTREL, 2)
    run(config={"connections": [ACME]})
    assert newest(instance, COMPLETE).passed, "the others are as they were found last"
    run(config={"connections": [KESTREL], "repair": False})
    assert metadata(newest(instance, COMPLETE))["repairs_asked"] == 0
    assert not newest(instance, COMPLETE).passed
    assert synced.project.store.due.claim(sync="crm") == []


def test_who_cannot_be_counted_is_named_and_nobody_counted_is_a_warning(synced, run, instance):
    synced.control.fault(KESTREL, "missing_scope", path="COUNT")
    run()
    found = newest(instance, COMPLETE)
    assert said(found) == (True, "ERROR", "2 of 3 customers complete.")
    assert KESTREL in metadata(found)["not_counted_because"]
    for customer in (ACME, BRIGHTWATER):
        synced.control.fault(customer, "missing_scope", path="COUNT")
    run()
    assert said(newest(instance, COMPLETE)) == (False, "WARN", "Nobody could be counted; see the reasons.")


def test_who_rests_is_not_counted_and_that_is_no_fault(synced, run, instance):
    lifecycle = synced.project.store.lifecycle
    synced.project.plan("crm")
    run()
    lifecycle.pause("crm", [KESTREL])
    run()
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", "2 of 3 customers complete.")
    lifecycle.pause("crm", [ACME, BRIGHTWATER])
    run()
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", "3 of 3 customers paused: nobody is counted.")
    lifecycle.resume("crm", [ACME, BRIGHTWATER, KESTREL])
    lose(synced, KESTREL, 1)
    run(config={"repair": False})
    lifecycle.pause("crm", reason="holidays")
    run()
    told = "The sync is paused (holidays): nobody is counted; 1 of 3 customers differed before."
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", told)
    lifecycle.resume("crm")
    run(config={"repair": False})
    assert not newest(instance, COMPLETE).passed


def test_a_result_that_a_run_of_partitions_leaves_out_is_told_again_within_the_hour(synced, run, instance):
    """The UI plans the checks of an asset whose partitions it runs, and then shows them as skipped."""
    lose(synced, KESTREL, 1)
    run(config={"repair": False})
    run(job=None, assets={CONTACT}, partition_key=ACME)
    assert type(newest(instance, COMPLETE)).__name__ == "AssetCheckEvaluationPlanned"
    subjects = subjects_of(synced.project, synced.project.sync("crm"))
    checked = [Checked(sync=synced.project.sync("crm"), subjects=subjects)]
    (event,), cursor = tick(synced.project.store, checked, None, NOON)
    instance.report_runless_asset_event(event)
    assert not newest(instance, COMPLETE).passed
    assert tick(synced.project.store, checked, cursor, NOON + TOLD_AGAIN_AFTER / 2)[0] == []
    assert len(tick(synced.project.store, checked, cursor, NOON + TOLD_AGAIN_AFTER)[0]) == 1


def test_what_the_command_line_counted_shows_in_dagster(synced):
    subjects = subjects_of(synced.project, synced.project.sync("crm"))
    checked = [Checked(sync=synced.project.sync("crm"), subjects=subjects)]
    assert tick(synced.project.store, checked, None, NOON)[0] == []
    verify(synced.project, "crm", run_id="by hand")
    (event,), cursor = tick(synced.project.store, checked, None, NOON)
    assert event.passed
    lose(synced, KESTREL, 1)
    verify(synced.project, "crm", run_id="by hand")
    (event,), _ = tick(synced.project.store, checked, cursor, NOON)
    assert not event.passed


def test_a_gap_of_a_customer_that_the_sync_does_not_cover_any_more_is_forgotten(synced, run, instance):
    lose(synced, KESTREL, 1)
    run()
    assert not newest(instance, COMPLETE).passed
    synced.write_sync(customers=[ACME, BRIGHTWATER])
    run()
    assert said(newest(instance, COMPLETE)) == (True, "ERROR", "2 of 2 customers complete.")


def test_what_the_sensor_launches_counts_nothing():
    project = FakeProject(a_sync(freshness=HOUR))
    definitions = definitions_of(project, giving(project))
    job = definitions.resolve_job_def("sync_hubspot_crm")
    assert {node.name for node in job.nodes} == {"objects_of_hubspot_crm"}
    part = job.get_subset(asset_selection={dg.AssetKey(["hubspot_crm", "contact"])}, asset_check_selection=set())
    assert {node.name for node in part.nodes} == {"objects_of_hubspot_crm"}


def test_a_claim_of_some_objects_asks_for_none_of_their_checks():
    sync = a_sync()
    claim = Claim(id=uuid.uuid4(), sync=sync.name, customers=("acme",), objects=("contact",))
    request = request_for(claim, sync, subjects_of(FakeProject(sync), sync))
    assert (request.asset_selection, request.asset_check_keys) == ([dg.AssetKey(["hubspot_crm", "contact"])], [])


def test_every_asset_has_its_checks_and_every_sync_its_nightly_check():
    definitions = definitions_of(FakeProject(a_sync(freshness=HOUR), a_sync("nightly", "salesforce", ("Lead",))))
    keys = {(key.asset_key.to_user_string(), key.name) for key in definitions.resolve_asset_graph().asset_check_keys}
    assert keys == {
        ("hubspot_crm/contact", COMPLETE),
        ("hubspot_crm/contact", FRESH),
        ("hubspot_crm/account", COMPLETE),
        ("hubspot_crm/account", FRESH),
        ("nightly/lead", COMPLETE),
    }
    repository = definitions.get_repository_def()
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert set(schedules) == {"check_hubspot_crm_daily", "check_nightly_daily"}
    assert {schedule.default_status for schedule in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}
    lines = {schedule.cron_schedule for schedule in schedules.values()}
    assert len(lines) == 2, "syncs are not all checked in the same minute"
    assert all(0 <= int(line.split()[1]) < 6 for line in lines)
    assert "checks" in {sensor.name for sensor in repository.sensor_defs}


# Freshness


@pytest.fixture
def database(make_database):
    """The store's."""
    return make_database.migrated()


@pytest.fixture
def store(database):
    store = Store(database.url(), (Secret("a-key-for-this-test-that-is-long-enough"),))
    yield store
    store.close()


class Watch:
    """One sync with an objective of an hour, a clock of its own, and a cursor between its ticks."""

    def __init__(self, store, database, **more):
        self.store, self.database = store, database
        self.sync = a_sync("crm", "salesforce", ("contact",), freshness=HOUR, **more)
        self.project = FakeProject(self.sync, store=store)
        self.cursor = None
        self.now = NOON

    def connect(self, *customers):
        for customer in customers:
            tokens = Tokens(access_token=Secret("token"))
            self.store.connections.connect(customer_id=customer, provider="salesforce", tokens=tokens)
        self.execute("UPDATE connections SET connected_at = %s", NOON)
        self.store.due.plan([self.sync], now=NOON)

    def execute(self, statement, *parameters):
        with self.database.connect() as connection:
            connection.execute(statement, parameters or None)

    def succeeded(self, customer, at, object_name="contact", failing=""):
        names = (
            "attempts, successes, records, seconds, calls, attempts_today, failures_today, records_today, calls_today"
        )
        self.execute(
            f"INSERT INTO progress (sync, object, connection_id, last_attempt_at, last_status, last_success_at, "
            f"failures_in_row, last_error_message, today, {names}) "
            "SELECT 'crm', %s, id, %s, 'success', %s, %s, %s, '2026-03-02', 1, 1, 1, 1, 1, 1, 0, 1, 1 "
            "FROM connections WHERE customer_id = %s ON CONFLICT (sync, object, connection_id) DO UPDATE SET "
            "last_success_at = EXCLUDED.last_success_at, failures_in_row = EXCLUDED.failures_in_row, "
            "last_error_message = EXCLUDED.last_error_message",
            object_name,
            at,
            at,
            1 if failing else 0,
            failing,
            customer,
        )

    def tick(self, later=timedelta(0)):
        self.now += later
        checked = Checked(sync=self.sync, subjects=subjects_of(self.project, self.sync))
        events, self.cursor = tick(self.store, [checked], self.cursor, self.now)
        return events

    def result(self, later=timedelta(0)):
        self.cursor = None
        (event,) = self.tick(later)
        return event


@pytest.fixture
def watch(store, database):
    watch = Watch(store, database)
    watch.connect("acme", "bolt")
    return watch


def test_a_breach_of_the_objective_fails_the_check_and_a_success_passes_it_again(watch):
    watch.succeeded("acme", NOON)
    watch.succeeded("bolt", NOON)
    (event,) = watch.tick(HOUR)
    assert said(event) == (True, "WARN", "Nobody is later than 1:00:00.")
    watch.succeeded("bolt", NOON + HOUR)
    (event,) = watch.tick(timedelta(minutes=1))
    assert said(event) == (False, "ERROR", "1 later than 1:00:00: acme.")
    assert "1:01:00 ago" in event.metadata["late_customers"].value
    watch.succeeded("acme", NOON + HOUR)
    (event,) = watch.tick(timedelta(minutes=1))
    assert event.passed


def test_a_result_is_written_when_it_changes_or_once_an_hour(watch):
    watch.succeeded("acme", NOON)
    watch.succeeded("bolt", NOON)
    assert len(watch.tick()) == 1
    assert watch.tick(timedelta(minutes=30)) == []
    watch.succeeded("bolt", NOON + timedelta(minutes=30))
    assert len(watch.tick(timedelta(minutes=31))) == 1, "acme is late"
    assert watch.tick(timedelta(minutes=1)) == []
    assert len(watch.tick(timedelta(minutes=29))) == 1, "bolt is late too"
    assert watch.tick(TOLD_AGAIN_AFTER / 2) == []
    assert len(watch.tick(TOLD_AGAIN_AFTER / 2)) == 1


def test_a_customer_who_never_synced_has_the_time_of_the_objective(watch):
    watch.succeeded("bolt", NOON + HOUR)
    assert watch.result(HOUR).passed
    late = watch.result(timedelta(minutes=5))
    assert not late.passed
    assert "never, connected 1:05:00 ago" in late.metadata["late_customers"].value


def test_a_failing_customer_is_told_with_the_reason(watch):
    watch.succeeded("acme", NOON, failing="Salesforce is down; it will be tried again.")
    watch.succeeded("bolt", NOON + HOUR)
    late = watch.result(HOUR + timedelta(minutes=1))
    assert "Salesforce is down" in late.metadata["late_customers"].value


def test_an_expired_connection_is_the_customers_to_mend_and_only_a_warning(watch):
    watch.succeeded("acme", NOON)
    watch.succeeded("bolt", NOON + HOUR)
    watch.store.connections.set_status(watch.store.connections.get("acme", "salesforce"), "expired", "access revoked")
    late = watch.result(HOUR + timedelta(minutes=1))
    assert said(late) == (False, "WARN", "1 must reconnect: acme.")
    assert "access revoked" in late.metadata["expired_customers"].value
    late = watch.result(2 * HOUR)
    assert said(late) == (False, "ERROR", "1 later than 1:00:00: bolt; 1 must reconnect: acme.")


def test_paused_customers_and_paused_syncs_are_told_as_such(watch):
    watch.execute("UPDATE due SET paused_at = now() WHERE customer_id = 'acme'")
    watch.succeeded("bolt", NOON + 5 * HOUR)
    assert said(watch.result(5 * HOUR)) == (True, "WARN", "1 paused.")
    for state in ("paused", "archived"):
        watch.execute("DELETE FROM sync_states")
        watch.execute(
            "INSERT INTO sync_states (sync, state, reason, actor) VALUES ('crm', %s, 'holidays', 'ada')", state
        )
        result = watch.result(5 * HOUR)
        assert result.passed
        assert result.description == f"The sync is {state} (holidays): nobody is late."


def test_an_object_that_a_customer_does_not_have_cannot_be_late(store, database):
    watch = Watch(store, database, overrides={"acme": Override(objects=())})
    watch.connect("acme", "bolt")
    result = watch.result(2 * HOUR)
    assert result.description == "1 later than 1:00:00: bolt."


def test_objectives_are_for_each_object_and_customer(store, database):
    day = Override(freshness=24 * HOUR)
    contact = SyncObject(object="contact", freshness=2 * HOUR)
    watch = Watch(store, database, overrides={"acme": day})
    watch.sync = replace(watch.sync, objects=(contact, SyncObject(object="account")))
    watch.project = FakeProject(watch.sync, store=store)
    watch.connect("acme", "bolt")
    asked = {"contact": [], "account": []}
    for later in (HOUR / 2, HOUR, HOUR, 22 * HOUR):
        watch.cursor = None
        for event in watch.tick(later):
            asked[event.asset_key.path[-1]].append(event.description)
    both = "Nobody is later than their objectives of {} to 1 day, 0:00:00."
    late = "{} later than their objectives of {} to 1 day, 0:00:00: {}."
    assert asked["contact"] == [both.format("2:00:00")] * 2 + [
        late.format(1, "2:00:00", "bolt"),
        late.format(2, "2:00:00", "acme, bolt"),
    ]
    assert asked["account"] == [both.format("1:00:00")] + [late.format(1, "1:00:00", "bolt")] * 2 + [
        late.format(2, "1:00:00", "acme, bolt")
    ]


def test_customers_of_other_syncs_and_providers_are_not_asked_for(store, database):
    watch = Watch(store, database, customers=("acme",))
    watch.connect("acme", "bolt")
    store.connections.connect(customer_id="corvo", provider="hubspot", tokens=Tokens(access_token=Secret("token")))
    assert watch.result(2 * HOUR).description == "1 later than 1:00:00: acme."


@contextmanager
def sensor_context(watch, instance):
    repository = definitions_of(watch.project, giving(watch.project)).get_repository_def()
    resources = {"sync_project": giving(watch.project)}
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources=resources, cursor=watch.cursor
    ) as context:
        yield repository.get_sensor_def("checks"), context


def test_the_sensor_tells_dagster_without_a_run(watch, instance):
    """What a tick asks for goes through the code server and is reported as the daemon does it."""
    watch.connect("acme", "bolt")
    watch.succeeded("acme", datetime.now(UTC))
    watch.succeeded("bolt", datetime.now(UTC) - 2 * HOUR)

    def evaluate():
        with sensor_context(watch, instance) as (sensor, context):
            data = dg.deserialize_value(dg.serialize_value(sensor.evaluate_tick(context)), SensorExecutionData)
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        watch.cursor = data.cursor
        return data

    assert len(evaluate().asset_events) == 1
    assert said(newest(instance, FRESH)) == (False, "ERROR", "1 later than 1:00:00: bolt.")
    assert evaluate().skip_message == "Nothing has changed."
    watch.succeeded("bolt", datetime.now(UTC))
    evaluate()
    assert newest(instance, FRESH).passed
    assert instance.get_runs() == []


def test_the_check_of_freshness_runs_from_the_ui_too(watch, instance):
    watch.succeeded("acme", datetime.now(UTC))
    definitions = definitions_of(watch.project, giving(watch.project))
    check = dg.AssetCheckKey(CONTACT, FRESH)
    job = definitions.resolve_job_def("check_crm").get_subset(asset_check_selection={check})
    result = job.execute_in_process(instance=instance, run_id=str(uuid.uuid4()))
    assert result.success
    assert "bolt" in newest(instance, FRESH).description
    assert newest(instance, COMPLETE) is None
