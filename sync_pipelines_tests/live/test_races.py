"""Events beside a run of the same object: whatever happens in which order, in the end the rows are what the vendor has.

Nothing of the world moves by itself, so there is no later poll that could mend what a race has spoilt.
"""

import threading
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_pipelines.http_client.keeping import kept_sessions
from sync_pipelines.live.applying import Applying
from sync_pipelines.project import ignore
from sync_pipelines_tests.fixtures.place import ACME, LUMEN
from sync_pipelines_tests.live.conftest import wait_until

OUTSIDE_OF_TRANSACTIONS = (
    "described",
    "destination.opened",
    "page.read",
    "chunk.ready",
    "chunk.stored",
    "full.complete",
)
WAYS = {"salesforce": (ACME, "Contact", "LastName"), "hubspot": (LUMEN, "contacts", "lastname")}


@contextmanager
def applying(living):
    """Applies everything that waits, in this thread."""
    store = living.project.store
    with kept_sessions(living.project.session) as sessions:
        one = Applying(living.project, sessions, ignore)

        def apply():
            for group in store.vendor_events.groups(10):
                assert one.apply(group) == 0.0

        yield apply


class Scene:
    """A customer whose vendor tells of every change that is made here."""

    def __init__(self, living, vendor):
        self.living = living
        self.customer, self.object, self.field = WAYS[vendor]
        living.place.options |= {"chunk_rows": 7}
        living.write_sync(provider=vendor, objects=["contact"], delete_brake=1.0)
        self.connection = living.connect_and_sync(self.customer)
        self.ids = [row["id"] for row in living.rows("crm_contact") if not row["is_deleted"]][:6]
        self.deleted = set()
        self.number = 0

    def change(self, operation, place):
        id = self.ids[place % len(self.ids)]
        self.number += 1
        record = self.living.control.record
        if operation == "create":
            id = record(self.customer, self.object, fields={self.field: f"New {self.number}"})
        elif operation == "delete" and id not in self.deleted:
            record(self.customer, self.object, operation="delete", id=id)
            self.deleted.add(id)
        elif id in self.deleted:
            record(self.customer, self.object, operation="restore", id=id)
            self.deleted.discard(id)
        else:
            record(self.customer, self.object, id=id, fields={self.field: f"Changed {self.number}"})
        # Salesforce's stamps are whole seconds; two changes in one are told apart by nobody.
        self.living.control.clock(advance=1)
        self.living.tell(self.connection, self.object, id)


moves = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["change", "delete", "create"]), st.integers(0, 5), st.booleans()),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("vendor", WAYS)
def test_whatever_the_order_the_rows_are_what_the_vendor_has(living, vendor):
    scene = Scene(living, vendor)

    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(moves=moves, full=st.booleans())
    def one(moves, full):
        with applying(living) as apply:
            waiting, steps = sorted(moves), iter(range(1_000_000))

            def observe(step):
                if step not in OUTSIDE_OF_TRANSACTIONS:
                    return
                at = next(steps)
                while waiting and waiting[0][0] <= at:
                    _, operation, place, at_once = waiting.pop(0)
                    scene.change(operation, place)
                    if at_once:
                        apply()

            (run,) = living.project.sync_connections(
                "crm", "contact", [scene.customer], run_id="run", full=full, observe=observe
            )
            assert run.status == "success", run.error_message
            for _, operation, place, _ in waiting:
                scene.change(operation, place)
            apply()
        assert living.differences(scene.customer) == []

    one()


def test_runs_and_the_loop_beside_each_other_never_fail_and_nothing_is_lost(living):
    """Real threads: full reads one after the other, while the vendor tells of changes without end."""
    scene = Scene(living, "hubspot")
    runs, stop = [], threading.Event()

    def keep_running():
        while not stop.is_set():
            runs.extend(living.place.sync(scene.customer, full=True))

    with living.loop() as failures:
        thread = threading.Thread(target=keep_running)
        thread.start()
        try:
            for number in range(40):
                scene.change(("change", "delete", "create")[number % 3], number)
            wait_until(lambda: failures or (len(runs) > 1 and not living.waiting()))
        finally:
            stop.set()
            thread.join()
        wait_until(lambda: failures or not living.waiting())
    assert failures == []
    assert {run.status for run in runs} == {"success"}, [run.error_message for run in runs]
    assert living.differences(scene.customer) == []


def test_two_loops_share_the_work_and_do_nothing_twice(living):
    scene = Scene(living, "hubspot")
    with living.loop() as one, living.loop() as other:
        for number in range(20):
            scene.change("change", number)
        wait_until(lambda: one or other or not living.waiting())
    assert one == other == []
    assert living.differences(scene.customer) == []
    counted = sum(run.counts.updated for run in living.live_runs())
    assert 0 < counted <= 20
