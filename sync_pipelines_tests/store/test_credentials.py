import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from sync_pipelines.model.errors import ConfigurationError, NetworkError, Reauthorize
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.sealing import new_key
from sync_pipelines_tests.fixtures.migrated_store import KEY


def tokens(access, refresh=None, **rest):
    return Tokens(access_token=Secret(access), refresh_token=Secret(refresh) if refresh else None, **rest)


def until_waiting_for_locks(database, sessions):
    """Returns when so many sessions wait for a lock; fails when that does not come about."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 20
    with database.connect() as connection:
        while connection.execute(waiting).fetchone()[0] < sessions:
            assert time.monotonic() < deadline, "nobody waits for the lock"
            connection.execute("SELECT pg_sleep(0.02)")


def test_tokens_are_stored_before_they_are_returned(store, connect, open_store):
    acme = connect()
    expires = datetime(2026, 3, 1, tzinfo=UTC)

    fresh = store.credentials(acme).refresh(
        Secret("access-1"), lambda old: tokens("access-2", "refresh-2", expires_at=expires, api_url="https://x.example")
    )

    assert fresh == open_store().credentials(acme).read()
    assert fresh == tokens("access-2", "refresh-2", expires_at=expires, api_url="https://x.example")


def test_what_a_refresh_leaves_out_is_carried_over(store, connect):
    acme = connect()
    store.credentials(acme).refresh(Secret("access-1"), lambda old: tokens("access-2", api_url="https://x.example"))

    fresh = store.credentials(acme).refresh(Secret("access-2"), lambda old: tokens("access-3"))

    assert fresh == tokens("access-3", "refresh-1", api_url="https://x.example")


def test_who_comes_with_an_older_token_gets_the_newer_one_without_asking_the_vendor(store, connect):
    acme = connect(access="access-2")

    def never(old):
        raise AssertionError("fetched although the token is newer")

    assert store.credentials(acme).refresh(Secret("access-1"), never).access_token == Secret("access-2")


def test_of_many_that_refresh_at_once_one_asks_the_vendor(store, connect, open_store, database):
    acme = connect()
    asked = []

    def fetch(old):
        asked.append(old.refresh_token.reveal())
        until_waiting_for_locks(database, 5)
        return tokens(f"access-{len(asked) + 1}", f"refresh-{len(asked) + 1}")

    doors = [opened.credentials(acme) for opened in (store, open_store()) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda door: door.refresh(Secret("access-1"), fetch), doors))

    assert asked == ["refresh-1"]
    assert found == [tokens("access-2", "refresh-2")] * 6


def test_the_row_stays_locked_while_the_vendor_is_asked(store, connect, database):
    acme = connect()

    def fetch(old):
        with database.connect() as connection:
            free = connection.execute("SELECT 1 FROM credentials FOR UPDATE SKIP LOCKED").fetchall()
        assert free == []
        return tokens("access-2")

    store.credentials(acme).refresh(Secret("access-1"), fetch)


def test_a_failed_refresh_changes_nothing_and_lets_the_next_one_in(store, connect):
    acme = connect()

    def fail(old):
        raise NetworkError("no answer")

    with pytest.raises(NetworkError):
        store.credentials(acme).refresh(Secret("access-1"), fail)

    assert store.credentials(acme).refresh(Secret("access-1"), lambda old: tokens("access-2")).access_token == Secret(
        "access-2"
    )


def test_tokens_survive_a_connection_that_breaks_after_the_vendor_answered(store, connect, database):
    acme = connect()

    def fetch(old):
        with database.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND state = 'idle in transaction'"
            )
        return tokens("access-2", "refresh-2")

    store.credentials(acme).refresh(Secret("access-1"), fetch)

    assert store.credentials(acme).read() == tokens("access-2", "refresh-2")


def test_expiring_is_told_once(store, connect):
    acme = connect()

    for _ in range(3):
        store.credentials(acme).expire("the customer took the permission away")

    found = store.connections.get("acme", "salesforce")
    assert (found.status, found.status_reason) == ("expired", "the customer took the permission away")
    assert [entry.action for entry in store.audit.list()].count("expire") == 1


def test_a_refusal_of_tokens_that_were_replaced_meanwhile_expires_nothing(store, connect):
    acme = connect()
    old = store.credentials(acme)
    old.read()
    connect(access="access-2")

    old.expire("invalid_grant")

    assert store.connections.get("acme", "salesforce").status == "connected"


def test_tokens_of_nobody_must_be_connected_first(store, connect):
    acme = connect()
    store.connections.disconnect(acme)

    with pytest.raises(Reauthorize, match="customer acme for salesforce"):
        store.credentials(acme).refresh(Secret("access-1"), lambda old: tokens("x"))
    store.credentials(acme).expire("gone anyway")


def test_rotating_seals_everything_with_the_newest_key(open_store, store, connect):
    connections = [connect(f"customer-{number}", access=f"access-{number}") for number in range(7)]
    newest = new_key()
    both = open_store(newest, KEY)

    assert both.credentials(connections[3]).read().access_token.reveal() == "access-3"
    assert both.rotate() == 7
    assert both.rotate() == 0

    alone = open_store(newest)
    assert [alone.credentials(each).read().access_token.reveal() for each in connections] == [
        f"access-{number}" for number in range(7)
    ]
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_ENCRYPTION_KEYS"):
        store.credentials(connections[0]).read()


def test_no_token_shows_anywhere_but_in_the_tokens(store, connect, database, caplog):
    secrets = ("hush-access", "hush-refresh", "hush-fresh")
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG):
            acme = connect(access="hush-access", refresh="hush-refresh")
            credentials = store.credentials(acme)
            fresh = credentials.refresh(Secret("hush-access"), lambda old: tokens("hush-fresh"))
            credentials.expire("refused")
            store.rotate()
    finally:
        logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    with database.connect() as connection:
        stored = "".join(
            str(connection.execute(f"SELECT * FROM {table}").fetchall())
            for table in ("connections", "credentials", "audit")
        )

    shown = caplog.text + stored + repr(fresh) + repr(credentials) + repr(store.audit.list())
    assert "INSERT INTO credentials" in caplog.text
    assert not [secret for secret in secrets if secret in shown]
