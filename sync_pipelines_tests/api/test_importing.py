"""Customers who are connected by API with tokens that the product has."""

import pytest

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL

CONNECTIONS = "/connections"


@pytest.fixture
def unconnected(place, served):
    place.write_sync()
    api = served()
    with api.as_() as client:
        yield place, api, client


def body_of(control, customer=ACME, **more):
    """An import of new tokens of a customer's account."""
    tokens = control.new_tokens(customer)
    return {"customer_id": customer, "provider": "salesforce", "refresh_token": tokens["refresh_token"], **more}


def asked(control, customer=ACME):
    return len(control.calls(customer))


def test_tokens_are_tried_out_kept_and_told_nobody(unconnected, caplog):
    place, _, client = unconnected
    caplog.set_level("DEBUG")
    control, store = place.control, place.project.store
    account = control.account(ACME)
    sent = body_of(control, access_token="not-looked-at", environment="production")
    answer = client.post(CONNECTIONS, json=sent)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/v1/connections/{ACME}/salesforce"
    assert answer.json() == client.get(answer.headers["location"].removeprefix("/api/v1")).json()
    assert (answer.json()["status"], answer.json()["account_id"]) == ("connected", account.account_id)
    assert [each.customer_id for each in store.due.list("crm")] == [ACME]
    # The refresh token is kept, though the vendor does not repeat it.
    control.revoke_tokens(ACME, "access")
    assert place.sync_one(ACME).status == "success"

    again = body_of(control, access_token=control.new_tokens(ACME)["access_token"], api_url=account.api_url)
    assert client.post(CONNECTIONS, json=again).status_code == 201
    access_alone = {name: value for name, value in again.items() if name != "refresh_token"}
    assert client.post(CONNECTIONS, json=access_alone).status_code == 201
    told = [(each.action, each.actor) for each in store.audit.list(f"connection {ACME}/salesforce")]
    assert sorted(told) == [("connect", "api:test"), ("reconnect", "api:test"), ("reconnect", "api:test")]
    with place.store.connect() as database:
        tables = ("audit", "connections", "credentials", "events", "requests")
        stored = str([database.execute(f"SELECT CAST(t AS text) FROM {name} t").fetchall() for name in tables])
    for secret in (sent["refresh_token"], again["refresh_token"], again["access_token"], "not-looked-at"):
        assert secret not in stored + caplog.text + answer.text


def test_a_repeated_key_connects_nothing_anew(unconnected):
    place, api, client = unconnected
    control, key = place.control, {"Idempotency-Key": "one"}
    body = body_of(control)
    first = client.post(CONNECTIONS, json=body, headers=key)
    assert (first.status_code, first.headers.get("idempotent-replayed")) == (201, None)
    before = asked(control)
    control.revoke_tokens(ACME)
    second = client.post(CONNECTIONS, json=body, headers=key)
    assert (second.status_code, second.headers["idempotent-replayed"], second.json()) == (201, "true", first.json())
    assert asked(control) == before
    for other in (body_of(control), body_of(control, KESTREL), {**body, "environment": "production"}):
        assert "another connection" in refused(client.post(CONNECTIONS, json=other, headers=key), 409)
    # Connected otherwise, the key still stands for what it made, and old tokens replace nothing.
    newer = body_of(control)
    assert client.post(CONNECTIONS, json=newer).status_code == 201
    assert client.post(CONNECTIONS, json=body, headers=key).headers["idempotent-replayed"] == "true"
    assert client.post(f"{CONNECTIONS}/{ACME}/salesforce/test").status_code == 200
    assert client.delete(f"{CONNECTIONS}/{ACME}/salesforce").status_code == 200
    refused(client.post(CONNECTIONS, json=body, headers=key), 422)
    assert client.post(CONNECTIONS, json=body_of(control), headers=key).headers.get("idempotent-replayed") is None
    with api.as_() as other_token:
        assert other_token.post(CONNECTIONS, json=body_of(control), headers=key).status_code == 201


def test_what_cannot_be_connected_says_why_and_stores_nothing(unconnected):
    place, api, client = unconnected
    control = place.control
    right = body_of(control)
    plain = {"customer_id": ACME, "provider": "salesforce"}
    asked_before = asked(control)
    for body, message in (
        (plain, "access_token or refresh_token"),
        ({**plain, "access_token": "secret-and-alone"}, "send its api_url"),
        ({**plain, "refresh_token": "secret with spaces"}, "printable"),
        ({**right, "api_url": "https://secret.example"}, "no address of Salesforce"),
        ({**right, "api_url": "http://[secret"}, "no address of Salesforce"),
        ({**right, "login_url": "https://login.example"}, "no login page of Salesforce"),
        ({**right, "password": "secret"}, "password"),
        ({**right, "customer_id": "a/b"}, "cannot be a customer's id"),
    ):
        answer = client.post(CONNECTIONS, json=body)
        assert message in refused(answer, 422)
        assert "secret" not in answer.text
    assert asked(control) == asked_before
    refused(client.post(CONNECTIONS, json={**right, "provider": "pipedrive"}), 404)
    with api.as_(customer_id=BRIGHTWATER) as bound:
        refused(bound.post(CONNECTIONS, json=right), 404)
    answer = client.post(CONNECTIONS, json={**plain, "refresh_token": "secret-of-nobody"})
    assert "does not take these tokens" in refused(answer, 422)
    assert "secret" not in answer.text
    control.fault(ACME, "status", status=400, path="/userinfo")
    refused(client.post(CONNECTIONS, json=right), 502)
    control.clear_faults()
    with place.project.store.leases.hold("connecting", ACME, "salesforce"):
        assert "repeat it" in refused(client.post(CONNECTIONS, json=right), 409)
    assert client.get(CONNECTIONS).json()["items"] == []

    assert client.post(CONNECTIONS, json=right).status_code == 201
    others = {**body_of(control, BRIGHTWATER), "customer_id": ACME}
    assert "another account" in refused(client.post(CONNECTIONS, json=others), 409)
    account = control.account(ACME).account_id
    assert [each["account_id"] for each in client.get(CONNECTIONS).json()["items"]] == [account]
