import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.model.mapping import CustomSchema, SchemaField
from sync_pipelines.model.naming import (
    ALWAYS_TAKEN,
    LONGEST_NAME,
    RESERVED_PREFIXES,
    column_name,
    custom_columns,
    distinct_columns,
    refusal_of_customer_id,
    table_name,
)

hostile = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)
similar = st.text(alphabet="aA_ é1", max_size=6)

SYSTEM_COLUMNS = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid")


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("AnnualRevenue", "annual_revenue"),
        ("ARR__c", "arr_c"),
        ("HTTPServer", "http_server"),
        ("Field1Name", "field1_name"),
        ("annual revenue (€)", "annual_revenue"),
        ("Größe", "grosse"),
        ("İstanbul", "istanbul"),
        ("2nd phone", "field_2nd_phone"),
        ("xmin", "field_xmin"),
        ("_sync_hash", "sync_hash"),
        ('"; DROP TABLE x; --', "drop_table_x"),
    ],
)
def test_columns_are_readable(field, column):
    assert column_name(field) == column


@pytest.mark.parametrize("field", ["", "___", "名前", "名前 A", "x" * 5_000, "\ud800"])
def test_a_hash_stands_in_for_what_is_lost(field):
    words, _, digest = column_name(field).rpartition("_")

    assert words
    assert len(digest) == 8


@given(hostile)
def test_a_column_is_always_a_name_that_postgres_takes(field):
    column = column_name(field)

    assert 1 <= len(column.encode()) <= LONGEST_NAME
    assert column[0].isalpha()
    assert all(letter.isascii() and (letter.isalnum() or letter == "_") for letter in column)
    assert column == column.lower()
    assert not column.startswith(RESERVED_PREFIXES)
    assert column not in SYSTEM_COLUMNS


@given(st.one_of(similar, hostile))
def test_a_columns_own_column_is_itself(field):
    assert column_name(column_name(field)) == column_name(field)


@given(st.lists(st.one_of(similar, hostile), unique=True), st.sets(st.one_of(similar, hostile).map(column_name)))
def test_every_field_has_a_column_of_its_own_in_whatever_order_they_come(fields, taken):
    columns = distinct_columns(fields, taken)

    assert list(columns) and set(columns) == set(fields) if fields else columns == {}
    assert len(set(columns.values())) == len(fields)
    assert not taken & set(columns.values())
    assert columns == distinct_columns(reversed(fields), taken)
    assert all(len(column.encode()) <= LONGEST_NAME for column in columns.values())


@given(st.lists(similar, unique=True), similar)
def test_a_field_that_is_spelled_like_its_column_keeps_it_whatever_else_comes(fields, other):
    assert distinct_columns([*fields, "tier"])["tier"] == distinct_columns([*fields, other, "tier"])["tier"] == "tier"


def test_a_custom_field_makes_way_for_the_common_columns():
    names = ("FirstName", "tier", "raw_data", "id", "UpdatedAt")
    schema = CustomSchema(version=1, fields=tuple(SchemaField(name=name) for name in names))

    assert custom_columns(schema, {"first_name"}) == {
        "FirstName": "custom_first_name",
        "tier": "tier",
        "raw_data": "custom_raw_data",
        "id": "custom_id",
        "UpdatedAt": "custom_updated_at",
    }


@given(st.lists(st.one_of(similar, st.sampled_from(sorted(ALWAYS_TAKEN))), unique=True))
def test_no_custom_column_is_one_that_every_table_has(names):
    schema = CustomSchema(version=1, fields=tuple(SchemaField(name=name) for name in names))

    assert not ALWAYS_TAKEN & set(custom_columns(schema, ()).values())


@pytest.mark.parametrize(
    ("arguments", "table"),
    [
        (("salesforce", "Contact", "contact", True), "crm_contact"),
        (("hubspot", "contacts", "contact", True), "crm_contact"),
        (("hubspot", "contacts", "contact", False), "hubspot_contacts"),
        (("salesforce", "EmailTemplate", None, True), "salesforce_email_template"),
        (("hubspot", "2-123", None, True), "hubspot_2_123"),
        (("hubspot", "p123_car", None, True), "hubspot_p123_car"),
    ],
)
def test_tables(arguments, table):
    assert table_name(*arguments) == table


@given(hostile, hostile)
def test_a_table_is_always_a_name_that_postgres_takes(provider, object_name):
    table = table_name(provider, object_name, None, True)

    assert table == column_name(table)
    assert len(table) <= LONGEST_NAME


def test_postgres_takes_every_kind_of_column_name(database):
    fields = [*SYSTEM_COLUMNS, "", "order", "user", "名前", "x" * 5_000, '"quoted"', "a\x00b", "2-123", "tier", "Tier"]
    columns = distinct_columns(fields).values()

    with database.connect() as connection:
        connection.execute("CREATE TABLE t (" + ", ".join(f'"{column}" text' for column in columns) + ")")
        found = connection.execute("SELECT * FROM t").description

    assert [column.name for column in found] == list(columns)


@given(hostile)
def test_a_customer_id_that_is_taken_is_printable(customer_id):
    if refusal_of_customer_id(customer_id) is None:
        assert customer_id.isprintable()
        assert customer_id.encode()
