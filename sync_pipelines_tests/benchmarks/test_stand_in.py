"""The stand-in's pages are the invented records, in every state, however they are cut."""

import csv
import io

import msgspec
import pytest

from benchmarks.answers import Vendors
from benchmarks.fields import HUBSPOT_LIST, SALESFORCE, SALESFORCE_ROOT
from benchmarks.pages import ALL, BASE, ONE_PERCENT, write_pages
from benchmarks.records import CHANGED_PLACE, csv_line, hubspot_record, number_of, salesforce_id, salesforce_record

SIZE = 2_350


@pytest.fixture(scope="module")
def vendors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    write_pages(folder, SIZE)
    return Vendors(folder)


def show(vendors, state):
    vendors.answer("POST", "/control/state", {}, state.encode())


def ask(vendors, target, body=b""):
    answer = vendors.answer("POST" if body else "GET", target, {}, body)
    assert answer.status == 200
    return b"".join(bytes(piece) for piece in answer.pieces), answer


def hubspot_pages(vendors):
    after = "0"
    while after is not None:
        page = msgspec.json.decode(ask(vendors, f"{HUBSPOT_LIST}?limit=100&after={after}")[0])
        yield from page["results"]
        after = page.get("paging", {}).get("next", {}).get("after")


def salesforce_pages(vendors):
    target = f"{SALESFORCE_ROOT}/queryAll?q=SELECT+Id+FROM+Contact+ORDER+BY+Id"
    while target:
        page = msgspec.json.decode(ask(vendors, target)[0])
        yield from page["records"]
        assert page["done"] == ("nextRecordsUrl" not in page)
        target = page.get("nextRecordsUrl")


def bulk_pages(vendors, rows):
    locator = "0"
    while locator != "null":
        text, answer = ask(vendors, f"{SALESFORCE_ROOT}/jobs/query/1/results?maxRecords={rows}&locator={locator}")
        found = list(csv.reader(io.StringIO(text.decode(), newline="")))
        assert found[0] == list(SALESFORCE)
        assert len(found) - 1 == int(answer.headers["sforce-numberofrecords"])
        yield from found[1:]
        locator = answer.headers["sforce-locator"]


def version(state, n):
    return 1 if state == ALL or (state == ONE_PERCENT and n % 100 == CHANGED_PLACE) else 0


@pytest.mark.parametrize("state", [BASE, ONE_PERCENT, ALL])
def test_pages_hold_every_record_once_in_its_state(vendors, state):
    show(vendors, state)
    assert list(hubspot_pages(vendors)) == [hubspot_record(n, version(state, n)) for n in range(SIZE)]
    records = [salesforce_record(n, version(state, n)) for n in range(SIZE)]
    assert list(salesforce_pages(vendors)) == records
    rows = list(csv.reader(io.StringIO("".join(map(csv_line, records)), newline="")))
    assert list(bulk_pages(vendors, 1_000)) == rows
    assert list(bulk_pages(vendors, 777)) == rows


def test_a_change_makes_every_record_newer():
    for n in range(200):
        assert hubspot_record(n, 1)["updatedAt"] > hubspot_record(n, 0)["updatedAt"]
        assert salesforce_record(n, 1)["SystemModstamp"] > salesforce_record(n, 0)["SystemModstamp"]


def test_an_incremental_read_gets_only_what_changed(vendors):
    show(vendors, ONE_PERCENT)
    wanted = [n for n in range(SIZE) if n % 100 == CHANGED_PLACE]
    filters = [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1"}]
    body = {"filterGroups": [{"filters": filters}], "limit": 10}
    first = msgspec.json.decode(ask(vendors, f"{HUBSPOT_LIST}/search", msgspec.json.encode(body))[0])
    assert [number_of(record["id"]) for record in first["results"]] == wanted[:10]
    filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": first["results"][-1]["id"]})
    rest = msgspec.json.decode(ask(vendors, f"{HUBSPOT_LIST}/search", msgspec.json.encode(body | {"limit": 200}))[0])
    assert [number_of(record["id"]) for record in rest["results"]] == wanted[10:]
    assert "paging" not in rest
    statement = "SELECT+Id+FROM+Contact+WHERE+SystemModstamp+>%3D+2020-01-01T00:00:00.000Z"
    page = msgspec.json.decode(ask(vendors, f"{SALESFORCE_ROOT}/queryAll?q={statement}")[0])
    assert [number_of(record["Id"]) for record in page["records"]] == wanted


def test_a_query_begins_behind_its_key(vendors):
    show(vendors, BASE)
    statement = f"SELECT+Id+FROM+Contact+WHERE+Id+>+'{salesforce_id(99)}'+ORDER+BY+Id"
    page = msgspec.json.decode(ask(vendors, f"{SALESFORCE_ROOT}/queryAll?q={statement}")[0])
    assert page["records"][0]["Id"] == salesforce_id(100)
    assert page["totalSize"] == SIZE - 100
