"""Vendors' deliveries over real HTTP: who is believed, what is kept, and what a store that is away means."""

import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from hubspot.utils.signature import Signature

from sync_pipelines.api.refusals import Refusals
from sync_pipelines.incoming import address_of
from sync_pipelines.project import open_project
from sync_pipelines.side_changes import change_side, make_side
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.providers.test_hubspot_webhooks import event
from sync_pipelines_tests.providers.test_salesforce_outbound_messages import CONTACT, message

PUBLIC = "https://sync.example.com"


@pytest.fixture
def receiving(place, served):
    """The API behind a proxy with another name, with one connection of each vendor that knows its account."""
    place.options["public_url"] = PUBLIC + "/"
    place.open()
    project = place.project
    accounts = {account.id: account for account in place.connect()}
    place.accounts = accounts
    for customer, account in accounts.items():
        found = project.store.connections.find(customer, account.vendor)
        project.store.connections.set_account(found, account.account_id)
    return served()


def portal(api, customer):
    return int(api.place.accounts[customer].account_id)


def hubspot(api, *events, body=None, url=f"{PUBLIC}/webhooks/hubspot", secret=None, at=None):
    body = json.dumps(events).encode() if body is None else body
    stamp = str(int((at or datetime.now(UTC)).timestamp() * 1000))
    secret = secret or api.place.environ["CLIENT_SECRET"]
    made = Signature.get_signature(secret, body.decode(), "v3", url, "POST", stamp)
    headers = {"X-HubSpot-Signature-v3": made, "X-HubSpot-Request-Timestamp": stamp}
    return httpx.post(f"{api.url}/webhooks/hubspot", content=body, headers=headers, timeout=60)


def waiting(api, customer, name="contact", vendor="hubspot"):
    store = api.place.project.store
    connection = store.connections.find(customer, vendor)
    return [each.record_id for each in store.vendor_events.waiting(connection.id, name, 1_000)]


def customers_of(api, vendor):
    return sorted(id for id, account in api.place.accounts.items() if account.vendor == vendor)


def test_events_of_one_delivery_go_to_their_accounts_and_unknown_ones_are_counted_and_dropped(receiving):
    first, second = customers_of(receiving, "hubspot")[:2]
    answer = hubspot(
        receiving,
        event(portalId=portal(receiving, first), objectId=1),
        event(portalId=portal(receiving, second), objectId=2),
        event(portalId=999_999, objectId=3),
    )
    assert (answer.status_code, answer.text) == (200, "")
    assert (waiting(receiving, first), waiting(receiving, second)) == (["1"], ["2"])
    with receiving.as_("syncs:read") as client:
        (standing,) = client.get("/health/events").json()["items"]
    assert (standing["provider"], standing["waiting"], standing["unknown"]) == ("hubspot", 2, 1)


def test_a_delivery_that_is_not_the_vendors_is_refused_and_leaves_nothing(receiving):
    known = portal(receiving, customers_of(receiving, "hubspot")[0])
    local = f"{receiving.url}/webhooks/hubspot"
    old = datetime.fromtimestamp(1_700_000_000, UTC)
    for answer in (
        hubspot(receiving, event(portalId=known), secret="wrong"),
        hubspot(receiving, event(portalId=known), url=local),
        hubspot(receiving, event(portalId=known), at=old),
        httpx.post(local, json=[event(portalId=known)]),
    ):
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert receiving.place.environ["CLIENT_SECRET"] not in answer.text
    assert hubspot(receiving, body=b'[{"portalId":1}]').status_code == 422
    assert receiving.place.project.store.vendor_events.groups(10) == []
    assert refused_of(receiving.place, lambda count: count == 4) == 4


def test_a_provider_that_another_process_made_or_changed_is_known_by_its_secret_of_now(place, served):
    (place.folder / "providers" / "hubspot.yaml").unlink()
    place.options["public_url"] = PUBLIC + "/"
    place.open()
    api, other = served(), open_project(place.settings(), place.environ)
    made = {"provider_name": "hubspot", "oauth": {"client_id": "app", "client_secret": "of-the-app"}}
    changed = {**made, "oauth": {**made["oauth"], "client_secret": "of-today"}}
    try:
        assert hubspot(api, event(), secret="of-the-app").status_code == 404
        make_side(other, "providers", made, actor="test")
        assert hubspot(api, event(), secret="of-the-app").status_code == 200
        change_side(other, "providers", "hubspot", changed, actor="test")
        assert hubspot(api, event(), secret="of-the-app").status_code == 401
        assert hubspot(api, event(), secret="of-today").status_code == 200
    finally:
        other.close()


def refused_of(place, enough):
    """Deliveries of HubSpot's that were refused; they are in the store a little later."""
    deadline = time.monotonic() + 60
    while True:
        count = sum(each.refused for each in place.project.store.vendor_events.standing())
        if enough(count) or time.monotonic() > deadline:
            return count
        time.sleep(0.05)


def test_who_sends_what_no_vendor_sent_is_slowed_down_and_the_vendor_is_not(place, served, monkeypatch):
    place.options |= {"api_stranger_burst": 3, "api_strangers_per_second": 0.001, "public_url": PUBLIC}
    place.open()
    writes = []
    count = place.project.store.vendor_events.refused

    def counting(provider, amount=1):
        writes.append(amount)
        count(provider, amount)

    monkeypatch.setattr(place.project.store.vendor_events, "refused", counting)
    api = served()
    with httpx.Client(base_url=api.url, timeout=60) as client:
        found = [client.post("/webhooks/hubspot", content=b"[]").status_code for _ in range(40)]
        assert found == [401] * 3 + [429] * 37
        for path in ("/webhooks/nobody", "/webhooks/salesforce", "/webhooks/salesforce/1-0", "/connect/open/guessed"):
            answer = client.post(path, content=b"[]")
            assert (answer.status_code, int(answer.headers["retry-after"]) > 100) == (429, True), path
        for path in ("/connect/", "/connect/open/guessed", "/connect/callback?state=guessed", "/connect/nowhere"):
            assert client.get(path, headers={"Cookie": "sp_connect=guessed"}).status_code == 429, path
    assert hubspot(api, event(portalId=1)).status_code == 200
    assert refused_of(place, lambda count: count >= 40) == 41
    assert len(writes) < 40


def test_refusals_are_counted_once_however_long_the_store_is_away(place):
    refusals = Refusals(place.project)
    with place.store.connect() as database:
        database.execute("ALTER TABLE vendor_event_days RENAME TO away")
        database.commit()
        refusals.add("hubspot")
        refusals.write()
        database.execute("ALTER TABLE away RENAME TO vendor_event_days")
    refusals.add("hubspot")
    refusals.write()
    refusals.write()
    (standing,) = place.project.store.vendor_events.standing()
    assert standing.refused == 2


def salesforce(api, customer, body, address=None):
    project = api.place.project
    address = address or address_of(project, project.store.connections.get(customer, "salesforce"))
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    return httpx.post(f"{api.url}/webhooks/salesforce/{address}", content=body, headers=headers, timeout=60)


def test_a_message_to_a_connections_own_address_is_stored_and_acknowledged_and_the_address_not_logged(
    receiving, caplog
):
    org = receiving.place.accounts[ACME].account_id
    with caplog.at_level("DEBUG"):
        answer = salesforce(receiving, ACME, message(CONTACT, org=org))
    own = [record.getMessage() for record in caplog.records if record.name.startswith("sync_pipelines")]
    assert any("POST /webhooks/salesforce/*** -> 200" in text for text in own)
    address = address_of(receiving.place.project, receiving.place.project.store.connections.get(ACME, "salesforce"))
    assert not any(address in text for text in own)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert "<Ack>true</Ack>" in answer.text
    assert waiting(receiving, ACME, "Contact", "salesforce") == [CONTACT]
    assert waiting(receiving, BRIGHTWATER, "Contact", "salesforce") == []


def test_an_address_takes_messages_of_its_own_account_alone(receiving):
    of_acme = message(CONTACT, org=receiving.place.accounts[ACME].account_id)
    store = receiving.place.project.store
    address = address_of(receiving.place.project, store.connections.get(ACME, "salesforce"))
    of_lumen = store.connections.get(customers_of(receiving, "hubspot")[0], "hubspot")
    assert salesforce(receiving, BRIGHTWATER, of_acme).status_code == 403
    for wrong in (address[:-1] + "g", address.partition("-")[0], "x", f"99{address}", f"{of_lumen.id}-{'0' * 64}"):
        assert salesforce(receiving, ACME, of_acme, wrong).status_code == 404
    assert salesforce(receiving, ACME, b"<!DOCTYPE x><x/>").status_code == 422
    assert httpx.post(f"{receiving.url}/webhooks/salesforce", content=of_acme).status_code == 404
    assert httpx.post(f"{receiving.url}/webhooks/hubspot/{address}", content=of_acme).status_code == 404
    assert httpx.post(f"{receiving.url}/webhooks/nobody", content=b"[]").status_code == 404
    assert store.vendor_events.groups(10) == []


def test_a_body_that_is_too_large_is_refused_and_a_store_that_is_away_means_try_again(receiving):
    assert hubspot(receiving, body=b"[" + b" " * 1_000_001 + b"]").status_code == 413
    known = portal(receiving, customers_of(receiving, "hubspot")[0])
    with receiving.place.store.connect() as database:
        database.execute("ALTER TABLE vendor_events RENAME TO away")
        answer = hubspot(receiving, event(portalId=known))
        database.execute("ALTER TABLE away RENAME TO vendor_events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert hubspot(receiving, event(portalId=known)).status_code == 200


def test_forgetting_a_connection_forgets_what_its_vendor_told(receiving):
    customer = customers_of(receiving, "hubspot")[0]
    hubspot(receiving, event(portalId=portal(receiving, customer)))
    store = receiving.place.project.store
    store.connections.disconnect(store.connections.get(customer, "hubspot"))
    assert store.vendor_events.standing() == []
