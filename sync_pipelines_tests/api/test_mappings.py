import json

import pytest

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA

MAPPING = f"/connections/{ACME}/salesforce/objects/contact/mapping"


@pytest.fixture
def custom_field(everything):
    """A field of the account's own."""
    fields = everything.get(f"/connections/{ACME}/salesforce/objects/contact/fields").json()["items"]
    return next(each["name"] for each in fields if each["custom"] and each["type"] == "text")


def test_the_fields_of_an_account(everything):
    fields = {
        each["name"]: each
        for each in everything.get(f"/connections/{ACME}/salesforce/objects/contact/fields").json()["items"]
    }
    assert fields["Email"]["readable"]
    assert fields["Email"]["vendor_type"] == "email"
    assert any(each["custom"] for each in fields.values())


def test_a_mapping_is_read_changed_and_carried_out_by_the_next_run(everything, api, custom_field):
    before = everything.get(MAPPING)
    assert (before.json()["version"], before.headers["etag"]) == (0, '"0"')
    others = api.place.content("crm_contact", BRIGHTWATER)
    wanted = {"fields": {"tier": custom_field}}
    dry = everything.put(MAPPING, params={"dry_run": True}, json=wanted).json()
    assert not dry["saved"]
    (effect,) = dry["effects"]
    assert effect["columns"] == [{"column": "tier", "before": None, "after": custom_field}]
    assert effect["rows"] == len(api.place.rows("crm_contact", ACME))
    assert (effect["leavers"], effect["most_leaving"]) == ("keep", 0)
    saved = everything.put(MAPPING, json=wanted, headers={"If-Match": before.headers["etag"]}).json()
    assert (saved["saved"], saved["mapping"]["version"], saved["mapping"]["actor"]) == (True, 1, "api:test")
    api.place.sync(ACME)
    assert {row["tier"] for row in api.place.rows("crm_contact", ACME)} != {None}
    assert api.place.content("crm_contact", BRIGHTWATER) == others
    tier = next(each for each in everything.get(MAPPING).json()["schema_fields"] if each["name"] == "tier")
    assert (tier["rule"], tier["by"]) == (custom_field, "customer")


def test_two_who_change_at_once_do_not_overwrite_each_other(everything, custom_field):
    etag = {"If-Match": everything.get(MAPPING).headers["etag"]}
    assert everything.put(MAPPING, json={"fields": {"tier": custom_field}}, headers=etag).json()["saved"]
    assert "moved on to version 1" in refused(everything.put(MAPPING, json={"fields": {}}, headers=etag), 412)
    assert everything.get(MAPPING).json()["fields"] == {"tier": custom_field}


def test_going_back_to_an_older_version(everything, custom_field):
    everything.put(MAPPING, json={"fields": {"tier": custom_field}})
    everything.put(MAPPING, json={"fields": {"tier": "LastName"}})
    back = everything.post(f"{MAPPING}/rollback", json={"version": 1}).json()
    assert (back["mapping"]["version"], back["mapping"]["fields"]) == (3, {"tier": custom_field})
    versions = everything.get(f"{MAPPING}/versions").json()["items"]
    assert [each["version"] for each in versions] == [3, 2, 1]
    assert "no version 9" in refused(everything.post(f"{MAPPING}/rollback", json={"version": 9}), 422)


def test_a_mapping_that_cannot_work_says_why_and_is_not_saved(everything):
    for fields, message in (
        ({"tier": "Nonsense__c"}, "no readable field Nonsense__c"),
        ({"colour": "LastName"}, "the custom schema of contact does not have colour"),
        ({"tier": {"source": ""}}, "tier: This is not a rule"),
        ({"tier": 5}, "tier: This is not a rule"),
        ({"tier": "with\u0000nul"}, "control characters"),
    ):
        assert message in refused(everything.put(MAPPING, json={"fields": fields}), 422)
    assert everything.get(MAPPING).json()["version"] == 0


def test_an_object_without_a_custom_schema_has_no_mapping(everything):
    for path in (MAPPING, f"{MAPPING}/suggestions"):
        refused(everything.get(path.replace("contact", "account")), 404)


def test_suggestions_are_those_of_the_command_line(everything, api, command_line):
    run = command_line.at(api.place)

    def suggested():
        items = everything.get(f"{MAPPING}/suggestions").json()["items"]
        found = {each["field"]: each["suggestions"] for each in items}
        assert found == json.loads(run("mapping", "suggest", ACME, "salesforce", "contact", "--json").out)
        return found

    found = suggested()
    assert list(found) == [each["name"] for each in CUSTOM_SCHEMA["fields"]]
    (field, best) = max(
        ((field, several[0]) for field, several in found.items() if several), key=lambda each: each[1]["score"]
    )
    assert (0.6 <= best["score"] <= 1, bool(best["reason"])) == (True, True)
    everything.put(MAPPING, json={"fields": {field: best["source"]}})
    assert suggested().keys() == found.keys() - {field}


def test_values_that_did_not_fit(everything, api):
    everything.put(MAPPING, json={"fields": {"annual_revenue": "LastName"}})
    api.place.sync(ACME)
    found = everything.get(f"/connections/{ACME}/salesforce/objects/contact/failed", params={"limit": 5}).json()[
        "items"
    ]
    assert len(found) == 5
    assert {each["column"] for each in found} == {"annual_revenue"}
    assert {each["reason"] for each in found} == {"The value is not a plain number."}
    others = everything.get(f"/connections/{BRIGHTWATER}/salesforce/objects/contact/failed").json()["items"]
    assert not [each for each in others if each["column"] == "annual_revenue"]
