"""What a run's partitions show is told as Dagster tells it by its own sum over all partitions."""

import logging
import random

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

from sync_pipelines.orchestration import shown as module
from sync_pipelines.orchestration.shown import MOST_DOUBTFUL, shown
from sync_pipelines_tests.orchestration.past import ACCOUNT, CONTACT, EVERYBODY, PARTITIONS, Past

FEW = EVERYBODY[:12]


@pytest.fixture
def past(postgres_instance):
    return Past(postgres_instance)


@pytest.fixture
def without_the_sum(past, monkeypatch):
    def asked(*arguments, **named):
        raise AssertionError("The sum over all partitions was asked for.")

    monkeypatch.setattr(module, "_by_the_sum", asked)


def by_dagster(past, key, customers):
    # Not what it remembers: that forgets a failure when a later run of the partition is cancelled.
    past.instance.event_log_storage.wipe_asset_cached_status(key)
    statuses = past.instance.get_status_by_partition(key, customers, PARTITIONS) or {}
    return {customer: status.value for customer, status in statuses.items() if status is not None}


def plan(past, run_id, customers):
    """A run that has said what it is about to make."""
    for customer in customers:
        planned = AssetMaterializationPlannedData(CONTACT, partition=customer, partitions_subset=None)
        event = DagsterEvent.build_asset_materialization_planned_event("all_objects", "objects", planned)
        past.instance.report_dagster_event(event, run_id, logging.DEBUG)


def agree(past, customers=FEW):
    for key in (CONTACT, ACCOUNT):
        assert shown(past.instance, key, customers, PARTITIONS) == by_dagster(past, key, customers)


@pytest.mark.usefixtures("without_the_sum")
def test_every_fate_of_a_partition_is_told_as_dagster_tells_it(past):
    agree(past)
    past.run(9, through=FEW[:6], failed=FEW[6:8])
    past.run(8, failed=FEW[4:6])
    past.run(7, through=FEW[5:7])
    past.run(6, failed=FEW[3:4], ends_well=True)
    plan(past, past.unfinished(1, dg.DagsterRunStatus.STARTED), [FEW[0], FEW[9]])
    plan(past, past.unfinished(1, dg.DagsterRunStatus.CANCELED), [FEW[1], FEW[10]])
    found = shown(past.instance, CONTACT, FEW, PARTITIONS)
    assert set(found.values()) == {"MATERIALIZED", "FAILED", "IN_PROGRESS"}
    assert FEW[11] not in found
    agree(past)

    past.instance.wipe_assets([CONTACT])
    past.run(-1, through=FEW[:1], failed=FEW[1:2])
    assert shown(past.instance, CONTACT, FEW, PARTITIONS) == {FEW[0]: "MATERIALIZED", FEW[1]: "FAILED"}
    agree(past)

    gone = past.run(-1, failed=FEW[2:3])
    past.instance.delete_run(gone)
    agree(past)


@pytest.mark.usefixtures("without_the_sum")
def test_whatever_order_they_come_in(past):
    chance = random.Random(7)
    for _ in range(5):
        mixed = chance.sample(FEW, len(FEW))
        parts = sorted(chance.sample(range(len(FEW)), 2))
        past.run(1, through=mixed[: parts[0]], failed=mixed[parts[0] : parts[1]], ends_well=chance.random() < 0.3)
        agree(past)


def test_where_many_are_in_doubt_dagsters_sum_answers(past):
    many = EVERYBODY[: MOST_DOUBTFUL + 1]
    past.run(1, through=EVERYBODY[30:35], failed=many)
    assert shown(past.instance, CONTACT, EVERYBODY, PARTITIONS) == (
        dict.fromkeys(EVERYBODY[30:35], "MATERIALIZED") | dict.fromkeys(many, "FAILED")
    )


def test_another_version_of_dagster_is_asked_for_its_sum(past, monkeypatch):
    past.run(1, through=FEW[:2], failed=FEW[2:3])
    monkeypatch.setattr(
        type(past.instance.event_log_storage), "get_latest_storage_id_by_partition", lambda self, key: {}
    )
    agree(past)
    assert len(shown(past.instance, CONTACT, FEW, PARTITIONS)) == 3


@pytest.mark.usefixtures("without_the_sum")
def test_nobody_is_not_everybody(past):
    past.run(1, through=FEW)
    assert shown(past.instance, CONTACT, [], PARTITIONS) == {}
