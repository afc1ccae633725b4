"""One mapping and the schemas that it meets: of several syncs, and such as change after it was saved."""

import pytest

from sync_pipelines.api.serving import serve
from sync_pipelines.plans.applying import apply_plan
from sync_pipelines.plans.making import make_plan
from sync_pipelines_tests.api.conftest import Api
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN

REVENUE = {"name": "annual_revenue", "type": "numeric"}


@pytest.fixture
def shell(command_line, unhurried):
    return command_line.at(unhurried)


def account(*fields, additional=False, **rest):
    schema = {"fields": list(fields), "allow_additional_fields": additional}
    return {"object": "account", "custom_schema": schema, **rest}


def mapped(place, *customers, **rules):
    for customer in customers:
        place.project.store.mappings.save(customer, "salesforce", "account", rules)


def test_each_sync_takes_the_rules_that_concern_its_schema(unhurried, shell):
    unhurried.write_sync(objects=[account(REVENUE, "tier")])
    unhurried.write_sync("two", objects=[account("tier", "staff", table="two_account")])
    unhurried.write_sync("three", objects=[{"object": "account", "table": "three_account"}])
    unhurried.connect(ACME)
    for rule in ("annual_revenue=ARR__c", "staff=NumberOfEmployees", "tier=Tier__c"):
        answer = shell("mapping", "set", ACME, "salesforce", "account", rule)
        assert answer.code == 0, answer.text
        assert "not used" not in answer.text
    answer = shell("mapping", "set", ACME, "salesforce", "account", "tear=Tier__c")
    assert (answer.code, "does not have tear. The fields are annual_revenue, tier, staff." in answer.text) == (2, True)
    shown = shell("mapping", "show", ACME, "salesforce").text
    assert all(f"{name} " in shown for name in ("annual_revenue", "tier", "staff"))
    assert shell("check", "--live").code == 0

    for name in ("crm", "two", "three"):
        (run,) = unhurried.sync(ACME, name=name)
        assert (run.status, [text for text in run.notices if "not used" in text]) == ("success", [])
    one, two = unhurried.rows("crm_account"), unhurried.rows("two_account")
    assert [(row["annual_revenue"] and float(row["annual_revenue"]), row["tier"]) for row in one] == [
        (row["raw_data"]["ARR__c"], row["raw_data"]["Tier__c"]) for row in one
    ]
    assert [(row["staff"], row["tier"]) for row in two] == [
        (row["number_of_employees"] and str(row["number_of_employees"]), row["raw_data"]["Tier__c"]) for row in two
    ]
    assert len(unhurried.rows("three_account")) == len(one) > 0


LOCKED = {"name": "tier", "sources": {"salesforce": "Rating"}, "locked": True}
CHANGES = {
    "a field is taken out": (account(REVENUE), "tier", "the custom schema of account does not have tier"),
    "a field is locked": (account(REVENUE, LOCKED), "tier", "the field tier is locked to Rating by the developer"),
    "additional fields are off": (account(REVENUE, "tier"), "region", "account does not have region"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_that_takes_a_rule_no_more_stops_nobody_who_has_it(unhurried, shell, change):
    later, name, reason = CHANGES[change]
    additional = name == "region"
    unhurried.write_sync(objects=[account(REVENUE, "tier", additional=additional)])
    unhurried.connect(ACME, BRIGHTWATER)
    own = {"region": "BillingState"} if additional else {}
    for customer in (ACME, BRIGHTWATER):
        mapped(unhurried, customer, tier="Tier__c" if customer == ACME else "Name", **own)
    unhurried.sync()
    apply_plan(unhurried.project, make_plan(unhurried.project), actor="tests")

    unhurried.write_sync(objects=[later])
    plan = make_plan(unhurried.project)
    assert {customer for read in plan.reads if read.caused for customer in read.customers} == {ACME, BRIGHTWATER}
    (told,) = [text for text in plan.notices if "not used" in text]
    assert told.startswith(f"crm account, 2 customer(s) ({ACME}, {BRIGHTWATER}): ")
    assert reason in told
    for run in unhurried.sync():
        assert (run.status, run.full) == ("success", False)
        assert [reason in text for text in run.notices if "not used" in text] == [True]
    if change == "a field is locked":
        rows = unhurried.rows("crm_account")
        assert [row["tier"] for row in rows] == [row["raw_data"]["Rating"] for row in rows]

    shown = shell("mapping", "show", ACME, "salesforce", "account", "--history")
    assert (shown.code, "not used" in shown.text) == (0, True)
    with serve(unhurried.project) as url, Api(unhurried, url).as_(customer_id=ACME) as bound:
        found = bound.get(f"/connections/{ACME}/salesforce/objects/account/mapping").json()
        assert reason in found["unused"][name]
        by = {each["name"]: each["by"] for each in found["schema_fields"]}
        assert by.get("tier") == {"a field is locked": "developer"}.get(change, by.get("tier"))
        assert found["fields"][name]
    assert (shell("check", "--live").code, reason in shell("check", "--live").text) == (0, True)

    changed = shell("mapping", "set", ACME, "salesforce", "account", "annual_revenue=ARR__c")
    assert changed.code == 0, changed.text
    assert f"The rule for {name} is kept and not used" in changed.text
    answer = shell("mapping", "set", ACME, "salesforce", "account", f"{name}=Name")
    assert (answer.code, reason in answer.text) == (2, True)
    assert shell("mapping", "set", ACME, "salesforce", "account", f"{name}=").code == 0
    back = shell("mapping", "rollback", ACME, "salesforce", "account")
    assert (back.code, "is kept and not used" in back.text) == (0, True)

    # The rule was never lost: it counts again as soon as the schema takes it.
    unhurried.write_sync(objects=[account(REVENUE, "tier", additional=additional)])
    unhurried.sync()
    taken = ("tier", "Tier__c") if name == "tier" else ("additional_fields", "BillingState")
    for row in unhurried.rows("crm_account", ACME):
        value = row[taken[0]] if name == "tier" else row["additional_fields"]["region"]
        assert value == row["raw_data"][taken[1]]


def test_a_field_that_vanished_hinders_no_other_change(unhurried, shell):
    unhurried.write_sync(objects=[account(REVENUE, "tier")])
    unhurried.connect(ACME)
    mapped(unhurried, ACME, tier="Tier__c", annual_revenue="ARR__c")
    unhurried.control.fault(ACME, "field_vanished", object="Account", field="Tier__c")
    answer = shell("mapping", "set", ACME, "salesforce", "account", "annual_revenue=AnnualRevenue")
    assert answer.code == 0
    assert "Warning: The account has no readable field Tier__c (for tier)." in answer.text
    answer = shell("mapping", "set", ACME, "salesforce", "account", "annual_revenue=Tier__c")
    assert (answer.code, "no readable field Tier__c (for annual_revenue)" in answer.text) == (2, True)


def test_a_mapping_is_for_the_vendors_object_however_syncs_call_it(unhurried, shell):
    meanings = unhurried.control.account(LUMEN).meanings["companies"]
    unhurried.write_sync(provider="hubspot", objects=[account("tier")])
    company = {**account(REVENUE, "tier", table="second_company"), "object": "company"}
    unhurried.write_sync("second", provider="hubspot", objects=[company])
    unhurried.connect(LUMEN)
    assert shell("mapping", "set", LUMEN, "hubspot", "account", f"tier={meanings['tier']}").code == 0
    revenue = f"annual_revenue={meanings['annual_revenue']}"
    answer = shell("mapping", "set", LUMEN, "hubspot", "companies", revenue)
    assert (answer.code, "Version 2" in answer.text) == (0, True)
    assert shell("mapping", "show", LUMEN, "hubspot").text.count("version 2") == 1
    assert len(shell("mapping", "show", LUMEN, "hubspot", "company", "--history").text.split("version")) == 3

    for name, table in (("crm", "crm_account"), ("second", "second_company")):
        assert unhurried.sync(LUMEN, name=name)[0].status == "success"
        rows = unhurried.rows(table)
        assert [row["tier"] for row in rows] == [row["raw_data"]["properties"][meanings["tier"]] for row in rows]
        assert any(row["tier"] for row in rows)

    # Another spelling in the file is the same object.
    unhurried.write_sync("second", provider="hubspot", objects=[{**company, "object": "companies"}])
    unhurried.sync(LUMEN, name="second")
    rows = unhurried.rows("second_company")
    assert any(row["annual_revenue"] for row in rows)
