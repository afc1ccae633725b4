"""Old runs go from Dagster's real storage, and what its pages say of every partition stays as it was."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration.old_events import OldEvents
from sync_pipelines.orchestration.retention import Forgotten, Ours, Place, prune_dagster, retention_sensor
from sync_pipelines.store import Store
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_sync, giving
from sync_pipelines_tests.orchestration.past import ACCOUNT, CONTACT, EVERYBODY, FOREIGN, Past, foreign

OURS = Ours.of([a_sync()])
DAYS = timedelta(days=14)


@pytest.fixture
def past(postgres_instance):
    return Past(postgres_instance)


def prune(past, **options):
    """To the end; what it came to."""
    total, place = Forgotten(), Place()
    for _ in range(1_000):
        forgotten, place = prune_dagster(past.instance, OURS, datetime.now(UTC) - DAYS, place, **options)
        total += forgotten
        if forgotten.through:
            return total
    raise AssertionError("it never got through")


def test_old_runs_go_and_every_partition_keeps_its_status_and_its_newest_materialisation(past):
    first = past.run(30, EVERYBODY)
    second = past.run(29, EVERYBODY[:200], failed=EVERYBODY[200:220])
    idle = [past.run(28), past.run(27)]
    mended = past.run(26, EVERYBODY[210:215], failed=EVERYBODY[290:292])
    superseded = past.run(20, EVERYBODY[:10])
    young = past.run(13, EVERYBODY[:10], failed=EVERYBODY[10:11])
    before = past.statuses()
    assert list(before.values()).count("FAILED") == 15 + 2 + 1
    assert list(before.values()).count("MATERIALIZED") == 600 - 18
    newest = past.instance.get_latest_materialization_event(CONTACT)

    forgotten = prune(past)

    assert past.statuses() == before
    assert past.statuses(afresh=False) == before
    assert past.runs() == {first, second, mended, young}
    assert (forgotten.runs, forgotten.thinned) == (3, 3)
    assert past.instance.get_latest_materialization_event(CONTACT) == newest
    for run_id in (superseded, *idle):
        assert past.events(run_id) == []
    told = [partition for kind, partition in past.events(second) if kind == "ASSET_MATERIALIZATION"]
    assert sorted(told) == sorted(2 * EVERYBODY[10:200])
    filters = dg.AssetRecordsFilter(asset_key=ACCOUNT, asset_partitions=[EVERYBODY[250]])
    (record,) = past.instance.fetch_materializations(filters, limit=10).records
    assert record.asset_materialization.metadata["run"].text == first


def test_a_run_that_stays_keeps_its_course_and_its_failure_but_not_its_log(past):
    kept = past.run(30, ["customer-000"], failed=["customer-001"])
    past.run(1, ["customer-000"])
    kinds = {kind for kind, _ in past.events(kept)}
    assert {None, "STEP_FAILURE", "PIPELINE_FAILURE", "ASSET_MATERIALIZATION"} <= kinds

    prune(past)

    kinds = {kind for kind, _ in past.events(kept)}
    assert {"STEP_START", "STEP_FAILURE", "PIPELINE_START", "PIPELINE_FAILURE"} <= kinds
    assert not {None, "ASSET_MATERIALIZATION", "ENGINE_EVENT"} & kinds
    assert past.instance.get_run_stats(kept).steps_failed == 1
    assert past.statuses()["contact", "customer-001"] == "FAILED"


def test_a_run_goes_once_nothing_of_it_is_the_newest_any_more(past):
    old = past.run(30, EVERYBODY[:3], failed=EVERYBODY[3:5])
    prune(past)
    assert old in past.runs()
    past.run(1, EVERYBODY[:5])
    before = past.statuses()

    prune(past)

    assert old not in past.runs()
    assert past.statuses() == before


def test_a_failure_that_newer_runs_have_covered_does_not_come_back_when_they_go(past):
    """Dagster goes by the newest plan of a partition: the one of `later`, which ended well, hides that of `failed`."""
    failed = past.run(30, failed=["customer-000", "customer-001"])
    later = past.run(29, failed=["customer-000"], ends_well=True)
    past.run(1)
    before = past.statuses()
    assert before["contact", "customer-000"] is None
    assert before["contact", "customer-001"] == "FAILED"

    prune(past)

    assert failed in past.runs()
    assert later not in past.runs()
    assert past.statuses() == before


def test_what_has_not_ended_is_young_or_belongs_to_others_is_left_alone(past):
    waiting = past.unfinished(30, dg.DagsterRunStatus.NOT_STARTED)
    running = past.unfinished(30, dg.DagsterRunStatus.STARTED)
    others = dg.materialize([foreign], instance=past.instance).run_id
    past.age(others, 30)
    young = past.run(13)
    logged = len(past.events(others))

    assert prune(past) == Forgotten(runs=0, thinned=0)
    assert past.runs() == {waiting, running, others, young}
    assert len(past.events(others)) == logged


def test_runs_that_people_start_in_the_pages_are_known_by_their_assets(past):
    by_hand = dg.DagsterRun("job", asset_selection=frozenset([CONTACT]))
    mixed = dg.DagsterRun("job", asset_selection=frozenset([CONTACT, FOREIGN]))
    check = dg.DagsterRun("job", asset_check_selection=frozenset([dg.AssetCheckKey(ACCOUNT, "complete")]))

    assert [OURS.has(run) for run in (by_hand, mixed, check, dg.DagsterRun("job"))] == [True, False, True, False]


def test_little_is_done_at_a_time_and_the_next_time_goes_on_from_there(past):
    kept = [past.run(30, [name]) for name in EVERYBODY[:3]]
    gone = [past.run(29) for _ in range(4)]
    young = past.run(1)
    before, place, steps = past.statuses(), Place(), []
    for _ in range(4):
        forgotten, place = prune_dagster(past.instance, OURS, datetime.now(UTC) - DAYS, place, most=2)
        steps.append((forgotten.runs, forgotten.thinned, forgotten.through))

    assert steps == [(0, 2, False), (1, 1, False), (2, 0, False), (1, 0, True)]
    assert past.runs() == {*kept, young}
    assert place == Place()
    assert past.statuses() == before
    assert not set(gone) & past.runs()


def test_a_place_whose_run_a_person_has_deleted_begins_at_the_start(past):
    gone = past.run(30)
    past.run(1)

    forgotten, _ = prune_dagster(past.instance, OURS, datetime.now(UTC) - DAYS, Place(after_run="deleted by hand"))

    assert forgotten.runs == 1
    assert gone not in past.runs()


def test_out_of_time_it_goes_on_with_the_same_runs(past):
    past.run(30)
    past.run(1)

    forgotten, place = prune_dagster(past.instance, OURS, datetime.now(UTC) - DAYS, Place(), seconds=-1)
    assert (forgotten.runs, forgotten.through, place) == (0, False, Place())

    assert prune(past).runs == 1


def test_a_dry_run_counts_and_changes_nothing(past):
    past.run(30, ["customer-000"])
    past.run(29)
    past.run(1)
    before = {run_id: past.events(run_id) for run_id in past.runs()}

    forgotten = prune(past, dry=True)

    assert (forgotten.runs, forgotten.thinned) == (1, 1)
    assert {run_id: past.events(run_id) for run_id in past.runs()} == before


def test_captured_logs_go_with_their_run(past):
    old = past.run(30)
    past.run(1)
    folder = Path(past.instance.compute_log_manager.get_captured_local_path([old, "compute_logs", "step"], "out"))
    assert list(folder.parent.iterdir())

    prune(past)

    assert not folder.parents[1].exists()


def test_old_events_without_a_run_go_when_a_newer_one_of_their_partition_is_there(past):
    for number in range(3):
        for name in ("customer-000", "customer-001")[: 3 - number]:
            event = dg.AssetMaterialization(CONTACT, partition=name, metadata={"number": number})
            past.instance.report_runless_asset_event(event)
    past.instance.report_runless_asset_event(dg.AssetMaterialization(FOREIGN, partition="customer-000"))
    past.instance.report_runless_asset_event(dg.AssetMaterialization(FOREIGN, partition="customer-000"))
    past.age("", 30)
    past.instance.report_runless_asset_event(dg.AssetMaterialization(CONTACT, partition="customer-000"))
    before = past.statuses()

    forgotten = prune(past, most=1)

    assert forgotten.events == 4
    assert past.statuses() == before
    assert len(past.events("")) == 1 + 1 + 2


def test_check_results_go_but_for_the_newest_of_each_check(past):
    def evaluate(check, passed, asset=CONTACT):
        past.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=asset, check_name=check, passed=passed, metadata={})
        )

    for passed in (True, True, False):
        evaluate("complete", passed)
    evaluate("fresh", True)
    evaluate("complete", True, FOREIGN)
    evaluate("complete", True, FOREIGN)
    long_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=30)
    past.execute("UPDATE asset_check_executions SET evaluation_event_timestamp = :then", then=long_ago)

    assert prune(past).checks == 2

    found = past.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(CONTACT, name) for name in ("complete", "fresh")]
    )
    assert {key.name: record.status.value for key, record in found.items()} == {
        "complete": "FAILED",
        "fresh": "SUCCEEDED",
    }
    assert past.execute("SELECT count(*) FROM asset_check_executions") == [(4,)]
    assert len(past.events("")) == 4


def test_another_storage_than_postgres_is_left_alone(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        assert not OldEvents(instance).readable
        assert prune_dagster(instance, OURS, datetime.now(UTC), Place()) == (Forgotten(), Place())


def test_the_sensor_forgets_in_both_databases_and_remembers_its_place(past, make_database):
    store = Store(make_database().url(), (Secret("a key for tests"),))
    store.migrate()
    try:
        project = FakeProject(a_sync(), store=store)
        gone = past.run(30)
        past.run(1)
        resources = {"sync_project": giving(project)}
        with dg.build_sensor_context(instance=past.instance, resources=resources) as context:
            tick = retention_sensor()(context)
            again = retention_sensor()(context)

        assert tick.skip_reason.skip_message == "Forgotten: 1 Dagster runs."
        assert gone not in past.runs()
        assert Place.model_validate_json(tick.cursor) == Place()
        assert again.skip_reason.skip_message == "Nothing is old enough to be forgotten."
    finally:
        store.close()
