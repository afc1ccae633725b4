"""One object's sync reads on while it stores, and stops reading when it cannot store."""

import json
import threading
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import count

import pytest

from sync_pipelines.engine.inbound import Tally, Work, sync_object
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import DestinationError, Stopped, VendorError
from sync_pipelines.model.flow import Page
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.run import Counts
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.providers.small_portal import contact

PATIENCE = 20
"""Seconds after which a test that waits for what never comes fails."""
NOW = datetime(2026, 5, 1, tzinfo=UTC)
CONTACTS = SyncObject(object="contacts")
FIELDS = tuple(VendorField(name=name) for name in ("hs_object_id", "email", "lastmodifieddate"))


class PagedVendor:
    """A session that gives a page of one record at a time. `asked(n)` is an event: page n has been asked for."""

    def __init__(self, pages, error=None):
        self.pages, self.error = pages, error
        self.notices = []
        self.closed = threading.Event()
        self.thread = None
        self.stopped = threading.Event()
        self._asked, self._lock = {}, threading.Lock()

    def asked(self, number):
        with self._lock:
            return self._asked.setdefault(number, threading.Event())

    def vendor_now(self):
        return NOW

    def check_stop(self):
        if self.stopped.is_set():
            raise Stopped("The run is being stopped.")

    def read(self, flow):
        try:
            for number in self.pages:
                # The first page is read by who asks, the rest ahead.
                self.thread = threading.current_thread()
                self.asked(number).set()
                yield Page(records=[json.dumps(contact(number)).encode()], resume={"after": str(number)})
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


class Landing:
    """`store` is called with the number of each chunk that is to be stored."""

    checkpoint = None

    def __init__(self, store):
        self.remade = {}
        self.store = store
        self.stored = []

    def open(self, scope, table, run_id, observe):
        return nullcontext(self)

    def load(self, batch, checkpoint, *, merged=(), removed=(), regrouped=(), gone=(), passed=()):
        self.store(len(self.stored))
        self.stored.append(list(batch.ids))
        return Counts(created=len(batch.ids))

    def delete_unseen(self, checkpoint, *, hard, brake):
        return 0


def sync(vendor, landing, **more):
    """One full read with a chunk for every page."""
    tally = Tally()
    connection = Connection(id=1, customer_id="acme", provider="hubspot", account_id="portal")
    work = Work(
        sync=Sync(name="crm", provider="hubspot", destination="warehouse", objects=(CONTACTS,)),
        declared=CONTACTS,
        provider=PROVIDERS["hubspot"],
        connection=connection,
        application_id="app",
        run_id="run",
        chunk_rows=1,
        **more,
    )
    sync_object(
        work,
        vendor,
        landing,
        tally,
        observe=lambda step: None,
        describe=lambda crm_object: ObjectSchema(fields=FIELDS),
    )
    return tally


def is_at_rest(vendor):
    return vendor.closed.is_set() and not vendor.thread.is_alive()


def test_the_next_page_is_asked_for_before_a_chunk_is_stored():
    vendor = PagedVendor(range(6))
    overlapped = []

    def store(number):
        if number < 5:
            overlapped.append(vendor.asked(number + 1).wait(PATIENCE))

    landing = Landing(store)
    tally = sync(vendor, landing)
    assert overlapped == [True] * 5
    assert landing.stored == [*([str(number)] for number in range(6)), []]
    assert tally.counts == Counts(read=6, created=6)
    assert is_at_rest(vendor)


def test_room_is_made_only_where_something_was_stored_and_more_is_to_come():
    landing, seen = Landing(lambda number: None), []
    sync(PagedVendor(range(3)), landing, at_checkpoint=lambda: seen.append(len(landing.stored)))
    assert seen == [1, 2, 3]
    assert landing.stored == [["0"], ["1"], ["2"], []]


def test_a_destination_that_fails_stops_the_reading():
    vendor = PagedVendor(count())

    def store(number):
        if number == 2:
            raise DestinationError("The disk is full.")

    landing = Landing(store)
    with pytest.raises(DestinationError):
        sync(vendor, landing)
    assert landing.stored == [["0"], ["1"]]
    assert is_at_rest(vendor)


def test_what_was_read_before_the_vendor_failed_is_stored():
    vendor = PagedVendor(range(3), VendorError("The vendor is down."))
    landing = Landing(lambda number: None)
    with pytest.raises(VendorError):
        sync(vendor, landing)
    assert landing.stored == [["0"], ["1"], ["2"]]
    assert is_at_rest(vendor)


def test_a_stop_holds_at_the_next_chunk_although_everything_was_read_by_then():
    vendor = PagedVendor(range(6))

    def store(number):
        if number == 1:
            assert vendor.closed.wait(PATIENCE)
            vendor.stopped.set()

    landing = Landing(store)
    with pytest.raises(Stopped):
        sync(vendor, landing)
    assert landing.stored == [["0"], ["1"]]
    assert is_at_rest(vendor)
