"""Hours of an outage, played with a clock of the test's own: who comes back when, and what stays an error."""

import pytest

from sync_pipelines.model.sync import Schedule
from sync_pipelines.store import Outcome
from sync_pipelines.store.treatment import HOUR, MINUTE
from sync_pipelines_tests.store.conftest import sync_of

LOOK = 5 * MINUTE
"""How often the played sensor looks."""
CLASSES = ("network", "vendor_error", "destination", "unknown")
SCHEDULES = {
    "5-minutes": Schedule(every=5 * MINUTE),
    "15-minutes": Schedule(every=15 * MINUTE),
    "hourly": Schedule(every=HOUR),
    "daily": Schedule(every=24 * HOUR),
    "nightly": Schedule(cron="0 12 * * *"),
}
CUSTOMERS = tuple(f"{kind}-{number}" for kind in CLASSES for number in range(2))
LONELY = tuple(f"{kind}-lonely" for kind in CLASSES)


class World:
    """A sync of each schedule, customers of each class of failure. During the outage all fail, `lonely` ones always."""

    def __init__(self, store, connect, now, lonely=()):
        self.store, self.now, self.lonely, self.out = store, now, lonely, False
        self.succeeded = set()
        for customer in (*CUSTOMERS, *lonely):
            connect(customer)
        store.due.plan([sync_of(name, schedule=when) for name, when in SCHEDULES.items()], now=now, whole=True)

    def live(self, length, *, out=False):
        until, self.out = self.now + length, out
        while self.now < until:
            for claim in self.store.due.claim(self.now):
                outcomes = [self._outcome(customer) for customer in claim.customers]
                self.store.due.done(claim.id, outcomes, self.now)
                self.succeeded |= {(claim.sync, each.customer_id) for each in outcomes if not each.failed}
            self.now += LOOK

    def _outcome(self, customer):
        if not self.out and customer not in self.lonely:
            return Outcome(customer_id=customer)
        kind, names = customer.partition("-")[0], ("account", "contact")
        return Outcome(customer_id=customer, failed=True, failed_objects=names, error_type=kind, error_message="away")

    def states(self):
        return {each.state for each in self.store.lifecycle.list()}

    def statuses(self, customers=CUSTOMERS):
        return {each.status for each in self.store.connections.list() if each.customer_id in customers}

    def in_error(self):
        return {(work.sync, work.customer_id) for work in self.store.due.list() if work.error_since is not None}


@pytest.mark.parametrize("hours", [0.75, 8])
def test_an_hour_after_any_outage_everybody_has_come_through_and_nothing_is_in_error(store, connect, now, hours):
    world = World(store, connect, now)
    world.live(hours * HOUR, out=True)
    assert world.succeeded == set()
    if hours < 6:
        assert (world.in_error(), world.states(), world.statuses()) == (set(), {"active"}, {"connected"})
    else:
        assert (world.states(), world.statuses()) == ({"error"}, {"error"})

    # Within an hour it is due, and the next look of the sensor finds it.
    world.live(HOUR + LOOK)

    assert len(world.succeeded) == len(SCHEDULES) * len(CUSTOMERS)
    assert (world.in_error(), world.states(), world.statuses()) == (set(), {"active"}, {"connected"})


def test_what_fails_for_one_customer_alone_becomes_an_error_and_nobody_elses(store, connect, now):
    world = World(store, connect, now, LONELY)
    world.live(5 * HOUR)
    assert world.in_error() == set()
    world.live(2 * HOUR)

    assert world.in_error() == {(sync, customer) for sync in SCHEDULES for customer in LONELY}
    assert (world.states(), world.statuses(), world.statuses(LONELY)) == ({"active"}, {"connected"}, {"error"})

    world.lonely = ()
    world.live(HOUR + LOOK)
    assert (world.in_error(), world.statuses(LONELY)) == (set(), {"connected"})


class TestOneConnection:
    """Lines of a single customer, from the first failure on."""

    @pytest.fixture
    def play(self, store, connect, now):
        return Play(store, connect, now)

    def test_a_sync_that_runs_when_asked_is_tried_for_hours_and_giving_up_is_the_error_state(self, play):
        play.plan(Schedule())
        play.store.due.request("crm", ["acme"], now=play.now)
        while play.line.next_at is not None:
            assert play.line.error_since is None
            play.attempt(failed=True, error_type="network", error_message="away")

        assert play.passed >= 6 * HOUR
        assert play.line.error_since == play.now
        assert play.stands == ("error", "error")
        play.store.due.request("crm", ["acme"], now=play.now)
        play.attempt()
        assert play.stands == ("active", "connected")
        assert play.line.next_at is None

    def test_what_no_retry_helps_is_an_error_at_once_where_no_schedule_brings_it_back(self, play):
        play.plan(Schedule())
        play.store.due.request("crm", ["acme"], now=play.now)
        play.attempt(failed=True, error_type="configuration", retry=False)
        assert (play.line.next_at, play.stands) == (None, ("error", "error"))

    def test_work_that_a_person_stopped_is_not_given_up(self, play):
        play.plan(Schedule())
        play.store.due.request("crm", ["acme"], now=play.now)
        play.attempt(failed=True, error_type="network", retry=False)
        assert (play.line.next_at, play.stands) == (None, ("active", "connected"))

    @pytest.mark.parametrize("schedule", [Schedule(every=15 * MINUTE), Schedule(every=24 * HOUR), Schedule()])
    def test_an_object_that_always_fails_never_stops_those_that_get_through(self, play, schedule):
        """Its own retries fail wholly, and an outage of minutes on top of it is still no error."""
        play.plan(schedule)
        play.store.due.request("crm", ["acme"], now=play.now)
        whole = 0
        lasts = 8 * HOUR if schedule.every == 15 * MINUTE else 25 * HOUR
        while play.passed < lasts and play.line.next_at is not None:
            claim = play.claim()
            whole += not claim.objects
            failing = {"failed": True, "failed_objects": ("contact",), "error_type": "vendor_error"}
            play.done(claim, partly=not claim.objects, **failing)
            assert play.line.error_since is None
        assert whole >= {15 * MINUTE: 32, 24 * HOUR: 2, None: 1}[schedule.every]

        play.store.due.request("crm", ["acme"], now=play.now)
        for _ in range(3):
            play.attempt(failed=True, error_type="network", failed_objects=("account", "contact"))
        assert play.line.error_since is None

    def test_quotas_used_up_for_hours_do_not_shorten_the_time_to_an_error(self, play):
        play.plan(Schedule(every=5 * MINUTE))
        for _ in range(4):
            play.attempt(failed=True, error_type="rate_limit", retry_at=play.now + 2 * HOUR)
        for _ in range(9):
            play.attempt(failed=True, error_type="network")
        assert (play.line.attempts, play.line.error_since) == (9, None)

    def test_a_full_read_that_was_asked_for_is_still_full_when_the_outage_ends(self, play):
        play.plan(Schedule(every=HOUR))
        play.store.due.request("crm", ["acme"], full=True, now=play.now)
        failing = {"failed": True, "failed_objects": ("account", "contact"), "error_type": "network"}
        while play.passed < 7 * HOUR:
            play.attempt(**failing)
        assert play.line.error_since is not None

        claim = play.claim()
        assert claim.full
        play.done(claim)
        assert play.stands == ("active", "connected")
        assert not play.claim().full

    @pytest.mark.parametrize("objects", [None, ["account"]])
    def test_success_of_what_somebody_asked_for_ends_the_error_and_its_rare_looks(self, play, objects):
        play.plan(Schedule(every=5 * MINUTE))
        for _ in range(3):
            play.attempt(failed=True, error_type="configuration", retry=False)
        assert play.line.next_at - play.now > 4 * HOUR
        play.store.due.request("crm", ["acme"], objects, now=play.now)
        play.attempt()
        assert play.stands == ("active", "connected")
        assert play.line.next_at - play.now <= 5 * MINUTE

    def test_what_was_mended_and_got_through_leaves_no_connection_in_error(self, play):
        play.plan(Schedule(every=5 * MINUTE))
        for _ in range(3):
            play.attempt(failed=True, error_type="configuration", retry=False)
        assert play.stands == ("error", "error")
        play.plan(Schedule(every=5 * MINUTE), delete_brake=0.9)
        play.attempt()
        assert play.stands == ("active", "connected")

    def test_a_new_sync_covers_a_connection_in_error_which_its_success_ends(self, play):
        play.plan(Schedule(every=5 * MINUTE))
        for _ in range(3):
            play.attempt(failed=True, error_type="configuration", retry=False)
        play.plan(Schedule(), name="second")

        assert play.store.due.request("second", ["acme"], now=play.now) == ("acme",)
        [claim] = play.store.due.claim(play.now, sync="second")
        play.done(claim)
        assert play.stands == ("error", "connected")


class Play:
    def __init__(self, store, connect, now):
        self.store, self.began, self.now = store, now, now
        connect("acme")

    def plan(self, schedule, *, name="crm", **rest):
        self.store.due.plan([sync_of(name, schedule=schedule, **rest)], now=self.now)

    @property
    def line(self):
        [work] = self.store.due.list("crm")
        return work

    @property
    def passed(self):
        return self.now - self.began

    @property
    def stands(self):
        return self.store.lifecycle.state("crm").state, self.store.connections.get("acme", "salesforce").status

    def claim(self):
        self.now = max(self.now, self.line.next_at)
        [claim] = self.store.due.claim(self.now, sync="crm")
        return claim

    def done(self, claim, **outcome):
        assert self.store.due.done(claim.id, [Outcome(customer_id="acme", **outcome)], self.now) == 1

    def attempt(self, **outcome):
        self.done(self.claim(), **outcome)
