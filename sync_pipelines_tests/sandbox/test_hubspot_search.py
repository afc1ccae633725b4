"""HubSpot: search."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_pipelines.sandbox.clock import parse

SEARCH = "/crm/v3/objects/contacts/search"


def live(sandbox, object="contacts"):
    return [record for record in sandbox.truth("lumen-bakery", object) if not record["deleted"]]


def one(property, operator, **rest):
    return {"filterGroups": [{"filters": [{"propertyName": property, "operator": operator, **rest}]}], "limit": 200}


def test_pages_go_by_an_offset_and_hold_all(sandbox, hubspot):
    found, after = [], "0"
    while after is not None:
        body = {"filterGroups": [], "sorts": ["hs_object_id"], "properties": ["email"], "limit": 70, "after": after}
        answer = hubspot.post(SEARCH, json=body).json()
        found += [record["id"] for record in answer["results"]]
        after = answer.get("paging", {}).get("next", {}).get("after")
    assert found == [record["id"] for record in live(sandbox)]
    assert answer["total"] == len(found)


def test_a_minimal_body_is_enough(sandbox, hubspot):
    answer = hubspot.post(SEARCH, json={}).json()
    assert len(answer["results"]) == 10
    assert answer["total"] == len(live(sandbox))


def test_a_search_shows_neither_archived_records_nor_associations(sandbox, hubspot):
    gone = [record["id"] for record in sandbox.truth("lumen-bakery", "contacts") if record["deleted"]]
    answer = hubspot.post(SEARCH, json=one("hs_object_id", "IN", values=gone)).json()
    assert answer == {"total": 0, "results": []}
    answer = hubspot.post(SEARCH, params={"associations": "companies"}, json={}).json()
    assert all("associations" not in record for record in answer["results"])


@pytest.mark.parametrize(
    ("limit", "after", "status"), [(200, 9_800, 200), (200, 9_801, 400), (1, 10_000, 400), (201, 0, 400), (0, 0, 400)]
)
def test_nothing_beyond_ten_thousand(hubspot, limit, after, status):
    assert hubspot.post(SEARCH, json={"limit": limit, "after": str(after)}).status_code == status


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(low=st.integers(0, 300), high=st.integers(0, 300), number=st.integers(0, 800_000), spelled=st.booleans())
def test_filters_select_what_python_selects(sandbox, hubspot, low, high, number, spelled):
    records = live(sandbox)
    lows, highs = records[low % len(records)]["modified"], records[high % len(records)]["modified"]
    between = {"value": lows if spelled else str(parse(lows)), "highValue": highs if spelled else str(parse(highs))}
    body = {
        "filterGroups": [
            {"filters": [{"propertyName": "lastmodifieddate", "operator": "BETWEEN", **between}]},
            {
                "filters": [
                    {"propertyName": "arr", "operator": "GTE", "value": str(number)},
                    {"propertyName": "tier", "operator": "EQ", "value": "gold"},
                ]
            },
        ],
        "sorts": [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}],
        "limit": 200,
    }
    expected = [
        record
        for record in records
        if lows <= record["modified"] <= highs
        or (record["fields"]["tier"] == "gold" and float(record["fields"]["arr"] or -1) >= number)
    ]
    answer = hubspot.post(SEARCH, json=body).json()
    assert answer["total"] == len(expected)
    expected.sort(key=lambda record: record["modified"], reverse=True)
    assert [record["updatedAt"] for record in answer["results"]] == [record["modified"] for record in expected][:200]


@pytest.mark.parametrize(
    ("operator", "rest", "keeps"),
    [
        ("HAS_PROPERTY", {}, lambda value: bool(value)),
        ("NOT_HAS_PROPERTY", {}, lambda value: not value),
        ("EQ", {"value": "gold"}, lambda value: value == "gold"),
        ("NEQ", {"value": "gold"}, lambda value: value not in (None, "gold")),
        ("IN", {"values": ["gold", "silver"]}, lambda value: value in ("gold", "silver")),
        ("NOT_IN", {"values": ["gold"]}, lambda value: value not in (None, "gold")),
        ("CONTAINS_TOKEN", {"value": "*ol*"}, lambda value: "ol" in (value or "")),
        ("NOT_CONTAINS_TOKEN", {"value": "gold"}, lambda value: "gold" not in (value or "")),
    ],
)
def test_operators(sandbox, hubspot, operator, rest, keeps):
    answer = hubspot.post(SEARCH, json=one("tier", operator, **rest)).json()
    assert answer["total"] == sum(1 for record in live(sandbox) if keeps(record["fields"]["tier"]))


@pytest.mark.parametrize(
    "body",
    [
        one("nope", "EQ", value="1"),
        one("arr", "EQ", value="many"),
        one("arr", "LIKE", value="1"),
        one("arr", "EQ"),
        one("arr", "BETWEEN", value="1"),
        {"sorts": ["nope"]},
        {"filterGroups": [{"filters": [{"propertyName": "arr", "operator": "HAS_PROPERTY"}]}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "arr", "operator": "HAS_PROPERTY"}] * 11}]},
        {"query": "x" * 3001},
        {"limit": "x"},
    ],
)
def test_what_a_search_cannot_do_is_refused(hubspot, body):
    answer = hubspot.post(SEARCH, json=body)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_words_are_looked_for(sandbox, hubspot):
    name = next(record["fields"]["lastname"] for record in live(sandbox) if record["fields"]["lastname"])
    found = hubspot.post(SEARCH, json={"query": name, "properties": ["lastname"], "limit": 200}).json()
    assert found["total"] >= 1


def test_the_index_lags_when_it_is_told_to(sandbox, hubspot):
    sandbox.clock(frozen=True)
    sandbox.settings("lumen-bakery", search_lag=60)
    before = hubspot.post(SEARCH, json={}).json()["total"]
    [id] = sandbox.change("lumen-bakery", "contacts", created=1)["created"]
    assert hubspot.post(SEARCH, json={}).json()["total"] == before
    assert hubspot.get(f"/crm/v3/objects/contacts/{id}").status_code == 200
    sandbox.clock(advance=60)
    assert hubspot.post(SEARCH, json={}).json()["total"] == before + 1
    sandbox.clock(frozen=False)


def test_the_index_counts_from_when_a_late_change_shows_not_from_when_somebody_looks(sandbox, hubspot):
    sandbox.clock(frozen=True)
    sandbox.settings("lumen-bakery", search_lag=60)
    before = hubspot.post(SEARCH, json={}).json()["total"]
    visible = sandbox.now() + timedelta(seconds=30)
    sandbox.record("lumen-bakery", "contacts", fields={"lastname": "Late"}, visible=visible.isoformat())
    sandbox.clock(advance=89)
    assert hubspot.post(SEARCH, json={}).json()["total"] == before
    sandbox.clock(advance=1)
    assert hubspot.post(SEARCH, json={}).json()["total"] == before + 1
    sandbox.settings("lumen-bakery", search_lag=0)
    sandbox.clock(frozen=False)


def test_a_batch_with_one_stamp_is_paged_by_id(sandbox, hubspot):
    tied = sandbox.ties("lumen-bakery", "contacts", 250, "2026-09-01T00:00:00.123Z")
    found, last = [], 0
    while True:
        filters = [
            {"propertyName": "lastmodifieddate", "operator": "EQ", "value": str(parse("2026-09-01T00:00:00.123Z"))},
            {"propertyName": "hs_object_id", "operator": "GTE", "value": str(last + 1)},
        ]
        body = {"filterGroups": [{"filters": filters}], "sorts": ["hs_object_id"], "limit": 60}
        page = hubspot.post(SEARCH, json=body).json()["results"]
        if not page:
            break
        found += [record["id"] for record in page]
        last = int(found[-1])
    assert found == tied
