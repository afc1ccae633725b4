"""A place whose vendors' events are applied by the loop of the live process, in a thread of the test."""

import threading
import time
from contextlib import contextmanager

import pytest

from sync_pipelines.live.events import EventsLoop
from sync_pipelines.model.webhook import VendorEvent

PATIENCE = 90
"""Seconds until a test gives up waiting; nothing takes so long."""


class Living:
    """The place, with what the loop needs."""

    def __init__(self, place):
        self.place = place

    def __getattr__(self, name):
        return getattr(self.place, name)

    def connect_and_sync(self, customer, name="crm", *objects):
        """Connect, run everything once, and remember which account it is."""
        self.place.connect(customer)
        for each in objects or [declared.object for declared in self.project.sync(name).objects]:
            (run,) = self.place.sync(customer, name=name, object_name=each)
            assert run.status == "success", run.error_message
        return self.project.store.connections.list(customer_id=customer)[0]

    def tell(self, connection, object_name, *ids):
        """As if the vendor had told that these records changed."""
        events = [VendorEvent(account_id=connection.account_id, object=object_name, record_id=id) for id in ids]
        return self.project.store.vendor_events.receive(connection.provider, events)

    @contextmanager
    def loop(self, **options):
        """The loop, for the time of the block."""
        stop, failures = threading.Event(), []

        def run():
            try:
                EventsLoop(self.project, **options).until(stop)
            except BaseException as problem:
                failures.append(problem)

        thread = threading.Thread(target=run, name="live loop")
        thread.start()
        try:
            yield failures
        finally:
            stop.set()
            thread.join()

    def apply_all(self):
        """Until nothing waits to be applied now."""
        with self.loop() as failures:
            wait_until(lambda: failures or not self.project.store.vendor_events.groups(1))
        assert failures == []

    def execute_in_store(self, statement):
        with self.store.connect() as connection:
            connection.execute(statement)

    def waiting(self):
        return sum(each.waiting for each in self.project.store.vendor_events.standing())

    def live_runs(self, **wanted):
        return [run for run in self.project.store.runs.list(**wanted) if run.run_id.startswith("live-")]


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def living(place):
    place.options |= {"live_gather_seconds": 0}
    place.open()
    return Living(place)
