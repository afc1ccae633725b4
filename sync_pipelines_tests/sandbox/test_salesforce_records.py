"""Salesforce: describing, and one record at a time."""

import pytest

from .conftest import API

CONTACT = f"{API}/sobjects/Contact"


def test_versions_are_listed_without_a_token(salesforce):
    del salesforce.headers["Authorization"]
    found = salesforce.get("/services/data/").json()
    assert {"label", "url", "version"} == set(found[-1])
    assert found[-1]["version"] == "67.0"


def test_every_object_of_the_organisation_is_listed(salesforce):
    names = {known["name"] for known in salesforce.get(f"{API}/sobjects/").json()["sobjects"]}
    assert names >= {"Contact", "Account", "Lead", "Opportunity", "User", "Task", "Campaign", "Case", "EmailMessage"}
    assert names >= {"EmailTemplate", "Employee__c"}


def test_describe_tells_standard_and_own_fields(salesforce):
    told = salesforce.get(f"{CONTACT}/describe").json()
    fields = {field["name"]: field for field in told["fields"]}
    assert (told["keyPrefix"], told["custom"]) == ("003", False)
    assert fields["ARR__c"]["type"] == "currency"
    assert fields["ARR__c"]["custom"]
    assert fields["MailingAddress"]["type"] == "address"
    assert fields["MailingCity"]["compoundFieldName"] == "MailingAddress"
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert [value["value"] for value in fields["Tier__c"]["picklistValues"]] == ["Gold", "Silver", "Bronze"]
    assert not fields["Name"]["updateable"]


def test_describe_again_is_not_modified_until_the_fields_change(sandbox, salesforce):
    first = salesforce.get(f"{CONTACT}/describe")
    since = {"If-Modified-Since": first.headers["Last-Modified"]}
    assert salesforce.get(f"{CONTACT}/describe", headers=since).status_code == 304
    sandbox.clock(advance=5)
    sandbox.fault("acme-robotics", "field_vanished", object="Contact", field="ARR__c")
    assert salesforce.get(f"{CONTACT}/describe", headers=since).status_code == 200


def test_an_unknown_object_or_path_is_not_found(salesforce):
    for path in (f"{API}/sobjects/Nope/describe", f"{API}/nope", f"{CONTACT}/003Hs00000000000AA"):
        answer = salesforce.get(path)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_a_record_lives_through_its_calls(sandbox, salesforce):
    made = salesforce.post(CONTACT, json={"LastName": "Nyholm", "arr__c": 12.5})
    assert made.status_code == 201
    id = made.json()["id"]
    assert made.json() == {"id": id, "success": True, "errors": []}
    read = salesforce.get(f"{CONTACT}/{id}").json()
    assert (read["Name"], read["ARR__c"], read["IsDeleted"]) == ("Nyholm", 12.5, False)
    assert salesforce.patch(f"{CONTACT}/{id}", json={"FirstName": "Ulla"}).status_code == 204
    assert salesforce.get(f"{CONTACT}/{id}", params={"fields": "Name"}).json()["Name"] == "Ulla Nyholm"
    sandbox.clock(advance=2)
    assert salesforce.delete(f"{CONTACT}/{id}").status_code == 204
    gone = salesforce.get(f"{CONTACT}/{id}")
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")
    kept = next(record for record in sandbox.truth("acme-robotics", "Contact") if record["id"] == id)
    assert kept["deleted"]
    assert kept["modified"] > read["SystemModstamp"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"FirstName": "x"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "x", "Nope": 1}, "INVALID_FIELD"),
        ({"LastName": "x", "SystemModstamp": "2026-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "x" * 81}, "STRING_TOO_LONG"),
        ({"LastName": "x", "ARR__c": "many"}, "JSON_PARSER_ERROR"),
    ],
)
def test_a_write_that_does_not_fit_is_refused(salesforce, fields, code):
    answer = salesforce.post(CONTACT, json=fields)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_deleted_and_updated_tell_of_a_window(sandbox, salesforce):
    start = sandbox.clock(frozen=True).isoformat()
    sandbox.clock(advance=120)
    changed = sandbox.change("acme-robotics", "Contact", updated=4, deleted=3, created=2)
    end = sandbox.clock(advance=120).isoformat()
    deleted = salesforce.get(f"{CONTACT}/deleted/", params={"start": start, "end": end}).json()
    assert {record["id"] for record in deleted["deletedRecords"]} == set(changed["deleted"])
    assert set(deleted) == {"deletedRecords", "earliestDateAvailable", "latestDateCovered"}
    updated = salesforce.get(f"{CONTACT}/updated/", params={"start": start, "end": end}).json()
    assert set(updated["ids"]) == {*changed["updated"], *changed["created"]}
    old = salesforce.get(f"{CONTACT}/deleted/", params={"start": "2020-01-01T00:00:00Z", "end": end})
    assert old.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    sandbox.clock(frozen=False)


def test_limits_tell_what_is_left(salesforce):
    told = salesforce.get(f"{API}/limits").json()
    assert told["DailyApiRequests"]["Max"] > told["DailyApiRequests"]["Remaining"] > 0
    assert "DailyBulkV2QueryJobs" in told
