"""Many connections and objects in one run: who begins when, and what one failure leaves of the others."""

import threading
from contextlib import nullcontext

import pytest

from sync_pipelines.engine.inbound import Work
from sync_pipelines.engine.side_by_side import Surroundings, sync_side_by_side
from sync_pipelines.engine.stopping import Stops
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import SkipObject
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.providers import PROVIDERS

PATIENCE = 20
"""Seconds after which a test that waits for what never comes fails."""


def work_of(objects):
    """{object: customers} in the order in which a run gives it."""
    declared = {name: SyncObject(object=name) for name in objects}
    sync = Sync(name="crm", provider="hubspot", destination="warehouse", objects=tuple(declared.values()))
    customers = sorted({customer for named in objects.values() for customer in named})
    connections = {
        name: Connection(id=number, customer_id=name, provider="hubspot") for number, name in enumerate(customers, 1)
    }
    return [
        Work(
            sync=sync,
            declared=declared[name],
            provider=PROVIDERS["hubspot"],
            connection=connections[customer],
            application_id="app",
            run_id="run",
        )
        for name, customers in objects.items()
        for customer in customers
    ]


def named(work):
    return f"{work.declared.object} {work.connection.customer_id}"


def side_by_side(work, do, *, at_once, on_done=lambda run: None, stops=None):
    """`do` is what becomes of each piece of work, in the thread that does it."""

    def session(item):
        do(item)
        raise SkipObject("This is all that there was to do.")

    around = Surroundings(
        session=session,
        destination=lambda item: None,
        lease=lambda item: nullcontext(True),
        describe=lambda item, session: None,
        observe=lambda step: None,
        stops=stops or Stops(),
    )
    return sync_side_by_side(work, around, at_once=at_once, on_done=on_done)


def test_objects_take_turns():
    begun = []
    work = work_of({"contacts": ["a", "b", "c"], "companies": ["a", "b"], "deals": ["a", "b", "c"]})
    side_by_side(work, lambda item: begun.append(named(item)), at_once=1)
    assert begun == [
        *("contacts a", "companies a", "deals a"),
        *("contacts b", "companies b", "deals b"),
        *("contacts c", "deals c"),
    ]


def test_outcomes_come_in_the_order_of_the_work_and_are_told_as_they_end():
    work = work_of({"contacts": ["a", "b", "c"], "companies": ["a", "b", "c"]})
    told = []
    runs = side_by_side(work, lambda item: None, at_once=4, on_done=told.append)
    assert [(run.object, run.customer_id) for run in runs] == [
        (item.declared.object, item.connection.customer_id) for item in work
    ]
    assert sorted(map(id, told)) == sorted(map(id, runs))


def test_places_go_to_different_accounts_and_objects_while_there_are_some():
    together, lock, begun = threading.Barrier(3), threading.Lock(), []

    def begin(item):
        with lock:
            begun.append(named(item))
        together.wait(PATIENCE)

    work = work_of({name: ["a", "b", "c"] for name in ("contacts", "companies", "deals")})
    side_by_side(work, begin, at_once=3)
    assert sorted(begun[:3]) == ["companies b", "contacts a", "deals c"]


def test_a_single_account_has_its_objects_side_by_side():
    together = threading.Barrier(3)
    work = work_of({name: ["a"] for name in ("contacts", "companies", "deals")})
    runs = side_by_side(work, lambda item: together.wait(PATIENCE), at_once=3)
    assert [run.error_type for run in runs] == ["not_found"] * 3


@pytest.mark.parametrize("at_once", [2, 3, 4])
def test_a_large_account_does_not_keep_small_ones_waiting(at_once):
    objects, small = ("contacts", "companies", "deals"), ["small1", "small2"]
    through, waited = threading.Event(), []
    left = {f"{name} {customer}" for name in objects for customer in small}

    def do(item):
        if item.connection.customer_id == "large":
            waited.append(through.wait(PATIENCE))

    def done(run):
        left.discard(f"{run.object} {run.customer_id}")
        if not left:
            through.set()

    side_by_side(work_of({name: ["large", *small] for name in objects}), do, at_once=at_once, on_done=done)
    assert waited == [True] * 3


def test_a_bug_in_one_connection_leaves_the_others_alone():
    def do(item):
        if named(item) == "contacts b":
            raise ZeroDivisionError

    runs = side_by_side(work_of({"contacts": ["a", "b", "c"]}), do, at_once=2)
    assert [run.status for run in runs] == ["skipped", "error", "skipped"]


def test_a_run_that_is_ended_begins_nothing_more():
    begun, stops = [], Stops()

    def begin(item):
        begun.append(named(item))
        if len(begun) > 1:
            stops.of(item.connection.customer_id).wait(PATIENCE)

    def fail(run):
        raise KeyboardInterrupt

    work = work_of({"contacts": [f"c{number}" for number in range(20)]})
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, begin, at_once=1, on_done=fail, stops=stops)
    assert stops.is_set()
    assert len(begun) <= 2
