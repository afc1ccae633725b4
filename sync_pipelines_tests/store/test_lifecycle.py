from datetime import timedelta

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Override, Schedule
from sync_pipelines.store import Outcome
from sync_pipelines.store.treatment import TREATMENTS
from sync_pipelines_tests.store.conftest import sync_of

MINUTE = timedelta(minutes=1)
EVERY = 15 * MINUTE


@pytest.fixture
def due(store):
    return store.due


@pytest.fixture
def lifecycle(store):
    return store.lifecycle


@pytest.fixture
def planned(due, connect, now):
    """One sync of two customers, due now."""
    connect("acme")
    connect("globex")
    due.plan([sync_of()], now=now)


def claimed(due, now):
    return sorted(customer for claim in due.claim(now) for customer in claim.customers)


def line(due, customer_id="acme"):
    (work,) = due.list("crm", customer_id)
    return work


def fails(due, now, times, **outcome):
    """The first claims of acme that fail one after the other; when the last of them had been due."""
    for _ in range(times):
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, **outcome)], now)
        last, now = now, line(due).next_at
    return last


class TestStates:
    def test_a_sync_is_created_until_its_first_claim(self, due, lifecycle, planned, now):
        assert lifecycle.state("crm").state == "created"
        due.claim(now)
        assert lifecycle.state("crm").state == "active"

    def test_a_sync_that_nobody_has_looked_at_is_created_and_cannot_be_decided_on(self, lifecycle):
        assert lifecycle.state("crm").state == "created"
        with pytest.raises(ConfigurationError, match="Nothing is planned of a sync crm yet"):
            lifecycle.pause("crm")

    def test_three_intervals_missed_in_a_pause_are_one_run_when_it_goes_on(self, due, lifecycle, planned, now):
        for claim in due.claim(now):
            due.done(claim.id, [Outcome(customer_id=customer) for customer in claim.customers], now)
        lifecycle.pause("crm", reason="the warehouse moves", actor="dana")
        later = now + 3 * EVERY + MINUTE
        assert claimed(due, later) == []

        assert lifecycle.resume("crm", actor="dana").customers == ("acme", "globex")
        (claim,) = due.claim(later)
        assert claim.customers == ("acme", "globex")
        due.done(claim.id, [Outcome(customer_id=customer) for customer in claim.customers], later)
        assert claimed(due, later) == []
        assert line(due).next_at == now + 4 * EVERY

    def test_a_request_during_a_pause_waits_for_its_end(self, due, lifecycle, planned, now):
        lifecycle.pause("crm")
        due.request("crm", ["acme"], ["account"], full=True, now=now)
        assert claimed(due, now + MINUTE) == []
        lifecycle.resume("crm")
        full = [claim for claim in due.claim(now + MINUTE) if claim.full]
        assert [(claim.customers, claim.objects) for claim in full] == [(("acme",), ("account",))]

    def test_one_customer_is_paused_alone(self, due, lifecycle, planned, now):
        assert lifecycle.pause("crm", ["acme"]) == ("acme",)
        assert claimed(due, now) == ["globex"]
        assert lifecycle.state("crm").paused == 1
        lifecycle.resume("crm", ["acme"])
        assert claimed(due, now) == ["acme"]

    @pytest.mark.parametrize("whole", [False, True])
    def test_resuming_a_sync_leaves_who_was_paused_alone_unless_everyone_is_meant(
        self, due, lifecycle, planned, now, whole
    ):
        lifecycle.pause("crm", ["acme"])
        if whole:
            lifecycle.pause("crm")
            assert lifecycle.resume("crm", ["globex"]).still_paused == ("globex",)
        done = lifecycle.resume("crm")
        assert (done.customers, done.still_paused) == (("acme", "globex"), ("acme",))
        assert claimed(due, now) == ["globex"]
        assert lifecycle.resume("crm", everyone=True).still_paused == ()
        assert claimed(due, now) == ["acme"]

    def test_a_request_tells_for_how_many_it_waits_and_for_what(self, store, due, lifecycle, connect, planned, now):
        connect("hooli")
        due.plan([sync_of()], now=now)
        store.connections.set_status(store.connections.get("hooli", "salesforce"), "expired", "access was revoked")
        lifecycle.pause("crm", ["acme"])
        asked = due.ask("crm", now=now)

        def stands():
            found = store.requests.get(asked.id)
            return found.waiting, found.running, found.paused, found.expired

        assert stands() == (3, 0, 1, 1)
        (claim,) = due.claim(now)
        assert stands() == (2, 1, 1, 1)
        due.done(claim.id, [Outcome(customer_id="globex")], now)
        assert stands() == (2, 0, 1, 1)
        lifecycle.pause("crm")
        assert stands() == (2, 0, 2, 0)
        lifecycle.resume("crm", everyone=True)
        connect("hooli")
        assert stands() == (2, 0, 0, 0)

    def test_pausing_a_stranger_changes_nothing(self, due, lifecycle, planned, now):
        with pytest.raises(ConfigurationError, match="does not cover initech"):
            lifecycle.pause("crm", ["acme", "initech"])
        assert claimed(due, now) == ["acme", "globex"]

    def test_an_abandoned_claim_of_a_paused_sync_waits_too(self, due, lifecycle, planned, now):
        due.claim(now)
        lifecycle.pause("crm")
        assert claimed(due, now + timedelta(hours=1)) == []
        lifecycle.resume("crm")
        assert claimed(due, now + timedelta(hours=1)) == ["acme", "globex"]

    def test_an_archived_sync_only_comes_back_by_being_restored(self, due, lifecycle, planned, now):
        lifecycle.archive("crm", reason="replaced")
        assert claimed(due, now) == []
        for act in (lifecycle.pause, lifecycle.resume, lifecycle.refuse_archived):
            with pytest.raises(ConfigurationError, match="sync-pipelines restore crm"):
                act("crm")
        lifecycle.restore("crm")
        assert claimed(due, now) == ["acme", "globex"]
        with pytest.raises(ConfigurationError, match="not archived but active"):
            lifecycle.restore("crm")

    def test_a_paused_sync_can_be_archived_and_deciding_twice_is_deciding_once(self, store, lifecycle, planned):
        for _ in range(2):
            lifecycle.pause("crm", actor="dana")
        lifecycle.archive("crm", actor="dana")
        entries = store.audit.list("sync crm")
        assert [(entry.actor, entry.action, entry.new["state"]) for entry in entries] == [
            ("dana", "archive", "archived"),
            ("dana", "pause", "paused"),
        ]

    def test_planning_again_leaves_a_decision_alone(self, due, lifecycle, planned, now):
        lifecycle.pause("crm")
        due.plan([sync_of(every=timedelta(hours=1))], now=now)
        assert lifecycle.state("crm").state == "paused"

    def test_a_sync_that_ran_before_states_were_kept_is_active(self, store, due, lifecycle, database, planned):
        with database.connect() as connection:
            connection.execute("DELETE FROM sync_states")
            connection.execute(
                "INSERT INTO runs (run_id, sync, object, provider, customer_id, started_at, finished_at, status, "
                '"full", read, created, updated, unchanged, deleted, rejected, invalid, error_message, notices, '
                "rejections, vendor_calls, quota) SELECT 'r', 'crm', 'contact', 'salesforce', 'acme', now(), now(), "
                "'success', true, 0, 0, 0, 0, 0, 0, 0, '', '[]', '[]', 1, '{}'"
            )
        due.plan([sync_of()])
        assert lifecycle.state("crm").state == "active"


class TestCancelling:
    def test_it_names_who_is_worked_on_and_marks_all(self, due, lifecycle, planned, now):
        due.claim(now, limit=1)
        assert len(lifecycle.cancel("crm", now=now)) == 1
        assert lifecycle.cancelled("crm", now - MINUTE) == {"acme", "globex"}
        assert lifecycle.cancelled("crm", now + MINUTE) == frozenset()

    def test_one_customer_is_cancelled_alone_and_strangers_are_refused(self, lifecycle, planned, now):
        lifecycle.cancel("crm", ["acme"], now=now)
        assert lifecycle.cancelled("crm", now) == {"acme"}
        with pytest.raises(ConfigurationError, match="does not cover initech"):
            lifecycle.cancel("crm", ["initech"])

    def test_what_was_cancelled_comes_back_at_its_regular_time_and_counts_as_nothing(self, due, planned, now):
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True)], now)
        (again,) = due.claim(line(due).next_at)
        assert again.customers == ("acme",)
        due.done(again.id, [Outcome(customer_id="acme", undecided=True)], now + MINUTE)
        assert line(due).attempts == 1
        assert line(due).next_at == now + EVERY


class TestErrorState:
    @pytest.fixture
    def planned(self, due, connect, now):
        connect("acme")
        due.plan([sync_of()], now=now)

    @pytest.mark.parametrize(
        "error_type", [name for name, treatment in TREATMENTS.items() if treatment.error_after is not None]
    )
    def test_persistent_failure_is_an_error_that_is_looked_at_rarely(
        self, store, due, lifecycle, planned, now, error_type
    ):
        treatment = TREATMENTS[error_type]
        most = max(treatment.error_after, treatment.lasting // EVERY + 1)
        fails(due, now, most - 1, error_type=error_type, error_message="contact: the door is shut", retry=False)
        assert line(due).error_since is None
        last = fails(due, line(due).next_at, 1, error_type=error_type, error_message="contact: shut", retry=False)

        assert (line(due).error_since, line(due).attempts) == (last, most)
        looked_at = line(due).next_at
        assert last + 0.75 * treatment.probe <= looked_at <= last + treatment.probe
        state = lifecycle.state("crm")
        assert (state.state, state.reason, state.in_error) == ("error", "contact: shut", 1)
        assert store.connections.get("acme", "salesforce").status == "error"

        (claim,) = due.claim(looked_at)
        due.done(claim.id, [Outcome(customer_id="acme")], looked_at)
        assert (line(due).error_since, line(due).attempts, line(due).error_type) == (None, 0, None)
        assert lifecycle.state("crm").state == "active"
        assert store.connections.get("acme", "salesforce").status == "connected"

    @pytest.mark.parametrize("error_type", ["rate_limit", "not_found", "field_validation", "auth_expired"])
    def test_what_is_no_fault_of_its_own_never_becomes_one(self, due, planned, now, error_type):
        fails(due, now, 30, error_type=error_type)
        assert line(due).error_since is None

    def test_a_failure_of_some_objects_is_no_error_of_the_connection(self, due, planned, now):
        fails(due, now, 20, error_type="network", partly=True)
        assert line(due).error_since is None
        assert line(due).attempts == 20

    @pytest.fixture
    def mend(self, request, store, due, connect, now):
        """Changes something that may have been the reason of a failure."""
        return {
            "reconnect": lambda: connect("acme"),
            "mapping": lambda: store.mappings.save("acme", "salesforce", "contact", {"tier": "Tier__c"}),
            "configuration": lambda: due.plan([sync_of(delete_brake=0.9)], now=now),
            "mark": lambda: due.plan([sync_of()], marks={"crm": "another password"}, now=now),
        }[request.param]

    MENDS = pytest.mark.parametrize("mend", ["reconnect", "mapping", "configuration", "mark"], indirect=True)

    @MENDS
    def test_a_change_that_may_mend_it_is_tried_at_once(self, due, planned, now, mend):
        fails(due, now, 3, error_type="configuration", retry=False)
        assert line(due).error_since is not None
        mend()
        work = line(due)
        assert (work.error_since, work.attempts) == (None, 0)
        assert [claim.customers for claim in due.claim()] == [("acme",)]

    @MENDS
    def test_so_is_one_that_is_made_while_its_run_is_at_work(self, store, due, lifecycle, planned, now, mend):
        last = fails(due, now, 2, error_type="configuration", retry=False) + EVERY
        (claim,) = due.claim(last)
        mend()
        failed = Outcome(customer_id="acme", failed=True, error_type="configuration", retry=False)
        due.done(claim.id, [failed], last)
        work = line(due)
        assert (work.attempts, work.error_since, work.next_at) == (0, None, last)

        (again,) = due.claim(last)
        due.done(again.id, [failed], last)
        assert (line(due).attempts, line(due).next_at) == (1, last + EVERY)

    @MENDS
    def test_what_was_asked_for_and_failed_beside_the_change_is_asked_for_still(self, due, planned, now, mend):
        due.plan([sync_of(schedule=Schedule())], now=now)
        due.request("crm", ["acme"], ["contact"], full=True, now=now)
        failed = Outcome(customer_id="acme", failed=True, failed_objects=("contact",), error_type="network")
        (claim,) = due.claim(now)
        mend()
        due.done(claim.id, [failed], now)
        (claim,) = due.claim(now)
        assert (claim.objects, claim.full) == (("contact",), True)
        due.done(claim.id, [failed], now)
        mended_once_more = Schedule(every=EVERY, spread=timedelta(0))
        due.plan([sync_of(schedule=mended_once_more, delete_brake=0.7)], now=now)
        (claim,) = due.claim(now)
        assert (claim.objects, claim.full) == (("contact",), True)

    def test_a_change_makes_nothing_due_that_got_through_beside_it(self, due, planned, now):
        (claim,) = due.claim(now)
        due.plan([sync_of(delete_brake=0.9)], now=now)
        due.done(claim.id, [Outcome(customer_id="acme")], now)
        assert line(due).next_at == now + EVERY

    def test_what_changes_nothing_mends_nothing(self, store, due, connect, planned, now):
        connect("globex")
        fails(due, now, 3, error_type="configuration", retry=False)
        before = due.list()
        due.plan([sync_of()], now=now)
        store.mappings.save("globex", "salesforce", "contact", {"tier": "Tier__c"})
        assert [work for work in due.list() if work.customer_id == "acme"] == before

    def test_somebody_who_asks_is_not_kept_waiting_by_it(self, due, planned, now):
        last = fails(due, now, 3, error_type="configuration", retry=False)
        due.request("crm", ["acme"], now=last)
        assert claimed(due, last) == ["acme"]

    def test_one_of_many_customers_in_error_is_no_error_of_the_sync(self, due, lifecycle, connect, planned, now):
        connect("globex")
        due.plan([sync_of()], now=now)
        fails(due, now, 1, error_type="network")
        (work,) = due.list("crm", "globex")
        assert work.attempts == 0
        assert lifecycle.state("crm").state == "active"


class TestOwnSchedules:
    def test_a_customer_with_its_own_schedule_comes_at_its_own_times(self, due, connect, now):
        connect("acme")
        connect("globex")
        own = Schedule(every=timedelta(hours=6), spread=timedelta(0))
        due.plan([sync_of(overrides={"globex": Override(schedule=own)})], now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id=customer) for customer in claim.customers], now)
        assert line(due).next_at == now + EVERY
        assert line(due, "globex").next_at == now + timedelta(hours=6)

    def test_another_own_schedule_moves_that_customer_only(self, due, connect, now):
        connect("acme")
        connect("globex")
        due.plan([sync_of()], now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id=customer) for customer in claim.customers], now)
        own = Schedule(every=timedelta(hours=2), spread=timedelta(0))
        due.plan([sync_of(overrides={"globex": Override(schedule=own)})], now=now + MINUTE)
        assert line(due).next_at == now + EVERY
        assert line(due, "globex").next_at == now + timedelta(hours=2)

    def test_a_customer_may_only_run_when_asked(self, due, connect, now):
        connect("acme")
        connect("globex")
        due.plan([sync_of(overrides={"globex": Override(schedule=Schedule())})], now=now)
        assert claimed(due, now) == ["acme"]


def test_a_claim_tells_since_when_its_work_was_due(due, connect, now):
    connect("acme")
    due.plan([sync_of()], now=now)
    (claim,) = due.claim(now + 2 * MINUTE)
    assert claim.due_at == {"acme": now}
    assert due.get(claim.id).due_at == {"acme": now}
    (again,) = due.claim(now + timedelta(hours=2))
    assert again.due_at == {"acme": now}
