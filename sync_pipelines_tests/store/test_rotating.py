"""Keys are exchanged under everything that is sealed, in batches, and it shows which are needed."""

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import api_sides, connect_sessions, credentials, endpoints, rotating
from sync_pipelines.store.sealing import new_key
from sync_pipelines.store.tables import metadata
from sync_pipelines_tests.store.conftest import KEY


def test_every_column_that_names_a_key_is_rotated():
    named = {column for table in metadata.sorted_tables for column in table.columns if column.name.endswith("key_id")}
    assert named == {each.key for each in rotating.SEALED}
    for module, sealed in zip((credentials, endpoints, connect_sessions, api_sides), rotating.SEALED, strict=True):
        assert module._about(7) == f"{sealed.about} 7"


def test_a_rotation_that_is_stopped_goes_on_where_it_was(open_store, store, connect, monkeypatch):
    monkeypatch.setattr(rotating, "AT_ONCE", 2)
    connections = [connect(f"customer-{number}", access=f"access-{number}") for number in range(5)]
    store.endpoints.create("https://hooks.example/x", events=["sync.error"], customer_id="customer-1")
    secrets = {"oauth.client_secret": "of-the-app"}
    with store.api_sides.changing() as changing:
        document = {"provider_name": "hubspot", "oauth": {"client_id": "app"}}
        changing.add("providers", "hubspot", document, secrets, actor="test", key=None, mark=None)
        changing.add("providers", "keys", {"provider_name": "hubspot"}, {}, actor="test", key=None, mark=None)
    newest = new_key()
    both = open_store(newest, KEY)
    told = []

    def stopped(table, done):
        told.append((table, done))
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both.rotate(stopped)
    assert told == [("credentials", 2), ("credentials", 4)]
    new, old = both.keys_in_use()
    assert (new.rows, old.rows) == ({"credentials": 4}, {"credentials": 1, "endpoints": 1, "api_sides": 1})
    assert both.rotate() == 3
    new, old = both.keys_in_use()
    assert (new.rows, old.rows, old.known) == ({"credentials": 5, "endpoints": 1, "api_sides": 1}, {}, True)

    alone = open_store(newest)
    assert [alone.credentials(each).read().access_token.reveal() for each in connections] == [
        f"access-{number}" for number in range(5)
    ]
    assert [alone.api_sides.secrets(each) for each in alone.api_sides.list()] == [secrets, {}]
    (endpoint,) = alone.endpoints.page()
    assert alone.endpoints.addresses([endpoint.id])[endpoint.id].url == Secret("https://hooks.example/x")


def test_what_no_key_opens_is_told_and_what_came_before_it_stays_done(open_store, store, connect):
    connect("acme")
    stranger = open_store(new_key())
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_ENCRYPTION_KEYS"):
        stranger.rotate()
    ours, missing = stranger.keys_in_use()
    assert (ours.rows, ours.known) == ({}, True)
    assert (missing.rows, missing.known) == ({"credentials": 1}, False)
    assert store.rotate() == 0
