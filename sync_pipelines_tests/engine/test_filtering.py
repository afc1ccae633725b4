"""Filters against an account's fields, and records that are no plain ones."""

from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.engine.filtering import masks, resolve
from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.selecting import mark_of
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.filter import LAST_ACTIVITY, Ago, AllOf, Condition, History, InList, MappedTest, Test
from sync_pipelines.model.mapping import FieldRule, Transform
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject
from sync_pipelines.providers import PROVIDERS

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONTACT = PROVIDERS["salesforce"].find_object("contact")
SCHEMA = ObjectSchema(
    fields=(
        VendorField(name="Id"),
        VendorField(name="Segment__c"),
        VendorField(name="tier"),
        VendorField(name="Size__c", type="number", vendor_type="double"),
        VendorField(name="Born", type="date", vendor_type="date"),
        VendorField(name="LastActivityDate", type="date", vendor_type="date"),
        VendorField(name="Seen", type="timestamp", vendor_type="datetime"),
        VendorField(name="Big", type="boolean", vendor_type="boolean"),
    )
)


def resolved(*condition, custom=()):
    return resolve(Condition(*condition), CONTACT, SCHEMA, NOW, custom)


def fits(condition, *texts, members=None):
    return list(masks(condition, CONTACT.shape, members or {})([text.encode() for text in texts]))


def test_a_name_is_one_of_the_custom_schema_before_it_is_one_of_the_account():
    custom = [CustomColumn("tier", FieldRule(sources=("Segment__c",)))]
    assert resolved("tier", "is_set", custom=custom).field.name == "Segment__c"
    assert resolved("TIER", "is_set").field.name == "tier"
    assert resolved(LAST_ACTIVITY, "is_set").field.name == "LastActivityDate"


def test_another_mapping_of_a_field_that_is_asked_for_is_another_choice():
    declared = SyncObject(object="contact", filter=Condition("tier", "is_set"))
    marks = [
        mark_of(declared, [CustomColumn("tier", FieldRule(sources=(source,)))] if source else [])
        for source in (None, "A", "B", "B")
    ]
    assert len(set(marks)) == 3
    assert marks[2] == marks[3]
    assert mark_of(SyncObject(object="contact"), []) == ""
    assert mark_of(SyncObject(object="contact", history=History()), []) != ""


RENAMED = Transform(name="value_mapping", options={"values": {"Gold": "platinum"}})
TIER = FieldRule(sources=("Segment__c",), transforms=(RENAMED,))


def test_another_rule_type_or_key_of_a_mapped_value_is_another_choice():
    declared = SyncObject(object="contact", filter=Condition("tier", "is_set"))
    hashed = FieldRule(sources=("Segment__c",), transforms=(Transform(name="hash"),))
    plain = FieldRule(sources=("Segment__c",))
    columns = [CustomColumn("tier", rule) for rule in (plain, TIER, hashed)] + [
        CustomColumn("tier", plain, type="date")
    ]
    marks = [mark_of(declared, [column], Secret("key")) for column in columns]
    assert len(set(marks)) == 4
    assert mark_of(declared, columns[2:3], Secret("other")) != marks[2]
    assert mark_of(declared, columns[:1], Secret("other")) == marks[0]
    through_nothing = CustomColumn("tier", FieldRule(sources=("Segment__c",), transforms=(Transform(name="none"),)))
    assert mark_of(declared, [through_nothing], Secret("key")) == marks[0]


@pytest.mark.parametrize(
    ("field", "type", "is_vendors"),
    [
        ("Size__c", "numeric", True),
        ("Size__c", "text", True),
        ("Size__c", "bigint", False),
        ("tier", "numeric", False),
        ("Born", "date", True),
        ("Born", "timestamptz", False),
        ("Big", "jsonb", True),
    ],
)
def test_only_what_a_column_holds_as_it_is_may_be_asked_of_the_vendor(field, type, is_vendors):
    found = resolved("x", "is_set", custom=[CustomColumn("x", FieldRule(sources=(field,)), type=type)])
    assert isinstance(found, Test if is_vendors else MappedTest)
    if not is_vendors:
        assert [PROVIDERS[name].pushed(CONTACT, found) for name in ("salesforce", "hubspot")] == [None, None]


@pytest.mark.parametrize(
    ("type", "rule", "condition", "expected"),
    [
        ("text", TIER, ("equals", ("Platinum",)), [True, False, False, False]),
        ("text", TIER, ("contains", ("LAT",)), [True, False, False, False]),
        ("text", TIER, ("is_not_set",), [False, False, True, False]),
        ("numeric", FieldRule(sources=("Segment__c",)), ("greater_than", (6,)), [False, True, False, False]),
        ("numeric", FieldRule(sources=("Segment__c",)), ("is_set",), [False, True, False, False]),
        ("bigint", FieldRule(sources=("Segment__c",)), ("not_equals", (7,)), [True, False, True, True]),
        ("date", FieldRule(sources=("Segment__c",)), ("before", (NOW,)), [False, False, False, True]),
        ("timestamptz", FieldRule(sources=("Segment__c",)), ("after", (NOW,)), [False, False, False, False]),
        ("text", FieldRule(sources=("Segment__c.inner",)), ("is_set",), [False, False, False, False]),
        ("jsonb", TIER, ("in", ("platinum", "7")), [True, True, False, False]),
    ],
)
def test_a_mapped_value_is_compared_as_its_column_holds_it(type, rule, condition, expected):
    texts = [f'{{"Id":"1","Segment__c":{value}}}' for value in ('"G\\u0000old"', '"7"', "null", '"2026-05-05"')]
    found = resolved("x", *condition, custom=[CustomColumn("x", rule, type=type)])
    assert fits(found, *texts) == expected
    assert fits(AllOf((found, resolved("Id", "is_set"))), *texts, "no JSON") == [*expected, True]


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (("Nobody", "is_set"), "asks for the field Nobody, which this account does not have"),
        (("tier", "greater_than", (5,)), "which is for numbers, dates and times"),
        (("Size__c", "before", (NOW,)), "which is for dates and times"),
        (("Size__c", "contains", ("5",)), "whether Size__c contains a text"),
        (("Size__c", "equals", ("many",)), "is not a plain number"),
        (("Big", "equals", ("perhaps",)), "is not true, false"),
        (("Born", "equals", ("03/04/2026",)), "is not an ISO 8601 date"),
        (("Big", "equals", (" ",)), "with nothing"),
        (("named", "greater_than", (5,)), "asks for named greater than ..., .* but the field is a text"),
        (("lost", "is_set"), "asks for the field Lost__c, which this account does not have"),
    ],
)
def test_what_cannot_be_compared_is_said(condition, reason):
    lost = FieldRule(sources=("tier", "Lost__c"), transforms=(Transform(name="concatenate"),))
    with pytest.raises(ConfigurationError, match=reason):
        resolved(*condition, custom=[CustomColumn("named", TIER), CustomColumn("lost", lost)])


def test_an_object_that_tells_no_last_activity():
    user = PROVIDERS["salesforce"].find_object("user")
    with pytest.raises(ConfigurationError, match="add `field:`"):
        resolve(Condition(LAST_ACTIVITY, "is_set"), user, SCHEMA, NOW)


def test_times_and_days():
    ago = Ago(timedelta(days=90))
    assert resolved("Seen", "after", (ago,)).values == (NOW - timedelta(days=90),)
    assert resolved("Born", "after", (ago,)).values == ((NOW - timedelta(days=90)).date(),)
    assert resolved("Seen", "before", (NOW.date(),)).values == (datetime(2026, 6, 1, tzinfo=UTC),)


def test_values_that_do_not_fit_their_field_are_none():
    texts = ['{"Id":"1","Size__c":"n/a"}', '{"Id":"2","Size__c":5.0}', '{"Id":"3"}', '{"Id":"4","Size__c":""}']
    assert fits(resolved("Size__c", "equals", (5,)), *texts) == [False, True, False, False]
    assert fits(resolved("Size__c", "not_equals", (5,)), *texts) == [True, False, True, True]
    assert fits(resolved("Size__c", "less_than", (10,)), *texts) == [False, True, False, False]
    assert fits(resolved("Size__c", "is_set"), *texts) == [True, True, False, False]


def test_records_that_must_be_read_with_care_are_judged_all_the_same():
    endless = '{"Id":"1","tier":"Gold","Size__c":1e999999}'
    texts = ['{"Id":"2","tier":"GOLD"}', endless, "[1, 2]", "no JSON", '{"Id":"3","tier":"\\u0000Gold"}', '{"Id":"4"}']
    condition = AllOf((resolved("tier", "equals", ("gold",)), resolved("Id", "is_set")))
    # What is no record is left to whoever reads its id, and refuses it.
    assert fits(condition, *texts)[:4] == [True, True, True, True]
    assert fits(condition, *texts)[5] is False


def test_lists_are_looked_up_by_the_records_id():
    texts = ['{"Id":"1"}', '{"Id":"2"}', "{}"]
    assert fits(InList("7"), *texts, members={"7": {"2"}}) == [False, True, False]
    assert fits(InList("8"), *texts, members={"7": {"2"}}) == [False, False, False]


def test_hostile_values_stay_values_in_soql_and_search():
    hostile = "x' OR Id != '"
    salesforce, hubspot = PROVIDERS["salesforce"], PROVIDERS["hubspot"]
    text = VendorField(name="Department", vendor_type="string")
    test = Test(text, "contains", (hostile + "%_",))
    assert salesforce.pushed(CONTACT, test) == test
    from sync_pipelines.providers.salesforce.conditions import soql_of

    assert soql_of(test) == r"Department LIKE '%x\' OR Id != \'\%\_%'"
    for name in ("Name FROM User --", "a.b", "Name'", "名前 "):
        odd = Test(VendorField(name=name, vendor_type="string"), "is_set")
        assert salesforce.pushed(CONTACT, odd) is None, "a name that cannot stand in a query"
    for value in ("\x00", "a\nb", "é", " a", "\\"):
        assert salesforce.pushed(CONTACT, Test(text, "contains", (value,))) is None
        assert hubspot.pushed(hubspot.find_object("contacts"), Test(text, "contains", (value,))) is None
