import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import Store
from sync_pipelines.store.database import NEWEST, make_engine, store_url
from sync_pipelines.store.migrating import alembic_config
from sync_pipelines.store.tables import metadata

KEYS = (Secret("key"),)


@pytest.fixture
def database(make_database):
    """An empty one, unlike the other tests of the store."""
    return make_database()


@pytest.fixture
def store(open_store):
    store = open_store()
    store.migrate()
    return store


def test_a_store_without_tables_says_to_migrate(open_store):
    with pytest.raises(ConfigurationError, match="has no tables yet: run `sync-pipelines migrate`"):
        open_store().check_current()


def test_migrating_makes_exactly_the_tables_that_the_code_works_with(store, database):
    engine = make_engine(store_url(database.url()))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_revision_is_the_one_that_is_checked_for_and_they_count_upwards():
    script = ScriptDirectory.from_config(alembic_config())
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert script.get_current_head() == NEWEST
    assert revisions == sorted(revisions, reverse=True)


def test_what_others_made_of_the_views_stays_when_they_are_replaced(database):
    engine = make_engine(store_url(database.url()))
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0013")
        connection.exec_driver_sql(
            "CREATE VIEW unwell AS SELECT customer_id, reason FROM health WHERE health <> 'healthy'"
        )
        connection.exec_driver_sql("GRANT SELECT ON sync_health TO PUBLIC")
        command.upgrade(config, "head")
        assert connection.exec_driver_sql("SELECT count(*) FROM unwell").scalar_one() == 0
        rights = "SELECT relacl::text FROM pg_class WHERE relname = 'sync_health'"
        assert ",=r/" in connection.exec_driver_sql(rights).scalar_one()
        connection.exec_driver_sql("DROP VIEW unwell")
        command.downgrade(config, "0013")
        command.upgrade(config, "head")
        connection.exec_driver_sql("SELECT stale_objects FROM health")
    engine.dispose()


def test_migrating_again_keeps_what_is_stored(store, connect):
    connect()
    store.migrate()
    store.check_current()

    assert len(store.connections.list()) == 1


def test_processes_that_migrate_at_once_take_turns(open_store):
    stores = [open_store() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Store.migrate, stores))

    stores[0].check_current()


def test_entries_of_the_audit_from_before_it_knew_customers_get_them(store, database):
    store.tokens.create("of acme", ["syncs:read"], customer_id="acme")
    (token,) = store.tokens.list()
    engine = make_engine(store_url(database.url()))
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0018")
        known = [
            ("connection acme/salesforce", None, {"status": "expired"}, ["acme"]),
            ("mapping acme/salesforce/contact", None, {"version": 1}, ["acme"]),
            ("endpoint 7", None, {"customer_id": "acme"}, ["acme"]),
            ("endpoint 7", {"customer_id": "acme"}, None, ["acme"]),
            ("endpoint 8", None, {"customer_id": None}, []),
            (f"token {token.id}", None, None, ["acme"]),
            ("sync crm", None, {"customers": ["beta", "acme"]}, ["acme", "beta"]),
            ("sync crm", {"document": {"customers": ["a"]}}, {"document": {"overrides": {"b": {}}}}, ["a", "b"]),
            ("sync crm", {"state": "active"}, {"state": "paused"}, []),
            ("configuration", None, {"version": 1}, []),
        ]
        connection.exec_driver_sql("DELETE FROM audit")
        add = "INSERT INTO audit (actor, action, subject, old, new) VALUES ('me', 'change', %s, %s, %s)"
        for subject, old, new, _ in known:
            connection.exec_driver_sql(add, (subject, old and json.dumps(old), new and json.dumps(new)))
        command.upgrade(config, "head")
    engine.dispose()
    assert [entry.customers for entry in reversed(store.audit.list())] == [whom for *_, whom in known]


def test_syncs_from_before_their_documents_were_kept_begin_with_the_present_one(store, database):
    with store.api_syncs.changing() as changing:
        known = changing.add("crm", "inbound", {"name": "crm"}, actor="first", key=None, mark=None)
        known = changing.replace(known, {"name": "crm", "mode": "mirror"}, actor="second")
    engine = make_engine(store_url(database.url()))
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0020")
        command.upgrade(config, "head")
    engine.dispose()
    (only,) = store.api_syncs.versions("crm")
    assert (only.version, only.document, only.actor) == (2, known.document, "second")
    assert (only.saved_at, only.restored, only.reason) == (known.saved_at, None, "")


def test_an_older_version_says_to_migrate_and_a_newer_one_to_upgrade(store, database):
    with database.connect() as connection:
        connection.execute("DELETE FROM alembic_version")
        with pytest.raises(ConfigurationError, match="run `sync-pipelines migrate`"):
            store.check_current()
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        with pytest.raises(ConfigurationError, match="migrated by a newer version"):
            store.check_current()


def test_a_server_that_is_not_there_is_told_without_the_password():
    store = Store("postgresql+psycopg://loader:hush-hush@127.0.0.1:1/store", KEYS)

    with pytest.raises(ConfigurationError, match=r"store at .*127\.0\.0\.1:1/store cannot be reached") as caught:
        store.check_current()

    assert "SYNC_PIPELINES_STORE_URL" in str(caught.value)
    assert "hush-hush" not in str(caught.value) + caught.value.detail


@pytest.mark.parametrize("url", ["sqlite:///x", "no url", "mysql://u@h/d", ""])
def test_only_postgres_urls_are_taken(url):
    with pytest.raises(ConfigurationError, match="not a Postgres URL"):
        Store(url, KEYS)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_driver_is_ours_however_the_url_is_written(scheme):
    assert store_url(f"{scheme}://u@h/d").drivername == "postgresql+psycopg"
