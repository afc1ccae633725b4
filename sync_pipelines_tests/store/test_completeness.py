"""What is kept of counts: the newest of each, gaps until they are seen to be none."""

from datetime import timedelta

import pytest

from sync_pipelines.model.completeness import COMPLETE, GAP, UNKNOWN, Comparison
from sync_pipelines.model.run import Counts, SyncRun
from sync_pipelines.store import Standing


@pytest.fixture
def compared(connect, now):
    """A Comparison of a customer who is connected by then."""
    connections = {}

    def compared(customer="acme", status=COMPLETE, object="contact", **more):
        if customer not in connections:
            connections[customer] = connect(customer).id
        values = {"sync": "crm", "checked_at": now, "source": 10, "destination": 10} | more
        return Comparison(
            object=object, customer_id=customer, connection_id=connections[customer], status=status, **values
        )

    return compared


def kept(store, **wanted):
    return store.completeness.list("crm", **wanted)


def test_the_newest_count_of_each_is_kept(store, compared, now):
    gap = compared(status=GAP, source=12, message="2 records are missing")
    other = compared("bolt", status=UNKNOWN, source=None, destination=None, message="away")
    store.completeness.record([gap, other])
    assert kept(store) == [gap, other]
    assert kept(store, customers=["bolt"]) == kept(store, status=UNKNOWN) == [other]
    assert kept(store, object="account") == []
    mended = compared(checked_at=now + timedelta(hours=1), source=12, destination=12)
    store.completeness.record([mended])
    assert kept(store, customers=["acme"]) == [mended]


def test_a_gap_that_cannot_be_counted_again_is_still_a_gap_with_both_reasons(store, compared, now):
    store.completeness.record([compared(status=GAP, source=12, message="2 are missing")])
    store.completeness.mark_asked("crm", "contact", [compared().connection_id], now)
    for reason in ("the vendor is away", "the brake holds"):
        store.completeness.record([compared(status=UNKNOWN, source=None, destination=None, message=reason)])
    (found,) = kept(store)
    assert (found.status, found.source, found.destination) == (GAP, 12, 10)
    assert found.message == "2 are missing\nthe brake holds"
    assert found.repair_asked_at == now
    store.completeness.record([compared(status=GAP, source=13, message="3 are missing")])
    assert kept(store)[0].repair_asked_at == now, "it is the same gap"
    store.completeness.record([compared()])
    assert kept(store)[0].repair_asked_at is None


def test_only_what_cannot_be_counted_at_all_ends_a_gap(store, compared, now):
    store.completeness.record([compared(status=GAP), compared(status=GAP, object="account"), compared("bolt", GAP)])
    store.completeness.mark_asked("crm", "contact", [compared().connection_id], now)
    unknown = {"status": UNKNOWN, "source": None, "destination": None}
    store.completeness.record(
        [
            compared(**unknown, message="a history", countable=False),
            compared("bolt", **unknown, message="away"),
            compared("carvel", **unknown, message="a history", countable=False),
        ]
    )
    found = {(one.customer_id, one.object): (one.status, one.message, one.repair_asked_at) for one in kept(store)}
    assert found == {
        ("acme", "contact"): (UNKNOWN, "a history", None),
        ("acme", "account"): (GAP, "", None),
        ("bolt", "contact"): (GAP, "\naway", None),
        ("carvel", "contact"): (UNKNOWN, "a history", None),
    }


def test_a_standing_counts_all_and_names_the_largest(store, compared, monkeypatch):
    monkeypatch.setattr("sync_pipelines.store.completeness.LISTED", 2)
    gaps = [compared(f"gap-{size}", GAP, source=10 + size) for size in (1, 3, 2)]
    others = [compared(f"off-{number}", UNKNOWN, source=None) for number in range(3)]
    store.completeness.record([*gaps, *others, compared("fine"), compared("fine", object="account")])
    found = store.completeness.standings("crm")
    assert found["account"] == Standing(complete=1, source=10, destination=10)
    contact = found["contact"]
    assert (contact.customers, contact.complete, contact.gaps, contact.unknown) == (7, 1, 3, 3)
    assert (contact.source, contact.destination) == (46, 40)
    assert [one.customer_id for one in contact.largest_gaps] == ["gap-3", "gap-2"]
    assert [one.customer_id for one in contact.not_counted] == ["off-0", "off-1"]
    assert store.completeness.standings("another") == {}


def test_what_is_not_covered_any_more_is_forgotten(store, compared):
    store.completeness.record([compared("acme"), compared("bolt"), compared("bolt", object="account")])
    store.completeness.keep_only("crm", "contact", [compared("acme").connection_id])
    assert [(one.customer_id, one.object) for one in kept(store)] == [("bolt", "account"), ("acme", "contact")]
    store.completeness.keep_only("crm", "contact", [])
    assert [(one.customer_id, one.object) for one in kept(store)] == [("bolt", "account")]


def test_counts_of_many_cost_one_statement(store, compared, statements):
    many = [compared(f"customer-{number}") for number in range(20)]
    statements.clear()
    store.completeness.record(many)
    assert len([text for text in statements if "completeness" in text]) == 1
    assert len(kept(store)) == 20


def test_rejections_count_from_the_beginning_of_the_last_full_read(store, now):
    def ran(rejected, *, status="success", full=False, customer="acme", run_id="run"):
        store.runs.record(
            [
                SyncRun(
                    run_id=run_id,
                    sync="crm",
                    object="contact",
                    provider="salesforce",
                    customer_id=customer,
                    started_at=now,
                    finished_at=now,
                    status=status,
                    full=full,
                    counts=Counts(rejected=rejected),
                )
            ]
        )

    def rejected(customer="acme"):
        return store.completeness.rejected("crm", "contact", ["acme", "bolt"])[customer]

    assert rejected() == 0
    ran(100)
    ran(3, status="error", full=True)
    ran(40, run_id="live-20261126T0400")
    ran(2, full=True)
    assert rejected() == 5, "a full read may take several runs"
    ran(1)
    ran(50, customer="bolt")
    assert (rejected(), rejected("bolt")) == (6, 50)
    ran(0, full=True)
    assert rejected() == 0, "what was rejected before was read again"
