"""Dagster's storage on connections that are kept, against a real Postgres."""

import time

import dagster as dg
import psycopg
import pytest
import yaml
from sqlalchemy import event

from sync_pipelines.orchestration.storage import ASKED, ENGINE, KEPT, ReusingPostgresStorage

TAKEN = """
    SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid
"""


@pytest.fixture
def look(database):
    """Which sessions others have on the database of Dagster's storage."""
    with psycopg.connect(database.url("psycopg").replace("+psycopg", ""), autocommit=True) as connection:
        yield lambda: [pid for (pid,) in connection.execute(TAKEN)]


@pytest.fixture
def home(database, tmp_path, monkeypatch):
    url = {"postgres_url": database.url("psycopg2")}
    ours = {"module": "sync_pipelines.orchestration.storage", "class": "ReusingPostgresStorage", "config": url}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"custom": ours}}))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))


def work(instance):
    """Something for runs, events and sensors each."""

    @dg.job
    def anything():
        pass

    run = instance.create_run_for_job(anything)
    instance.report_engine_event("seen", run)
    instance.add_dynamic_partitions("customers", ["acme"])
    return run


def test_all_that_an_instance_does_goes_through_few_sessions_and_its_end_closes_them(home, look):
    with dg.DagsterInstance.get() as instance:
        work(instance)
        sessions = look()
        assert 1 <= len(sessions) <= KEPT
        run = work(instance)
        assert [entry.message for entry in instance.all_logs(run.run_id)]
        assert instance.get_dynamic_partitions("customers") == ["acme"]
        assert instance.all_instigator_state() == []
        assert look() == sessions
    wait_until_empty(look)


def wait_until_empty(look):
    """A server's process ends a moment after its client has gone."""
    deadline = time.monotonic() + 30
    while look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sessions_that_broke_are_replaced_without_an_error(home, look, database):
    with dg.DagsterInstance.get() as instance:
        work(instance)
        broken = look()
        with psycopg.connect(database.url("psycopg").replace("+psycopg", ""), autocommit=True) as administrator:
            for pid in broken:
                administrator.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        work(instance)
        assert look()
        assert not set(look()) & set(broken)


def test_a_copy_made_of_its_reference_keeps_connections_too(home, look):
    """As a code server and a run make it of what the daemon gives them."""
    with dg.DagsterInstance.get() as instance:
        reference = instance.get_ref()
    with dg.DagsterInstance.from_ref(reference) as instance:
        work(instance)
        sessions = look()
        work(instance)
        assert look() == sessions


def test_the_webserver_makes_itself_pools_of_its_own(home, look):
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(statement_timeout=10_000, pool_recycle=60, max_overflow=5)
        work(instance)
        sessions = look()
        work(instance)
        assert look() == sessions


def test_a_storage_without_engines_to_exchange_is_dagsters_own(database, monkeypatch):
    monkeypatch.setattr("sync_pipelines.orchestration.storage.ENGINE", "_renamed")
    storage = ReusingPostgresStorage(database.url("psycopg2"))
    assert storage.run_storage.get_runs_count() == 0


def catalogue_questions(storage, ask):
    """The statements on the server's catalogue that something takes."""
    asked = []

    def note(connection, cursor, statement, *more):
        if "pg_catalog" in statement:
            asked.append(statement)

    engine = getattr(storage.event_log_storage, ENGINE)
    event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return asked


def test_what_the_tables_have_is_asked_once(database):
    storage = ReusingPostgresStorage(database.url("psycopg2"))
    events, schedules = storage.event_log_storage, storage.schedule_storage

    def ask():
        assert events.can_read_asset_status_cache()
        assert schedules.has_instigators_table()
        assert events.get_asset_records() == []
        assert schedules.all_instigator_state() == []

    assert catalogue_questions(storage, ask)
    assert catalogue_questions(storage, ask) == []
    again = ReusingPostgresStorage(database.url("psycopg2"))
    assert catalogue_questions(again, lambda: again.event_log_storage.can_read_asset_status_cache()) == []


def test_what_is_not_there_yet_is_asked_again(database, look):
    storage = ReusingPostgresStorage(database.url("psycopg2"))
    assert not storage.event_log_storage.has_asset_key_col("color")
    with database.connect() as connection:
        connection.execute("ALTER TABLE asset_keys ADD COLUMN color text")
    assert storage.event_log_storage.has_asset_key_col("color")
    assert storage.event_log_storage.has_asset_key_col("cached_status_data")


def test_the_second_storage_of_a_process_opens_no_connection_before_it_is_asked(database, look):
    ReusingPostgresStorage(database.url("psycopg2"))
    wait_until_empty(look)
    ReusingPostgresStorage(database.url("psycopg2"))
    assert look() == []


def test_dagsters_storage_asks_what_we_think_it_asks(database):
    """The contract with the version that is locked: without these names, every question would be asked each time."""
    storage = ReusingPostgresStorage(database.url("psycopg2"))
    parts = [storage.run_storage, storage.event_log_storage, storage.schedule_storage]
    assert [name for name in ASKED if not any(hasattr(type(part), name) for part in parts)] == []
    assert all(hasattr(part, ENGINE) for part in parts)


@dg.resource
def opens():
    return 1


@dg.resource
def does_not_open():
    raise RuntimeError("no such database")


@pytest.mark.parametrize(("resource", "told"), [(opens, []), (does_not_open, ["RESOURCE_INIT_FAILURE"])])
def test_of_resources_only_what_went_wrong_is_kept(home, resource, told):
    @dg.op(required_resource_keys={"warehouse"})
    def look(context):
        return context.resources.warehouse

    @dg.job(resource_defs={"warehouse": resource})
    def using():
        look()

    with dg.DagsterInstance.get() as instance:
        run = using.execute_in_process(instance=instance, raise_on_error=False)
        kinds = [entry.dagster_event_type.value for entry in instance.all_logs(run.run_id) if entry.is_dagster_event]
    assert [kind for kind in kinds if kind.startswith("RESOURCE_INIT")] == told
    assert ("STEP_SUCCESS" in kinds) == run.success == (not told)
