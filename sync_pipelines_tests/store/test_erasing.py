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
