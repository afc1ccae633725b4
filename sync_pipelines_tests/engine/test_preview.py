"""The pure part of a preview: any record and any mapping give rows, and the rows are what a sync would store."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.config.rules import rules_from
from sync_pipelines.engine.layout import is_common, plan_fields, table_of
from sync_pipelines.engine.mapping import RecordMapper
from sync_pipelines.engine.preview import preview_records
from sync_pipelines.model.destination import ROW_HEAD
from sync_pipelines.model.mapping import CustomSchema, Mapping, SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.providers import PROVIDERS

PROVIDER = PROVIDERS["salesforce"]
CONTACT = PROVIDER.find_object("contact")
TYPES = ("text", "numeric", "bigint", "boolean", "timestamptz", "date", "jsonb")
SCHEMA = CustomSchema(
    version=1, fields=tuple(SchemaField(name=f"as {kind}", type=kind) for kind in TYPES), allow_additional_fields=True
)
DECLARED = SyncObject(object="contact", custom_schema=SCHEMA)
SYNC = Sync(name="crm", provider="salesforce", destination="warehouse", objects=(DECLARED,))
ACCOUNT = ObjectSchema(
    fields=tuple(VendorField(name=name) for name in ("Id", "LastName", "SystemModstamp", "IsDeleted", "Odd__c"))
)


def mapped(**rules):
    return Mapping(customer_id="acme", provider="salesforce", object="contact", version=1, fields=rules_from(rules))


def seen(*texts, mapping, declared=DECLARED):
    table = table_of(SYNC, declared, CONTACT)
    plan = plan_fields(declared, CONTACT, ACCOUNT, "salesforce", mapping)
    return preview_records(texts, declared=declared, crm_object=CONTACT, schema=ACCOUNT, table=table, plan=plan), table


def fields_of(record):
    return {field.column: field for field in record.fields}


ALL_TYPES = mapped(**{f"as {kind}": "Odd__c" for kind in TYPES}, extra="Odd__c")


def test_a_field_shows_where_it_comes_from_what_it_was_and_what_it_becomes():
    text = json.dumps({"Id": "003A", "LastName": "Nord Metall", "Odd__c": "12.50"}).encode()
    (record,), table = seen(text, mapping=ALL_TYPES)
    fields = fields_of(record)
    assert record.id == "003A"
    assert record.problem is None
    assert list(fields) == [column.name for column in table.columns if column.name != "raw_data"]
    assert fields["last_name"].sources == ("LastName",)
    assert (fields["last_name"].before, fields["last_name"].after) == ({"LastName": "Nord Metall"}, "Nord Metall")
    assert fields["as_numeric"].after == Decimal("12.50")
    assert fields["as_bigint"].after is None
    assert fields["as_bigint"].before == {"Odd__c": "12.50"}
    assert fields["as_bigint"].problem == "The value is not a whole number."
    assert fields["additional_fields"].after == {"extra": "12.50"}


def test_additional_fields_are_shown_one_by_one_each_with_its_own_problem():
    words = {"source": "LastName", "transform": {"name": "custom", "expression": "upper(value)"}}
    number = {"source": "LastName", "transform": {"name": "number_to_currency", "currency": "EUR"}}
    text = json.dumps({"Id": "003A", "LastName": "Nord Metall"}).encode()
    (record,), _ = seen(text, mapping=mapped(words=words, number=number, gone="Gone__c"))
    field = fields_of(record)["additional_fields"]
    assert field.after == {"words": "NORD METALL", "number": None, "gone": None}
    parts = {part.column: part for part in field.parts}
    assert (parts["words"].sources, parts["words"].transforms) == (("LastName",), ("custom",))
    assert (parts["words"].before, parts["words"].after) == ({"LastName": "Nord Metall"}, "NORD METALL")
    assert parts["words"].problem is None
    assert (parts["number"].after, parts["number"].problem) == (None, "The value is not a plain number.")
    assert parts["gone"].problem == "The account has no readable field Gone__c."
    assert not any(each.parts for each in record.fields if each.column != "additional_fields")


def test_a_field_that_the_account_does_not_have_is_told_beside_its_column():
    (record,), _ = seen(b'{"Id":"003A"}', mapping=mapped(**{"as text": "Gone__c"}))
    assert fields_of(record)["as_text"].problem == "The account has no readable field Gone__c."


@pytest.mark.parametrize("text", [b"", b"[]", b"nothing", b'"text"', b"[" * 100_000, b'{"Id":'])
def test_what_is_no_record_has_no_fields_and_says_why(text):
    (record,), _ = seen(text, mapping=ALL_TYPES)
    assert record.fields == ()
    assert record.problem.startswith("It cannot be stored: ")


def test_a_record_without_an_id_is_shown_with_what_a_sync_does_to_it():
    (record,), _ = seen(b'{"LastName":"x"}', mapping=ALL_TYPES)
    assert (record.id, record.problem) == (None, "It has no id, so a sync rejects it.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(odd=JSON, last_name=JSON, deleted=JSON, rest=st.dictionaries(st.text(max_size=8), JSON, max_size=3))
def test_any_record_shows_exactly_what_a_sync_would_store(odd, last_name, deleted, rest):
    record = {**rest, "Id": "003A", "LastName": last_name, "IsDeleted": deleted, "Odd__c": odd}
    text = json.dumps(record).encode()
    (shown,), table = seen(text, mapping=ALL_TYPES)
    plan = plan_fields(DECLARED, CONTACT, ACCOUNT, "salesforce", ALL_TYPES)
    mapper = RecordMapper(
        CONTACT,
        ACCOUNT,
        table.columns,
        common=is_common(CONTACT, DECLARED),
        custom=plan.custom,
        additional=plan.additional,
    )
    stored = mapper([text], [0], carefully=True).columns
    errors = json.loads(stored[1][0] or b"{}")
    for column, values in zip(table.columns, stored[ROW_HEAD:], strict=True):
        if column.name == "raw_data":
            continue
        field = fields_of(shown)[column.name]
        assert (field.problem is not None) == (column.name in errors)
        if column.type == "jsonb" and values[0] is not None:
            assert json.loads(json.dumps(field.after, default=float)) == json.loads(values[0])
        else:
            assert field.after == values[0]


def test_records_are_judged_one_by_one():
    declared = replace(DECLARED, raw_fields=False)
    records, _ = seen(b'{"Id":"1"}', b"broken", b'{"Id":"3"}', mapping=ALL_TYPES, declared=declared)
    assert [record.id for record in records] == ["1", None, "3"]
