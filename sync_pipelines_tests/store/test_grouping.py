"""What is due at one time becomes few claims, because each of them becomes a run."""

from datetime import timedelta

import pytest

from sync_pipelines.model.sync import Schedule
from sync_pipelines.store import Outcome
from sync_pipelines_tests.store.conftest import sync_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
def due(store, connect, now):
    """Three customers whose first run is through, the next one due in 15 minutes."""
    for customer in ("acme", "globex", "initech"):
        connect(customer)
    store.due.plan([sync_of()], now=now)
    return store.due


def fail(due, now, **objects):
    """Everybody's claim is closed; those who are named fail in these objects."""
    (claim,) = due.claim(now)
    outcomes = [
        Outcome(customer_id=name, failed=name in objects, failed_objects=objects.get(name, ()), error_type="network")
        for name in claim.customers
    ]
    due.done(claim.id, outcomes, now)


def test_retries_of_different_objects_are_one_claim_of_all_these_objects(due, now):
    fail(due, now, acme=("account",), globex=("contact",))

    (again,) = due.claim(now + 2 * MINUTE)

    assert (again.customers, again.objects) == (("acme", "globex"), ("account", "contact"))
    assert again.only == {"acme": ("account",), "globex": ("contact",)}
    assert due.get(again.id) == again
    assert [again.is_for("acme", name) for name in again.objects] == [True, False]


def test_a_retry_of_everything_makes_it_everything(due, now):
    fail(due, now, acme=("account",), globex=())

    (again,) = due.claim(now + 2 * MINUTE)

    assert (again.customers, again.objects, again.only) == (("acme", "globex"), (), {"acme": ("account",)})
    assert due.get(again.id) == again
    assert again.is_for("globex", "contact")
    assert not again.is_for("acme", "contact")


def test_a_retry_joins_the_regular_work_and_keeps_its_own_time(due, connect, now):
    fail(due, now, acme=("account",))
    connect("umbrella")
    later = now + 2 * MINUTE
    due.plan([sync_of()], now=later)

    (claim,) = due.claim(later)

    assert (claim.customers, claim.objects, claim.only) == (("acme", "umbrella"), (), {"acme": ("account",)})
    assert claim.due_at["acme"] < claim.due_at["umbrella"] == later
    due.done(claim.id, [Outcome(customer_id=name) for name in claim.customers], later)
    work = {each.customer_id: each for each in due.list()}
    assert work["acme"].attempts == 0
    assert work["acme"].next_at == work["globex"].next_at == now + 15 * MINUTE
    assert due.claim(later + 5 * MINUTE) == []


def test_what_failed_again_in_regular_work_waits_twice_as_long(due, connect, now):
    fail(due, now, acme=("account",))
    connect("umbrella")
    later = now + 2 * MINUTE
    due.plan([sync_of()], now=later)
    (claim,) = due.claim(later)
    failed = Outcome(customer_id="acme", failed=True, failed_objects=("account",), error_type="network")
    due.done(claim.id, [failed, Outcome(customer_id="umbrella")], later)

    assert due.claim(later + 1.4 * MINUTE) == []
    (again,) = due.claim(later + 2 * MINUTE)
    assert (again.customers, again.objects) == (("acme",), ("account",))


def test_a_full_retry_stays_by_itself(store, connect, now):
    for customer in ("acme", "globex"):
        connect(customer)
    sync = sync_of(schedule=Schedule())
    store.due.plan([sync], now=now)
    store.due.request("crm", customers=["acme"], full=True, now=now)
    store.due.request("crm", customers=["globex"], now=now)
    for claim in store.due.claim(now):
        (customer,) = claim.customers
        failed = Outcome(customer_id=customer, failed=True, failed_objects=("account",), error_type="network")
        store.due.done(claim.id, [failed], now)

    again = {claim.customers: claim.full for claim in store.due.claim(now + 2 * MINUTE)}

    assert again == {("acme",): True, ("globex",): False}


def test_syncs_are_not_mixed(store, connect, now):
    connect()
    store.due.plan([sync_of("one"), sync_of("two")], now=now)
    first, second = store.due.claim(now)
    store.due.done(first.id, [Outcome(customer_id="acme", failed=True, failed_objects=("account",))], now)
    store.due.done(second.id, [Outcome(customer_id="acme")], now)
    connect("globex")
    store.due.plan([sync_of("two")], now=now + 2 * MINUTE)

    claims = {claim.sync: (claim.customers, claim.objects) for claim in store.due.claim(now + 2 * MINUTE)}

    assert claims == {"one": (("acme",), ("account",)), "two": (("globex",), ())}
