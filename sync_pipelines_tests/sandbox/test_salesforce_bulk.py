"""Salesforce Bulk API 2.0: jobs and the oddities of their CSV."""

import csv
import io

import pytest

from .conftest import API

JOBS = f"{API}/jobs/query"
QUERY = "SELECT Id, Name, Description, Strategic__c, ARR__c, SystemModstamp FROM Contact ORDER BY Id"


@pytest.fixture
def job(salesforce):
    def create(query=QUERY, operation="query", **rest):
        return salesforce.post(JOBS, json={"operation": operation, "query": query, "contentType": "CSV", **rest})

    return create


@pytest.fixture
def finished(salesforce, job):
    def run(**rest):
        made = job(**rest).json()
        while made["state"] in ("UploadComplete", "InProgress"):
            made = salesforce.get(f"{JOBS}/{made['id']}").json()
        return made

    return run


def result(salesforce, made, **params):
    answer = salesforce.get(f"{JOBS}/{made['id']}/results", params=params)
    assert answer.status_code == 200, answer.text
    return answer


def test_a_job_goes_through_its_states(salesforce, job):
    made = job().json()
    assert made["state"] == "UploadComplete"
    early = salesforce.get(f"{JOBS}/{made['id']}/results")
    assert early.status_code == 400
    states = [salesforce.get(f"{JOBS}/{made['id']}").json()["state"] for _ in range(3)]
    assert states == ["InProgress", "JobComplete", "JobComplete"]


@pytest.mark.parametrize("size", [1, 199, 390, 10_000])
def test_results_come_in_pages_behind_a_locator(sandbox, salesforce, finished, size):
    made = finished(operation="queryAll")
    rows, params = [], {"maxRecords": size}
    while True:
        answer = result(salesforce, made, **params)
        page = list(csv.reader(io.StringIO(answer.text.replace("\x00", ""), newline="")))
        assert page[0] == ["Id", "Name", "Description", "Strategic__c", "ARR__c", "SystemModstamp"]
        assert int(answer.headers["Sforce-NumberOfRecords"]) == len(page) - 1 <= size
        rows += page[1:]
        if answer.headers["Sforce-Locator"] == "null":
            break
        params["locator"] = answer.headers["Sforce-Locator"]
        if size == 1 and len(rows) == 5:
            return
    assert [row[0] for row in rows] == [record["id"] for record in sandbox.truth("acme-robotics", "Contact")]


def test_the_csv_says_the_same_as_rest_in_its_own_spelling(sandbox, salesforce, finished):
    sandbox.record(
        "acme-robotics", "Contact", fields={"LastName": "Null\x00Byte", "Description": 'a "quoted"\nline, ✨'}
    )
    text = result(salesforce, finished()).content.decode()
    assert "\x00" in text
    assert "\r" not in text.split("\n", 1)[0]
    told = {row["Id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    for record in sandbox.truth("acme-robotics", "Contact"):
        if record["deleted"]:
            assert record["id"] not in told
            continue
        row, fields = told[record["id"]], record["fields"]
        assert row["Name"] == fields["Name"]
        assert row["Description"] == (fields["Description"] or "")
        assert row["Strategic__c"] == ("true" if fields["Strategic__c"] else "false")
        assert row["ARR__c"] == ("" if fields["ARR__c"] is None else repr(fields["ARR__c"]))
        assert row["SystemModstamp"] == fields["SystemModstamp"].replace("+0000", "Z")


def test_other_delimiters_and_line_endings(salesforce, finished):
    made = finished(query="SELECT Id, Name FROM User", columnDelimiter="PIPE", lineEnding="CRLF")
    assert result(salesforce, made).text.startswith('"Id"|"Name"\r\n"005')


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Id, MailingAddress FROM Contact", "API_ERROR"),
        ("SELECT COUNT() FROM Contact", "API_ERROR"),
        ("SELECT Id FROM Contact OFFSET 5", "API_ERROR"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("nonsense", "MALFORMED_QUERY"),
    ],
)
def test_what_bulk_cannot_do_is_refused_at_once(job, query, code):
    answer = job(query=query)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


def test_a_job_can_be_listed_aborted_and_deleted(salesforce, job, finished):
    made, done = job().json(), finished()
    assert {known["id"] for known in salesforce.get(JOBS).json()["records"]} == {made["id"], done["id"]}
    assert salesforce.delete(f"{JOBS}/{made['id']}").status_code == 400
    assert salesforce.patch(f"{JOBS}/{made['id']}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert salesforce.delete(f"{JOBS}/{made['id']}").status_code == 204
    assert salesforce.get(f"{JOBS}/{made['id']}").status_code == 404
    assert salesforce.patch(f"{JOBS}/{done['id']}", json={"state": "Aborted"}).status_code == 400


def test_a_result_is_frozen_when_the_job_is_made(sandbox, salesforce, finished):
    before = [record["id"] for record in sandbox.truth("acme-robotics", "Contact") if not record["deleted"]]
    made = finished(query="SELECT Id FROM Contact ORDER BY Id")
    sandbox.change("acme-robotics", "Contact", created=5)
    assert [line.strip('"') for line in result(salesforce, made).text.splitlines()[1:]] == before


def test_faults_of_jobs(sandbox, job, finished, salesforce):
    sandbox.fault("acme-robotics", "bulk_limit", times=1)
    assert job().json()[0]["errorCode"] == "LIMIT_EXCEEDED"
    sandbox.fault("acme-robotics", "bulk_job_fails", object="Contact", times=1)
    failed = finished()
    assert failed["state"] == "Failed"
    assert failed["errorMessage"]
    sandbox.fault("acme-robotics", "slow_job", polls=2, times=1)
    made = job().json()
    states = [salesforce.get(f"{JOBS}/{made['id']}").json()["state"] for _ in range(4)]
    assert states == ["InProgress", "InProgress", "JobComplete", "JobComplete"]
    sandbox.fault("acme-robotics", "expired_locator", times=1)
    assert salesforce.get(f"{JOBS}/{made['id']}/results").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
    sandbox.fault("acme-robotics", "repeated_page_token", times=1)
    first = result(salesforce, made, maxRecords=10)
    again = result(salesforce, made, maxRecords=10, locator=first.headers["Sforce-Locator"])
    assert again.text == first.text
    sandbox.fault("acme-robotics", "duplicate_id", times=1)
    lines = result(salesforce, made, maxRecords=10).text.splitlines()
    assert lines.count(lines[1]) == 2


def test_a_result_stands_still_when_a_record_of_it_is_purged(sandbox, salesforce, finished):
    made = finished(query="SELECT Id, Name FROM Contact ORDER BY Id LIMIT 5")
    before = result(salesforce, made).text
    id = list(csv.reader(io.StringIO(before)))[3][0]
    sandbox.record("acme-robotics", "Contact", operation="purge", id=id)
    after = result(salesforce, made)
    assert (after.text, after.headers["Sforce-NumberOfRecords"]) == (before, "5")
    assert id not in result(salesforce, finished(query="SELECT Id FROM Contact")).text
