"""Holds our one private corner of Dagster to the installed version, and its fallback to the public API."""

from types import SimpleNamespace

import dagster as dg
import psycopg2
import pytest

from sync_pipelines.orchestration import events

KEY = dg.AssetKey("things")
PARTITIONS = dg.DynamicPartitionsDefinition(name="things_partitions")


@dg.multi_asset(specs=[dg.AssetSpec(KEY, partitions_def=PARTITIONS, skippable=True)])
def things(context):
    events.record_materializations(
        context, [dg.AssetMaterialization(KEY, partition=name, metadata={"rows": 1}) for name in ("a", "b", "c")]
    )
    events.record_failed_partitions(context, KEY, ["d"])
    yield from ()
    raise dg.Failure("d failed", allow_retries=False)


OTHER = dg.AssetKey("others")


@dg.multi_asset(specs=[dg.AssetSpec(key, partitions_def=PARTITIONS, skippable=True) for key in (KEY, OTHER)])
def things_and_others(context):
    events.record_materializations(
        context, [dg.AssetMaterialization(key, partition=name) for key, name in ((KEY, "a"), (OTHER, "b"))]
    )
    events.record_failed_partitions(context, KEY, ["b"])
    events.record_failed_partitions(context, OTHER, ["c"])
    yield from ()
    raise dg.Failure("b and c failed", allow_retries=False)


def shown(instance):
    instance.add_dynamic_partitions(PARTITIONS.name, ["a", "b", "c", "d", "e"])
    result = dg.materialize([things], instance=instance, raise_on_error=False)
    assert not result.success
    found = instance.get_status_by_partition(KEY, ["a", "b", "c", "d", "e"], PARTITIONS)
    return {name: status and status.value for name, status in found.items()}


@pytest.fixture
def without_private_api(monkeypatch):
    monkeypatch.setattr(events, "PRIVATE_MODULE", "dagster._core.no_such_module")
    events.private_api_differs.cache_clear()
    yield
    monkeypatch.undo()
    events.private_api_differs.cache_clear()


def test_the_installed_version_has_what_we_use():
    assert events.private_api_differs() == ()


def test_materialised_and_failed_partitions_show_as_such_on_postgres(postgres_instance):
    assert shown(postgres_instance) == dict.fromkeys("abc", "MATERIALIZED") | {"d": "FAILED", "e": None}


def test_assets_of_one_step_keep_their_events_apart_on_postgres(postgres_instance):
    postgres_instance.add_dynamic_partitions(PARTITIONS.name, ["a", "b", "c"])
    dg.materialize([things_and_others], instance=postgres_instance, raise_on_error=False)
    found = {}
    for key in (KEY, OTHER):
        statuses = postgres_instance.get_status_by_partition(key, ["a", "b", "c"], PARTITIONS)
        found[key] = {name: status and status.value for name, status in statuses.items()}
    assert found == {
        KEY: {"a": "MATERIALIZED", "b": "FAILED", "c": None},
        OTHER: {"a": None, "b": "MATERIALIZED", "c": "FAILED"},
    }


def test_materialisations_are_written_in_one_batch(postgres_instance, monkeypatch):
    storage = postgres_instance.event_log_storage
    sizes = []
    write = storage.store_event_batch
    monkeypatch.setattr(storage, "store_event_batch", lambda batch: (sizes.append(len(batch)), write(batch)))
    shown(postgres_instance)
    assert 3 in sizes


def test_every_materialisation_arrives_where_batching_is_switched_off(postgres_instance, monkeypatch):
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    assert shown(postgres_instance)["c"] == "MATERIALIZED"


def test_another_version_falls_back_to_the_public_api(postgres_instance, without_private_api):
    assert events.private_api_differs() == ("dagster._core.no_such_module",)
    assert shown(postgres_instance) == dict.fromkeys("abc", "MATERIALIZED") | {"d": None, "e": None}


def test_a_renamed_parameter_is_noticed(monkeypatch):
    module = events.importlib.import_module(events.PRIVATE_MODULE)
    monkeypatch.setattr(module.DagsterEvent, "asset_materialization", lambda step, materialization: None)
    assert events.private_api_differs.__wrapped__() == ("DagsterEvent.asset_materialization",)


@pytest.fixture
def connects(monkeypatch):
    """One for each connection that is opened to Postgres by Dagster's driver."""
    opened, connect = [], psycopg2.connect
    monkeypatch.setattr(psycopg2, "connect", lambda *args, **rest: opened.append(1) or connect(*args, **rest))
    return opened


def test_a_process_that_is_kept_connected_opens_few_connections(postgres_instance, connects):
    def ask():
        connects.clear()
        postgres_instance.add_dynamic_partitions(PARTITIONS.name, ["a", "b"])
        for _ in range(20):
            assert postgres_instance.has_dynamic_partition(PARTITIONS.name, "a")
        return len(connects)

    assert ask() > 20
    events.keep_connected(postgres_instance)
    assert ask() <= 3


def test_what_is_written_while_connected_is_there(postgres_instance):
    events.keep_connected(postgres_instance)
    assert shown(postgres_instance) == dict.fromkeys("abc", "MATERIALIZED") | {"d": "FAILED", "e": None}


def test_an_instance_that_cannot_be_kept_connected_is_left_alone():
    events.keep_connected(SimpleNamespace())
    events.keep_connected(SimpleNamespace(optimize_for_webserver=lambda timeout: pytest.fail("another signature")))
