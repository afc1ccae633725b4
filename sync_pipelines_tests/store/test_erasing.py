"""What the store forgets of a customer, what it keeps of others, and what the receipt says."""

from sync_pipelines_tests.store.conftest import sync_of


def subjects(store):
    return {entry.subject for entry in store.audit.list()}


def erased(store, customer_id):
    receipt = store.erasing.begin(customer_id, actor="test")
    store.erasing.remove(receipt.id, customer_id)
    return store.erasing.finish(receipt.id, dagster=None)


def test_entries_of_other_things_with_the_same_text_stay(store, connect, now):
    token, _ = store.tokens.create("office", ["syncs:read"])
    customer = str(token.id)
    store.due.plan([sync_of(customer)], now=now)
    store.lifecycle.archive(customer, actor="somebody")
    for each in (customer, f"{customer}0"):
        connect(each)
        store.mappings.save(each, "salesforce", "contact", {"email": "Email"})
    others = {f"token {customer}", f"sync {customer}", f"connection {customer}0/salesforce"}
    others |= {f"mapping {customer}0/salesforce/contact"}
    assert subjects(store) == others | {f"connection {customer}/salesforce", f"mapping {customer}/salesforce/contact"}
    erased(store, customer)
    assert subjects(store) == others


def test_older_documents_of_syncs_name_the_customer_no_more_and_those_for_it_alone_go(store):
    def document(*customers, **rest):
        return {"name": "crm", "customers": list(customers), **rest}

    saved = [
        document("acme", "acme", overrides={"acme": {"schedule": "daily"}}),
        document("acme", "beta", "acmes"),
        document(),
        document("beta", overrides={"acme": {}, "beta": {}}),
        {"name": "crm", "customers": None},
        document("beta"),
    ]
    with store.api_syncs.changing() as changing:
        known = changing.add("crm", "inbound", saved[0], actor="office", key=None, mark=None)
        for number, each in enumerate(saved[1:]):
            reason = "for acme" if number % 2 else "for beta"
            known = changing.replace(known, each, actor="office", restored=1, reason=reason)
    receipt = store.erasing.begin("acme", actor="test")
    assert store.erasing.remove(receipt.id, "acme", actor="test")["api_sync_versions"] == 1
    left = store.api_syncs.versions("crm")
    assert [(each.version, each.document) for each in reversed(left)] == [
        (2, document("beta", "acmes")),
        (3, document()),
        (4, document("beta", overrides={"beta": {}})),
        (5, {"name": "crm", "customers": None}),
        (6, document("beta")),
    ]
    assert [each.reason for each in reversed(left)] == ["for beta", "", "for beta", "", "for beta"]
