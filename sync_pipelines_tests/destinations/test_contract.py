"""What every destination answers for, whatever it is made of."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from sync_pipelines.model.checkpoint import Backfill, Checkpoint, Reading
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.errors import LeaseLost
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    EVERY_DESTINATION_KIND,
    START,
    alive,
    another_hash,
    at,
    ignore,
    load,
    names,
    reading,
    row,
    rows,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", EVERY_DESTINATION_KIND)


LATELY = timedelta(minutes=10)


def test_a_new_scope_has_no_checkpoint_and_no_rows(landing):
    assert landing.checkpoint is None
    assert stored(landing) == {}


def test_a_first_load_creates_every_row_with_its_metadata(landing):
    assert load(landing, [row("1", errors=b'{"amount": "x"}'), row("2", merged_into="1")], DONE) == Counts(created=2)
    first, second = stored(landing)["1"], stored(landing)["2"]
    assert first["_sync_application_id"] == "app"
    assert first["_sync_customer_id"] == "acme"
    assert first["_sync_provider_name"] == "hubspot"
    assert first["_sync_run_id"] == "run-1"
    assert first["_sync_errors"] == {"amount": "x"}
    assert second["_sync_merged_into"] == "1"
    assert first["last_modified_at"] == at(0)


def test_a_reload_of_the_same_rows_changes_nothing(landing):
    load(landing, rows(1, 2, 3), DONE)
    before = stored(landing)
    assert load(landing, rows(3, 1, 2), DONE) == Counts(unchanged=3)
    assert stored(landing) == before


def test_new_and_changed_and_unchanged_rows_are_told_apart(landing):
    load(landing, rows(1, 2), DONE)
    assert load(landing, [row("1"), row("2", name="Bea", minute=1), row("3")], DONE) == Counts(
        created=1, updated=1, unchanged=1
    )
    assert names(landing) == {"1": "Ann", "2": "Bea", "3": "Ann"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a": 1, "b": {"c": 2, "d": [1, 2]}}', b'{"b": {"d": [1, 2], "c": 2}, "a": 1}'),
        (b'{"n": 5.0}', b'{"n": 5}'),
        (b'{"n": 1e2, "t": "\\u00e9"}', '{"t":"é","n":100}'.encode()),
        (b"[]", b" [ ] "),
    ],
)
def test_a_record_that_is_only_spelled_another_way_is_not_written_again(destination, before, after):
    first = row("1", raw=before, amount=Decimal("1.50"), errors=b'{"x": {"a": 1, "b": 2}}')
    again = another_hash(first, raw_data=after, amount=Decimal("1.5"), errors=b'{"x":{"b":2,"a":1}}')
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, [first, row("2")], DONE)
        before = stored(landing)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert load(landing, [again, row("2")], DONE) == Counts(unchanged=2)
        now = stored(landing)
        assert now["1"].pop("_sync_hash") == again[0]
        assert before["1"].pop("_sync_hash") == first[0]
        assert now == before


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_data": b'{"a": 2}'},
        {"first_name": None},
        {"first_name": "ann"},
        {"amount": Decimal("1.51")},
        {"amount": None},
        {"is_deleted": True},
        {"errors": b'{"first_name": {}}'},
        {"merged_into": "9"},
        {"last_modified_at": None},
    ],
)
def test_every_other_change_of_a_row_is_written(landing, changes):
    entry = row("1", raw=b'{"a": 1}', amount=Decimal("1.50"))
    load(landing, [entry], DONE)
    assert load(landing, [another_hash(entry, **changes)], DONE) == Counts(updated=1)


@pytest.mark.parametrize("at", [(), ("properties",), ("a", "b")])
def test_what_changes_on_every_read_does_not_write_a_row(destination, at):
    table = replace(CONTACTS, volatile=("ticking", "tocking"), volatile_at=at)

    def raw(name, **ticks):
        record = {"name": name, **ticks}
        for step in reversed(at):
            record = {"id": "1", step: record}
        return json.dumps(record).encode()

    with destination.open(scope(), table, "run-1", ignore) as landing:
        first = row("1", raw=raw("Ann", ticking=1))
        load(landing, [first], DONE)
        for other in (raw("Ann", ticking=2, tocking=3), raw("Ann"), raw("Ann", tocking=None)):
            assert load(landing, [another_hash(first, raw_data=other)], DONE) == Counts(unchanged=1)
        assert load(landing, [another_hash(first, raw_data=raw("Bea", ticking=1))], DONE) == Counts(updated=1)


@pytest.mark.parametrize("odd", [b"null", b'"text"', b'{"properties": null}', b'{"properties": [1]}', b"[]"])
def test_a_record_of_another_shape_is_compared_too(destination, odd):
    table = replace(CONTACTS, volatile=("ticking",), volatile_at=("properties",))
    with destination.open(scope(), table, "run-1", ignore) as landing:
        first = row("1", raw=odd)
        load(landing, [first], DONE)
        assert load(landing, [another_hash(first)], DONE) == Counts(unchanged=1)
        changed = another_hash(first, raw_data=b'{"properties": {"x": 1}}')
        assert load(landing, [changed], DONE) == Counts(updated=1)


def test_misfits_of_rows_that_stay_as_they_are_are_counted(landing):
    entries = [row("1", errors=b'{"a": {}, "b": {}}'), row("2"), row("3", errors=b'{"a": {}}')]
    load(landing, entries, DONE)
    changed = row("3", name="Bea", minute=1, errors=b'{"a": {}}')
    assert load(landing, [*entries[:2], changed], DONE) == Counts(unchanged=2, updated=1, invalid=2)


@pytest.mark.parametrize("step", [1, 2, 3, 50, 333])
def test_rows_are_compared_however_far_apart_their_ids_lie(landing, step):
    load(landing, rows(*range(1000)), DONE)
    for turn in range(1, 8):
        wanted = range(0, 1000, step)
        found = [row(str(n), minute=turn, name=f"turn {turn}") if n % 2 == 0 else row(str(n)) for n in wanted]
        changed = sum(n % 2 == 0 for n in wanted)
        new = row(f"new {turn}")
        assert load(landing, [*found, new], DONE) == Counts(created=1, updated=changed, unchanged=len(wanted) - changed)
    assert names(landing)["0"] == "turn 7"
    assert len(stored(landing)) == 1007


def test_an_older_version_never_replaces_a_newer_one(landing):
    load(landing, [row("1", minute=5, name="new")], DONE)
    assert load(landing, [row("1", minute=4, name="old")], DONE) == Counts(unchanged=1)
    assert names(landing) == {"1": "new"}


def test_of_two_versions_with_one_timestamp_the_later_load_stays(landing):
    load(landing, [row("1", minute=5, name="one")], DONE)
    assert load(landing, [row("1", minute=5, name="two")], DONE) == Counts(updated=1)
    assert names(landing) == {"1": "two"}


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None), (None, None)])
def test_a_row_without_a_timestamp_is_updated(landing, before, after):
    load(landing, [row("1", minute=before, name="one")], DONE)
    assert load(landing, [row("1", minute=after, name="two")], DONE) == Counts(updated=1)
    assert names(landing) == {"1": "two"}


def test_one_id_twice_in_a_load_is_refused_as_a_mistake_of_the_caller(landing):
    with pytest.raises(ValueError, match="twice"):
        load(landing, [row("1"), row("1", name="Bea")], DONE)
    assert stored(landing) == {}


def test_values_change_to_null_and_back(landing):
    load(landing, [row("1", amount=Decimal("1.50"))], DONE)
    load(landing, [row("1", name=None, amount=None)], DONE)
    assert stored(landing)["1"]["amount"] is None
    load(landing, [row("1", amount=Decimal("1.50"))], DONE)
    assert stored(landing)["1"]["amount"] == Decimal("1.50")


def test_customers_and_providers_and_applications_never_meet(destination):
    scopes = [scope(), scope("globex"), scope(provider="salesforce"), scope(application_id="other")]
    for number, place in enumerate(scopes):
        with destination.open(place, CONTACTS, "run-1", ignore) as landing:
            assert load(landing, [row("1", name=str(number))], reading()) == Counts(created=1)
    for number, place in enumerate(scopes):
        with destination.open(place, CONTACTS, "run-2", ignore) as landing:
            assert names(landing) == {"1": str(number)}
    with destination.open(scope("globex"), CONTACTS, "run-3", ignore) as landing:
        load(landing, [], reading("second"))
        assert landing.delete_unseen(DONE, hard=True, brake=1.0) == 1
    with destination.open(scope(), CONTACTS, "run-4", ignore) as landing:
        assert names(landing) == {"1": "0"}


def test_a_checkpoint_comes_back_as_it_was_stored(destination):
    checkpoint = Checkpoint(
        read_until=at(3),
        reading=Reading(
            id="r",
            full=False,
            started_at=at(4),
            since=at(1),
            until=at(5),
            resume={"after": "1;ü\"'", "page": [1, None, {"deep": 2**60}]},
        ),
        full_at=at(2),
        incrementals=7,
        fingerprint="abc",
        ground="def",
        mapped={"tier": "1", "größe": "2"},
        seed="ghi",
        backfill=Backfill(columns=("tier",), target="abc", after="9"),
        backfills=3,
        account_id="00D",
    )
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), checkpoint)
        assert landing.checkpoint == replace(checkpoint, version=1)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert landing.checkpoint == replace(checkpoint, version=1)
        load(landing, [], replace(checkpoint, incrementals=8))
        assert landing.checkpoint == replace(checkpoint, incrementals=8, version=2)


def test_each_sync_and_object_has_its_own_checkpoint(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, [], DONE)
    for other in (scope(sync="other"), scope(object="lead"), scope("globex"), scope(provider="salesforce")):
        with destination.open(other, CONTACTS, "run-1", ignore) as landing:
            assert landing.checkpoint is None


def test_of_two_landings_the_one_that_is_behind_writes_nothing(destination):
    with (
        destination.open(scope(), CONTACTS, "run-1", ignore) as one,
        destination.open(scope(), CONTACTS, "run-2", ignore) as two,
    ):
        load(one, rows(1), reading("one"))
        with pytest.raises(LeaseLost, match="customer acme"):
            load(two, [row("1", name="late", minute=9), row("2")], reading("two"))
        assert names(one) == {"1": "Ann"}
        load(one, rows(2), reading("one"))
        with pytest.raises(LeaseLost):
            load(two, [], DONE)
        assert one.delete_unseen(DONE, hard=False, brake=0.5) == 0
        assert one.checkpoint.version == 3


def test_a_landing_that_is_behind_deletes_nothing(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as one:
        load(one, rows(1, 2), DONE)
        load(one, rows(1), reading("one"))
        with destination.open(scope(), CONTACTS, "run-2", ignore) as two:
            load(two, rows(2), reading("one"))
        with pytest.raises(LeaseLost):
            one.delete_unseen(DONE, hard=False, brake=1.0)
        assert alive(one) == ["1", "2"]


def test_records_merged_into_another_are_marked_with_it_once(landing):
    load(landing, rows(1, 2, 3), DONE)
    pairs = [("2", "1"), ("3", "1"), ("unknown", "1"), ("1", "1")]
    assert load(landing, [], DONE, merged=pairs) == Counts(updated=2)
    assert alive(landing) == ["1"]
    assert {id: entry["_sync_merged_into"] for id, entry in stored(landing).items()} == {"1": None, "2": "1", "3": "1"}
    before = stored(landing)
    assert load(landing, rows(1), DONE, merged=pairs) == Counts(unchanged=1)
    assert stored(landing) == before


def test_a_loser_of_a_merge_keeps_its_survivor_until_it_lives_again(landing):
    load(landing, rows(1, 2), DONE, merged=[("2", "1")])
    assert load(landing, [row("2", minute=1, deleted=True)], DONE) == Counts(updated=1)
    assert stored(landing)["2"]["_sync_merged_into"] == "1"
    assert load(landing, [row("2", minute=2)], DONE) == Counts(updated=1)
    assert stored(landing)["2"]["_sync_merged_into"] is None


def test_a_merge_is_told_only_to_its_own_customer(destination):
    for customer in ("acme", "globex"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, rows(1, 2), DONE)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        load(landing, [], DONE, merged=[("2", "1")])
    with destination.open(scope("globex"), CONTACTS, "run-3", ignore) as landing:
        assert alive(landing) == ["1", "2"]


def test_the_sample_brings_the_newest_rows_first(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2, 3), DONE)
        load(landing, [row("2", name="Bea", minute=1)], DONE)
        columns, found = landing.sample(2)
        assert found[0][columns.index("id")] == "2"
        assert len(found) == 2


def test_columns_are_added_when_the_table_grows(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    wider = replace(CONTACTS, columns=(*CONTACTS.columns, Column("tier", "text"), Column("seats", "bigint")))
    with destination.open(scope(), wider, "run-2", ignore) as landing:
        assert load(landing, [(*row("2"), "gold", 2**62)], DONE) == Counts(created=1)
        assert stored(landing)["1"]["tier"] is None
        assert (stored(landing)["2"]["tier"], stored(landing)["2"]["seats"]) == ("gold", 2**62)
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert load(landing, [row("2", name="Bea", minute=1)], DONE) == Counts(updated=1)
        assert stored(landing)["2"]["tier"] == "gold"


def test_check_finds_nothing_wrong(destination):
    destination.check()


def test_a_place_without_tables_holds_nothing_and_gets_none(open_again, is_empty):
    destination = open_again()
    assert destination.stocks([scope("acme"), scope("bolt")], CONTACTS, LATELY) == [Stock(live=0)] * 2
    assert destination.stocks([], CONTACTS, LATELY) == []
    assert is_empty()


def test_the_stock_of_a_scope_is_its_own_living_rows(destination):
    for customer, found in (("acme", [*rows(1, 2, 3), row("4", deleted=True)]), ("bolt", rows(1))):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, found, DONE)
    with destination.open(scope("acme", application_id="another"), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
    stocks = destination.stocks([scope("nobody"), scope("acme"), scope("bolt")], CONTACTS, LATELY)
    assert stocks == [
        Stock(live=0),
        Stock(live=3, marked=1, lately=4, read_until=START),
        Stock(live=1, lately=1, read_until=START),
    ]


def test_a_stock_tells_what_changed_since_a_while_before_the_read(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        changed = [row("1", minute=-11), row("2", minute=-10), row("3", minute=5), row("4", minute=1, deleted=True)]
        load(landing, [*changed, row("5", minute=None)], DONE)
    assert destination.stocks([scope()], CONTACTS, LATELY) == [Stock(live=4, marked=1, lately=3, read_until=START)]


def test_the_stock_of_a_first_read_under_way_has_no_position(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading())
    assert destination.stocks([scope()], CONTACTS, LATELY) == [Stock(live=2)]


def test_only_destinations_that_share_their_tables_are_in_one_place(destination_kind, open_again):
    assert open_again("acme").where == open_again("bolt").where
    database = destination_kind in ("postgres", "partitioned")
    apart = {"schema_name" if database else "prefix": "crm_${CUSTOMER_ID}"}
    assert open_again("acme", **apart).where != open_again("bolt", **apart).where


def test_a_position_that_only_moves_is_stored_and_fenced(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as slow:
        for _ in range(12):
            with destination.open(scope(), CONTACTS, "run-3", ignore) as quick:
                later = replace(quick.checkpoint, incrementals=quick.checkpoint.incrementals + 1)
                assert load(quick, [], later) == Counts()
                assert quick.checkpoint.version == later.version + 1
        with pytest.raises(LeaseLost):
            load(slow, [], replace(slow.checkpoint, incrementals=99))
    with destination.open(scope(), CONTACTS, "run-4", ignore) as landing:
        assert landing.checkpoint == quick.checkpoint
        assert landing.checkpoint.incrementals == DONE.incrementals + 12
