"""What the store remembers of the fields of accounts."""

import pytest

from sync_pipelines.model.schema_change import mark_of

FIELDS = {"Id": "id", "Name": "string", "größe 🥇'; --": "double", "n" * 5000: "picklist"}


@pytest.fixture
def connection(connect):
    return connect()


def remembered(store, connection, sync="crm", object="contact"):
    return store.schemas.remembered(sync, [object], [connection.id])[object, connection.id]


def note(store, connection, fields, *, accept=False, policy="freeze", **of):
    memory = remembered(store, connection, **of)
    accepted = memory.note(fields, policy, accept=accept)
    again = remembered(store, connection, **of)
    assert (memory.accepted, memory.seen) == (again.accepted, again.seen)
    return accepted


def test_nothing_is_remembered_of_what_was_never_looked_at(store, connection):
    memory = remembered(store, connection)
    assert (memory.accepted, memory.seen) == ("", "")
    assert store.schemas.known(connection, "contact") == []
    assert store.schemas.accept(connection, "contact") == {}


def test_the_first_look_is_accepted_and_is_no_change(store, connection):
    assert note(store, connection, FIELDS, accept=True) == {}
    memory = remembered(store, connection)
    assert memory.accepted == memory.seen == mark_of(FIELDS)
    assert store.schemas.changes(connection, "contact") == []
    (known,) = store.schemas.known(connection, "CONTACT")
    assert (known.accepted, known.seen) == (FIELDS, FIELDS)


def test_changes_are_told_once_each_newest_first_until_they_are_accepted(store, connection):
    note(store, connection, FIELDS, accept=True)
    changed = {name: kind for name, kind in FIELDS.items() if name != "Name"} | {"Id": "text", "New": "boolean"}
    for _ in range(2):
        assert note(store, connection, changed) == FIELDS
    found = store.schemas.changes(connection, "contact")
    assert {(each.change.kind, each.change.field) for each in found} == {
        ("retyped", "Id"),
        ("vanished", "Name"),
        ("added", "New"),
    }
    assert {(each.sync, each.policy) for each in found} == {("crm", "freeze")}
    taken = store.schemas.accept(connection, "Contact", actor="ann")
    assert [change.field for change in taken["crm"]] == ["Id", "Name", "New"]
    assert store.schemas.accept(connection, "contact") == {"crm": ()}
    assert note(store, connection, changed) == changed
    (entry,) = [entry for entry in store.audit.list() if entry.action == "accept"]
    assert (entry.actor, entry.subject) == ("ann", "schema acme/salesforce/contact")


def test_what_is_as_it_was_writes_nothing(store, connection, statements):
    note(store, connection, FIELDS, accept=True)
    note(store, connection, FIELDS | {"New": "string"})
    statements.clear()
    note(store, connection, FIELDS | {"New": "string"})
    assert not [one for one in statements if one.lstrip().startswith(("INSERT", "UPDATE"))]


def test_syncs_objects_and_connections_are_kept_apart(store, connect):
    one, other = connect(), connect("globex")
    note(store, one, FIELDS, accept=True)
    note(store, one, FIELDS, accept=True, sync="strict")
    note(store, other, FIELDS, accept=True)
    note(store, one, FIELDS | {"New": "string"})
    assert remembered(store, one, sync="strict").seen == remembered(store, other).seen == mark_of(FIELDS)
    assert {sync: len(found) for sync, found in store.schemas.accept(one, "contact").items()} == {"crm": 1, "strict": 0}
    store.connections.disconnect(one)
    assert remembered(store, one).seen == ""
    assert remembered(store, other).seen == mark_of(FIELDS)


def test_accepting_makes_what_failed_due_at_once(store, connection, now):
    from sync_pipelines_tests.store.conftest import sync_of

    store.due.plan([sync_of()], now=now)
    note(store, connection, FIELDS, accept=True)
    note(store, connection, FIELDS | {"New": "string"})
    with store._engine.begin() as database:
        database.exec_driver_sql("UPDATE due SET attempts = 3, error_since = now(), error_message = 'frozen'")
    store.schemas.accept(connection, "contact")
    (line,) = store.due.list(sync="crm")
    assert (line.attempts, line.error_message) == (0, "")
