"""Suggestions by name, label and type: what is sure is right, and what is only like is told with its reason."""

import pytest

from sync_pipelines.engine.suggesting import FAINT, suggest
from sync_pipelines.model.mapping import SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField

ACCOUNT = ObjectSchema(
    fields=(
        VendorField(name="Name", label="Account Name"),
        VendorField(name="ARR__c", label="ARR", type="number", custom=True),
        VendorField(name="Customer_Tier__c", label="Customer Tier", custom=True),
        VendorField(name="Is_Key__c", label="Strategic account", type="boolean", custom=True),
        VendorField(name="Renewal_Date__c", label="Renewal date", type="date", custom=True),
        VendorField(name="Renewal_Text__c", label="Renewal date (old)", custom=True),
        VendorField(name="Phone", label="Phone"),
        VendorField(name="Phone_2__c", label="Phone", custom=True),
        VendorField(name="NumberOfEmployees", label="Employees", type="integer"),
    )
)


def best(name, **options):
    found = suggest([SchemaField(name=name, **options)], ACCOUNT)[name]
    return (found[0].source.name, found[0].sure) if found else None


@pytest.mark.parametrize(
    ("field", "options", "expected"),
    [
        ("customer_tier", {}, ("Customer_Tier__c", True)),
        ("customerTier", {}, ("Customer_Tier__c", True)),
        ("tier_customer", {}, ("Customer_Tier__c", True)),
        ("annual_recurring_revenue", {"type": "numeric"}, ("ARR__c", True)),
        ("revenue", {"type": "numeric", "description": "Annual recurring revenue"}, ("ARR__c", True)),
        ("renewal_date", {"type": "date"}, ("Renewal_Date__c", True)),
        ("strategic_account", {"type": "boolean"}, ("Is_Key__c", True)),
        ("number_of_employees", {"type": "bigint"}, ("NumberOfEmployees", True)),
        ("tier", {}, None),
        ("phone", {}, ("Phone_2__c", False)),
        ("favourite_colour", {}, None),
    ],
)
def test_the_likeliest_field_comes_first_and_only_the_sure_is_sure(field, options, expected):
    assert best(field, **options) == expected


def test_a_field_that_can_never_fill_the_column_is_not_suggested():
    assert best("renewal_date", type="date") == ("Renewal_Date__c", True)
    assert best("renewal_date", type="boolean") in (None, ("Renewal_Text__c", False))
    assert best("arr", type="boolean") is None


def test_a_field_that_two_would_take_is_sure_for_neither():
    wanted = [SchemaField(name="customer_tier"), SchemaField(name="CustomerTier")]
    found = suggest(wanted, ACCOUNT)
    assert [several[0].source.name for several in found.values()] == ["Customer_Tier__c"] * 2
    assert [several[0].sure for several in found.values()] == [False, False]


def test_every_suggestion_says_why():
    found = suggest([SchemaField(name="renewal_date", type="date")], ACCOUNT)["renewal_date"]
    assert [one.source.name for one in found] == ["Renewal_Date__c", "Renewal_Text__c"]
    assert found[0].reason == "the same name; the type fits"
    assert "may not always fit date" in found[1].reason
    assert all(FAINT <= one.score <= 1 for one in found)


def test_names_without_letters_and_accounts_without_fields_are_no_trouble():
    assert suggest([SchemaField(name="???"), SchemaField(name="größe")], ACCOUNT) == {"???": [], "größe": []}
    assert suggest([SchemaField(name="tier")], ObjectSchema(fields=())) == {"tier": []}
