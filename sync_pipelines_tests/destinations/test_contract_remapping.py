"""What every destination answers for when columns of stored rows are made anew, and of what did not fit."""

import json
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_pipelines.engine.chunk import TextBatch
from sync_pipelines.engine.mapping import CustomColumn, RecordMapper
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ReadyRows, Table
from sync_pipelines.model.errors import LeaseLost
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DESTINATION_KINDS,
    DONE,
    PARTITIONED,
    Crash,
    alive,
    crash_at,
    ignore,
    incremental,
    load,
    names,
    reading,
    row,
    rows,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", DESTINATION_KINDS)


def remap(landing, columns, found, checkpoint=DONE, **more):
    """`found`: (id, errors, value of each column)."""
    rows = [(0, errors, None, *values) for _, errors, *values in found]
    batch = ReadyRows(rows)
    batch.ids = [id for id, *_ in found]
    return landing.remap(batch, columns, checkpoint, **more)


def all_stored(landing, limit=2):
    found, after = [], None
    while page := landing.stored(after, limit):
        assert len(page) <= limit
        found += page
        after = page[-1].id
    return found


def test_stored_records_are_paged_through_once_each(destination):
    ids = ["a", "B", "b", "ä", "10", "9", "Z", ""]
    for customer in ("acme", "zeta"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, [row(id or "empty", raw=f'{{"of":"{customer}"}}'.encode()) for id in ids], DONE)
    with destination.open(scope("acme"), CONTACTS, "run-1", ignore) as landing:
        found = all_stored(landing)
        assert sorted(record.id for record in found) == sorted(id or "empty" for id in ids)
        assert {bytes(record.raw).replace(b" ", b"") for record in found} == {b'{"of":"acme"}'}
        assert landing.stored(found[-1].id, 10) == []


def test_stored_records_tell_what_is_deleted_and_what_has_no_record(landing):
    load(landing, [row("1"), row("2", deleted=True), row("3", raw=None)], DONE)
    assert [(record.id, record.deleted, record.raw) for record in landing.stored(None, 10)] == [
        ("1", False, b"{}"),
        ("2", True, b"{}"),
        ("3", False, None),
    ]


def test_remapping_sets_the_named_columns_of_rows_that_differ_and_nothing_else(destination):
    for customer in ("acme", "zeta"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, rows(1, 2, 3, name="Ann", amount=1), DONE)
    with destination.open(scope("zeta"), CONTACTS, "run-1", ignore) as other:
        others = stored(other)
    with destination.open(scope("acme"), CONTACTS, "run-2", ignore) as landing:
        before = stored(landing)
        counts = remap(landing, ["amount"], [("1", None, Decimal(7)), ("2", None, Decimal(1)), ("9", None, Decimal(1))])
        assert (counts.updated, counts.unchanged, counts.created) == (1, 2, 0)
        after = stored(landing)
        assert after["1"]["amount"] == 7
        assert after["1"]["_sync_run_id"] == "run-2"
        assert after["1"]["_sync_emitted_at"] > before["1"]["_sync_emitted_at"]
        passing = {"amount", "_sync_run_id", "_sync_emitted_at"}
        assert {name for name in before["1"] if before["1"][name] != after["1"][name]} == passing
        assert {id: after[id] for id in ("2", "3")} == {id: before[id] for id in ("2", "3")}
        assert set(after) == {"1", "2", "3"}
    with destination.open(scope("zeta"), CONTACTS, "run-1", ignore) as other:
        assert stored(other) == others


def test_remapping_there_and_back_restores_every_byte(landing):
    load(landing, [row("1", amount=Decimal("1.50"), errors=b'{"first_name":{"reason":"long"}}')], DONE)
    before = stored(landing)
    remap(landing, ["amount"], [("1", b'{"amount":{"reason":"no"}}', None)])
    assert stored(landing) != before
    remap(landing, ["amount"], [("1", None, Decimal("1.50"))])
    assert bare(stored(landing)) == bare(before)
    assert str(stored(landing)["1"]["amount"]) == str(before["1"]["amount"])


def bare(found):
    """Without what tells who wrote last."""
    passing = ("_sync_run_id", "_sync_emitted_at")
    return {id: {name: value for name, value in entry.items() if name not in passing} for id, entry in found.items()}


def test_remapping_replaces_the_errors_of_its_columns_alone(landing):
    errors = b'{"amount":{"reason":"old"},"first_name":{"reason":"kept"},"gone":{"reason":"dropped"}}'
    load(landing, [row("1", errors=errors), row("2", errors=b'{"gone":{"reason":"dropped"}}'), row("3")], DONE)
    counts = remap(
        landing, ["amount"], [("1", b'{"amount":{"reason":"new"}}', None), ("2", None, None), ("3", None, None)],
        dropped=["gone"],
    )  # fmt: skip
    assert (counts.updated, counts.unchanged) == (2, 1)
    kept = {id: entry["_sync_errors"] for id, entry in stored(landing).items()}
    assert kept == {"1": {"amount": {"reason": "new"}, "first_name": {"reason": "kept"}}, "2": None, "3": None}


def test_a_number_of_the_same_value_takes_the_new_digits(destination_kind, landing):
    if destination_kind != "postgres":
        pytest.skip("numbers of files have 18 digits behind the point, whatever was written")
    load(landing, rows(1, amount=Decimal("1.0")), DONE)
    assert remap(landing, ["amount"], [("1", None, Decimal("1.00"))]).updated == 1
    assert str(stored(landing)["1"]["amount"]) == "1.00"
    assert remap(landing, ["amount"], [("1", None, Decimal("1.00"))]).updated == 0


def test_remapping_keeps_deleted_rows_deleted_and_what_was_seen(landing):
    load(landing, rows(1, 2, 3, 4), reading())
    landing.delete_unseen(DONE, hard=False, brake=1)
    load(landing, rows(1, 2, 3), reading("second"))
    remap(landing, ["first_name"], [("4", None, "Bo"), ("1", None, "Bo")], landing.checkpoint)
    assert names(landing) == {"1": "Bo", "2": "Ann", "3": "Ann", "4": "Bo"}
    assert landing.delete_unseen(DONE, hard=False, brake=1) == 1
    assert alive(landing) == ["1", "2", "3"]


def test_a_remapping_that_is_behind_changes_nothing(destination):
    with (
        destination.open(scope(), CONTACTS, "run-1", ignore) as behind,
        destination.open(scope(), CONTACTS, "run-2", ignore) as ahead,
    ):
        load(ahead, rows(1), DONE)
        with pytest.raises(LeaseLost):
            remap(behind, ["first_name"], [("1", None, "Old")])
        assert names(ahead) == {"1": "Ann"}


@pytest.mark.parametrize("step", ["remap.fenced", "remap.updated"])
def test_a_remapping_that_dies_leaves_all_as_it_was(destination, step):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
        before, checkpoint = stored(landing), landing.checkpoint
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at(step)) as landing:
        remap(landing, ["first_name"], [("1", None, "Bo")], incremental(account_id="other"))
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert (stored(landing), landing.checkpoint) == (before, checkpoint)


def test_values_that_did_not_fit_are_listed_page_by_page(destination):
    def errors(**of):
        made = {name: {"field": "F", "value": text, "reason": "odd"} for name, text in of.items()}
        return json.dumps(made).encode()

    for customer in ("acme", "zeta"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            found = [
                row("b", errors=errors(amount="x", first_name="y")),
                row("a", errors=errors(amount=None)),
                row("c"),
            ]
            load(landing, [*found, row("d", deleted=True, errors=errors(amount="gone"))], DONE)
    scopes = [scope("acme"), scope("zeta")]
    assert destination.failed([], CONTACTS) == []
    assert destination.failed([scope("nobody")], CONTACTS) == []
    listed, after = [], None
    while page := destination.failed(scopes, CONTACTS, after=after, limit=2):
        listed += page
        after = page[-1].place
    assert [each.place for each in listed] == [
        (customer, *of)
        for customer in ("acme", "zeta")
        for of in (("a", "amount"), ("b", "amount"), ("b", "first_name"))
    ]
    assert {(each.field, each.reason) for each in listed} == {("F", "odd")}
    assert [each.value for each in listed[:3]] == [None, "x", "y"]
    counted = destination.failed_counts(scopes, CONTACTS)
    assert [(each.customer_id, each.column, each.rows) for each in counted] == [
        ("acme", "amount", 2),
        ("zeta", "amount", 2),
        ("acme", "first_name", 1),
        ("zeta", "first_name", 1),
    ]


def test_a_place_without_tables_has_no_failed_values(destination):
    assert destination.failed([scope()], CONTACTS) == []
    assert destination.failed_counts([scope()], CONTACTS) == []


def test_rows_of_a_partitioned_table_are_made_anew_too(destination_kind, destination, sql):
    if destination_kind != "postgres":
        pytest.skip("only Postgres has such tables")
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2, 3), DONE)
    sql(PARTITIONED)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert [record.id for record in all_stored(landing)] == ["1", "2", "3"]
        assert remap(landing, ["first_name"], [("2", None, "Bo")]).updated == 1
        assert names(landing) == {"1": "Ann", "2": "Bo", "3": "Ann"}


WANTED = ("plain", "größe", 'a"b', "nested")
KINDS = ("text", "numeric", "bigint", "boolean", "timestamptz", "date", "jsonb")
MADE = Table(
    name="made",
    columns=(
        Column("id", "text"),
        Column("is_deleted", "boolean"),
        Column("last_modified_at", "timestamptz"),
        *(Column(f"{kind}_{at}", kind) for kind in KINDS for at in range(len(WANTED))),
        Column("raw_data", "jsonb"),
    ),
)
RULES = [CustomColumn(f"{kind}_{at}", FieldRule(sources=(name,))) for kind in KINDS for at, name in enumerate(WANTED)]
numbers = (
    st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e-7, 1e300, 0.1 + 0.2, -0.0])
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(
    [
        "12",
        "12.50",
        "1e3",
        "true",
        "No",
        "2026-05-01",
        "2026-05-01T10:00:00+02:00",
        "1777620337000",
        "\u2028",
        "\\",
        '"',
    ]
)
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4))
records = st.fixed_dictionaries({}, optional=dict.fromkeys(WANTED, values))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(records, min_size=1, max_size=8))
def test_of_a_stored_record_is_made_what_was_made_of_the_vendors_text(destination, numbered, found):
    customer = f"customer {next(numbered)}"
    schema = ObjectSchema(fields=tuple(VendorField(name=name) for name in WANTED))
    crm_object = CrmObject(name="made", shape=RecordShape(id=("id",)))
    made = [json.dumps({**each, "id": str(at)}).encode() for at, each in enumerate(found)]
    mapper = RecordMapper(crm_object, schema, MADE.columns, common=False, custom=RULES)
    columns = [column for column in MADE.columns if column.name != "raw_data"]
    again = RecordMapper(crm_object, schema, columns, common=False, custom=RULES)
    with destination.open(scope(customer), MADE, "run-1", ignore) as landing:
        ids = [str(at) for at in range(len(found))]
        landing.load(TextBatch(mapper, ids, list(range(len(ids))), made), DONE)
        kept = landing.stored(None, 100)
        batch = TextBatch(again, [record.id for record in kept], [0] * len(kept), [record.raw for record in kept])
        assert landing.remap(batch, [column.name for column in columns], DONE) == Counts(unchanged=len(kept))


@pytest.fixture
def numbered():
    return count()
