"""Records into rows: nothing raises, nothing is lost, nothing unmapped changes."""

import json
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.engine.keys import key_reader
from sync_pipelines.engine.mapping import CustomColumn, RecordMapper
from sync_pipelines.model.common_model import Addresses, Column, Compute, Emails, FirstOf, Label, Phones, Take
from sync_pipelines.model.destination import ROW_HEAD
from sync_pipelines.model.errors import RejectRecord
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape

COLUMNS = tuple(
    Column(name, kind)
    for name, kind in {
        "account_id": "text",
        "addresses": "jsonb",
        "email_addresses": "jsonb",
        "id": "text",
        "is_deleted": "boolean",
        "last_modified_at": "timestamptz",
        "phone_numbers": "jsonb",
        "raw_data": "jsonb",
        "stage": "text",
        "status": "text",
        "revenue": "numeric",
        "tier": "text",
        "additional_fields": "jsonb",
    }.items()
)

NESTED = CrmObject(
    name="contacts",
    shape=RecordShape(
        id=("id",),
        fields=("properties",),
        modified=("updatedAt",),
        deleted=("archived",),
        merged_ids=("properties", "hs_merged_object_ids"),
    ),
    common_name="contact",
    common={
        "account_id": FirstOf(("associations", "companies")),
        "addresses": Addresses((("primary", {"street_1": "address", "city": "city"}),)),
        "email_addresses": Emails((("primary", "email"), ("other", "hs_additional_emails"))),
        "phone_numbers": Phones((("primary", "phone"), ("mobile", "mobilephone"))),
        "stage": Label("dealstage", "stages"),
        "status": Compute(("won", "closed"), lambda won, closed: "WON" if won == "true" else "OPEN"),
    },
    volatile=frozenset({"ticking"}),
)
FLAT = CrmObject(
    name="Contact",
    shape=RecordShape(
        id=("Id",), modified=("SystemModstamp",), deleted=("IsDeleted",), merged_into=("MasterRecordId",)
    ),
    common_name="contact",
    common={"account_id": Take("AccountId")},
)
SCHEMA = ObjectSchema(fields=(), lookups={"stages": {"123": "Qualified"}})
CUSTOM = (
    CustomColumn("revenue", FieldRule(sources=("arr",))),
    CustomColumn("tier", FieldRule(sources=("tier",)), required=True),
)


@dataclass
class One:
    """One record, read as the engine does: its key, then its row in a block of its own."""

    key: object
    row: tuple
    misfits: int

    @property
    def id(self):
        return self.key[0]

    @property
    def hash(self):
        return self.key[1]

    @property
    def losers(self):
        return self.key[3]


def mapper(crm_object=NESTED):
    key_of = key_reader(crm_object.shape, volatile=crm_object.volatile)
    rows = RecordMapper(
        crm_object, SCHEMA, COLUMNS, common=True, custom=CUSTOM, additional={"x": FieldRule(sources=("extra",))}
    )

    def one(text):
        key = key_of(text)
        mapped = rows([text], [key[1]])
        careful = rows([text], [key[1]], carefully=True)
        assert careful.misfits == mapped.misfits
        assert [list(column) for column in careful.columns] == [list(column) for column in mapped.columns]
        return One(key, tuple(column[0] for column in mapped.columns), mapped.misfits)

    return one


def values(mapped):
    return dict(zip((column.name for column in COLUMNS), mapped.row[ROW_HEAD:], strict=True))


def record(**properties):
    return {
        "id": "7",
        "properties": properties,
        "updatedAt": "2026-05-01T07:25:37.000Z",
        "archived": False,
        "associations": {"companies": ["55", "56"]},
    }


def encode(value):
    return msgspec.json.encode(value)


def test_a_nested_record_becomes_a_row_of_the_common_model():
    got = values(
        mapper()(
            encode(
                record(
                    email="a@x.example",
                    hs_additional_emails="b@x.example;a@x.example; ",
                    phone="1",
                    mobilephone=None,
                    address="1 High St",
                    city="Leeds",
                    dealstage="123",
                    won="true",
                    arr="1200.50",
                    tier="gold",
                    extra=["kept"],
                )
            )
        )
    )
    assert got["id"] == "7"
    assert got["account_id"] == "55"
    assert json.loads(got["email_addresses"]) == [
        {"email_address": "a@x.example", "email_address_type": "primary"},
        {"email_address": "b@x.example", "email_address_type": "other"},
    ]
    assert json.loads(got["phone_numbers"]) == [{"phone_number": "1", "phone_number_type": "primary"}]
    assert json.loads(got["addresses"])[0]["city"] == "Leeds"
    assert (got["stage"], got["status"]) == ("Qualified", "WON")
    assert str(got["revenue"]) == "1200.50"
    assert json.loads(got["additional_fields"]) == {"x": ["kept"]}


def test_a_value_that_does_not_fit_keeps_the_row_the_text_and_the_reason():
    mapped = mapper()(encode(record(arr="about 12", tier="gold")))
    assert values(mapped)["revenue"] is None
    assert values(mapped)["tier"] == "gold"
    assert json.loads(mapped.row[1]) == {
        "revenue": {"field": "arr", "value": "about 12", "reason": "The value is not a plain number."}
    }
    assert mapped.misfits == 1


def test_a_required_field_without_a_value_is_an_error_of_the_row():
    mapped = mapper()(encode(record(arr="1")))
    assert json.loads(mapped.row[1])["tier"]["reason"] == "The field is required and has no value."


def test_a_losing_record_points_at_its_survivor_and_the_survivor_names_its_losers():
    loser = mapper(FLAT)(encode({"Id": "003A", "IsDeleted": True, "MasterRecordId": "003B"}))
    assert loser.row[2] == "003B"
    assert values(loser)["is_deleted"] is True
    survivor = mapper()(encode(record(hs_merged_object_ids="8;9", tier="a")))
    assert survivor.losers == ("8", "9")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"properties": {}}', "no id"),
        (b'{"id": "", "properties": {}}', "no id"),
        (b'{"id": null}', "no id"),
        (b'{"id": true}', "no id"),
        (b'{"id": {"a": 1}}', "no id"),
        (b'{"id": "' + b"x" * 1001 + b'"}', "longer than"),
        (b'["id"]', "not a JSON object"),
        (b'{"id": "1"', "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"id": "1", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
        (b"", "not JSON"),
        (b'{"id": "1", "a": "\xff\xfe"}', "not JSON"),
    ],
)
def test_what_is_no_record_is_rejected_with_its_reason(text, reason):
    with pytest.raises(RejectRecord, match=reason):
        mapper()(text)


def test_characters_that_cannot_be_stored_are_replaced_and_said():
    text = b'{"id": "1", "properties": {"tier": "a\\u0000b\\ud83d", "fine": "\\ud83d\\ude00", "n": 1.50}}'
    mapped = mapper()(text)
    got = values(mapped)
    assert got["tier"] == "ab\ufffd"
    assert json.loads(got["raw_data"])["properties"] == {"tier": "ab\ufffd", "fine": "😀", "n": 1.5}
    assert b"1.50" in got["raw_data"]
    assert "replaced" in json.loads(mapped.row[1])["raw_data"]["reason"]


@pytest.mark.parametrize("field", ["arr", "unmapped"])
@pytest.mark.parametrize("number", ["1e5000", "-1E-99999", "9" * 5000, "1." + "3" * 2000])
def test_a_number_of_endless_length_is_kept_as_text_and_said(number, field):
    mapped = mapper()(f'{{"id": "1", "properties": {{"tier": "a", "{field}": {number}}}}}'.encode())
    assert json.loads(values(mapped)["raw_data"])["properties"][field] == number
    assert "number" in json.loads(mapped.row[1])["raw_data"]["reason"]


def test_raw_data_is_the_vendors_text_untouched():
    text = b'{"id":"1",  "properties":{"tier":"gold","n":1.250E6}}'
    assert values(mapper()(text))["raw_data"] == text


def test_the_hash_ignores_fields_that_change_on_every_read():
    one = b'{"id":"1","properties":{"tier":"gold","n":5.0,"ticking":"1"}}'
    for ticking in (b'"2"', b"null", b"17.5", b'"a \\"quoted\\" one, with {all} [of] it"', b'""'):
        assert mapper()(one.replace(b'"1"}', ticking + b"}")).hash == mapper()(one).hash


@pytest.mark.parametrize("place", [b'{"ticking":"1","tier":"gold"}', b'{"a":1,"ticking":"1","tier":"gold"}'])
def test_a_volatile_field_stays_out_of_the_hash_wherever_it_stands(place):
    text = b'{"id":"1","properties":' + place + b"}"
    assert mapper()(text).hash == mapper()(text.replace(b'"1","tier', b'"99","tier')).hash
    assert mapper()(text).hash != mapper()(text.replace(b"gold", b"silver")).hash


def test_a_text_that_only_speaks_of_a_volatile_field_is_hashed_whole():
    one = b'{"id":"1","properties":{"note":"\\"ticking\\":1"}}'
    assert mapper()(one).hash != mapper()(one.replace(b":1", b":2")).hash


@pytest.mark.parametrize(
    "changed",
    [{"tier": "silver"}, {"tier": "gold", "unmapped": "x"}, {"tier": "gold", "arr": "bad"}],
)
def test_the_hash_tells_every_other_change(changed):
    assert mapper()(encode(record(tier="gold"))).hash != mapper()(encode(record(**changed))).hash


def test_another_seed_makes_another_hash_of_the_same_text():
    text = encode(record(tier="gold"))
    assert key_reader(NESTED.shape, seed="one")(text)[1] != key_reader(NESTED.shape, seed="other")(text)[1]


def test_a_misfit_in_a_block_leaves_its_neighbours_as_they_are():
    rows = RecordMapper(NESTED, SCHEMA, COLUMNS, common=True, custom=CUSTOM)
    texts = [encode(record(arr=arr, tier="a")) for arr in ("1", "two", "3", None)]
    mapped = rows(texts, [1, 2, 3, 4])
    revenue = mapped.columns[ROW_HEAD + [column.name for column in COLUMNS].index("revenue")]
    assert [None if value is None else str(value) for value in revenue] == ["1", None, "3", None]
    assert [errors is not None for errors in mapped.columns[1]] == [False, True, False, False]
    assert mapped.misfits == 1


def test_names_that_no_struct_may_have_are_read_all_the_same():
    columns = (*COLUMNS, Column("quoted", "text"), Column("slashed", "text"))
    custom = (
        CustomColumn("quoted", FieldRule(sources=('a"b',))),
        CustomColumn("slashed", FieldRule(sources=("c\\d",))),
    )
    rows = RecordMapper(NESTED, SCHEMA, columns, common=True, custom=custom)
    mapped = rows([encode(record(**{'a"b': "one", "c\\d": "two"}))], [1])
    assert [column[0] for column in mapped.columns[-2:]] == ["one", "two"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["email", "phone", "address", "dealstage", "arr", "tier", "won", "extra"]) | st.text(max_size=4)


@given(st.dictionaries(NAMES, JSON, max_size=8), JSON, JSON)
def test_any_record_with_an_id_becomes_one_row_with_every_unmapped_value_in_it(properties, modified, archived):
    whole = {"id": "9", "properties": properties, "updatedAt": modified, "archived": archived}
    text = json.dumps(whole).encode()
    mapped = mapper()(text)
    got = values(mapped)
    assert mapped.id == "9"
    assert len(mapped.row) == ROW_HEAD + len(COLUMNS)
    stored = json.loads(got["raw_data"])
    if mapped.row[1] is None or "raw_data" not in json.loads(mapped.row[1]):
        assert stored == json.loads(text)
    assert mapper()(text) == mapped
