"""What every destination answers for when parts of stored records are compared with what the vendor says now."""

import pytest

from sync_pipelines.model.destination import ReadyRows
from sync_pipelines_tests.destinations.cases import CONTACTS, DESTINATION_KINDS, DONE, ignore, load, row, scope, stored

pytestmark = pytest.mark.parametrize("destination_kind", DESTINATION_KINDS)


RAW = b'{"id": "1", "fields": {"a": 1.50, "b": null, "c": "x", "d": {"e": [1, 2]}}}'


def outdated(landing, **patches):
    return [record.id for record in landing.outdated({f"id {id}": patch for id, patch in patches.items()})]


def raw(id, text=RAW, **more):
    return row(f"id {id}", raw=text, **more)


@pytest.mark.parametrize(
    ("patch", "differs"),
    [
        (b"{}", False),
        (b'{"fields": {"a": 1.5}}', False),
        (b'{"fields": {"a": 1.5, "c": "x"}}', False),
        (b'{"fields": {"b": null}}', False),
        (b'{"fields": {"a": 1.51}}', True),
        (b'{"fields": {"a": "1.50"}}', True),
        (b'{"fields": {"b": 0}}', True),
        (b'{"fields": {"not there": null}}', True),
        (b'{"fields": {"a": null}}', True),
        (b'{"fields": {"c": "X"}}', True),
    ],
)
def test_a_record_is_outdated_where_a_value_of_its_patch_is_another_one(landing, patch, differs):
    load(landing, [raw("1")], DONE)
    assert outdated(landing, **{"1": patch}) == (["id 1"] if differs else [])


def test_only_living_rows_with_a_record_of_this_scope_are_looked_at(destination):
    patches = dict.fromkeys("1234", b'{"new": 1}')
    for customer in ("acme", "zeta"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, [raw("1"), raw("2", deleted=True), raw("3", None)], DONE)
    with destination.open(scope("zeta"), CONTACTS, "run-2", ignore) as landing:
        before = stored(landing)
        assert outdated(landing, **patches) == ["id 1"]
        assert landing.outdated({"id 1": b'{"new": 1}'})[0].raw.replace(b" ", b"") == RAW.replace(b" ", b"")
        assert stored(landing) == before
        assert landing.outdated({}) == []


@pytest.mark.parametrize("id", ["'; DROP TABLE x; --", 'a"b', "a\\b", "{}", "ü🙂", "%s"])
def test_hostile_ids_are_only_ids(landing, id):
    load(landing, [row(id, raw=b'{"a": 1}')], DONE)
    assert [record.id for record in landing.outdated({id: b'{"a": 2}', "other": b"{}"})] == [id]


def test_a_record_that_is_set_anew_has_the_hash_of_its_new_text(landing):
    load(landing, [raw("1"), raw("2")], DONE)
    batch = ReadyRows([(77, None, None, "Bea", b'{"a": 2}')], 3)
    batch.ids = ["id 1"]
    counts = landing.remap(batch, ["first_name", "raw_data"], DONE)
    assert (counts.updated, counts.unchanged) == (1, 0)
    found = stored(landing)
    assert (found["id 1"]["first_name"], found["id 1"]["raw_data"], found["id 1"]["_sync_hash"]) == (
        "Bea",
        {"a": 2},
        77,
    )
    assert found["id 2"]["_sync_hash"] == raw("2")[0]
    # So the same text of the vendor is left alone, and the one of before is not.
    same = (77, *row("id 1", raw=b'{"a": 2}')[1:])
    assert load(landing, [same], DONE).unchanged == 1
    assert load(landing, [raw("1")], DONE).updated == 1
