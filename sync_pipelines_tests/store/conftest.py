"""A migrated store in a database of the test's own."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Schedule, Sync, SyncObject
from sync_pipelines.store import Store
from sync_pipelines_tests.fixtures.migrated_store import KEY


@pytest.fixture
def now():
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(make_database):
    """A database with the store's tables, of the test's own."""
    return make_database.migrated()


@pytest.fixture
def open_store(database):
    """Opens the test's store once more, as another process would."""
    opened = []

    def open_(*keys):
        store = Store(database.url(), tuple(Secret(key) for key in keys or (KEY,)))
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store):
    return open_store()


@pytest.fixture
def connect(store):
    def connect_(customer_id="acme", provider="salesforce", access="access-1", refresh="refresh-1", **rest):
        tokens = Tokens(access_token=Secret(access), refresh_token=Secret(refresh) if refresh else None)
        return store.connections.connect(customer_id=customer_id, provider=provider, tokens=tokens, **rest)

    return connect_


@pytest.fixture
def statements(store):
    """The texts of the statements that the store sends from now on."""
    sent = []

    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    yield sent
    event.remove(store._engine, "before_cursor_execute", note)


def sync_of(name="crm", provider="salesforce", every=timedelta(minutes=15), **rest):
    """Its customers are not spread unless a schedule of the test's own says so: `now` is a time of every interval."""
    schedule = rest.pop("schedule", Schedule(every=every, spread=timedelta(0)))
    return Sync(
        name=name,
        provider=provider,
        destination="warehouse",
        objects=(SyncObject(object="contact"), SyncObject(object="account")),
        schedule=schedule,
        **rest,
    )
