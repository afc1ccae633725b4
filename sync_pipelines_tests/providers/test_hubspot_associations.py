"""HubSpot's associations as records, against a small portal, through the real session."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from sync_pipelines.model.errors import ConfigurationError, ProtocolError
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.providers import PROVIDERS
from sync_pipelines.providers.hubspot.associations import AT_ONCE
from sync_pipelines_tests.http_client.scripted import Conversation
from sync_pipelines_tests.providers.small_portal import SmallPortal, contact, ok

HUBSPOT = PROVIDERS["hubspot"]
LINKS = HUBSPOT.find_object("contact.associations")
WINDOW = {"since": datetime.fromtimestamp(1, UTC), "until": datetime.fromtimestamp(2, UTC)}
every_way = pytest.mark.parametrize("window", [{}, WINDOW], ids=["full", "incremental"])


class Portal(SmallPortal):
    """Takes a thousand records at a time, as the associations API does."""

    def associations(self, body):
        assert len(body["inputs"]) <= AT_ONCE
        parts = [body["inputs"][at : at + 100] for at in range(0, len(body["inputs"]), 100)]
        found = [super(Portal, self).associations({"inputs": part}) for part in parts]
        results = [result for answer in found for result in answer.json()["results"]]
        return httpx.Response(207, json={"results": results, "errors": []})


def portal(live, archived=(), page=100, **companies):
    gone = [contact(number) for number in archived]
    known = {str(number): companies.get(f"of_{number}", [(str(900 + number), True)]) for number in range(1, live + 1)}
    return Portal([contact(number) for number in range(1, live + 1)], gone, companies=known, page=page)


def plan(**rest):
    return ReadPlan(**{"object": LINKS, "fields": (), "associated": ("companies",), **rest})


def run(portal, plan):
    pages, notices = Conversation(HUBSPOT, portal).read(HUBSPOT.read(plan))
    records = [json.loads(text) for page in pages for text in page.records]
    return records, pages, notices


def batches(portal):
    return [len(body["inputs"]) for _, path, _, body, _ in portal.requests if "/associations/" in path]


@every_way
@pytest.mark.parametrize("live", [0, 1, 999, 1000, 1001, 2300])
def test_all_links_come_in_calls_of_a_thousand_records(live, window):
    vendor = portal(live)
    records, _, notices = run(vendor, plan(**window))
    assert sorted({int(one["from_id"]) for one in records}) == list(range(1, live + 1))
    assert {one["to_object"] for one in records} <= {"companies"}
    assert sum(batches(vendor)) == live
    assert len(batches(vendor)) == -(-live // AT_ONCE)
    assert len({one["id"] for one in records}) == len(records)
    assert notices == []


@every_way
def test_a_read_goes_on_after_any_stored_page_without_loss_or_repetition(window):
    wanted = plan(**window)
    whole, pages, _ = run(portal(2300, archived=(5000, 5001)), wanted)
    for stored in range(1, len(pages)):
        token = json.loads(json.dumps(pages[stored - 1].resume))
        rest, *_ = run(portal(2300, archived=(5000, 5001)), replace(wanted, resume=token))
        assert rest == whole[sum(len(page.records) for page in pages[:stored]) :]
    assert len(pages) == (4 if window else 3)


def test_records_without_links_and_archived_ones_are_told_as_such():
    vendor = portal(2, archived=(7,), of_2=[])
    _, pages, _ = run(vendor, plan(**WINDOW))
    assert [page.groups for page in pages] == [{"7": 0}, {"1": 2, "2": 0}]
    _, pages, _ = run(vendor, plan())
    assert [page.groups for page in pages] == [{"1": 2, "2": 0}]
    old = replace(plan(**WINDOW), since=datetime(2027, 1, 1, tzinfo=UTC), until=datetime(2028, 1, 1, tzinfo=UTC))
    assert run(vendor, old)[1] == []


def test_a_record_with_more_links_than_a_page_shows_has_all_of_them():
    vendor = portal(1, of_1=[(str(number), False) for number in range(1, 8)])
    records, pages, _ = run(vendor, plan())
    assert {one["to_id"] for one in records} == {str(number) for number in range(1, 8)}
    assert {(one["category"], one["type_id"], one["label"]) for one in records} == {
        ("HUBSPOT_DEFINED", "279", None),
        ("USER_DEFINED", "1", "mine"),
    }
    assert pages[0].groups == {"1": 14}


def test_what_the_vendor_does_not_tell_is_left_as_it_is():
    vendor = portal(3)

    def refused(request):
        if "/associations/" not in request.url.path:
            return None
        context = {"fromObjectId": ["2"]}
        other = {"status": "error", "category": "INTERNAL", "subCategory": "crm.associations.OTHER", "context": context}
        none = {"status": "error", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND", "context": {"x": ["3"]}}
        return httpx.Response(207, json={"results": [], "errors": [other, none]})

    vendor.faults.append(refused)
    _, pages, notices = run(vendor, plan())
    assert pages[0].groups == {"1": 0, "3": 0}
    assert "1 contacts" in notices[0].message


def test_the_same_page_token_twice_ends_the_read():
    vendor = portal(1)

    def stuck(request):
        if "/associations/" not in request.url.path:
            return None
        return ok({"results": [{"from": {"id": "1"}, "to": [], "paging": {"next": {"after": "1"}}}]})

    vendor.faults.append(stuck)
    with pytest.raises(ProtocolError, match="twice"):
        run(vendor, plan())


def test_owners_have_none():
    with pytest.raises(ConfigurationError, match="no associations"):
        HUBSPOT.find_object("user.associations")
