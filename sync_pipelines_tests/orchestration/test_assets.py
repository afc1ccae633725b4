from types import SimpleNamespace

import dagster as dg
import pytest

from sync_pipelines.model.errors import ConfigurationError, DestinationBusy
from sync_pipelines.model.run import Counts, Rejection
from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration import assets
from sync_pipelines.orchestration.assets import multi_asset_of
from sync_pipelines.orchestration.events import record_materializations
from sync_pipelines.orchestration.names import CLAIM_TAG
from sync_pipelines.orchestration.reports import Failed, failure_of
from sync_pipelines.orchestration.sensors import CONNECTIONS_PER_RUN
from sync_pipelines.store import Store
from sync_pipelines_tests.orchestration.fakes import (
    CLIENT_SECRET,
    PASSWORD,
    FakeProject,
    a_failed_run,
    a_run,
    a_sync,
    giving,
    subjects_of,
)

CONTACT = dg.AssetKey(["hubspot_crm", "contact"])
ACCOUNT = dg.AssetKey(["hubspot_crm", "account"])
PARTITIONS = "hubspot_connections"
BY_THE_SENSOR = {CLAIM_TAG: "0b8e7f0e-4b5f-4a39-8f3b-0f6f3f6c1d11"}
UNCHANGED = Counts(read=3, unchanged=3)


def assets_of(project):
    sync = project.configuration.syncs["hubspot_crm"]
    return [multi_asset_of(sync, subjects_of(project, sync))]


def a_project(*customers, objects=("contact",)):
    return FakeProject(a_sync(objects=objects), customers=customers)


def launch(project, instance, *, connections=(), full=False, partition=None, tags=None, selection=None):
    """Run the project's assets, or a selection of them, in this process, as Dagster's executor does."""
    made = assets_of(project)
    config = {"connections": list(connections), "full": full}
    ops = {asset.op.name: {"config": config} for asset in made}
    return dg.materialize(
        made,
        instance=instance,
        resources={"sync_project": giving(project)},
        run_config={"ops": ops} if connections or full else None,
        partition_key=partition,
        tags=tags,
        selection=selection,
        raise_on_error=False,
    )


def statuses(instance, customers, key=CONTACT):
    definition = dg.DynamicPartitionsDefinition(name=PARTITIONS)
    found = instance.get_status_by_partition(key, customers, definition) or {}
    return {customer: status and status.value for customer, status in found.items()}


def events(instance, key=CONTACT):
    """Customer -> its materialisations, oldest first."""
    records = instance.fetch_materializations(key, limit=1000, ascending=True).records
    found = {}
    for record in records:
        found.setdefault(record.partition_key, []).append(record.asset_materialization)
    return found


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(PARTITIONS, ["acme", "bolt", "corvo"])
        yield instance


def test_a_configured_run_syncs_its_connections_at_once_and_materialises_those_that_changed(instance):
    project = a_project("acme", "bolt", "corvo")
    result = launch(project, instance, connections=["acme", "bolt"])
    assert result.success
    assert [call.customers for call in project.calls] == [["acme", "bolt"]]
    assert set(events(instance)) == {"acme", "bolt"}
    assert statuses(instance, ["acme", "bolt", "corvo"]) == {
        "acme": "MATERIALIZED",
        "bolt": "MATERIALIZED",
        "corvo": None,
    }


def test_a_run_for_a_partition_syncs_that_connection(instance):
    project = a_project("acme", "bolt")
    assert launch(project, instance, partition="bolt").success
    assert [call.customers for call in project.calls] == [["bolt"]]
    assert statuses(instance, ["acme", "bolt"]) == {"acme": None, "bolt": "MATERIALIZED"}


def test_a_run_for_a_range_of_partitions_is_one_run(instance):
    project = a_project("acme", "bolt", "corvo")
    tags = {"dagster/asset_partition_range_start": "acme", "dagster/asset_partition_range_end": "corvo"}
    assert launch(project, instance, tags=tags).success
    assert [call.customers for call in project.calls] == [["acme", "bolt", "corvo"]]
    assert set(statuses(instance, ["acme", "bolt", "corvo"]).values()) == {"MATERIALIZED"}


def test_a_full_read_is_passed_on(instance):
    project = a_project("acme")
    launch(project, instance, connections=["acme"], full=True)
    assert project.calls[0].full


def test_a_run_that_names_nobody_says_what_to_do(instance):
    result = launch(a_project("acme"), instance)
    assert not result.success
    assert "choose partitions" in failure_text(result)


def test_an_attempt_that_changed_nothing_is_told_the_first_time_only(instance):
    project = a_project("acme")
    project.outcomes["acme"] = a_run("acme", counts=UNCHANGED)
    for _ in range(3):
        assert launch(project, instance, connections=["acme"], tags=BY_THE_SENSOR).success
    assert len(events(instance)["acme"]) == 1


@pytest.mark.parametrize("chosen", [{"partition": "acme"}, {"connections": ["acme"]}])
def test_what_a_person_materialises_shows_even_when_nothing_changed(instance, chosen):
    project = a_project("acme")
    project.outcomes["acme"] = a_run("acme", counts=UNCHANGED)
    for _ in range(2):
        assert launch(project, instance, **chosen).success
    assert len(events(instance)["acme"]) == 2


def test_a_failure_is_cleared_by_the_next_success_even_when_nothing_changed(instance):
    project = a_project("acme", "bolt")
    project.outcomes["bolt"] = a_failed_run("bolt")
    assert not launch(project, instance, connections=["acme", "bolt"]).success
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "MATERIALIZED", "bolt": "FAILED"}
    project.outcomes["bolt"] = a_run("bolt", counts=UNCHANGED)
    assert launch(project, instance, connections=["bolt"], tags=BY_THE_SENSOR).success
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "MATERIALIZED", "bolt": "MATERIALIZED"}


def marks(instance, customer, key=CONTACT):
    """How often the partition was marked as planned by a run that failed."""
    wanted = dg.EventRecordsFilter(dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, asset_key=key)
    return sum(record.partition_key == customer for record in instance.get_event_records(wanted, limit=1000))


def test_what_shows_as_failed_is_not_marked_again_by_the_next_retry(instance):
    project = a_project("acme", "bolt")
    project.outcomes["bolt"] = a_failed_run("bolt")
    for _ in range(3):
        assert not launch(project, instance, connections=["acme", "bolt"], tags=BY_THE_SENSOR).success
        assert statuses(instance, ["acme", "bolt"]) == {"acme": "MATERIALIZED", "bolt": "FAILED"}
    assert marks(instance, "bolt") == 1
    project.outcomes["bolt"] = a_run("bolt", counts=UNCHANGED)
    assert launch(project, instance, connections=["bolt"], tags=BY_THE_SENSOR).success
    project.outcomes["bolt"] = a_failed_run("bolt")
    assert not launch(project, instance, connections=["bolt"], tags=BY_THE_SENSOR).success
    assert statuses(instance, ["bolt"]) == {"bolt": "FAILED"}
    assert marks(instance, "bolt") == 2
    assert not launch(project, instance, connections=["bolt"]).success
    assert marks(instance, "bolt") == 3


def test_the_failure_names_who_failed_why_and_what_to_do(instance):
    project = a_project("acme", "bolt", "corvo")
    project.outcomes["bolt"] = a_failed_run("bolt", "auth_expired", "The customer must reconnect.")
    text = failure_text(launch(project, instance, connections=["acme", "bolt", "corvo"]))
    assert "1 of 3 connections failed in contact of hubspot_crm" in text
    assert "bolt: auth_expired: The customer must reconnect." in text
    assert "acme" not in text


def test_a_long_list_of_failures_is_cut(instance):
    names = [f"c{number:03}" for number in range(40)]
    project = a_project(*names)
    project.outcomes.update({name: a_failed_run(name) for name in names})
    text = failure_text(launch(project, instance, connections=names))
    assert "40 of 40" in text
    assert "... and 30 more" in text


def test_a_skipped_connection_is_neither_materialised_nor_failed(instance):
    project = a_project("acme", "bolt")
    project.outcomes["bolt"] = a_run("bolt", "skipped", counts=Counts(), error_message="Another run has it.")
    assert launch(project, instance, connections=["acme", "bolt"]).success
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "MATERIALIZED", "bolt": None}


def test_a_customer_that_is_not_connected_fails_alone(instance):
    project = a_project("acme")
    text = failure_text(launch(project, instance, connections=["acme", "bolt"]))
    assert project.calls[0].customers == ["acme"]
    assert "sync-pipelines connect hubspot bolt" in text
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "MATERIALIZED", "bolt": "FAILED"}


def test_what_got_through_before_everything_broke_is_kept_and_the_rest_fails(instance):
    project = a_project("acme", "bolt", "corvo")
    project.raises = SimpleNamespace(after=1, error=DestinationBusy("The store is away; it comes back by itself."))
    result = launch(project, instance, partition=None, connections=["acme", "bolt", "corvo"])
    assert "2 of 3" in failure_text(result)
    assert "The store is away" in failure_text(result)
    assert statuses(instance, ["acme", "bolt", "corvo"]) == {
        "acme": "MATERIALIZED",
        "bolt": "FAILED",
        "corvo": "FAILED",
    }


def test_a_project_that_does_not_open_fails_every_partition_of_the_run(instance):
    project = a_project("acme", "bolt")
    result = dg.materialize(
        assets_of(project),
        instance=instance,
        resources={"sync_project": giving(ConfigurationError("syncs/a.yaml:3: schedule: is missing; add it."))},
        tags={"dagster/asset_partition_range_start": "acme", "dagster/asset_partition_range_end": "bolt"},
        raise_on_error=False,
    )
    assert "syncs/a.yaml:3: schedule: is missing" in failure_text(result)
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "FAILED", "bolt": "FAILED"}


def test_a_store_that_is_down_fails_every_connection_with_what_to_do(instance):
    project = a_project("acme", "bolt")
    project.store = Store("postgresql+psycopg://nobody@127.0.0.1:1/nothing", (Secret("k" * 40),))
    result = launch(project, instance, connections=["acme", "bolt"])
    assert "2 of 2" in failure_text(result)
    assert "acme: configuration: The store" in failure_text(result)
    assert statuses(instance, ["acme", "bolt"]) == {"acme": "FAILED", "bolt": "FAILED"}


def test_one_object_that_fails_does_not_stop_the_other(instance):
    project = a_project("acme", "bolt", objects=("contact", "account"))
    project.outcomes["contact", "acme"] = a_failed_run("acme")
    assert not launch(project, instance, connections=["acme", "bolt"]).success
    assert statuses(instance, ["acme", "bolt"], CONTACT) == {"acme": "FAILED", "bolt": "MATERIALIZED"}
    assert statuses(instance, ["acme", "bolt"], ACCOUNT) == {"acme": "MATERIALIZED", "bolt": "MATERIALIZED"}


def test_the_chosen_objects_of_a_run_are_synced_together(instance):
    project = a_project("acme", "bolt", objects=("contact", "account", "user"))
    assert launch(project, instance, connections=["acme", "bolt"], selection=[CONTACT, ACCOUNT]).success
    assert project.launches == 1
    assert [(call.object, call.customers) for call in project.calls] == [
        ("contact", ["acme", "bolt"]),
        ("account", ["acme", "bolt"]),
    ]


@pytest.mark.parametrize("chosen", [{"partition": "acme"}, {"connections": ["acme"]}])
@pytest.mark.parametrize("failing", [False, True])
def test_a_run_of_one_object_leaves_the_others_of_its_sync_alone(instance, chosen, failing):
    project = a_project("acme", objects=("contact", "account"))
    if failing:
        project.outcomes["acme"] = a_failed_run("acme")
    result = launch(project, instance, selection=[ACCOUNT], **chosen)
    assert result.success is not failing
    assert [call.object for call in project.calls] == ["account"]
    assert statuses(instance, ["acme"], ACCOUNT) == {"acme": "FAILED" if failing else "MATERIALIZED"}
    assert not statuses(instance, ["acme"], CONTACT)
    assert keys_of_events(instance, result) == {ACCOUNT}


def test_each_object_has_its_own_failures_and_one_failure_tells_them_all(instance):
    project = a_project("acme", "bolt", "corvo", objects=("contact", "account", "user"))
    project.outcomes["contact", "acme"] = a_failed_run("acme", "network", "The vendor did not answer.")
    project.outcomes["account", "bolt"] = a_failed_run("bolt")
    tags = {"dagster/asset_partition_range_start": "acme", "dagster/asset_partition_range_end": "corvo"}
    text = failure_text(launch(project, instance, tags=tags))
    assert "1 of 3 connections failed in contact of hubspot_crm.\nacme: network: The vendor did not answer." in text
    assert "1 of 3 connections failed in account of hubspot_crm.\nbolt: rate_limit:" in text
    assert "user of hubspot_crm" not in text
    through = dict.fromkeys(("acme", "bolt", "corvo"), "MATERIALIZED")
    assert statuses(instance, list(through), CONTACT) == through | {"acme": "FAILED"}
    assert statuses(instance, list(through), ACCOUNT) == through | {"bolt": "FAILED"}
    assert statuses(instance, list(through), dg.AssetKey(["hubspot_crm", "user"])) == through


def test_an_object_shows_as_soon_as_its_last_connection_is_through(instance):
    project = a_project("acme", "bolt", objects=("contact", "account"))
    shown_before = {}

    def watched(sync, objects, *, on_done, **rest):
        def watching(run):
            shown_before[run.object, run.customer_id] = set(events(instance, CONTACT))
            on_done(run)

        return FakeProject.sync_objects(project, sync, objects, on_done=watching, **rest)

    project.sync_objects = watched
    assert launch(project, instance, connections=["acme", "bolt"]).success
    assert shown_before == {
        ("contact", "acme"): set(),
        ("contact", "bolt"): set(),
        ("account", "acme"): {"acme", "bolt"},
        ("account", "bolt"): {"acme", "bolt"},
    }


def test_an_object_of_which_dagster_cannot_be_told_fails_the_run_and_not_the_others(instance, monkeypatch):
    def record(context, materializations):
        if materializations[0].asset_key == CONTACT:
            raise OSError("Dagster's storage is away")
        record_materializations(context, materializations)

    monkeypatch.setattr(assets, "record_materializations", record)
    project = a_project("acme", objects=("contact", "account"))
    result = launch(project, instance, connections=["acme"])
    assert "Dagster's storage is away" in failure_text(result)
    assert [call.object for call in project.calls] == ["contact", "account"]
    assert statuses(instance, ["acme"], ACCOUNT) == {"acme": "MATERIALIZED"}


def test_a_failed_run_is_not_retried_as_a_whole():
    failed = Failed(what="contact of hubspot_crm", failures={"acme": "network: no answer"}, attempted=2)
    assert failure_of([failed]).allow_retries is False


@pytest.mark.parametrize(("failing", "unlisted"), [(CONNECTIONS_PER_RUN, 0), (CONNECTIONS_PER_RUN + 7, 7)])
def test_the_end_of_a_run_lists_every_failure_and_says_so_where_there_are_more(failing, unlisted):
    failures = {f"customer-{each:04}": "network: no answer" for each in range(failing)}
    end = failure_of([Failed(what="contact", failures=failures, attempted=failing)])
    listed = end.metadata["failures"].value.splitlines()
    shown = [f"- {customer}: {reason}" for customer, reason in failures.items()][: failing - unlisted]
    assert listed[2:] == [*shown, *([f"- ... and {unlisted} more"] if unlisted else [])]
    assert f"... and {failing - 10} more" in end.description


def test_the_metadata_tells_what_happened(instance):
    project = a_project("acme")
    counts = Counts(read=10, created=4, updated=2, unchanged=2, deleted=1, rejected=1, invalid=3)
    project.outcomes["acme"] = a_run(
        "acme",
        counts=counts,
        full=True,
        vendor_calls=7,
        notices=("The field Old__c has vanished.",),
        rejections=(Rejection(reason="No id", record="{}"),),
    )
    launch(project, instance, connections=["acme"])
    metadata = events(instance)["acme"][0].metadata
    plain = {name: metadata[name].value for name in metadata}
    assert {name: plain[name] for name in plain if name.startswith(("rows_", "invalid"))} == {
        "rows_read": 10,
        "rows_created": 4,
        "rows_updated": 2,
        "rows_unchanged": 2,
        "rows_deleted": 1,
        "rows_rejected": 1,
        "invalid_values": 3,
    }
    assert plain["duration_seconds"] == 2.5
    assert plain["strategy"] == "full refresh"
    assert plain["vendor_calls"] == 7
    assert [column.name for column in plain["dagster/column_schema"].columns] == ["id", "amount"]
    assert "Old__c has vanished" in plain["notices"]
    assert "No id" in plain["rejections"]
    assert plain["sample"].count("\n") == 3
    assert "&lt;b>" in plain["sample"]
    assert "\\|" in plain["sample"]


def test_only_some_connections_of_a_large_run_get_a_sample(instance):
    names = [f"c{number:03}" for number in range(30)]
    launch(a_project(*names), instance, connections=names)
    with_sample = [name for name, found in events(instance).items() if "sample" in found[0].metadata]
    assert len(with_sample) == 10


def test_a_change_by_the_schedule_of_what_was_shown_before_is_told_in_numbers_alone(instance):
    project = a_project("acme", "bolt")
    for customers in (["acme"], ["acme", "bolt"]):
        launch(project, instance, connections=customers, tags=BY_THE_SENSOR)
    launch(project, instance, connections=["acme"])
    first, second, by_hand = (found.metadata for found in events(instance)["acme"])
    assert {"sample", "dagster/column_schema"} <= first.keys()
    assert second.keys() == first.keys() - {"sample", "dagster/column_schema"}
    assert by_hand.keys() == first.keys()
    assert "sample" in events(instance)["bolt"][0].metadata


def test_a_run_says_once_what_became_of_all_its_objects(instance):
    project = a_project("acme", "bolt", objects=("contact", "account"))
    result = launch(project, instance, connections=["acme", "bolt"])
    said = [entry.user_message for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event]
    assert [text.splitlines() for text in said if "got through" in text] == [
        [
            "contact of hubspot_crm: 2 connections got through, 2 with something to show.",
            "account of hubspot_crm: 2 connections got through, 2 with something to show.",
        ]
    ]


def test_a_partition_that_dagster_did_not_know_is_there_after_the_run(instance):
    launch(a_project("delta"), instance, connections=["delta"])
    assert statuses(instance, ["delta"]) == {"delta": "MATERIALIZED"}
    assert "delta" in instance.get_dynamic_partitions(PARTITIONS)


def test_the_asset_shows_what_was_declared():
    [asset] = assets_of(a_project(objects=("Contact", "EmailMessage")))
    assert asset.keys == {CONTACT, dg.AssetKey(["hubspot_crm", "email_message"])}
    assert set(asset.group_names_by_key.values()) == {"hubspot_crm"}
    spec = asset.specs_by_key[CONTACT]
    assert spec.kinds == {"hubspot", "postgres"}
    assert spec.metadata["dagster/table_name"] == "crm_Contact"
    assert spec.metadata["schedule"] == "every 300 days, 0:00:00"
    assert asset.partitions_def.name == PARTITIONS
    assert asset.backfill_policy.policy_type == dg._core.definitions.backfill_policy.BackfillPolicyType.SINGLE_RUN


def test_nothing_secret_reaches_dagster(instance):
    project = a_project("acme", "bolt")
    project.outcomes["bolt"] = a_failed_run("bolt")
    result = launch(project, instance, connections=["acme", "bolt"])
    logs = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    run = instance.get_run_by_id(result.run_id)
    for secret in (PASSWORD, CLIENT_SECRET):
        assert secret not in logs
        assert secret not in str(run.run_config)
        assert secret not in str(run.tags)


def test_the_project_is_closed_when_the_run_ends(instance):
    project = a_project("acme", objects=("contact", "account"))
    launch(project, instance, connections=["acme"])
    assert project.closed == 1


def test_ninety_seven_get_through_and_exactly_three_fail_on_postgres(postgres_instance):
    names = [f"customer-{number:03}" for number in range(100)]
    bad = {"customer-007", "customer-050", "customer-099"}
    project = a_project(*names)
    project.outcomes.update({name: a_failed_run(name) for name in bad})
    postgres_instance.add_dynamic_partitions(PARTITIONS, names)
    result = launch(project, postgres_instance, connections=names)
    assert not result.success
    found = statuses(postgres_instance, names)
    assert {name for name in names if found[name] == "FAILED"} == bad
    assert sum(status == "MATERIALIZED" for status in found.values()) == 97
    project.outcomes.clear()
    assert launch(project, postgres_instance, connections=sorted(bad)).success
    assert set(statuses(postgres_instance, names).values()) == {"MATERIALIZED"}


def keys_of_events(instance, result):
    """The assets that a run's events mention, planned ones included."""
    found = (record.dagster_event for record in instance.all_logs(result.run_id))
    return {event.asset_key for event in found if event is not None and event.asset_key is not None}


def failure_text(result):
    [failure] = [event for event in result.all_events if event.is_step_failure]
    data = failure.step_failure_data
    return (data.user_failure_data.description if data.user_failure_data else "") + data.error.to_string()
