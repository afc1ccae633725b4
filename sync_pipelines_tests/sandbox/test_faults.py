"""Faults that are switched on happen, to whom and as often as told."""

import time

import httpx
import pytest

from sync_pipelines.sandbox.control import SandboxError

from .conftest import API, Caller

CONTACTS = {
    "salesforce": (f"{API}/query", {"q": "SELECT Id, Name FROM Contact"}),
    "hubspot": ("/crm/v3/objects/contacts", {}),
}


@pytest.fixture(params=["acme-robotics", "lumen-bakery"])
def caller(request, sandbox):
    with Caller(sandbox.account(request.param), timeout=5) as caller:
        yield caller


def ask(caller):
    path, params = CONTACTS[caller.account.vendor]
    return caller.get(path, params=params)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503])
def test_a_status_as_often_as_told(sandbox, caller, status):
    sandbox.fault(caller.account.id, "status", status=status, times=2)
    assert [ask(caller).status_code for _ in range(3)] == [status, status, 200]


def test_a_status_may_have_no_body(sandbox, caller):
    sandbox.fault(caller.account.id, "status", status=503, empty=True, times=1)
    assert ask(caller).content == b""


def test_rate_limits_with_and_without_a_time(sandbox, caller):
    sandbox.fault(caller.account.id, "rate_limit", times=1)
    sandbox.fault(caller.account.id, "rate_limit", retry_after=7, times=1)
    bare, timed = ask(caller), ask(caller)
    assert "Retry-After" not in bare.headers
    assert timed.status_code == 429
    assert timed.headers["Retry-After"] == "7"
    if caller.account.vendor == "hubspot":
        assert (bare.status_code, bare.json()["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    else:
        assert (bare.status_code, bare.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


def test_html_with_any_status(sandbox, caller):
    sandbox.fault(caller.account.id, "html", times=1)
    sandbox.fault(caller.account.id, "html", status=502, times=1)
    for status in (200, 502):
        answer = ask(caller)
        assert answer.status_code == status
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.text.startswith("<!DOCTYPE html>")


def test_json_that_ends_in_the_middle(sandbox, caller):
    sandbox.fault(caller.account.id, "cut_json", times=1)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        ask(caller).json()
    assert ask(caller).json()


def test_a_body_shorter_than_promised(sandbox, caller):
    sandbox.fault(caller.account.id, "truncated", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(caller)
    assert ask(caller).status_code == 200


def test_a_line_that_is_reset(sandbox, caller):
    sandbox.fault(caller.account.id, "reset", times=1)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        ask(caller)
    assert ask(caller).status_code == 200


def test_a_slow_answer(sandbox, caller):
    sandbox.fault(caller.account.id, "slow", seconds=0.2, times=1)
    began = time.monotonic()
    assert ask(caller).status_code == 200
    assert time.monotonic() - began >= 0.2


def test_a_token_that_ends_in_the_middle(sandbox, caller):
    sandbox.fault(caller.account.id, "token_expired", times=1, after=1)
    assert [ask(caller).status_code for _ in range(3)] == [200, 401, 200]


def test_a_refused_refresh(sandbox, caller):
    sandbox.fault(caller.account.id, "refresh_refused", path="token", times=1)
    account = caller.account
    path = "/services/oauth2/token" if account.vendor == "salesforce" else "/oauth/v1/token"
    form = {
        "grant_type": "refresh_token", "client_id": account.client_id, "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
    }  # fmt: skip
    statuses = [httpx.post(account.login_url + path, data=form, trust_env=False).status_code for _ in range(2)]
    assert statuses == [400, 200]


def test_a_missing_scope(sandbox, caller):
    sandbox.fault(caller.account.id, "missing_scope", scope="crm.objects.contacts.read", times=1)
    answer = ask(caller)
    assert answer.status_code == 403
    if caller.account.vendor == "hubspot":
        assert answer.json()["category"] == "MISSING_SCOPES"
        (problem,) = answer.json()["errors"]
        assert problem["context"] == {"requiredScopes": ["crm.objects.contacts.read"]}


def test_a_fault_is_for_one_account_path_and_object(sandbox, caller):
    sandbox.fault(caller.account.id, "status", status=500, path=r"GET .*/nowhere")
    sandbox.fault(caller.account.id, "status", status=500, object="tickets")
    sandbox.fault("quill-media", "status", status=500)
    assert ask(caller).status_code == 200
    if caller.account.vendor == "hubspot":
        assert caller.get("/crm/v3/objects/tickets").status_code == 500
    sandbox.clear_faults(caller.account.id)
    assert [fault["account"] for fault in sandbox.faults()["on"]] == ["quill-media"]


def test_an_unknown_fault_is_refused_with_the_known_ones(sandbox):
    with pytest.raises(SandboxError, match="rate_limit"):
        sandbox.fault("acme-robotics", "gremlins")
    with pytest.raises(SandboxError, match="acme-robotics"):
        sandbox.fault("nobody", "status")


def test_pages_that_lead_to_themselves(sandbox, salesforce, hubspot):
    sandbox.fault("lumen-bakery", "repeated_page_token", object="contacts")
    first = hubspot.get("/crm/v3/objects/contacts").json()
    again = hubspot.get("/crm/v3/objects/contacts", params={"after": first["paging"]["next"]["after"]}).json()
    assert again == first
    sandbox.fault("acme-robotics", "repeated_page_token")
    headers = {"Sforce-Query-Options": "batchSize=200"}
    first = salesforce.get(f"{API}/query", params={"q": "SELECT Id FROM Contact"}, headers=headers).json()
    again = salesforce.get(first["nextRecordsUrl"]).json()
    assert again["records"] == salesforce.get(again["nextRecordsUrl"]).json()["records"]


def test_records_without_or_with_the_same_id(sandbox, caller):
    key, wanted = ("records", "Id") if caller.account.vendor == "salesforce" else ("results", "id")
    sandbox.fault(caller.account.id, "record_without_id", times=1)
    records = ask(caller).json()[key]
    assert [wanted in record for record in records[:2]] == [False, True]
    sandbox.fault(caller.account.id, "duplicate_id", times=1)
    records = ask(caller).json()[key]
    assert records[0] == records[-1]


def test_lone_surrogates_and_nul(sandbox, caller):
    field = "Name" if caller.account.vendor == "salesforce" else "firstname"
    sandbox.fault(caller.account.id, "surrogates", field=field, times=1)
    assert rb"\ud83d\u0000" in ask(caller).content


def test_short_pages(sandbox, salesforce, hubspot):
    sandbox.fault("acme-robotics", "short_pages", size=7)
    sandbox.fault("lumen-bakery", "short_pages", size=3)
    page = salesforce.get(f"{API}/query", params={"q": "SELECT Id FROM Contact"}).json()
    assert len(page["records"]) == 7
    assert len(salesforce.get(page["nextRecordsUrl"]).json()["records"]) == 7
    assert len(hubspot.get("/crm/v3/objects/contacts", params={"limit": 100}).json()["results"]) == 3


@pytest.mark.parametrize(
    ("where", "described", "served"), [("both", False, False), ("describe", False, True), ("data", True, False)]
)
def test_a_field_vanishes(sandbox, salesforce, hubspot, where, described, served):
    sandbox.fault("acme-robotics", "field_vanished", object="Contact", field="ARR__c", where=where)
    sandbox.fault("lumen-bakery", "field_vanished", object="contacts", field="arr", where=where)
    fields = [field["name"] for field in salesforce.get(f"{API}/sobjects/Contact/describe").json()["fields"]]
    assert ("ARR__c" in fields) == described
    answer = salesforce.get(f"{API}/query", params={"q": "SELECT Id, ARR__c FROM Contact LIMIT 1"})
    assert (answer.status_code == 200) == served
    names = [known["name"] for known in hubspot.get("/crm/v3/properties/contacts").json()["results"]]
    assert ("arr" in names) == described
    record = hubspot.get("/crm/v3/objects/contacts", params={"properties": "arr"}).json()["results"][0]
    assert ("arr" in record["properties"]) == served
    assert ("arr" in next(sandbox.truth("lumen-bakery", "contacts"))["fields"]) == served


def test_a_field_changes_its_type(sandbox, salesforce):
    sandbox.fault("acme-robotics", "field_type_changed", object="Contact", field="ARR__c", type="string", text=True)
    told = salesforce.get(f"{API}/sobjects/Contact/describe").json()["fields"]
    assert next(field["type"] for field in told if field["name"] == "ARR__c") == "string"
    query = "SELECT ARR__c FROM Contact WHERE ARR__c != null LIMIT 5"
    records = salesforce.get(f"{API}/query", params={"q": query}).json()["records"]
    assert all(isinstance(record["ARR__c"], str) for record in records)


def test_hostile_field_names(sandbox, salesforce, hubspot):
    names = sandbox.fault("acme-robotics", "hostile_fields", object="Employee__c")["fields"]
    assert max(len(name) for name in names) == 5000
    described = [field["name"] for field in salesforce.get(f"{API}/sobjects/Employee__c/describe").json()["fields"]]
    assert set(names) <= set(described)
    query = f"SELECT Id, {', '.join(names)} FROM Employee__c"
    record = salesforce.get(f"{API}/query", params={"q": query}).json()["records"][0]
    assert set(names) <= set(record)
    assert all(record[name].startswith("value of") for name in names)
    names = sandbox.fault("lumen-bakery", "hostile_fields", object="tickets")["fields"]
    record = hubspot.get("/crm/v3/objects/tickets", params={"properties": names}).json()["results"][0]
    assert set(names) <= set(record["properties"])


def test_many_wide_fields_need_more_than_one_address(sandbox, hubspot):
    names = sandbox.fault("lumen-bakery", "hostile_fields", object="tickets", count=400, length=60)["fields"]
    assert len(names) == 400
    assert {len(name) for name in names} == {60}
    described = hubspot.get("/crm/v3/properties/tickets").json()["results"]
    assert set(names) <= {known["name"] for known in described}
    assert hubspot.get("/crm/v3/objects/tickets", params={"properties": ",".join(names)}).status_code == 414
    assert hubspot.get("/crm/v3/objects/tickets", params={"properties": ",".join(names[:200])}).status_code == 200
