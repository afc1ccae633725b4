"""Salesforce: query, queryAll and their pages."""

import pytest

from .conftest import API


def ids(pages):
    return [record["Id"] for page in pages for record in page["records"]]


def live(sandbox, object="Contact"):
    return [record["id"] for record in sandbox.truth("acme-robotics", object) if not record["deleted"]]


@pytest.mark.parametrize(("limit", "pages"), [(199, 1), (200, 1), (201, 2), (400, 2)])
def test_pages_end_exactly_where_the_records_do(sandbox, soql, limit, pages):
    sandbox.change("acme-robotics", "Contact", created=20)
    found = soql(f"SELECT Id FROM Contact ORDER BY Id LIMIT {limit}", batch=200)
    assert len(found) == pages
    assert ids(found) == live(sandbox)[:limit]
    assert {page["totalSize"] for page in found} == {limit}
    assert [page["done"] for page in found] == [False] * (pages - 1) + [True]


def test_a_record_begins_with_its_attributes_and_keeps_the_asked_order(soql):
    record = soql("SELECT lastname, Id, MailingAddress, ARR__C FROM contact ORDER BY Id LIMIT 1")[0]["records"][0]
    assert list(record) == ["attributes", "LastName", "Id", "MailingAddress", "ARR__c"]
    assert record["attributes"] == {"type": "Contact", "url": f"{API}/sobjects/Contact/{record['Id']}"}
    assert set(record["MailingAddress"]) >= {"street", "city", "state", "postalCode", "country"}


def test_values_are_those_of_the_world(sandbox, soql):
    found = soql("SELECT Id, Name, ARR__c, Strategic__c, Description, SystemModstamp FROM Contact ORDER BY Id")
    told = {record["Id"]: record for page in found for record in page["records"]}
    for record in sandbox.truth("acme-robotics", "Contact"):
        if not record["deleted"]:
            for name in ("Name", "ARR__c", "Strategic__c", "Description", "SystemModstamp"):
                assert told[record["id"]][name] == record["fields"][name]


def test_only_query_all_shows_the_recycle_bin_and_its_pages_stay_so(sandbox, soql):
    found = soql("SELECT Id, IsDeleted, MasterRecordId FROM Contact ORDER BY Id", "queryAll", batch=200)
    assert ids(found) == [record["id"] for record in sandbox.truth("acme-robotics", "Contact")]
    assert "/query/" in found[0]["nextRecordsUrl"]
    merged = [record for page in found for record in page["records"] if record["MasterRecordId"]]
    assert merged
    assert all(record["IsDeleted"] for record in merged)
    assert ids(soql("SELECT Id FROM Contact ORDER BY Id")) == live(sandbox)


def test_a_locator_keeps_the_records_that_were_there_when_it_was_asked(sandbox, salesforce):
    before = live(sandbox)
    first = salesforce.get(
        f"{API}/query",
        params={"q": "SELECT Id FROM Contact ORDER BY Id"},
        headers={"Sforce-Query-Options": "batchSize=200"},
    ).json()
    sandbox.change("acme-robotics", "Contact", created=30, deleted=5)
    second = salesforce.get(first["nextRecordsUrl"]).json()
    assert ids([first, second]) == before
    assert second["totalSize"] == len(before)


def test_a_locator_ends_after_two_days(sandbox, salesforce):
    first = salesforce.get(
        f"{API}/query", params={"q": "SELECT Id FROM Contact"}, headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()
    sandbox.clock(advance=2 * 86_400 + 1)
    headers = {"Authorization": f"Bearer {sandbox.new_tokens('acme-robotics')['access_token']}"}
    answer = salesforce.get(first["nextRecordsUrl"], headers=headers)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


@pytest.mark.parametrize("name", ["query/0r8nonsense-2000", "query/0r8Hs0000000001AAA", "query/0r8Hs0000000001AAA-x"])
def test_an_unknown_locator_is_refused(salesforce, name):
    answer = salesforce.get(f"{API}/{name}")
    assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_keyset_pages_through_ties_lose_nothing(sandbox, soql):
    tied = sandbox.ties("acme-robotics", "Contact", 250, "2026-09-01T00:00:00Z")
    found, last = [], None
    while True:
        where = "SystemModstamp >= 2026-09-01T00:00:00Z"
        if last is not None:
            moment, id = last
            where = f"(SystemModstamp = {moment} AND Id > '{id}') OR SystemModstamp > {moment}"
        page = soql(f"SELECT Id, SystemModstamp FROM Contact WHERE {where} ORDER BY SystemModstamp, Id LIMIT 60")[0]
        if not page["records"]:
            break
        found += ids([page])
        last = page["records"][-1]["SystemModstamp"], page["records"][-1]["Id"]
    assert len(set(found)) == len(found)
    assert set(tied) <= set(found)


def test_count(sandbox, salesforce):
    answer = salesforce.get(f"{API}/query", params={"q": "SELECT COUNT() FROM Contact"}).json()
    assert answer == {"totalSize": len(live(sandbox)), "done": True, "records": []}


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("SELECT Id, Nope FROM Contact", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'."),
        ("SELECT Id FROM Contact WHERE Nope = 1", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'."),
        ("SELECT Id FROM Contact ORDER BY Nope", "INVALID_FIELD", "No such column 'Nope' on entity 'Contact'."),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported."),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Id, Id FROM Contact", "MALFORMED_QUERY", "duplicate field selected: Id"),
        ("SELECT Id FROM Contact WHERE ARR__c = 'x'", "INVALID_FIELD", "must be of type currency"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Id FROM Contact WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: x"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"),
        ("", "MALFORMED_QUERY", "missing"),
    ],
)
def test_errors_are_an_array_in_the_vendors_words(salesforce, query, code, said):
    answer = salesforce.get(f"{API}/query", params={"q": query})
    assert answer.status_code == 400
    assert [error["errorCode"] for error in answer.json()] == [code]
    assert said in answer.json()[0]["message"]


@pytest.mark.parametrize(("length", "status"), [(15_000, 200), (17_000, 414)])
def test_a_target_above_sixteen_kilobytes_is_too_long(salesforce, length, status):
    query = f"SELECT Id FROM Contact WHERE LastName = '{'x' * length}'"
    assert salesforce.get(f"{API}/query", params={"q": query}).status_code == status


def test_every_answer_tells_the_quota_and_the_vendors_time(sandbox, salesforce):
    sandbox.clock(frozen=True, set="2026-10-01T10:00:00Z")
    sandbox.settings("acme-robotics", daily_limit=5000, daily_used=17)
    headers = {"Authorization": f"Bearer {sandbox.new_tokens('acme-robotics')['access_token']}"}
    answer = salesforce.get(f"{API}/query", params={"q": "SELECT Id FROM User"}, headers=headers)
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=18/5000"
    assert answer.headers["Date"] == "Thu, 01 Oct 2026 10:00:00 GMT"
    sandbox.clock(frozen=False)


def test_a_used_up_quota_refuses_until_it_is_raised(sandbox, salesforce):
    sandbox.settings("acme-robotics", daily_limit=1, daily_used=1)
    answer = salesforce.get(f"{API}/query", params={"q": "SELECT Id FROM User"})
    assert answer.status_code == 403
    assert answer.json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert "Retry-After" not in answer.headers


def test_ids_of_fifteen_characters_and_of_other_objects_compare(sandbox, soql):
    contacts = live(sandbox)
    user = live(sandbox, "User")[0]
    assert ids(soql(f"SELECT Id FROM Contact WHERE Id = '{contacts[3][:15]}'")) == [contacts[3]]
    assert ids(soql("SELECT Id FROM Contact WHERE Id > '' ORDER BY Id")) == contacts
    assert ids(soql("SELECT Id FROM Contact WHERE Id > '000000000000000000' ORDER BY Id")) == contacts
    assert ids(soql(f"SELECT Id FROM Contact WHERE Id > '{user}'")) == []
    owned = soql(f"SELECT Id FROM Contact WHERE OwnerId = '{user[:15]}' AND Id IN ('{contacts[0]}', '{contacts[1]}')")
    assert set(ids(owned)) <= set(contacts[:2])
