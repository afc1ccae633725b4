import pytest

from sync_pipelines.model.errors import ConfigurationError, Reauthorize
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.sync import Schedule
from sync_pipelines_tests.store.conftest import sync_of


def test_a_connection_is_found_by_customer_and_provider(store, connect):
    acme = connect("acme", environment="sandbox", api_url="https://acme.example")
    globex = connect("globex")
    other = connect("acme", provider="hubspot")

    assert store.connections.get("acme", "salesforce") == acme
    assert store.connections.list() == [other, acme, globex]
    assert store.connections.list(provider="salesforce", customers=["globex", "nobody"]) == [globex]
    assert store.connections.list(customer_id="acme", status="connected") == [other, acme]
    assert store.connections.find("globex", "hubspot") is None
    assert (acme.environment, acme.api_url, acme.status) == ("sandbox", "https://acme.example", "connected")


def test_a_connection_that_is_missing_is_told_with_the_command_that_makes_it(store):
    with pytest.raises(ConfigurationError, match="sync-pipelines connect hubspot acme"):
        store.connections.get("acme", "hubspot")


def test_reconnecting_keeps_the_connection_and_replaces_the_tokens(store, connect):
    first = connect()
    store.connections.set_account(first, "00D1")
    store.credentials(first).expire("revoked")

    second = connect(access="access-2", refresh="refresh-2")

    assert (second.id, second.status, second.status_reason, second.account_id) == (first.id, "connected", "", "00D1")
    assert store.credentials(second).read().access_token.reveal() == "access-2"


def test_reconnecting_makes_what_waited_due_now(store, connect, now):
    acme = connect()
    store.due.plan([sync_of(), sync_of("on_request", schedule=Schedule())], now=now)
    (claim,) = store.due.claim(now)
    store.credentials(acme).expire("revoked")
    assert store.due.claim(now.replace(hour=23)) == []

    connect()

    planned = {work.sync: work.next_at for work in store.due.list()}
    assert planned["crm"] is not None
    assert planned["on_request"] is None
    assert [again.sync for again in store.due.claim()] == ["crm"]
    assert store.due.get(claim.id) is None


@pytest.mark.parametrize(
    "customer_id",
    ["", " acme", "a/b", "a\nb", "a\x00b", "a...b", "a,b", "x" * 201, "a|b", "[a]", '"', "a\\b", "\u200b", "${x}"],
)
def test_ids_that_would_break_partition_keys_or_names_are_refused(connect, customer_id):
    with pytest.raises(ConfigurationError, match="cannot be a customer's id"):
        connect(customer_id)


@pytest.mark.parametrize("customer_id", ["acme", "7", "Ünïcode & Söhne", "a.b-c_d@e:f", "x" * 200])
def test_other_ids_are_fine(store, connect, customer_id):
    assert connect(customer_id).customer_id == customer_id


def test_ids_that_are_taken_can_be_dagsters_partition_keys(store):
    from dagster import DynamicPartitionsDefinition

    from sync_pipelines.model.naming import refusal_of_customer_id

    letters = [chr(code) for code in range(0x250)] + ["..."]
    taken = [f"a{letter}b" for letter in letters if refusal_of_customer_id(f"a{letter}b") is None]

    DynamicPartitionsDefinition(name="customers").build_add_request(taken)
    assert len(taken) > 400


def test_disconnecting_forgets_the_credentials_and_keeps_mappings(store, connect, now):
    acme = connect()
    store.mappings.save("acme", "salesforce", "contact", {"tier": "Tier__c"})
    store.due.plan([sync_of()], now=now)

    store.connections.disconnect(acme)

    assert store.connections.list() == []
    assert store.due.list() == []
    assert store.mappings.current("acme", "salesforce", "contact").fields == {"tier": FieldRule(sources=("Tier__c",))}
    with pytest.raises(Reauthorize, match="must connect again"):
        store.credentials(acme).read()


def test_a_connection_that_is_gone_cannot_be_changed(store, connect):
    acme = connect()
    store.connections.disconnect(acme)

    with pytest.raises(ConfigurationError, match="not connected to salesforce any more"):
        store.connections.set_account(acme, "x")


def test_every_change_leaves_one_entry_in_the_audit(store, connect):
    acme = connect(actor="ada")
    acme = store.connections.set_account(acme, "00D1")
    store.connections.set_account(acme, "00D1")
    store.connections.set_status(acme, "error", "no\x00 luck")
    connect(actor="ops", environment="sandbox")
    store.connections.disconnect(acme)

    entries = store.audit.list("connection acme/salesforce")

    assert [(entry.actor, entry.action) for entry in reversed(entries)] == [
        ("ada", "connect"),
        ("system", "account"),
        ("system", "status"),
        ("ops", "reconnect"),
        ("system", "disconnect"),
    ]
    assert entries[3].new == {"account_id": "00D1"}
    assert entries[1].old == {"environment": "production", "status": "error", "status_reason": "no\\u0000 luck"}
