"""One account's API budget: shared by objects, syncs and processes, with a reserve that stays the customer's own."""

import os
import subprocess
import sys
import uuid
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.http_client import pace
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN, QUILL

CUSTOMERS = {"salesforce": (ACME, BRIGHTWATER), "hubspot": (LUMEN, QUILL)}
OBJECTS = ("contact", "account", "opportunity", "user")
DAY = 86_400
LONGEST_SECONDS = 240

every_vendor = pytest.mark.parametrize("vendor", CUSTOMERS)


class Spender:
    """A customer whose account has few calls left, beside one that has many."""

    def __init__(self, place, vendor):
        self.place, self.vendor = place, vendor
        self.poor, self.rich = CUSTOMERS[vendor]
        place.write_sync(provider=vendor, objects=list(OBJECTS), bulk_above=100_000)
        for account in place.connect(self.poor, self.rich):
            # Else it would be asked for, by calls that tell no count and make the last ones of the budget uncertain.
            connection = place.project.store.connections.get(account.id, vendor)
            place.project.store.connections.set_account(connection, account.account_id)
        for customer in (self.poor, self.rich):
            place.control.settings(customer, private_app=True, daily_limit=100, daily_used=0)
            place.control.fault(customer, "short_pages", size=2)
        place.control.settings(self.rich, daily_limit=100_000)

    def sync(self, *customers, objects=OBJECTS):
        """All objects at once, in what is a process of its own to the vendor: nothing is known of the account."""
        pace._paces = OrderedDict()
        runs = self.place.project.sync_objects("crm", dict.fromkeys(objects, customers), run_id=uuid.uuid4().hex)
        return {customer: [run for run in runs if run.customer_id == customer] for customer in customers}

    def calls(self, customer):
        """Statuses of what the vendor was asked, requests for tokens apart."""
        return [call["status"] for call in self.place.control.calls(customer) if not call["path"].endswith("/token")]

    def budget(self, customer):
        connection = self.place.project.store.connections.get(customer, self.vendor)
        return self.place.project.budgets_of([connection])[connection.id]


@pytest.fixture
def spender(unhurried, vendor, monkeypatch):
    monkeypatch.setattr(pace, "_paces", OrderedDict())
    return Spender(unhurried, vendor)


@every_vendor
def test_the_reserve_is_kept_to_the_call_and_the_sync_goes_on_by_itself_in_the_next_period(spender, command_line):
    place, poor, rich = spender.place, spender.poor, spender.rich
    place.control.settings(poor, used_by_others=30)
    began = datetime.now(UTC)
    runs = spender.sync(poor, rich)
    assert {run.status for run in runs[rich]} == {"success"}
    assert place.differences(rich) == []
    failed = [run for run in runs[poor] if run.status == "error"]
    assert {run.error_type for run in failed} == {"rate_limit"}
    assert all("90 of 100 calls" in run.error_message and "`reserve`" in run.error_message for run in failed)
    assert {began < run.retry_at <= began + timedelta(hours=2) for run in failed} == {True}
    assert spender.calls(poor) == [200] * 60, "60 calls were ours, and 10 are left to the customer's other apps"
    assert any(run.counts.created for run in failed), "what was paid for with calls is kept"
    budget = spender.budget(poor)
    assert (budget.used, budget.allowed, budget.calls) == (90, 100, 60)
    assert budget.held_until in {run.retry_at for run in failed}
    told = command_line.at(place)("budget", "--customer", poor)
    assert (told.code, "90 of 100 calls" in told.text) == (0, True)

    again = spender.sync(poor, rich)
    assert {(run.status, run.error_type, run.vendor_calls) for run in again[poor]} == {("error", "rate_limit", 0)}
    assert {run.retry_at for run in again[poor]} == {budget.held_until}
    assert {run.status for run in again[rich]} == {"success"}
    assert len(spender.calls(poor)) == 60, "a process that starts under a hold asks the vendor nothing"

    place.control.clear_faults()
    place.control.clock(advance=DAY)
    place.holds_end()
    after = spender.sync(poor)
    assert {run.status for run in after[poor]} == {"success"}
    # The comparison itself asks the vendor, with tokens that have ended by then.
    place.control.clock(advance=-DAY)
    assert place.differences(poor) == []
    assert spender.budget(poor).held_until is None


@every_vendor
def test_an_account_that_its_other_apps_have_used_up_is_asked_once(spender):
    spender.place.control.settings(spender.poor, used_by_others=100)
    runs = spender.sync(spender.poor, objects=("contact",))
    (run,) = runs[spender.poor]
    assert (run.status, run.error_type, run.vendor_calls) == ("error", "rate_limit", 1)
    assert run.retry_at > datetime.now(UTC) + timedelta(minutes=50)
    (again,) = spender.sync(spender.poor, objects=("user",))[spender.poor]
    assert (again.error_type, again.vendor_calls, again.retry_at) == ("rate_limit", 0, run.retry_at)


@pytest.mark.parametrize("vendor", ["salesforce"])
def test_many_runs_on_few_calls_come_to_an_end(spender):
    """Every run gets a handful of calls, fewer than a chunk takes; the read goes on where the last one stopped."""
    place, poor = spender.place, spender.poor
    rows, runs = 0, 0
    while True:
        place.control.settings(poor, daily_used=82)
        (run,) = spender.sync(poor, objects=("contact",))[poor]
        runs += 1
        if run.status == "success":
            break
        assert run.error_type == "rate_limit"
        stored = len(place.rows("crm_contact", poor))
        assert stored > rows, "a run whose calls brought nothing would be repeated for ever"
        rows = stored
        place.holds_end()
    assert runs > 3
    place.control.clear_faults()
    place.holds_end()
    place.control.settings(poor, daily_limit=100_000)
    spender.sync(poor)
    assert place.differences(poor) == []


def test_two_processes_share_the_short_window_of_one_account(place):
    place.write_sync("contacts", provider="hubspot", objects=["contact"])
    place.write_sync("companies", provider="hubspot", objects=["account"])
    place.connect(LUMEN)
    place.control.fault(LUMEN, "short_pages", size=1)
    place.control.settings(LUMEN, enforce_limits=True, window_calls=20, window_seconds=1)
    environment = {
        **os.environ,
        **place.environ,
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
    }
    program = "from sync_pipelines.cli import app; app()"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, "sync", name],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in ("contacts", "companies")
    ]
    for process in processes:
        said, _ = process.communicate(timeout=LONGEST_SECONDS)
        assert process.returncode == 0, said
    assert place.differences(LUMEN) == []
    statuses = [call["status"] for call in place.control.calls(LUMEN)]
    assert len(statuses) > 60, "several windows were filled"
    assert set(statuses) == {200}, "the vendor never had to refuse"
