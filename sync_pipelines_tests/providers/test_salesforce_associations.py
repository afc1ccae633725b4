"""Salesforce's lookups and junctions as records, against small orgs, through the real session."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import Conversation
from sync_pipelines_tests.providers.small_org import SmallOrg, rest_time, sf_id

SALESFORCE = PROVIDERS["salesforce"]
LOOKUPS = {
    "AccountId": ["Account"],
    "WhoId": ["Contact", "Lead"],
    "OwnerId": ["User"],
    "CreatedById": ["User"],
    "ContactId": ["Contact"],
    "OpportunityId": ["Opportunity"],
}
SINCE, UNTIL = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


class Orgs:
    """One small org for each object; an object that has none does not exist."""

    def __init__(self, **records):
        kinds = {"IsDeleted": "boolean", "SystemModstamp": "datetime"}
        self.of = {}
        for name, found in records.items():
            fields = {key: "reference" if key in LOOKUPS else kinds.get(key, "string") for key in found[0]}
            self.of[name] = SmallOrg(found, types=fields, page=2)
        self.asked = []

    def __call__(self, request):
        path = request.url.path
        if path.endswith("/describe"):
            name = path.split("/")[-2]
            if name not in self.of:
                return httpx.Response(404, json=[{"errorCode": "NOT_FOUND", "message": "no such object"}])
            answer = self.of[name](request)
            fields = [{**field, "referenceTo": LOOKUPS.get(field["name"], [])} for field in answer.json()["fields"]]
            return httpx.Response(200, json={"fields": fields, "queryable": True})
        if "/query/" in path:
            name = self.asked[-1]
        else:
            name = re.search(r"FROM (\w+)", request.url.params["q"])[1]
            self.asked.append(name)
        return self.of[name](request)


def record(number, prefix="003", deleted=False, **lookups):
    return {
        "Id": sf_id(number, prefix),
        "IsDeleted": deleted,
        "SystemModstamp": rest_time(number),
        **lookups,
    }


def plan(name, *associated, **rest):
    return ReadPlan(object=SALESFORCE.find_object(f"{name}.associations"), fields=(), associated=associated, **rest)


def run(orgs, plan):
    pages, notices = Conversation(SALESFORCE, orgs).read(SALESFORCE.read(plan))
    groups = {}
    for page in pages:
        groups |= page.groups
    return [json.loads(text) for page in pages for text in page.records], groups, pages, notices


def told(records):
    return [(one["from_id"], one["to_object"], one["to_id"], one["type_id"]) for one in records]


ACCOUNT, LEAD, OWNER = sf_id(7, "001"), sf_id(8, "00Q"), sf_id(9, "005")
CONTACTS = [
    record(1, AccountId=ACCOUNT, OwnerId=OWNER, CreatedById=OWNER),
    record(2, AccountId=None, OwnerId=OWNER, CreatedById=OWNER),
    record(3, deleted=True, AccountId=ACCOUNT, OwnerId=OWNER, CreatedById=OWNER),
]
ROLES = [
    {**record(n, "00K"), "ContactId": sf_id(n), "OpportunityId": sf_id(n, "006"), "Role": "Decision Maker"}
    for n in (1, 2, 3)
]


@pytest.mark.parametrize("window", [{}, {"since": SINCE, "until": UNTIL}])
def test_lookups_are_links_and_deleted_records_have_none(window):
    records, groups, _, notices = run(Orgs(Contact=CONTACTS), plan("contact", **window))
    assert told(records) == [
        (sf_id(1), "Account", ACCOUNT, "AccountId"),
        (sf_id(1), "User", OWNER, "OwnerId"),
        (sf_id(2), "User", OWNER, "OwnerId"),
    ]
    assert groups == {sf_id(1): 2, sf_id(2): 1, sf_id(3): 0}
    assert notices == []
    assert {one["category"] for one in records} == {"LOOKUP"}


def test_only_what_is_asked_for_is_read_by_object_or_by_field():
    orgs = Orgs(Contact=CONTACTS)
    records, *_ = run(orgs, plan("contact", "Account"))
    assert {one["type_id"] for one in records} == {"AccountId"}
    assert all("OwnerId" not in statement for statement in orgs.of["Contact"].statements)
    records, *_ = run(orgs, plan("contact", "CreatedById"))
    assert {one["type_id"] for one in records} == {"CreatedById"}


def test_a_lookup_to_several_objects_tells_which_by_the_id():
    tasks = [record(1, "00T", WhoId=LEAD), record(2, "00T", WhoId=sf_id(5)), record(3, "00T", WhoId=sf_id(5, "a0X"))]
    records, *_ = run(Orgs(Task=tasks), plan("Task"))
    assert [one["to_object"] for one in records] == ["Lead", "Contact", None]
    records, *_ = run(Orgs(Task=tasks), plan("Task", "Lead"))
    assert [one["to_id"] for one in records] == [LEAD, sf_id(5, "a0X")]


def test_a_junction_is_read_where_no_lookup_leads_to_its_other_end():
    orgs = Orgs(Contact=CONTACTS, OpportunityContactRole=ROLES)
    records, groups, _, notices = run(orgs, plan("contact", "Account", "Opportunity"))
    roles = [one for one in records if one["category"] == "JUNCTION"]
    assert told(roles) == [(sf_id(n), "Opportunity", sf_id(n, "006"), "OpportunityContactRole") for n in (1, 2, 3)]
    assert {one["label"] for one in roles} == {"Decision Maker"}
    # Each junction record tells its own link, so that one that is deleted takes no other with it.
    assert [one["source_id"] for one in roles] == [sf_id(n, "00K") for n in (1, 2, 3)]
    assert len(groups) == 6
    assert notices == []


def test_a_junction_that_the_org_has_not_is_told_and_left_out():
    records, _, _, notices = run(Orgs(Contact=CONTACTS), plan("contact", "Account", "Opportunity"))
    assert {one["category"] for one in records} == {"LOOKUP"}
    assert "OpportunityContactRole" in notices[0].message


@pytest.mark.parametrize("window", [{}, {"since": SINCE, "until": UNTIL}])
def test_a_read_goes_on_after_any_stored_page_without_loss_or_repetition(window):
    contacts = [record(n, AccountId=ACCOUNT) for n in range(1, 6)]
    wanted = plan("contact", "Account", "Opportunity", **window)
    whole, _, pages, _ = run(Orgs(Contact=contacts, OpportunityContactRole=ROLES), wanted)
    assert len(pages) == 5
    for stored in range(1, len(pages) + 1):
        token = json.loads(json.dumps(pages[stored - 1].resume))
        rest, *_ = run(Orgs(Contact=contacts, OpportunityContactRole=ROLES), replace(wanted, resume=token))
        assert rest == whole[sum(len(page.records) for page in pages[:stored]) :]


def test_the_vendors_count_is_of_the_records_of_all_parts():
    _, groups, pages, _ = run(Orgs(Contact=CONTACTS, OpportunityContactRole=ROLES), plan("contact", "Opportunity"))
    assert [page.total for page in pages][-1] == len(groups) == 6
