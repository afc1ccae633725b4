from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from sync_pipelines.model.record_log import RecordChange
from sync_pipelines.model.retention import Keep
from sync_pipelines.model.run import Counts, SyncRun
from sync_pipelines.store.logs import Wanted
from sync_pipelines.store.tables import audit, budget_points, completeness, progress, requests
from sync_pipelines_tests.store.conftest import sync_of
from sync_pipelines_tests.store.standing import Standing

KEEP = Keep(
    runs=timedelta(days=30),
    idle_runs=timedelta(hours=24),
    record_changes=timedelta(days=30),
    requests=timedelta(days=90),
    audit=timedelta(days=365),
    budget_points=timedelta(days=7),
    events=timedelta(days=30),
    dagster_runs=timedelta(days=14),
)


@pytest.fixture
def run(now):
    """A run that ended so many days ago."""

    def make(days, name="run", **rest):
        finished = now - timedelta(days=days)
        usual = {"status": "success", "counts": Counts(read=5, unchanged=5)}
        return SyncRun(
            run_id=name,
            sync="crm",
            object="contact",
            provider="salesforce",
            customer_id="acme",
            started_at=finished - timedelta(seconds=2),
            finished_at=finished,
            **(usual | rest),
        )

    return make


def count(store, table):
    with store._engine.connect() as database:
        return database.execute(select(func.count()).select_from(table)).scalar_one()


def test_what_runs_did_to_single_records_goes_after_its_own_time(store, run, now):
    change = RecordChange(record="1", operation="updated", fields={"tier": ("silver", "gold")})
    store.runs.record([run(days, name, changes=(change,)) for days, name in ((29, "young"), (31, "old"))])
    wanted = Wanted(record="1")
    assert [entry.run_id for entry in store.logs.page(wanted)] == ["young", "old"]
    assert store.retention.outdated(KEEP, now)["record changes"] == 1
    assert store.retention.prune(KEEP, now)["record changes"] == 1
    (left,) = store.logs.page(wanted)
    assert (left.run_id, left.fields, left.kind) == ("young", {"tier": ["silver", "gold"]}, "success")


def test_idle_runs_go_after_a_day_and_those_that_changed_something_or_failed_after_a_month(store, run, now):
    changes = ("created", "updated", "deleted", "rejected", "invalid")
    store.runs.record(
        [
            run(0.9, "idle, young"),
            run(1.1, "idle, old"),
            run(1.1, "skipped, old", status="skipped"),
            run(29, "failed", status="error", error_type="network"),
            run(31, "failed, old", status="error", error_type="network"),
            *(run(29, name, counts=Counts(read=5, **{name: 1})) for name in changes),
            *(run(31, f"{name}, old", counts=Counts(read=5, **{name: 1})) for name in changes),
        ]
    )

    assert store.retention.outdated(KEEP, now)["idle runs"] == 2
    assert store.retention.outdated(KEEP, now)["runs"] == 6
    gone = store.retention.prune(KEEP, now)

    assert {name: number for name, number in gone.items() if number} == {"idle runs": 2, "runs": 6}
    assert {each.run_id for each in store.runs.list()} == {"idle, young", "failed", *changes}
    assert not any(store.retention.outdated(KEEP, now).values())


def test_requests_audit_and_budget_points_go_after_their_own_time(store, connect, now):
    connection = connect()
    ages = {requests: ("asked_at", 90), audit: ("at", 365), budget_points: ("hour", 7)}
    others = {
        requests: {"actor": "test", "sync": "crm", "full": False},
        audit: {"actor": "test", "action": "test", "subject": "test"},
        budget_points: {"connection_id": connection.id, "calls": 1},
    }
    before = count(store, audit)
    with store._engine.begin() as database:
        for table, (moment, days) in ages.items():
            for age in (days - 1, days + 1, days + 2):
                database.execute(insert(table).values(**others[table], **{moment: now - timedelta(days=age)}))

    gone = store.retention.prune(KEEP, now)

    assert {name: number for name, number in gone.items() if number} == {"requests": 2, "audit": 2, "budget points": 2}
    assert [count(store, table) for table in (requests, audit, budget_points)] == [1, before + 1, 1]


def test_the_last_hundred_documents_of_each_sync_stay(store):
    with store.api_syncs.changing() as changing:
        for name, versions in (("crm", 103), ("other", 3)):
            known = changing.add(name, "inbound", {"name": name}, actor="me", key=None, mark=None)
            for number in range(1, versions):
                known = changing.replace(known, {"name": name, "id": str(number)}, actor="me")

    assert store.retention.outdated(KEEP)["versions of syncs"] == 3
    assert store.retention.prune(KEEP, at_once=2)["versions of syncs"] == 3
    assert [each.version for each in store.api_syncs.versions("crm", limit=200)] == list(range(103, 3, -1))
    assert len(store.api_syncs.versions("other")) == 3


def test_work_is_done_in_small_transactions_and_bounded(store, run, now, statements):
    store.runs.record([run(2, f"run-{number}") for number in range(10)])
    statements.clear()

    assert store.retention.prune(KEEP, now, at_once=3, most=6)["idle runs"] == 6
    assert len([each for each in statements if each.startswith("DELETE FROM runs")]) == 3
    assert {each.run_id for each in store.runs.list()} == {f"run-{number}" for number in range(6, 10)}
    assert store.retention.prune(KEEP, now, at_once=3)["idle runs"] == 4


def test_two_that_prune_at_once_share_the_work(store, open_store, run, now):
    store.runs.record([run(2, f"run-{number}") for number in range(200)])
    stores = [store, open_store()]

    with ThreadPoolExecutor(2) as pool:
        gone = list(pool.map(lambda each: each.retention.prune(KEEP, now, at_once=10)["idle runs"], stores))

    assert sum(gone) == 200
    assert store.runs.list() == []


def test_the_oldest_idle_runs_are_found_by_an_index(store, now):
    with store._engine.connect() as database:
        database.exec_driver_sql(
            """
            INSERT INTO runs (run_id, sync, object, provider, customer_id, started_at, finished_at, status, "full",
                read, created, updated, unchanged, deleted, rejected, invalid, error_message, notices, rejections,
                vendor_calls, quota)
            SELECT 'r', 'crm', 'contact', 'salesforce', 'acme', at, at, 'success', false, 0,
                   1, 0, 0, 0, 0, 0, '', '[]', '[]', 1, '{}'
            FROM generate_series(now() - interval '20 days', now(), interval '10 minutes') AS at
            """
        )
        database.exec_driver_sql("ANALYZE runs")
        plan = database.exec_driver_sql(
            """
            EXPLAIN SELECT id FROM runs
            WHERE finished_at < now() - interval '1 day'
              AND status <> 'error' AND created + updated + deleted + rejected + invalid = 0
            ORDER BY finished_at LIMIT 100
            """
        )
        assert "ix_runs_idle" in "\n".join(plan.scalars())


def test_the_standing_of_objects_that_left_their_sync_is_forgotten(store, connect):
    connection = connect()
    standing = Standing(store._engine)
    store.due.plan([sync_of(), sync_of("other")])
    for sync in ("crm", "other"):
        for name in ("contact", "task"):
            standing.tried(connection, name, sync)
            standing.gap(connection, name, sync)

    assert store.retention.forget_objects({"crm": ["contact", "account"]}) == 1

    with store._engine.connect() as database:
        for table in (progress, completeness):
            left = database.execute(select(table.c.sync, table.c.object).order_by(table.c.sync, table.c.object)).all()
            assert left == [("crm", "contact"), ("other", "contact"), ("other", "task")]
