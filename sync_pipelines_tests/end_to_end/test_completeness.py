"""Both sides counted: gaps are found and mended, and what is no gap is not called one."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.model.budget import Hold, Sighting
from sync_pipelines.store import Outcome
from sync_pipelines.verifying import BETWEEN_REPAIRS, repair, verify
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL, LUMEN, QUILL

VENDOR_OBJECTS = {"salesforce": "Contact", "hubspot": "contacts"}
COUNT = {"salesforce": "COUNT", "hubspot": "/search"}
A_WHILE = 3_600


class Account:
    """One customer's contacts on both sides. `place` is the project around it."""

    def __init__(self, place, customer, provider):
        self.place, self.customer, self.provider = place, customer, provider
        self.object = VENDOR_OBJECTS[provider]
        place.write_sync(provider=provider)
        place.connect(customer)

    def sync(self, **options):
        run = self.place.sync_one(self.customer, **options)
        assert run.status == "success", run.error_message
        return run

    def verify(self):
        (found,) = verify(self.place.project, "crm", customers=[self.customer], run_id=uuid.uuid4().hex)
        return found

    def change(self, **counts):
        self.place.control.change(self.customer, self.object, **counts)

    def alive(self):
        return [one["id"] for one in self.place.control.truth(self.customer, self.object) if not one["deleted"]]

    def lose(self, count):
        """Rows vanish from the destination, as by a person's mistake."""
        lost = "SELECT id FROM crm.crm_contact WHERE _sync_customer_id = %s AND NOT is_deleted ORDER BY id LIMIT %s"
        statement = f"DELETE FROM crm.crm_contact WHERE _sync_customer_id = %s AND id IN ({lost})"
        self.place.execute(statement, self.customer, self.customer, count)

    def add(self, count, prefix="extra"):
        """Rows appear that are no records of the account."""
        copied = f"(jsonb_populate_record(t, jsonb_build_object('id', '{prefix}-' || t.id))).*"
        self.place.execute(
            f"INSERT INTO crm.crm_contact SELECT {copied} FROM crm.crm_contact t "
            "WHERE _sync_customer_id = %s AND NOT is_deleted AND id NOT LIKE '%%-%%' ORDER BY id LIMIT %s",
            self.customer,
            count,
        )

    def do_what_is_due(self):
        """As a run of Dagster's sensor does."""
        due, ran = self.place.project.store.due, []
        for claim in due.claim(sync="crm"):
            for name in claim.objects or ("contact",):
                ran += self.place.sync(*claim.customers, object_name=name, full=claim.full)
            due.done(claim.id, [Outcome(customer_id=customer) for customer in claim.customers])
        return ran


@pytest.fixture(params=["salesforce", "hubspot"])
def account(request, unhurried):
    """Synced once."""
    made = Account(unhurried, {"salesforce": ACME, "hubspot": LUMEN}[request.param], request.param)
    made.sync()
    return made


def told(found):
    return found.status, found.difference


def test_equal_counts_are_complete_for_the_price_of_one_call(account):
    before = len(account.place.control.calls(account.customer))
    found = account.verify()
    assert told(found) == ("complete", 0)
    assert found.source == len(account.alive()) > 10
    assert len(account.place.control.calls(account.customer)) == before + 1


def test_lost_rows_are_a_gap(account):
    account.lose(3)
    found = account.verify()
    assert told(found) == ("gap", -3)
    assert found.message == "3 records of the account are not in the destination."


def test_rows_too_many_are_a_gap(account):
    account.add(2)
    found = account.verify()
    assert told(found) == ("gap", 2)
    assert found.message == "2 rows of the destination are no records of the account any more."


def test_what_changed_since_the_last_read_is_synced_before_it_is_judged(account):
    account.change(created=5, updated=3, deleted=2)
    assert told(account.verify()) == ("complete", 0)
    assert account.place.differences(account.customer) == []


def test_a_gap_larger_than_what_changed_lately_is_seen_among_changes(account):
    account.change(updated=1)
    account.lose(9)
    assert told(account.verify()) == ("gap", -9)


def test_a_gap_within_what_changed_lately_shows_when_the_account_is_quiet(account):
    account.change(updated=4)
    account.lose(2)
    found = account.verify()
    assert told(found) == ("unknown", -2)
    assert "look again" in found.message
    account.place.control.clock(advance=A_WHILE)
    assert told(account.verify()) == ("gap", -2)


def test_no_wolf_is_cried_while_changes_stream_in(account):
    statuses = set()
    for turn in range(6):
        account.change(seed=turn, created=3 + turn % 2, updated=4, deleted=turn % 3, merged=turn % 2)
        statuses.add(account.verify().status)
    assert "gap" not in statuses
    assert told(account.verify()) == ("complete", 0)


def test_changes_between_the_sync_and_the_second_count_are_no_gap(account, monkeypatch):
    """The account goes on changing after what was new has been synced."""
    sync = account.place.project.sync_connections

    def then_changed(*arguments, **options):
        runs = sync(*arguments, **options)
        account.change(seed=9, created=2)
        return runs

    monkeypatch.setattr(account.place.project, "sync_connections", then_changed)
    account.change(created=1)
    found = account.verify()
    assert told(found) == ("unknown", -2)
    monkeypatch.undo()
    assert told(account.verify()) == ("complete", 0)


def test_a_search_index_that_is_behind_is_no_gap(unhurried):
    account = Account(unhurried, LUMEN, "hubspot")
    account.change(created=4)
    unhurried.control.settings(LUMEN, search_lag=300)
    account.sync(full=True)
    assert account.verify().status == "unknown"
    unhurried.control.clock(advance=A_WHILE)
    assert told(account.verify()) == ("complete", 0)


def test_a_record_that_was_purged_without_a_trace_is_mended_by_the_repair(account):
    account.place.control.record(account.customer, account.object, operation="purge", id=account.alive()[0])
    found = account.verify()
    assert told(found) == ("gap", 1)
    repair(account.place.project, "crm", [found])
    account.do_what_is_due()
    assert told(account.verify()) == ("complete", 0)


def test_rejected_records_explain_what_is_missing(unhurried):
    account = Account(unhurried, ACME, "salesforce")
    unhurried.control.fault(ACME, "record_without_id", object="Contact", times=1)
    assert account.sync().counts.rejected == 1
    found = account.verify()
    assert told(found) == ("complete", -1)
    assert "explained by 1 rejected" in found.message
    account.lose(1)
    assert told(account.verify()) == ("gap", -2)


def test_a_gap_is_mended_by_a_full_read_of_exactly_that_work(unhurried):
    account = Account(unhurried, ACME, "salesforce")
    unhurried.write_sync(objects=["contact", "account"])
    unhurried.connect(BRIGHTWATER, KESTREL)
    for name in ("contact", "account"):
        unhurried.sync(object_name=name)
    account.lose(5)
    found = verify(unhurried.project, "crm", run_id="check")
    assert {(one.customer_id, one.object, one.status) for one in found if one.status != "complete"} == {
        (ACME, "contact", "gap")
    }
    assert len(found) == 6
    (asked,) = repair(unhurried.project, "crm", found)
    assert (asked.customer_id, asked.object) == (ACME, "contact")
    (run,) = account.do_what_is_due()
    assert (run.customer_id, run.object, run.full, run.counts.created) == (ACME, "contact", True, 5)
    found = verify(unhurried.project, "crm", run_id="check again")
    assert {one.status for one in found} == {"complete"}
    assert {one.repair_asked_at for one in found} == {None}
    assert unhurried.differences(ACME) == []


def test_a_repair_is_asked_for_once_in_some_hours(account):
    account.lose(2)
    found = account.verify()
    now = datetime.now(UTC)
    assert repair(account.place.project, "crm", [found], now)
    found = account.verify()
    assert found.repair_asked_at == now
    assert repair(account.place.project, "crm", [found], now + BETWEEN_REPAIRS / 2) == []
    assert repair(account.place.project, "crm", [found], now + BETWEEN_REPAIRS)
    assert account.verify().repair_asked_at == now + BETWEEN_REPAIRS


def test_what_keeps_a_repair_from_mending_stays_visible(account):
    for prefix in ("extra", "more"):
        account.add(len(account.alive()), prefix)
    found = account.verify()
    assert found.status == "gap"
    repair(account.place.project, "crm", [found])
    (run,) = account.do_what_is_due()
    assert run.status == "error"
    again = account.verify()
    assert told(again) == told(found)
    gap, reason = again.message.split("\n")
    assert gap == found.message
    assert run.error_message in reason
    assert again.repair_asked_at is not None


def test_a_gap_ends_when_what_is_selected_cannot_be_counted_any_more(unhurried):
    """A history brings a part of the records; no repair could ever be seen to mend the gap of before."""
    account = Account(unhurried, ACME, "salesforce")
    account.sync()
    account.lose(5)
    found = account.verify()
    repair(unhurried.project, "crm", [found])
    unhurried.write_sync(objects=[{"object": "contact", "history": {"from": "90 days ago"}}])
    found = account.verify()
    assert (found.status, found.source, found.destination) == ("unknown", None, None)
    assert found.message.startswith("Its history brings a part of the records only")
    assert found.repair_asked_at is None
    assert repair(unhurried.project, "crm", [found]) == []
    (health,) = unhurried.project.store.health.connections("crm")
    assert health.gaps == 0
    unhurried.write_sync()
    assert told(account.verify()) == ("gap", -5), "what can be counted again is judged again"


def test_counting_leaves_an_account_alone_that_rests_and_its_calls_are_counted(account):
    store, connection = account.place.project.store, account.place.project.connections("crm")[0]
    account.lose(2)
    assert told(account.verify()) == ("gap", -2)
    before = account.place.project.budgets_of([connection])[connection.id].calls
    asked = len(account.place.control.calls(account.customer))
    account.verify()
    spent = len(account.place.control.calls(account.customer)) - asked
    assert account.place.project.budgets_of([connection])[connection.id].calls == before + spent
    until = datetime.now(UTC) + timedelta(hours=1)
    rest = Hold(until=until, reason="The reserve is for the other apps.")
    store.budgets.record([Sighting(connection_id=connection.id, at=datetime.now(UTC), calls=0, hold=rest)], {})
    found = account.verify()
    assert len(account.place.control.calls(account.customer)) == asked + spent
    assert told(found) == ("gap", -2), "it was not counted again"
    expected = f"The account rests until {until:%Y-%m-%d %H:%M} UTC: The reserve is for the other apps."
    assert found.message.split("\n")[1] == expected


def test_one_customer_that_cannot_be_counted_keeps_nobody_else(unhurried):
    unhurried.write_sync(provider="hubspot")
    unhurried.connect(LUMEN, QUILL)
    unhurried.sync()
    unhurried.control.fault(QUILL, "status", status=500, path=COUNT["hubspot"])
    found = {one.customer_id: one for one in verify(unhurried.project, "crm", run_id="check")}
    assert told(found[LUMEN]) == ("complete", 0)
    assert found[QUILL].status == "unknown"
    assert "could not be counted (vendor_error)" in found[QUILL].message
    assert found[QUILL].destination == len(unhurried.rows("crm_contact", QUILL)) - sum(
        row["is_deleted"] for row in unhurried.rows("crm_contact", QUILL)
    )


def test_who_is_not_read_expired_or_paused_is_told_as_such(unhurried):
    unhurried.connect(ACME, BRIGHTWATER, KESTREL)
    unhurried.sync(ACME, BRIGHTWATER)
    store = unhurried.project.store
    store.connections.set_status(store.connections.get(BRIGHTWATER, "salesforce"), "expired", "revoked")
    found = {one.customer_id: one.message for one in verify(unhurried.project, "crm", run_id="check")}
    assert found[ACME] == ""
    assert "must reconnect" in found[BRIGHTWATER]
    assert "not been synced" in found[KESTREL]
    unhurried.project.plan("crm")
    store.lifecycle.pause("crm", [ACME])
    found = {one.customer_id: one for one in verify(unhurried.project, "crm", run_id="check")}
    assert (found[ACME].status, found[ACME].message) == ("unknown", "It is paused, so it was not counted.")
    store.lifecycle.archive("crm")
    found = verify(unhurried.project, "crm", run_id="check")
    assert {one.message for one in found} == {"The sync is archived, so it was not counted."}


def test_a_customer_whose_work_is_under_way_is_not_judged(account):
    account.lose(2)
    store = account.place.project.store
    application = account.place.project.settings.application_id
    with store.leases.hold(application, "crm", account.customer, "contact") as ours:
        assert ours
        found = account.verify()
    assert found.status == "unknown"
    assert "not done twice" in found.message
    assert told(account.verify()) == ("gap", -2)


def test_a_destination_that_is_away_is_told_for_each_of_its_customers(unhurried):
    unhurried.connect(ACME, KESTREL)
    unhurried.sync()
    unhurried.environ["WAREHOUSE_DATABASE"] = "nowhere"
    unhurried.open()
    found = verify(unhurried.project, "crm", run_id="check")
    assert [(one.status, "could not be counted (destination)" in one.message) for one in found] == [
        ("unknown", True)
    ] * 2


def test_a_customer_disconnected_while_it_was_counted_is_forgotten(unhurried, monkeypatch):
    unhurried.connect(ACME, KESTREL)
    unhurried.sync()
    store, record = unhurried.project.store, unhurried.project.store.completeness.record

    def disconnected_before(found):
        store.connections.disconnect(store.connections.get(KESTREL, "salesforce"))
        record(found)

    monkeypatch.setattr(store.completeness, "record", disconnected_before)
    assert [one.customer_id for one in verify(unhurried.project, "crm", run_id="check")] == [ACME]


def test_only_the_objects_of_a_customer_are_counted(unhurried):
    unhurried.write_sync(objects=["contact", "account"], overrides={ACME: {"objects": ["account"]}})
    unhurried.connect(ACME, KESTREL)
    found = {(one.object, one.customer_id) for one in verify(unhurried.project, "crm", run_id="check")}
    assert found == {("contact", KESTREL), ("account", ACME), ("account", KESTREL)}


def test_what_is_read_in_full_every_time_is_mended_by_looking(unhurried):
    """HubSpot does not tell which owners changed; syncing what is new reads all of them."""
    unhurried.write_sync(provider="hubspot", objects=["owners"])
    unhurried.connect(LUMEN)
    unhurried.sync()
    unhurried.execute("DELETE FROM crm.crm_user WHERE id IN (SELECT id FROM crm.crm_user LIMIT 1)")
    (found,) = verify(unhurried.project, "crm", run_id="check")
    assert told(found) == ("complete", 0)
