from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.run import Counts
from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.claims import close_ended_claims, outcomes_of
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.orchestration.pulse import ALIVE_TAG
from sync_pipelines.orchestration.sensors import request_for
from sync_pipelines.store import Store
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_failed_run, a_run, a_sync, giving, subjects_of

ACCESS_TOKEN = "very-secret-access-token"
NOT_STARTED = dg.DagsterRunStatus.NOT_STARTED
LONG_AGO = datetime.min.replace(tzinfo=UTC)


@pytest.fixture
def store(make_database):
    store = Store(make_database.migrated().url(), (Secret("a-key-for-this-test-that-is-long-enough"),))
    yield store
    store.close()


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def project(store):
    return FakeProject(a_sync(), a_sync("salesforce_crm", "salesforce", ("contact",)), store=store)


@pytest.fixture
def connect(store):
    def connect(*customers, provider="hubspot"):
        for customer in customers:
            tokens = Tokens(access_token=Secret(ACCESS_TOKEN))
            store.connections.connect(customer_id=customer, provider=provider, tokens=tokens)

    return connect


@pytest.fixture
def tick(project, instance):
    """Evaluates a sensor by name as the daemon does, the partitions it asks for included."""
    repository = definitions_of(project, giving(project)).get_repository_def()

    def tick(name="hubspot_crm_due", cursor=None):
        resources = {"sync_project": giving(project)}
        with dg.build_sensor_context(
            instance=instance, repository_def=repository, resources=resources, cursor=cursor
        ) as context:
            result = repository.get_sensor_def(name).evaluate_tick(context)
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
            else:
                for key in request.partition_keys:
                    instance.delete_dynamic_partition(request.partitions_def_name, key)
        return result

    return tick


@pytest.fixture
def run_of(project, instance):
    """Executes what a tick asked for, in this process."""
    definitions = definitions_of(project, giving(project))

    def run_of(request, job="sync_hubspot_crm"):
        return definitions.resolve_job_def(job).execute_in_process(
            run_config=request.run_config,
            tags=request.tags,
            instance=instance,
            raise_on_error=False,
            asset_selection=request.asset_selection,
        )

    return run_of


def only(result):
    [request] = result.run_requests
    return request


def test_what_is_due_is_claimed_once_for_all_objects_in_one_run(tick, connect):
    connect("acme", "bolt")
    connect("corvo", provider="salesforce")
    request = only(tick())
    assert request.run_key == request.tags[CLAIM_TAG]
    config = {"config": {"connections": ["acme", "bolt"], "full": False}}
    assert request.run_config == {"ops": {"objects_of_hubspot_crm": config}}
    assert request.asset_selection is None
    again = tick()
    assert not again.run_requests
    assert "Nothing of hubspot_crm is due" in again.skip_message


def test_each_sync_has_a_sensor_that_claims_only_its_own(tick, connect):
    connect("acme")
    connect("corvo", provider="salesforce")
    assert "corvo" not in str(only(tick()).run_config)
    assert "corvo" in str(only(tick("salesforce_crm_due")).run_config)


def test_the_run_key_is_the_claim_that_the_store_holds(tick, connect, store):
    connect("acme")
    request = only(tick())
    assert [str(claim.id) for claim in store.due.open_claims()] == [request.run_key]


def test_partitions_of_claimed_connections_are_there_before_the_run(tick, connect, instance):
    connect("acme")
    tick()
    assert instance.get_dynamic_partitions("hubspot_connections") == ["acme"]


def test_a_successful_run_closes_its_claim_and_the_work_waits_for_its_next_time(tick, connect, run_of, project, store):
    connect("acme")
    project.customers = ["acme"]
    request = only(tick())
    assert run_of(request).success
    assert store.due.open_claims() == []
    [work] = store.due.list("hubspot_crm")
    assert work.attempts == 0
    assert work.next_at > datetime.now(UTC) + timedelta(minutes=1)


def test_a_failed_object_comes_back_alone(tick, connect, run_of, project, store):
    connect("acme")
    project.customers = ["acme"]
    project.outcomes["account", "acme"] = a_failed_run("acme", "network")
    assert not run_of(only(tick())).success
    [work] = store.due.list("hubspot_crm")
    assert work.attempts == 1
    [claim] = store.due.claim(datetime.now(UTC) + timedelta(minutes=10))
    assert claim.objects == ("account",)


def test_retries_share_a_run_in_which_each_customer_tries_only_what_failed(tick, connect, run_of, project, store):
    connect("acme", "bolt")
    project.customers = ["acme", "bolt"]
    for customer, failed in (("acme", "account"), ("bolt", "contact")):
        project.outcomes[failed, customer] = a_failed_run(customer, "network")
    assert not run_of(only(tick())).success
    project.outcomes.clear()
    [retry] = store.due.claim(datetime.now(UTC) + timedelta(minutes=5))
    sync = project.configuration.syncs["hubspot_crm"]
    request = request_for(retry, sync, subjects_of(project, sync))
    project.calls.clear()
    assert run_of(request).success
    assert {call.object: call.customers for call in project.calls} == {"account": ["acme"], "contact": ["bolt"]}


def test_a_run_that_crashed_gives_its_work_back(tick, connect, instance, store):
    connect("acme")
    request = only(tick())
    run = instance.create_run_for_job(a_job(), tags=request.tags, run_config={})
    instance.report_run_failed(run)
    tick()
    assert store.due.open_claims() == []
    [work] = store.due.list("hubspot_crm")
    assert work.attempts == 1
    assert work.next_at < datetime.now(UTC) + timedelta(minutes=15)


def test_a_run_that_a_person_stopped_does_not_come_back_before_its_time(tick, connect, instance, store):
    connect("acme")
    request = only(tick())
    run = instance.create_run_for_job(a_job(), tags=request.tags, run_config={})
    instance.report_run_canceled(run)
    tick()
    [work] = store.due.list("hubspot_crm")
    assert work.next_at > datetime.now(UTC) + timedelta(minutes=1)


def test_a_run_that_works_keeps_its_claim(tick, connect, instance, store):
    connect("acme")
    request = only(tick())
    instance.create_run_for_job(a_job(), tags=request.tags, run_config={}, status=dg.DagsterRunStatus.STARTED)
    assert not tick().run_requests
    assert len(store.due.open_claims()) == 1


@pytest.mark.parametrize("status", [NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING])
def test_a_run_that_has_not_begun_yet_does_not_lose_its_claim(tick, connect, project, store, status):
    connect("acme")
    request = only(tick())
    [claim] = store.due.open_claims()
    store.due.heartbeat([claim.id], LONG_AGO)
    waiting = SimpleNamespace(run_id="r", status=status, tags=request.tags, parent_run_id=None)
    instance = SimpleNamespace(get_runs=lambda filters: [waiting])
    close_ended_claims(store, instance, project.configuration.syncs["hubspot_crm"])
    assert not tick().run_requests
    assert [each.id for each in store.due.open_claims()] == [claim.id]


def test_a_claim_whose_run_never_came_to_be_expires_and_is_claimed_again(tick, connect, store):
    connect("acme")
    first = only(tick())
    [claim] = store.due.open_claims()
    store.due.heartbeat([claim.id], LONG_AGO)
    assert only(tick()).run_key != first.run_key


def test_a_claim_whose_run_never_came_to_be_is_free_again_in_minutes(tick, connect, store, project):
    """The daemon was killed between the claim and the run."""
    connect("acme")
    only(tick())
    [claim] = store.due.open_claims()
    silent = 2 * project.settings.silent_after_seconds
    assert silent <= 120
    store.due.heartbeat([claim.id], datetime.now(UTC) - timedelta(seconds=silent - 30))
    assert not tick().run_requests
    store.due.heartbeat([claim.id], datetime.now(UTC) - timedelta(seconds=silent + 1))
    assert only(tick()).run_config["ops"]["objects_of_hubspot_crm"]["config"]["connections"] == ["acme"]


def test_a_run_whose_process_is_gone_gives_its_work_back(tick, connect, instance, store, project):
    """Killed together with its code server, so that nobody told Dagster."""
    connect("acme")
    request = only(tick())
    silent = project.settings.silent_after_seconds + 1
    tags = {**request.tags, ALIVE_TAG: f"{datetime.now(UTC).timestamp() - silent:.0f}"}
    run = instance.create_run_for_job(a_job(), tags=tags, status=dg.DagsterRunStatus.STARTED)
    first = tick("connections")
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED
    tick("connections", cursor=first.cursor)
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    tick()
    assert store.due.open_claims() == []
    [work] = store.due.list("hubspot_crm")
    assert (work.attempts, work.next_at < datetime.now(UTC) + timedelta(minutes=2)) == (1, True)


def test_repeating_a_run_by_hand_does_not_touch_the_claim(tick, connect, instance, store):
    connect("acme")
    request = only(tick())
    first = instance.create_run_for_job(a_job(), tags=request.tags, status=dg.DagsterRunStatus.STARTED)
    repeated = instance.create_run_for_job(
        a_job(), tags=request.tags, parent_run_id=first.run_id, root_run_id=first.run_id
    )
    instance.report_run_failed(repeated)
    tick()
    assert len(store.due.open_claims()) == 1


def test_a_request_for_one_object_runs_that_object_alone(tick, connect, store, run_of, project):
    connect("acme")
    project.customers = ["acme"]
    store.due.plan([project.configuration.syncs["hubspot_crm"]])
    store.due.request("hubspot_crm", ["acme"], ["account"], full=True)
    request = only(tick())
    assert request.asset_selection == [dg.AssetKey(["hubspot_crm", "account"])]
    assert request.run_config["ops"] == {"objects_of_hubspot_crm": {"config": {"connections": ["acme"], "full": True}}}
    assert run_of(request).success
    assert [(call.object, call.full) for call in project.calls] == [("account", True)]


def test_nothing_secret_is_in_what_a_tick_asks_for(tick, connect):
    connect("acme")
    assert ACCESS_TOKEN not in str(tick())


def test_a_store_that_is_down_is_told_with_what_to_do(tick, project):
    project.store = Store("postgresql+psycopg://nobody@127.0.0.1:1/nothing", (Secret("k" * 40),))
    with pytest.raises(ConfigurationError, match="store"):
        tick()


def test_a_sync_that_must_be_applied_first_claims_nothing_and_the_tick_says_so(tick, connect, project, store):
    connect("acme")
    project.unapplied = {"hubspot_crm"}
    with pytest.raises(ConfigurationError, match="was never applied"):
        tick()
    assert store.due.open_claims() == []
    project.unapplied = set()
    assert len(tick().run_requests) == 1


def test_partitions_follow_the_connections(tick, connect, store, instance):
    connect("acme", "bolt")
    connect("corvo", provider="salesforce")
    assert "hubspot: 2 connected, 2 new, 0 gone" in tick("connections").skip_message
    assert instance.get_dynamic_partitions("hubspot_connections") == ["acme", "bolt"]
    assert instance.get_dynamic_partitions("salesforce_connections") == ["corvo"]
    store.connections.disconnect(store.connections.get("acme", "hubspot"))
    tick("connections")
    assert instance.get_dynamic_partitions("hubspot_connections") == ["bolt"]


@pytest.mark.parametrize(
    ("run", "failed", "retry"),
    [
        (a_run("acme"), False, False),
        (a_failed_run("acme", "network"), True, True),
        (a_failed_run("acme", "configuration"), True, False),
        (a_failed_run("acme", "auth_expired"), True, False),
        (a_run("acme", "skipped", counts=Counts(), error_type="not_found"), False, False),
        (a_run("acme", "skipped", counts=Counts(), error_message="Another run has it."), True, True),
        (None, True, True),
    ],
)
def test_what_becomes_of_a_connection_decides_whether_it_comes_back(run, failed, retry):
    [outcome] = outcomes_of(["acme"], lambda customer: ["contact"], [run] if run else [], repeat=True)
    assert (outcome.failed, outcome.retry) == (failed, retry)


def test_the_vendors_own_time_is_kept():
    later = datetime(2026, 3, 1, 13, tzinfo=UTC)
    run = a_run("acme", "error", counts=Counts(), error_type="rate_limit", retry_at=later)
    [outcome] = outcomes_of(["acme"], lambda customer: ["contact"], [run], repeat=True)
    assert outcome.retry_at == later


def a_job():
    @dg.job
    def anything():
        pass

    return anything
