"""Names and values as nobody should choose them: they land exactly as they are, and nothing of them is executed."""

import json
import re
from contextlib import contextmanager

import httpx
import msgspec
import pytest

from sync_pipelines.config import ConfigurationProblems
from sync_pipelines.http_client.wire import Wire
from sync_pipelines.model.naming import LONGEST_NAME
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.fixtures.place import ACME, LUMEN

CUSTOMER = {"salesforce": ACME, "hubspot": LUMEN}
CONTACTS = {"salesforce": "Contact", "hubspot": "contacts"}
LAST_NAME = {"salesforce": "LastName", "hubspot": "lastname"}

every_vendor = pytest.mark.parametrize("vendor", CUSTOMER)


def fields_of(row):
    return row["raw_data"].get("properties", row["raw_data"])


def tables_in(place):
    found = place.execute(
        "SELECT schemaname || '.' || tablename FROM pg_tables "
        "WHERE schemaname !~ '^pg_' AND schemaname <> 'information_schema' ORDER BY 1"
    )
    return [name for (name,) in found]


OURS = ["crm._sync_checkpoints", "crm._sync_seen"]


@every_vendor
def test_fields_with_hostile_names_are_read_and_land_under_their_names(unhurried, vendor):
    place, customer = unhurried, CUSTOMER[vendor]
    names = place.control.fault(customer, "hostile_fields", object=CONTACTS[vendor], value="kept")["fields"]
    assert {len(name) for name in names} > {5000}
    place.write_sync(provider=vendor)
    place.connect(customer)
    for options in ({}, {"full": True}):
        run = place.sync_one(customer, **options)
        assert (run.status, run.counts.rejected, run.counts.invalid) == ("success", 0, 0)
        rows = place.rows("crm_contact")
        truth = place.control.truth(customer, CONTACTS[vendor])
        assert {row["id"] for row in rows} == {entry["id"] for entry in truth}
        # What SOQL cannot say is left out, and told; the others are there in every row.
        unsayable = [name for name in names if vendor == "salesforce" and not re.fullmatch(r"\w+", name)]
        for row in rows:
            assert all(fields_of(row)[name] == "kept" for name in names if name not in unsayable)
        for name in unsayable:
            assert any(repr(name) in notice for notice in run.notices)
    assert tables_in(place) == [*OURS, "crm.crm_contact"]


@every_vendor
def test_hostile_fields_fill_the_developers_columns(unhurried, vendor):
    place, customer = unhurried, CUSTOMER[vendor]
    hostile = place.control.fault(customer, "hostile_fields", object=CONTACTS[vendor])["fields"]
    names = [name for name in hostile if vendor == "hubspot" or re.fullmatch(r"\w+", name)]
    # In YAML `$${` stands for the characters `${`.
    fields = [
        {"name": f"Feld {number} \"'; größe", "sources": {vendor: name.replace("${", "$${")}}
        for number, name in enumerate(names)
    ]
    place.write_sync(provider=vendor, objects=[{"object": "contact", "custom_schema": {"fields": fields}}])
    place.connect(customer)
    run = place.sync_one(customer)
    assert (run.status, run.counts.rejected, run.counts.invalid) == ("success", 0, 0)
    assert not [notice for notice in run.notices for name in names if repr(name) in notice]
    table = place.project.table("crm", "contact")
    ours = [column.name for column in table.columns][-len(fields) :]
    assert len(set(ours)) == len(fields)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) and len(column) <= LONGEST_NAME for column in ours)
    for row in place.rows("crm_contact"):
        assert [row[column] for column in ours] == [f"value of {name[:20]}" for name in names]


ADDITIONAL = (
    'double"quote',
    "single'quote",
    "'); DROP TABLE crm.crm_contact; --",
    "back\\slash",
    "percent %s %(x)s",
    "${HOME}",
    "größe 🥇",
    "Same_Name",
    "same-name",
    "same.name",
    "raw_data",
    "_sync_hash",
    "n" * 5000,
)


@every_vendor
def test_additional_fields_keep_the_customers_own_names(place, vendor):
    customer, source = CUSTOMER[vendor], LAST_NAME[vendor]
    schema = {"version": 1, "fields": ["plain"], "allow_additional_fields": True}
    place.write_sync(provider=vendor, objects=[{"object": "contact", "custom_schema": schema}])
    place.connect(customer)
    place.map(customer, vendor, "contact", plain=source, **dict.fromkeys(ADDITIONAL, source))
    assert place.sync_one(customer).status == "success"
    truth = {entry["id"]: entry["fields"][source] for entry in place.control.truth(customer, CONTACTS[vendor])}
    rows = place.rows("crm_contact")
    assert {row["id"] for row in rows} == truth.keys()
    for row in rows:
        assert row["plain"] == truth[row["id"]]
        assert row["additional_fields"] == dict.fromkeys(ADDITIONAL, truth[row["id"]])
    assert tables_in(place) == [*OURS, "crm.crm_contact"]


VALUES = {
    "quotes": "O'Neil \"the\" `second` ''",
    "backslashes": "\\ \\\\ \\' \\\" \\n \\u0041",
    "a statement": "'); DROP TABLE crm.crm_contact; --",
    "COPY's own marks": "\\N",
    "COPY's end": "\\.",
    "blanks": "  padded\twith\ttabs  ",
    "lines": "one\ntwo\r\nthree\rfour\n",
    "placeholders": "%s %(name)s %% {} {0} $1 ${HOME} $(id)",
    "a CSV line": '"quoted","and ""doubled""",\r\nnext;line',
    "emoji": "🚀 👩‍👩‍👧 🥇 é e\u0301 \U0010ffff",
    "directions": "\u202eright\u202c \u200bzero\u200d \ufeffmark \u2028line \u0085next",
    "controls": "".join(chr(code) for code in range(1, 32)) + "\x7f\x9b",
    "words for nothing": "NULL",
    "a page": "<script>alert('x')</script>&amp;",
    "a formula": '=HYPERLINK("http://x","y")',
    "JSON": '{"a": [1, {"b": "\\u0000"}], "__proto__": {}}',
    "a bomb of brackets": "[" * 100_000,
    "a megabyte": "x" * 500_000 + "ß🥇" * 100_000,
}


@pytest.mark.parametrize("way", ["list", "bulk", "incremental"])
@every_vendor
def test_hostile_values_land_exactly(unhurried, vendor, way):
    place, customer, field = unhurried, CUSTOMER[vendor], LAST_NAME[vendor]
    place.write_sync(provider=vendor, bulk_above=0 if way == "bulk" else 2000)
    place.connect(customer)
    if way == "incremental":
        assert place.sync_one(customer).status == "success"
    alive = [entry["id"] for entry in place.control.truth(customer, CONTACTS[vendor]) if not entry["deleted"]]
    written = dict(zip(alive, VALUES.values(), strict=False))
    for id, value in written.items():
        place.control.record(customer, CONTACTS[vendor], id=id, fields={field: value})
    place.control.clock(advance=2)
    run = place.sync_one(customer)
    assert (run.status, run.full, run.counts.rejected, run.counts.invalid) == ("success", way != "incremental", 0, 0)
    rows = {row["id"]: row for row in place.rows("crm_contact")}
    for id, value in written.items():
        assert rows[id]["last_name"] == value
        assert fields_of(rows[id])[field] == value
        assert rows[id]["_sync_errors"] is None
    assert place.differences(customer) == []
    assert tables_in(place) == [*OURS, "crm.crm_contact"]
    assert place.sync_one(customer, full=True).counts.changed == 0


def nested(depth):
    return b"[" * depth + b"]" * depth


ODD_JSON = {
    "deeper than any reader goes": (nested(100_000), "refused"),
    "deep": (nested(200), "text"),
    "a number of ten thousand digits": (b"1" * 10_000, "cleaned"),
    "a number beyond every exponent": (b"1e999999999", "cleaned"),
    "an object for a text": (b'{"a": {"b": [1, 2.50, null, true]}}', "text"),
    "a number for a text": (b"12.50", "text"),
    "true for a text": (b"true", "text"),
}


@contextmanager
def one_value_replaced(vendor, id, field, value):
    """In every answer that brings the record, the field has this JSON."""
    usual = Wire.handle_request

    def handle(transport, request):
        response = usual(transport, request)
        body = response.read()
        response.close()
        mark = b'"Id":"%s",' if vendor == "salesforce" else b'"id":"%s","properties":'
        if mark % id.encode() in body:
            head, found, rest = body.partition(mark % id.encode())
            name = b'"%s":' % field.encode()
            body = head + found + re.sub(name + b'(null|"[^"]*")', lambda _: name + value, rest, count=1)
        headers = [pair for pair in response.headers.multi_items() if pair[0] != "content-length"]
        return httpx.Response(response.status_code, headers=headers, content=body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "handle_request", handle)
        yield


def synced_before(place, vendor):
    """(rows after a first sync by id, the id of one that lives)."""
    place.write_sync(provider=vendor)
    place.connect(CUSTOMER[vendor])
    assert place.sync_one(CUSTOMER[vendor]).status == "success"
    truth = place.control.truth(CUSTOMER[vendor], CONTACTS[vendor])
    rows = {row["id"]: row for row in place.content("crm_contact")}
    return rows, next(entry["id"] for entry in truth if not entry["deleted"])


@pytest.mark.parametrize("oddity", ODD_JSON)
@every_vendor
def test_json_that_no_vendor_should_send_costs_at_most_its_own_record(unhurried, vendor, oddity):
    place, customer, field = unhurried, CUSTOMER[vendor], LAST_NAME[vendor]
    value, outcome = ODD_JSON[oddity]
    before, id = synced_before(place, vendor)
    with one_value_replaced(vendor, id, field, value):
        run = place.sync_one(customer, full=True)
    rows = {row["id"]: row for row in place.content("crm_contact")}
    assert {other: row for other, row in rows.items() if other != id} == {
        other: row for other, row in before.items() if other != id
    }
    if outcome == "refused":
        assert (run.status, run.error_type, rows) == ("error", "vendor_error", before)
        assert "not the JSON we expect; it will be tried again" in run.error_message
    else:
        assert (run.status, run.counts.rejected) == ("success", 0)
        text = rows[id]["last_name"]
        assert msgspec.json.decode(text) == msgspec.json.decode(value) if outcome == "text" else text == value.decode()
        assert bool(rows[id]["_sync_errors"]) is (outcome == "cleaned")
    assert place.sync_one(customer, full=True).status == "success"
    assert place.differences(customer) == []


NOT_MAPPED = {"salesforce": "Department", "hubspot": "jobtitle"}
ODD_AND_NOT_WANTED = {
    "deep": (nested(200), "json"),
    "a number of ten thousand digits": (b"1" * 10_000, "text"),
    "a number of many decimals": (b"0." + b"12" * 600, "text"),
    "a number with a long exponent": (b"-1.5E+05000", "text"),
    "a long number": (b"12" * 400, "json"),
    "a number beyond every exponent": (b"1e999999999", "text"),
    "NUL": (b'"a\\u0000b"', "cleaned"),
    "half of a pair": (b'"a\\ud83d"', "cleaned"),
}


@pytest.mark.parametrize("oddity", ODD_AND_NOT_WANTED)
@every_vendor
def test_odd_json_in_a_field_that_no_column_wants_costs_nothing_but_its_own_value(unhurried, vendor, oddity):
    place, customer, field = unhurried, CUSTOMER[vendor], NOT_MAPPED[vendor]
    value, outcome = ODD_AND_NOT_WANTED[oddity]
    before, id = synced_before(place, vendor)
    with one_value_replaced(vendor, id, field, value):
        run = place.sync_one(customer, full=True)
        again = place.sync_one(customer, full=True)
    rows = {row["id"]: row for row in place.content("crm_contact")}
    assert (run.status, run.counts.rejected, run.counts.updated) == ("success", 0, 1)
    assert again.counts.changed == 0
    assert {other: row for other, row in rows.items() if other != id} == {
        other: row for other, row in before.items() if other != id
    }
    kept = fields_of(rows[id])[field]
    expected = {"text": value.decode(), "cleaned": {"NUL": "ab", "half of a pair": "a\ufffd"}.get(oddity)}
    assert kept == (expected[outcome] if outcome in expected else json.loads(value))
    assert bool(rows[id]["_sync_errors"]) is (outcome in ("text", "cleaned"))


@pytest.mark.parametrize(
    ("vendor", "name"),
    [
        ("salesforce", "Contact; DROP TABLE x"),
        ("salesforce", "Contact WHERE Id != ''"),
        ("salesforce", "../../sobjects"),
        ("hubspot", "contacts/../../../oauth"),
        ("hubspot", "contacts?limit=1"),
        ("hubspot", "größe"),
    ],
)
def test_a_hostile_name_is_no_object(place, vendor, name):
    with pytest.raises(ConfigurationProblems, match=f"is no {PROVIDERS[vendor].title} object"):
        place.write_sync(provider=vendor, objects=[name])


def test_many_wide_fields_are_all_read(unhurried):
    """More names than any URL holds, for both vendors' ways around that."""
    for vendor, customer in CUSTOMER.items():
        added = unhurried.control.fault(customer, "hostile_fields", object=CONTACTS[vendor], count=600, value="w")
        unhurried.write_sync(provider=vendor)
        unhurried.connect(customer)
        run = unhurried.sync_one(customer)
        assert (run.status, run.counts.rejected) == ("success", 0)
        rows = unhurried.rows("crm_contact", customer)
        truth = unhurried.control.truth(customer, CONTACTS[vendor])
        assert {row["id"] for row in rows} == {entry["id"] for entry in truth}
        for row in rows:
            assert {fields_of(row)[name] for name in added["fields"]} == {"w"}
