"""Filters and histories as people write them: what is meant, and what is told where it cannot be meant."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import yaml

from sync_pipelines.config.json_schema import json_schema
from sync_pipelines.model.filter import (
    LAST_ACTIVITY,
    Ago,
    AllOf,
    AnyOf,
    Condition,
    History,
    InList,
    told,
)

SYNC = "name: crm\nprovider: salesforce\ndestination: warehouse\n"


def declared(project_folder, **more):
    document = {"object": "contact", **more}
    text = SYNC + yaml.safe_dump({"objects": [document]}, sort_keys=False)
    (found,) = project_folder.write({"syncs/crm.yaml": text}).load().syncs["crm"].objects
    return found


def lines(*written):
    return SYNC + "objects:\n  - object: contact\n" + "".join(f"    {line}\n" for line in written)


MEANINGS = [
    ({"field": "Industry", "equals": "Banking"}, Condition("Industry", "equals", ("Banking",))),
    ({"property": "Industry", "equals": "Banking"}, Condition("Industry", "equals", ("Banking",))),
    ({"field": "A", "operator": "!=", "value": 5}, Condition("A", "not_equals", (5,))),
    ({"field": "A", "operator": "one of", "values": [1, "b"]}, Condition("A", "in", (1, "b"))),
    ({"field": "A", "operator": "before", "value": "90 days ago"}, Condition("A", "before", (Ago(timedelta(90)),))),
    ({"field": "A", "operator": "is set"}, Condition("A", "is_set")),
    ({"field": "A", "is_set": False}, Condition("A", "is_not_set")),
    ({"field": "A", "is_not_set": True}, Condition("A", "is_not_set")),
    ({"field": "A", "not_in": ["x", True]}, Condition("A", "not_in", ("x", True))),
    ({"field": "A", "greater_than": 1.5}, Condition("A", "greater_than", (Decimal("1.5"),))),
    ({"field": "A", "after": date(2026, 1, 31)}, Condition("A", "after", (date(2026, 1, 31),))),
    ({"field": "A", "after": "2026-01-31"}, Condition("A", "after", (date(2026, 1, 31),))),
    (
        {"field": "A", "before": "2026-01-31T12:00:00"},
        Condition("A", "before", (datetime(2026, 1, 31, 12, tzinfo=UTC),)),
    ),
    ({"list": 12}, InList("12")),
    ({"in_list": "701x"}, InList("701x")),
    ({"tier": "Gold", "field": "Tier__c"}, Condition("Tier__c", "in", ("Gold",))),
    ({"tier": ["Gold", "Platinum"], "field": "T"}, Condition("T", "in", ("Gold", "Platinum"))),
    ({"activity": "90 days"}, Condition(LAST_ACTIVITY, "after", (Ago(timedelta(90)),))),
    ({"activity": {"within": "2 weeks"}, "field": "F"}, Condition("F", "after", (Ago(timedelta(14)),))),
    ([{"list": 1}, {"list": 2}], AllOf((InList("1"), InList("2")))),
    ({"any": [{"list": 1}, {"all": [{"list": 2}]}]}, AnyOf((InList("1"), AllOf((InList("2"),))))),
]


@pytest.mark.parametrize(("written", "meant"), MEANINGS, ids=[str(written) for written, _ in MEANINGS])
def test_what_a_filter_means(project_folder, written, meant):
    assert declared(project_folder, filter=written).filter == meant


def test_a_filter_reads_as_it_is_written():
    meant = AllOf(
        (Condition("A", "in", ("x", "y")), AnyOf((InList("1"), Condition("B", "after", (Ago(timedelta(90)),)))))
    )
    assert told(meant) == 'A in "x", "y" and (in list 1 or B after 90 days ago)'


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("all", None),
        ("Full Import", None),
        ("incremental", History()),
        ("from now on", History()),
        ({"type": "date range", "from": "2024-01-01"}, History(since=date(2024, 1, 1))),
        (
            {"from": "2024-01-01", "to": "2024-12-31", "on": "updated"},
            History(since=date(2024, 1, 1), until=date(2025, 1, 1), on="modified"),
        ),
        ({"to": "2024-12-31T06:00:00Z"}, History(until=datetime(2024, 12, 31, 6, tzinfo=UTC))),
        ({"selective": {"list": 3}}, History(where=InList("3"))),
        ({"type": "selective", "where": [{"list": 3}]}, History(where=AllOf((InList("3"),)))),
    ],
)
def test_what_a_history_means(project_folder, written, meant):
    assert declared(project_folder, history=written).history == meant


def test_the_syncs_history_is_that_of_objects_without_one(project_folder):
    text = SYNC + "history: incremental\nobjects: [account, {object: contact, history: all}]\n"
    account, contact = project_folder.write({"syncs/crm.yaml": text}).load().syncs["crm"].objects
    assert (account.history, contact.history) == (History(), None)


def test_one_customer_has_another_filter_or_none(project_folder):
    text = SYNC + (
        "objects: [{object: contact, filter: {list: 1}, leaving: delete}]\n"
        "overrides:\n  acme: {filters: {contact: {list: 2}}}\n  quill: {filters: {contact: null}}\n"
    )
    sync = project_folder.write({"syncs/crm.yaml": text}).load().syncs["crm"]
    (contact,) = sync.objects
    found = [sync.object_of(customer, contact) for customer in ("acme", "quill", "other")]
    assert [each.filter for each in found] == [InList("2"), None, InList("1")]
    assert {each.leaving for each in found} == {"delete"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (lines("filter: {field: A}"), "6: objects[0].filter: must say one thing: a `field` with an operator"),
        (lines("filter: {equals: A}"), "6: objects[0].filter: says how to compare and not what: add `field`"),
        (
            lines("filter:", "  all:", "    - {field: A, equals: x, in: [y]}"),
            "8: objects[0].filter.all[0]: compares its",
        ),
        (lines("filter:", "  - list: 1", "  - {feild: A, equals: b}"), "8: objects[0].filter[1].feild: is not known"),
        (
            lines("filter: {field: A, before: yesterday}"),
            "6: objects[0].filter.before: must be a day such as 2026-01-31",
        ),
        (lines("filter: {field: A, equals: ''}"), "6: objects[0].filter.equals: must have 1 to 1000 characters"),
        (lines("filter: {field: A, in: []}"), "6: objects[0].filter.in: must have 1 to 500 values"),
        (lines("filter: {field: A, equals: [x]}"), "6: objects[0].filter.equals: must be a text, a number"),
        (lines("filter: {field: A, operator: like, value: x}"), '6: objects[0].filter.operator: "like" is not known'),
        (lines("filter: {field: A, operator: in}"), "6: objects[0].filter: has the operator `in`, which takes one of"),
        (lines("filter: {tier: Gold}"), "6: objects[0].filter: needs `field`: the property that says"),
        (lines("filter: {list: 1, field: A}"), "6: objects[0].filter: has `field`, which does not go with `list`"),
        (lines("filter: {activity: soon}"), "6: objects[0].filter.activity: must be a length of time"),
        (lines("filter: " + "{all: [" * 5 + "{list: 1}" + "]}" * 5), "6: objects[0].filter: has `all` and `any` more"),
        (lines("filter: {list: 1}", "leaving: vanish"), '7: objects[0].leaving: "vanish" is not known here.'),
        (lines("history: sometimes"), '6: objects[0].history: "sometimes" is not known here.'),
        (lines("history: {on: created}"), "6: objects[0].history: must say which"),
        (lines("history: {type: all, from: 2024-01-01}"), "6: objects[0].history: of type all takes no period"),
        (lines("history: {type: date range}"), "6: objects[0].history: of type date range takes `from`"),
        (
            SYNC + "objects: [contact]\noverrides: {acme: {filters: {deal: {list: 1}}}}\n",
            "1: has an override for acme with deal, which is not among its objects",
        ),
    ],
)
def test_a_wrong_one_is_told_with_line_and_field(project_folder, written, expected):
    problems = project_folder.write({"syncs/crm.yaml": written}).problems()
    assert len(problems) == 1
    assert problems[0].startswith(f"syncs/crm.yaml:{expected}"), problems[0]


def test_editors_know_filters_and_histories():
    schema = json_schema("syncs")
    properties = schema["$defs"]["FilterDocument"]["properties"]
    assert {"all", "any", "field", "equals", "in", "before", "list", "tier", "activity"} <= properties.keys()
    assert "from" in schema["$defs"]["HistoryDocument"]["properties"]
    assert "filter" in schema["$defs"]["ObjectDocument"]["properties"]
