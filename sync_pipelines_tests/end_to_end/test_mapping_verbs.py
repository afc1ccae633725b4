"""A customer's mapping from the command line: the account's fields, the plan of a change, going back, failed values."""

import json
from itertools import pairwise

import pytest

from sync_pipelines import mapping_changes
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN, QUILL

OBJECTS = {"salesforce": "Account", "hubspot": "companies"}
VENDORS = [("salesforce", ACME, BRIGHTWATER), ("hubspot", QUILL, LUMEN)]
by_vendor = pytest.mark.parametrize(("vendor", "customer", "other"), VENDORS, ids=[each[0] for each in VENDORS])


@pytest.fixture
def shell(command_line, unhurried):
    return command_line.at(unhurried)


def stand(place, vendor, *customers, schema=CUSTOM_SCHEMA, **options):
    place.write_sync(provider=vendor, objects=[{"object": "account", "custom_schema": schema, **options}])
    place.connect(*customers)
    return place.control.account(customers[0]).meanings[OBJECTS[vendor]]


def asked(place):
    with place.store.connect() as connection:
        found = connection.execute("SELECT customer_id, asked_objects FROM due WHERE asked_at IS NOT NULL").fetchall()
    return dict(found)


@by_vendor
def test_the_catalogue_lists_what_the_account_has(unhurried, shell, vendor, customer, other):
    meanings = stand(unhurried, vendor, customer)
    answer = shell("fields", customer, vendor, "account", "--json")
    assert answer.code == 0
    listed = json.loads(answer.out)
    found = {field["name"]: field for field in listed}
    truth = next(iter(unhurried.control.truth(customer, OBJECTS[vendor])))["fields"]
    assert truth.keys() >= {name for name, field in found.items() if field["readable"]}
    assert all(one["name"].casefold() <= two["name"].casefold() for one, two in pairwise(listed))
    own = found[meanings["annual_revenue"]]
    assert (own["custom"], own["readable"]) == (True, True)
    assert own["label"]

    shown = shell("fields", customer, vendor, "account", "--custom", "--search", meanings["annual_revenue"])
    assert f"1 of {len(found)} fields." in shown.text
    assert own["label"] in shown.text


def test_the_catalogue_tells_choices_and_what_cannot_be_read(unhurried, shell):
    stand(unhurried, "salesforce", ACME)
    found = {field["name"]: field for field in json.loads(shell("fields", ACME, "salesforce", "account", "--json").out)}
    assert len(found["Tier__c"]["choices"]) > 1
    assert (found["ARR__c"]["type"], found["ARR__c"]["vendor_type"]) == ("number", "currency")
    assert found["BillingAddress"]["readable"] is False
    answer = shell("mapping", "set", ACME, "salesforce", "account", "tier=BillingAddress")
    assert (answer.code, "cannot be read as a whole: map one of its parts" in answer.text) == (2, True)


@by_vendor
def test_a_change_shows_its_plan_saves_a_version_and_makes_its_customer_due(unhurried, shell, vendor, customer, other):
    place, meanings = unhurried, stand(unhurried, vendor, customer, other)
    place.sync()
    rows = len(place.rows("crm_account", customer))
    rule = f"annual_revenue={meanings['annual_revenue']}"

    dry = shell("mapping", "set", customer, vendor, "account", rule, "--dry-run")
    assert dry.code == 0
    assert f"Rows: {rows:,}, from the stored records." in dry.text
    assert "Nothing was saved." in dry.text
    assert place.project.store.mappings.current(customer, vendor, "account") is None
    assert asked(place) == {}

    done = shell("mapping", "set", customer, vendor, "account", rule)
    assert (done.code, "Version 1" in done.text, "it is due now" in done.text) == (0, True, True)
    assert asked(place) == {customer: ["account"]}
    run = place.sync_one(customer)
    assert (run.full, run.counts.updated > 0) == (False, True)
    assert place.differences(customer) == []

    again = shell("mapping", "set", customer, vendor, "account", rule)
    assert "no column changes" in again.text
    assert len(place.project.store.mappings.history(customer, vendor, "account")) == 1


def test_a_plan_says_when_the_vendor_must_be_read(unhurried, shell):
    stand(unhurried, "salesforce", ACME, raw_fields=False)
    unhurried.sync_one(ACME)
    answer = shell("mapping", "set", ACME, "salesforce", "account", "tier=Tier__c", "--dry-run")
    assert "by reading everything from the vendor, as raw_fields is off" in answer.text


@by_vendor
def test_going_back_is_a_new_version_with_the_older_bytes(unhurried, shell, vendor, customer, other):
    place, meanings = unhurried, stand(unhurried, vendor, customer, other)
    for rule in (f"tier={meanings['tier']}", f"tier={meanings['annual_revenue']}"):
        assert shell("mapping", "set", customer, vendor, "account", rule).code == 0
        place.sync_one(customer)
        if rule.endswith(meanings["tier"]):
            before = place.content("crm_account", customer)
    assert place.content("crm_account", customer) != before

    answer = shell("mapping", "rollback", customer, vendor, "account")
    assert (answer.code, "The rules of version 1" in answer.text, "Version 3" in answer.text) == (0, True, True)
    assert place.sync_one(customer).full is False
    assert place.content("crm_account", customer) == before
    entry = place.project.store.audit.list(f"mapping {customer}/{vendor}/account")[0]
    assert (entry.action, entry.new["version"], entry.old["version"]) == ("roll back", 3, 2)
    assert entry.actor

    assert "Version 4" in shell("mapping", "rollback", customer, vendor, "account", "2").text
    refused = shell("mapping", "rollback", customer, vendor, "account", "9")
    assert (refused.code, "has no version 9. There are: 4, 3, 2, 1." in refused.text) == (2, True)
    history = shell("mapping", "show", customer, vendor, "account", "--history").text
    assert all(f"version {number}, saved" in history for number in (1, 2, 3, 4))


def test_nothing_can_be_gone_back_to_before_the_second_version(unhurried, shell):
    stand(unhurried, "salesforce", ACME)
    shell("mapping", "set", ACME, "salesforce", "account", "tier=Tier__c")
    answer = shell("mapping", "rollback", ACME, "salesforce", "account")
    assert (answer.code, "has no version before the newest one" in answer.text) == (2, True)


@by_vendor
def test_suggestions_are_told_with_their_reasons_and_the_sure_ones_taken(unhurried, shell, vendor, customer, other):
    fields = ["annual_revenue", "tier", {"name": "renewal_date", "type": "date"}]
    place, meanings = unhurried, stand(unhurried, vendor, customer, schema={"fields": fields})
    found = json.loads(shell("mapping", "suggest", customer, vendor, "account", "--json").out)
    assert set(found) == {"annual_revenue", "tier", "renewal_date"} - set(meanings.values())
    assert all(one["reason"] and 0 < one["score"] <= 1 for several in found.values() for one in several)
    sure = {name: several[0]["source"] for name, several in found.items() if several and several[0]["sure"]}

    answer = shell("mapping", "suggest", customer, vendor, "account", "--apply")
    assert answer.code == 0
    saved = place.project.store.mappings.current(customer, vendor, "account")
    assert {name: rule.plain for name, rule in (saved.fields if saved else {}).items()} == sure
    if not sure:
        assert "Nothing is sure enough" in answer.text


def test_a_sure_suggestion_is_mapped(unhurried, shell):
    stand(unhurried, "salesforce", ACME, schema={"fields": [{"name": "renewal", "description": "Renewal date"}]})
    answer = shell("mapping", "suggest", ACME, "salesforce", "account", "--apply")
    assert (answer.code, "Version 1" in answer.text) == (0, True)
    saved = unhurried.project.store.mappings.current(ACME, "salesforce", "account")
    assert saved.fields["renewal"].plain == "Renewal_Date__c"
    assert (
        "Every field of the custom schema is mapped." in shell("mapping", "suggest", ACME, "salesforce", "account").text
    )


@by_vendor
def test_values_that_did_not_fit_are_listed_and_go_when_the_mapping_is_mended(
    unhurried, shell, vendor, customer, other
):
    place, meanings = unhurried, stand(unhurried, vendor, customer, other)
    text = meanings["tier"]
    for one in (customer, other):
        name = place.control.account(one).meanings[OBJECTS[vendor]]["tier"]
        assert shell("mapping", "set", one, vendor, "account", f"annual_revenue={name}").code == 0
    place.sync()
    kept = {row["id"]: row["_sync_errors"] for row in place.rows("crm_account", customer)}
    odd = {id for id, errors in kept.items() if errors and "annual_revenue" in errors}
    assert odd

    found = json.loads(shell("failed", customer, "--limit", "10000", "--json").out)
    values = [value for each in found for value in each["values"]]
    assert {value["id"] for value in values} <= odd
    assert {(value["column"], value["field"]) for value in values} == {("annual_revenue", text)}
    assert all(value["value"] == kept[value["id"]]["annual_revenue"]["value"] for value in values)
    assert sum(count["rows"] for each in found for count in each["counts"]) == len(values)

    both = shell("failed", "--sync", "crm", "--object", "account", "--limit", "3")
    assert both.code == 0
    assert "The value is not a plain number." in both.text
    assert "The first 3" in both.text

    assert (
        shell("mapping", "set", customer, vendor, "account", f"annual_revenue={meanings['annual_revenue']}").code == 0
    )
    place.sync_one(customer)
    left = json.loads(shell("failed", customer, "--json").out)
    assert not any("tier" in count["field"].casefold() for each in left for count in each["counts"])


def test_failed_values_need_a_customer_or_a_sync(unhurried, shell):
    answer = shell("failed")
    assert (answer.code, "Name a customer, or a sync" in answer.text) == (2, True)
    stand(unhurried, "salesforce", ACME)
    assert "Every value fits." in shell("failed", ACME).text
    answer = shell("failed", "nobody")
    assert (answer.code, "nobody is not connected" in answer.text) == (2, True)


def test_rules_come_as_json_and_from_a_file(unhurried, shell, tmp_path):
    stand(unhurried, "salesforce", ACME)
    (tmp_path / "rules.yaml").write_text("tier: Tier__c\nrenewal_date: {source: Renewal_Date__c}\n")
    answer = shell(
        *("mapping", "set", ACME, "salesforce", "account", 'annual_revenue={"source": "ARR__c"}'),
        *("--rules", tmp_path / "rules.yaml"),
    )
    assert answer.code == 0
    saved = unhurried.project.store.mappings.current(ACME, "salesforce", "account")
    assert {name: rule.plain for name, rule in saved.fields.items()} == {
        "tier": "Tier__c",
        "renewal_date": "Renewal_Date__c",
        "annual_revenue": "ARR__c",
    }
    for written, told in (
        ("tier={", "The rule of tier"),
        ('tier={"sources": []}', "at least 1 item"),
        ("tier", "is not FIELD="),
    ):
        refused = shell("mapping", "set", ACME, "salesforce", "account", written)
        assert (refused.code, told in refused.text) == (2, True)
    (tmp_path / "list.yaml").write_text("[1]")
    assert (
        "must hold a mapping"
        in shell("mapping", "set", ACME, "salesforce", "account", "--rules", tmp_path / "list.yaml").text
    )
    assert shell("mapping", "set", ACME, "salesforce", "account").code == 2


def test_a_required_field_cannot_be_taken_away_and_others_may_come_first(unhurried, shell):
    schema = {"fields": [{"name": "size", "required": True}, "tier"]}
    stand(unhurried, "salesforce", ACME, schema=schema)
    answer = shell("mapping", "set", ACME, "salesforce", "account", "tier=Tier__c")
    assert (answer.code, "The required field size is not mapped yet" in answer.text) == (0, True)
    assert shell("mapping", "set", ACME, "salesforce", "account", "size=ARR__c").code == 0
    refused = shell("mapping", "set", ACME, "salesforce", "account", "size=")
    assert (refused.code, "size of account must be mapped" in refused.text) == (2, True)


def test_developers_defaults_are_rules_too_and_locked_ones_stay(unhurried, shell):
    fields = [
        {"name": "tier", "sources": {"salesforce": {"source": "Tier__c"}}, "locked": True},
        {"name": "size", "type": "numeric", "sources": {"salesforce": "ARR__c"}},
    ]
    stand(unhurried, "salesforce", ACME, schema={"fields": fields})
    assert unhurried.sync_one(ACME).status == "success"
    rows = unhurried.rows("crm_account")
    assert [row["tier"] for row in rows] == [row["raw_data"]["Tier__c"] for row in rows]
    refused = shell("mapping", "set", ACME, "salesforce", "account", "tier=Name")
    assert (refused.code, "tier is locked to Tier__c by the developer" in refused.text) == (2, True)
    assert shell("mapping", "set", ACME, "salesforce", "account", "size=NumberOfEmployees").code == 0
    unhurried.sync_one(ACME)
    rows = unhurried.rows("crm_account")
    assert [row["size"] for row in rows] == [row["number_of_employees"] for row in rows]


def test_rules_with_transforms_fill_columns_anew_of_what_is_stored(unhurried, shell):
    fields = ["tier", {"name": "place"}, {"name": "size", "type": "numeric"}]
    stand(unhurried, "salesforce", ACME, schema={"fields": fields, "allow_additional_fields": True})
    unhurried.sync_one(ACME)
    before = unhurried.content("crm_account")
    tiers = {row["raw_data"]["Tier__c"] for row in before} - {None}
    gold = sorted(tiers)[0]

    def tier_by(values, **options):
        return {"source": "Tier__c", "transform": [{"name": "value_mapping", "values": values, **options}]}

    rules = {
        "tier": tier_by({gold: "best", "Nowhere": "?"}),
        "place": {
            "sources": ["BillingCity", "BillingCountry"],
            "transform": {"name": "concatenate", "separator": ", "},
        },
        "size": tier_by({gold: 1}, otherwise="misfit"),
        "also": tier_by({"Nowhere": 1}, otherwise="misfit"),
    }
    written = [f"{name}={json.dumps(rule)}" for name, rule in rules.items()]
    answer = shell("mapping", "set", ACME, "salesforce", "account", *written, "name=Name")
    assert answer.code == 0
    assert "names Nowhere, which Tier__c does not offer" in answer.text
    run = unhurried.sync_one(ACME)
    assert (run.status, run.full) == ("success", False)
    for row in unhurried.rows("crm_account"):
        raw, errors = row["raw_data"], row["_sync_errors"] or {}
        assert row["tier"] == ("best" if raw["Tier__c"] == gold else raw["Tier__c"])
        assert (row["place"] or "") == ", ".join(filter(None, (raw["BillingCity"], raw["BillingCountry"])))
        assert row["size"] == (1 if raw["Tier__c"] == gold else None)
        assert ("size" in errors) == (raw["Tier__c"] not in (gold, None))
        assert row["additional_fields"] == {"also": None, "name": raw["Name"]}
        assert ("additional_fields" in errors) == (raw["Tier__c"] is not None)
        if raw["Tier__c"] is not None:
            kept = errors["additional_fields"]
            assert (kept["field"], kept["value"]) == ("Tier__c", raw["Tier__c"])
            assert kept["reason"].startswith("also: The value is none of the values")
    shown = shell("mapping", "show", ACME, "salesforce", "account").text
    assert "BillingCity, BillingCountry -> concatenate" in shown

    assert shell("mapping", "set", ACME, "salesforce", "account", *(f"{name}=" for name in (*rules, "name"))).code == 0
    unhurried.sync_one(ACME)
    assert unhurried.content("crm_account") == before


def test_a_transform_that_cannot_work_is_refused_when_saved_and_by_check(unhurried, shell):
    stand(unhurried, "salesforce", ACME)
    rule = 'tier={"source": "Tier__c", "transform": "upper_caze"}'
    refused = shell("mapping", "set", ACME, "salesforce", "account", rule)
    assert (refused.code, "There is no transform named upper_caze" in refused.text) == (2, True)
    rule = {"source": "Tier__c", "transform": {"name": "value_mapping", "walues": {}}}
    fields = [{"name": "tier", "sources": {"salesforce": rule}}]
    unhurried.write_sync(objects=[{"object": "account", "custom_schema": {"fields": fields}}])
    answer = shell("check")
    assert (answer.code, "crm, account, tier: Transform 1, value_mapping" in answer.text) == (2, True)


def test_check_holds_every_rule_against_the_account(unhurried, shell):
    mapped = {"source": "Tier__c", "transform": {"name": "value_mapping", "values": {"Nowhere": "x"}}}
    fields = [
        {"name": "tier", "sources": {"salesforce": mapped}},
        {"name": "day", "type": "date", "sources": {"salesforce": "Strategic__c"}},
        {"name": "gone", "sources": {"salesforce": "Gone__c"}},
    ]
    stand(unhurried, "salesforce", ACME, schema={"fields": fields})
    answer = shell("check", "--live")
    assert answer.code == 2
    where = f"crm, {ACME}, account: "
    assert f"Warning: {where}The value mapping of tier names Nowhere, which Tier__c does not offer" in answer.text
    assert f"{where}The field Strategic__c is a boolean and can never fill day, which is date" in answer.text
    assert f"{where}The account has no readable field Gone__c (for gone)" in answer.text


def test_a_rule_is_written_on_the_command_line_as_in_the_files(unhurried, shell, tmp_path):
    stand(unhurried, "salesforce", ACME, schema=CUSTOM_SCHEMA | {"allow_additional_fields": True})
    known = ("mapping", "set", ACME, "salesforce", "account", "--no-check")
    rule = "{source: Tier__c, transform: {name: value_mapping, values: {Yes: gold, No: silver, on: bronze}}}"
    assert shell(*known, f"tier={rule}").code == 0
    file = tmp_path / "rules.yaml"
    file.write_text(f"tier: {rule}\nyes: Own_Yes__c\n")
    assert shell(*known, "--rules", str(file)).code == 0
    first, second = reversed(unhurried.project.store.mappings.history(ACME, "salesforce", "account"))
    assert first.fields["tier"] == second.fields["tier"]
    assert first.fields["tier"].transforms[0].options["values"] == {"Yes": "gold", "No": "silver", "on": "bronze"}
    assert "yes" in second.fields

    twice = shell(*known, "tier=Tier__c", "tier=Other__c")
    assert (twice.code, "tier is given twice" in twice.text) == (2, True)
    broken = shell(*known, "tier={source: [")
    assert (broken.code, "The rule of tier:1" in broken.text) == (2, True)
    file.write_text("tier: Tier__c\ntier: Other__c\n")
    doubled = shell(*known, "--rules", str(file))
    assert (doubled.code, "tier" in doubled.text) == (2, True)


def test_two_changes_at_once_do_not_undo_each_other(unhurried, shell, monkeypatch):
    stand(unhurried, "salesforce", ACME)
    plan_change = mapping_changes.plan_change

    def while_another_saves(project, connection, *rest, **named):
        if project.store.mappings.current(ACME, "salesforce", "account") is None:
            project.store.mappings.save(ACME, "salesforce", "account", {"tier": "Tier__c"})
        return plan_change(project, connection, *rest, **named)

    monkeypatch.setattr(mapping_changes, "plan_change", while_another_saves)
    late = shell("mapping", "set", ACME, "salesforce", "account", "annual_revenue=ARR__c")
    assert (late.code, "has moved on to version 1" in late.text) == (2, True)
    again = shell("mapping", "set", ACME, "salesforce", "account", "annual_revenue=ARR__c")
    assert again.code == 0
    saved = unhurried.project.store.mappings.current(ACME, "salesforce", "account")
    assert set(saved.fields) == {
        "tier",
        "annual_revenue",
    }
