"""Old runs go from Dagster's real storage, and what its pages say of every partition stays as it was."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration.erasing import erase_waiting
from sync_pipelines.orchestration.old_events import OldEvents
from sync_pipelines.orchestration.retention import Forgotten, Ours, Place, prune_dagster, retention_sensor
from sync_pipelines.store import Store
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_sync, giving
from sync_pipelines_tests.orchestration.past import ACCOUNT, CONTACT, EVERYBODY, FOREIGN, PARTITIONS, Past, foreign

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
    assert past.captured_logs(superseded)

    forgotten = prune(past)

    assert past.statuses() == before
    assert past.statuses(afresh=False) == before
    assert past.runs() == {first, second, mended, young}
    assert (forgotten.runs, forgotten.thinned) == (3, 3)
    assert past.instance.get_latest_materialization_event(CONTACT) == newest
    for run_id in (superseded, *idle):
        assert past.events(run_id) == past.captured_logs(run_id) == []
    told = [partition for kind, partition in past.events(second) if kind == "ASSET_MATERIALIZATION"]
    assert sorted(told) == sorted(2 * EVERYBODY[10:200])
    filters = dg.AssetRecordsFilter(asset_key=ACCOUNT, asset_partitions=[EVERYBODY[250]])
    (record,) = past.instance.fetch_materializations(filters, limit=10).records
    assert record.asset_materialization.metadata["run"].text == first

    last = past.run(1, EVERYBODY)
    assert past.captured_logs(first)
    after = past.statuses()
    prune(past)

    assert past.runs() == {young, last}
    assert past.statuses() == after
    assert set(after.values()) == {"MATERIALIZED"}


def test_a_run_that_stays_keeps_its_course_but_no_failure_that_newer_runs_have_covered(past):
    """Dagster goes by the newest plan of a partition: the one of `later`, which ended well, hides that of `failed`."""
    failed = past.run(30, ["customer-002"], failed=["customer-000", "customer-001"])
    later = past.run(29, failed=["customer-000"], ends_well=True)
    past.run(1, ["customer-002"])
    before = past.statuses()
    assert before["contact", "customer-000"] is None
    assert before["contact", "customer-001"] == "FAILED"
    kinds = {kind for kind, _ in past.events(failed)}
    assert {None, "STEP_FAILURE", "PIPELINE_FAILURE", "ASSET_MATERIALIZATION"} <= kinds

    prune(past)

    assert failed in past.runs()
    assert later not in past.runs()
    assert past.statuses() == before
    kinds = {kind for kind, _ in past.events(failed)}
    assert {"STEP_START", "STEP_FAILURE", "PIPELINE_START", "PIPELINE_FAILURE"} <= kinds
    assert not {None, "ASSET_MATERIALIZATION", "ENGINE_EVENT"} & kinds
    assert past.instance.get_run_stats(failed).steps_failed == 1


def test_what_has_not_ended_is_young_or_belongs_to_others_is_left_alone(past):
    waiting = past.unfinished(30, dg.DagsterRunStatus.NOT_STARTED)
    running = past.unfinished(30, dg.DagsterRunStatus.STARTED)
    others = dg.materialize([foreign], instance=past.instance).run_id
    past.age(others, 30)
    kept, gone, young = past.run(30, ["customer-000"]), past.run(29), past.run(1)
    before = {run_id: past.events(run_id) for run_id in past.runs()}

    dry = prune(past, dry=True)

    assert (dry.runs, dry.thinned) == (1, 1)
    assert {run_id: past.events(run_id) for run_id in past.runs()} == before
    prune(past)
    assert past.runs() == {waiting, running, others, kept, young}
    assert gone not in past.runs()
    assert past.events(others) == before[others]


def test_runs_that_people_start_in_the_pages_are_known_by_their_assets():
    by_hand = dg.DagsterRun("job", asset_selection=frozenset([CONTACT]))
    mixed = dg.DagsterRun("job", asset_selection=frozenset([CONTACT, FOREIGN]))
    check = dg.DagsterRun("job", asset_check_selection=frozenset([dg.AssetCheckKey(ACCOUNT, "complete")]))

    assert [OURS.has(run) for run in (by_hand, mixed, check, dg.DagsterRun("job"))] == [True, False, True, False]


def test_little_is_done_at_a_time_and_the_next_time_goes_on_from_there(past):
    kept = [past.run(30, [name]) for name in EVERYBODY[:3]]
    gone = [past.run(29) for _ in range(4)]
    young = past.run(1)
    before = past.statuses()

    def step(place, **options):
        forgotten, place = prune_dagster(past.instance, OURS, datetime.now(UTC) - DAYS, place, **options)
        return (forgotten.runs, forgotten.thinned, forgotten.through), place

    first, place = step(Place(), most=2)
    out_of_time, same = step(place, most=2, seconds=-1)
    assert (first, out_of_time, same) == ((0, 2, False), (0, 1, False), place)
    steps = []
    for _ in range(3):
        told, place = step(place, most=2)
        steps.append(told)

    assert steps == [(1, 1, False), (2, 0, False), (1, 0, True)]
    assert past.runs() == {*kept, young}
    assert not set(gone) & past.runs()
    assert place == Place()
    assert past.statuses() == before
    # A person may delete the run that was the place to go on from.
    assert step(Place(after_run="deleted by hand"))[0] == (0, 3, True)


def test_old_events_without_a_run_and_check_results_go_when_newer_ones_are_there(past):
    report = past.instance.report_runless_asset_event
    for number in range(3):
        for name in ("customer-000", "customer-001")[: 3 - number]:
            report(dg.AssetMaterialization(CONTACT, partition=name, metadata={"number": number}))
    for _ in range(2):
        report(dg.AssetMaterialization(FOREIGN, partition="customer-000"))
    for asset, check, passed in (
        *((CONTACT, "complete", each) for each in (True, True, False)),
        (CONTACT, "fresh", True),
        *((FOREIGN, "complete", True) for _ in range(2)),
    ):
        report(dg.AssetCheckEvaluation(asset_key=asset, check_name=check, passed=passed, metadata={}))
    past.age("", 30)
    report(dg.AssetMaterialization(CONTACT, partition="customer-000"))
    before = past.statuses()

    forgotten = prune(past, most=1)

    assert (forgotten.events, forgotten.checks) == (4, 2)
    assert past.statuses() == before
    kinds = [kind for kind, _ in past.events("")]
    assert (kinds.count("ASSET_MATERIALIZATION"), kinds.count("ASSET_CHECK_EVALUATION")) == (4, 4)
    found = past.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(CONTACT, name) for name in ("complete", "fresh")]
    )
    statuses = {key.name: record.status.value for key, record in found.items()}
    assert statuses == {"complete": "FAILED", "fresh": "SUCCEEDED"}


def test_another_storage_than_postgres_is_left_alone(tmp_path):
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        assert not OldEvents(instance).readable
        assert prune_dagster(instance, OURS, datetime.now(UTC), Place()) == (Forgotten(), Place())


def test_the_sensor_forgets_in_both_databases_and_remembers_its_place(past, make_database):
    store = Store(make_database.migrated().url(), (Secret("a key for tests"),))
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


def test_an_erased_customer_leaves_its_events_and_its_partition(past, make_database):
    """What Dagster says of everybody else stays as it was."""
    gone, other = EVERYBODY[7], EVERYBODY[8]
    for days in (3, 2):
        past.run(days, EVERYBODY[:20], failed=EVERYBODY[20:22])
    store = Store(make_database().url(), (Secret("key"),))
    store.migrate()
    project = FakeProject(a_sync())
    project.store = store
    begun = store.erasing.begin(gone, actor="test")
    store.erasing.finish(begun.id, dagster=None)
    before = past.statuses()

    assert erase_waiting(past.instance, project, OURS) == 1

    (receipt,) = store.erasing.page()
    assert receipt.customer_id is None
    assert receipt.removed["dagster"]["partitions"] == 1
    assert receipt.removed["dagster"]["events"] >= 4
    assert not past.execute("SELECT 1 FROM event_logs WHERE partition = :name", name=gone)
    assert past.execute("SELECT 1 FROM event_logs WHERE partition = :name", name=other)
    after = past.statuses()
    assert {key for key in before if before[key] != after.get(key)} == {("contact", gone), ("account", gone)}
    assert not past.instance.has_dynamic_partition(PARTITIONS.name, gone)
    assert erase_waiting(past.instance, project, OURS) == 0
    store.close()
