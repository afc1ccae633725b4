"""HubSpot's read flow against a small portal, through the real session."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from sync_pipelines.model.errors import ProtocolError, SkipObject
from sync_pipelines.model.provider import ReadPlan, VendorField
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers.hubspot import hubspot
from sync_pipelines_tests.http_client.scripted import Conversation, Vendor, answer
from sync_pipelines_tests.providers.small_portal import TIME, SmallPortal, contact, ok

HUBSPOT = PROVIDERS["hubspot"]
CONTACTS = HUBSPOT.find_object("contact")
SINCE, UNTIL = datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(2, UTC)
WINDOW = {"since": SINCE, "until": UNTIL}


def plan_of(portal, **rest):
    fields = tuple(VendorField(name=name) for name in portal.properties)
    return ReadPlan(object=CONTACTS, fields=fields, **rest)


def run(portal, plan, provider=HUBSPOT):
    talk = Conversation(provider, portal)
    pages, notices = talk.read(provider.read(plan))
    return [json.loads(text) for page in pages for text in page.records], pages, notices


def ids(records):
    return [(record["id"], record["archived"]) for record in records]


def expected(live, archived):
    return [(str(900 + n), True) for n in range(archived)] + [(str(number), False) for number in range(1, live + 1)]


def portal_of(live, archived=0, **options):
    gone = [contact(900 + number) for number in range(archived)]
    return SmallPortal([contact(number) for number in range(1, live + 1)], gone, **options)


@pytest.mark.parametrize("live", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("archived", [0, 1, 2, 5])
@pytest.mark.parametrize("incremental", [False, True])
def test_a_read_gives_archived_records_then_live_ones_each_once_whatever_the_page_edges(live, archived, incremental):
    portal = portal_of(live, archived)
    records, _, notices = run(portal, plan_of(portal, **(WINDOW if incremental else {})))
    assert ids(records) == expected(live, archived)
    assert notices == []


@pytest.mark.parametrize(("live", "archived"), [(1, 0), (2, 2), (5, 3), (0, 3)])
@pytest.mark.parametrize("incremental", [False, True])
def test_a_read_goes_on_after_any_stored_page_without_loss_or_repetition(live, archived, incremental):
    portal = portal_of(live, archived)
    plan = plan_of(portal, **(WINDOW if incremental else {}))
    whole, pages, _ = run(portal, plan)
    resumable = [page for page in pages if page.resume is not None]
    assert len(pages) - len(resumable) <= 1
    for stored in range(1, len(resumable) + 1):
        rest, _, _ = run(portal, replace(plan, resume=json.loads(json.dumps(pages[stored - 1].resume))))
        assert rest == whole[sum(len(page.records) for page in pages[:stored]) :]


def test_list_and_search_give_the_same_bytes_for_the_same_record():
    companies = {"1": [("77", False), ("9", True), ("100", False), ("8", False), ("9", True)], "3": [("5", False)]}
    portal = portal_of(4, 2, companies=companies)
    _, listed, _ = run(portal, plan_of(portal))
    _, searched, _ = run(portal, plan_of(portal, **WINDOW))
    one, other = ([text for page in pages for text in page.records] for pages in (listed, searched))
    assert one == other
    assert json.loads(one[2]) == {
        "id": "1",
        "properties": {"hs_object_id": "1", "email": "1@example.org", "lastmodifieddate": "1000"},
        "createdAt": TIME,
        "updatedAt": TIME,
        "archived": False,
        "associations": {"companies": ["9", "8", "77", "100"]},
    }
    assert json.loads(one[3])["associations"] == {"companies": []}
    assert json.loads(one[4])["associations"] == {"companies": ["5"]}
    archived = json.loads(one[0])
    assert (archived["archived"], archived["archivedAt"], "associations" in archived) == (True, TIME, False)


def test_search_asks_for_the_window_and_goes_on_by_id_alone():
    portal = portal_of(5)
    run(portal, plan_of(portal, **WINDOW))
    bodies = [body for _, path, _, body, _ in portal.requests if path.endswith("/search")]
    window = [
        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1000"},
        {"propertyName": "lastmodifieddate", "operator": "LT", "value": "2000"},
    ]
    after = {"propertyName": "hs_object_id", "operator": "GT", "value": "2"}
    assert bodies[0]["filterGroups"] == [{"filters": window}]
    assert bodies[1]["filterGroups"] == [{"filters": [*window, after]}]
    assert {body["after"] for body in bodies} == {"0"}
    assert {body["limit"] for body in bodies} == {200}


def test_more_than_ten_thousand_changes_with_one_timestamp_are_all_read():
    portal = portal_of(10_250, page=200)
    plan = replace(plan_of(portal, **WINDOW), object=replace(CONTACTS, name="p1_car", cursor_field="lastmodifieddate"))
    records, pages, _ = run(portal, plan)
    assert ids(records) == expected(10_250, 0)
    assert len(pages) == 52


def test_a_record_that_leaves_the_window_while_it_is_read_hides_no_other():
    portal = portal_of(6)

    def change(request):
        if request.url.path.endswith("/search") and b'"GT"' in request.content:
            portal.live[0]["properties"]["lastmodifieddate"] = "5000"

    portal.faults.append(change)
    records, _, _ = run(portal, plan_of(portal, **WINDOW))
    assert [record["id"] for record in records] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("incremental", [False, True])
def test_many_properties_never_make_a_url_too_long(incremental):
    names = [
        "hs_object_id",
        "lastmodifieddate",
        *(f"a_rather_long_name_of_a_property_{number}" for number in range(600)),
    ]
    wide = dict.fromkeys(names[2:], "x")
    portal = SmallPortal([contact(n, **wide) for n in range(1, 6)], [contact(9, **wide)], properties=names)
    records, _, notices = run(portal, plan_of(portal, **(WINDOW if incremental else {})))
    assert ids(records) == [("9", True), *expected(5, 0)]
    assert all(set(record["properties"]) == set(names) for record in records)
    assert notices == []
    assert max(len(url) for *_, url in portal.requests) < 8_200
    assert records[1]["associations"] == {"companies": []}


def test_a_record_archived_between_list_and_batch_read_is_left_out_and_told():
    names = ["hs_object_id", *(f"a_rather_long_name_of_a_property_{number}" for number in range(600))]
    portal = SmallPortal([contact(1), contact(2)], properties=names)

    def archive(request):
        if "batch" in request.url.path and len(portal.live) == 2:
            portal.archived = [{**portal.live.pop(), "archivedAt": TIME}]

    portal.faults.append(archive)
    records, _, notices = run(portal, plan_of(portal))
    assert ids(records) == [("1", False)]
    assert "1 records were archived" in notices[0].message


def test_an_object_without_an_archived_list_is_read_with_a_notice():
    portal = portal_of(1)
    portal.faults.append(
        lambda request: httpx.Response(400, json={}) if request.url.params.get("archived") == "true" else None
    )
    records, _, notices = run(portal, plan_of(portal))
    assert ids(records) == expected(1, 0)
    assert "archived" in notices[0].message


@pytest.mark.parametrize("incremental", [False, True])
def test_a_limited_read_stops_early_and_shows_live_records(incremental):
    portal = portal_of(9, 3)
    records, _, _ = run(portal, plan_of(portal, limit=3, **(WINDOW if incremental else {})))
    assert ids(records) == expected(4, 0)


def test_a_repeated_after_is_an_error():
    portal = portal_of(6)
    portal.list = lambda params: ok({"results": [contact(1)], "paging": {"next": {"after": "1"}}})
    with pytest.raises(ProtocolError, match="same page token"):
        run(portal, plan_of(portal))


def test_a_search_that_repeats_its_page_is_an_error():
    portal = portal_of(6)
    portal.search = lambda body: ok({"results": [contact(1)], "total": 9, "paging": {"next": {"after": "1"}}})
    with pytest.raises(ProtocolError, match="same page token"):
        run(portal, plan_of(portal, **WINDOW))


def test_associations_that_repeat_their_page_are_an_error():
    portal = portal_of(1, companies={"1": [("5", True)] * 5})
    page = {"from": {"id": "1"}, "to": [{"toObjectId": 5, "associationTypes": []}], "paging": {"next": {"after": "2"}}}
    portal.associations = lambda body: ok({"results": [page]})
    with pytest.raises(ProtocolError, match="associations"):
        run(portal, plan_of(portal))


def test_a_record_without_an_id_stays_for_the_engine_to_reject_and_two_with_one_id_stay_two():
    nameless = {"properties": {"email": "x"}, "createdAt": TIME, "updatedAt": TIME, "archived": False}
    portal = portal_of(0)
    portal.list = lambda params: ok(
        {"results": [] if params["archived"] == "true" else [nameless, contact(2), contact(2)]}
    )
    records, _, _ = run(portal, plan_of(portal))
    assert [record.get("id") for record in records] == [None, "2", "2"]


def test_owners_are_flat_whole_and_without_a_cursor():
    owner = {"id": "7", "email": "o@x", "firstName": "O", "teams": [{"id": "1"}], "archived": False, "createdAt": TIME}
    gone = {**owner, "id": "8", "archived": True}
    vendor = Vendor(
        answer({"results": [gone]}),
        answer({"results": [owner], "paging": {"next": {"after": "7"}}}),
        answer({"results": []}),
    )
    user = HUBSPOT.find_object("user")
    talk = Conversation(HUBSPOT, vendor)
    schema = talk.ask(HUBSPOT.describe(user))
    pages, _ = talk.read(HUBSPOT.read(ReadPlan(object=user, fields=schema.fields, **WINDOW)))
    assert [json.loads(text) for page in pages for text in page.records] == [gone, owner]
    asked = [(request.url.path, dict(request.url.params)) for request in vendor.requests]
    assert asked == [
        ("/crm/v3/owners", {"limit": "100", "archived": "true"}),
        ("/crm/v3/owners", {"limit": "100", "archived": "false"}),
        ("/crm/v3/owners", {"limit": "100", "archived": "false", "after": "7"}),
    ]
    assert [page.resume for page in pages] == [{"archived": False}, {"archived": False, "after": "7"}]


def test_the_dated_paths_are_used_throughout():
    provider = hubspot("2026-03")
    portal = portal_of(1, companies={"1": [("5", True), ("6", False), ("7", False)]})
    talk = Conversation(provider, portal)
    talk.ask(provider.describe(provider.find_object("deal")))
    run(portal, plan_of(portal), provider)
    run(portal, plan_of(portal, **WINDOW), provider)
    paths = {path for _, path, *_ in portal.requests}
    assert paths == {
        "/crm/properties/2026-03/deals",
        "/crm/pipelines/2026-03/deals",
        "/crm/objects/2026-03/contacts",
        "/crm/objects/2026-03/contacts/search",
        "/crm/associations/2026-03/contacts/companies/batch/read",
    }


def test_deals_bring_the_labels_of_their_pipelines_and_stages():
    schema = Conversation(HUBSPOT, portal_of(0)).ask(HUBSPOT.describe(HUBSPOT.find_object("opportunity")))
    assert schema.lookups == {"pipelines": {"default": "Sales"}, "stages": {"s1": "Won"}}


@pytest.mark.parametrize("status", [400, 404])
def test_an_object_that_the_portal_does_not_have_is_skipped(status):
    talk = Conversation(HUBSPOT, lambda request: httpx.Response(status, json={"category": "VALIDATION_ERROR"}))
    with pytest.raises(SkipObject, match="check"):
        talk.ask(HUBSPOT.describe(HUBSPOT.find_object("p1_nothing")))


def test_counting_asks_search_and_counts_owners_one_by_one():
    assert Conversation(HUBSPOT, portal_of(7)).ask(HUBSPOT.count(CONTACTS)) == 7
    vendor = Vendor(answer({"results": [{}] * 3, "paging": {"next": {"after": "3"}}}), answer({"results": [{}]}))
    assert Conversation(HUBSPOT, vendor).ask(HUBSPOT.count(HUBSPOT.find_object("user"))) == 4


def test_a_hostile_object_name_stays_one_path_segment():
    portal = portal_of(0)
    plan = replace(plan_of(portal), object=replace(CONTACTS, name="../../oauth?x=#"))
    run(portal, plan)
    assert all("/crm/v3/objects/..%2F..%2Foauth%3Fx%3D%23?" in url for *_, url in portal.requests)
