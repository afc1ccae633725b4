import multiprocessing
from datetime import UTC, timedelta

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Schedule
from sync_pipelines.store import Outcome, Store
from sync_pipelines_tests.store.conftest import KEY, sync_of

MINUTE = timedelta(minutes=1)


@pytest.fixture
def due(store):
    return store.due


def next_of(due, customer_id="acme", sync="crm"):
    (work,) = due.list(sync, customer_id)
    return work.next_at


def ok(*customers):
    return [Outcome(customer_id=customer) for customer in customers]


class TestPlanning:
    def test_every_connected_connection_of_a_sync_is_due_at_once(self, due, connect, now):
        for customer in ("acme", "globex"):
            connect(customer)
        connect("acme", provider="hubspot")

        due.plan([sync_of(), sync_of("deals", provider="hubspot")], now=now)

        assert [(work.sync, work.customer_id, work.next_at) for work in due.list()] == [
            ("crm", "acme", now),
            ("crm", "globex", now),
            ("deals", "acme", now),
        ]

    def test_a_sync_of_some_customers_covers_those_only(self, due, connect, now):
        connect("acme")
        connect("globex")

        due.plan([sync_of(customers=("globex",))], now=now)
        assert [work.customer_id for work in due.list()] == ["globex"]
        due.plan([sync_of(customers=("acme",))], now=now)
        assert [work.customer_id for work in due.list()] == ["acme"]

    def test_planning_again_changes_nothing(self, due, connect, now):
        connect()
        due.plan([sync_of()], now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, ok("acme"), now)
        before = due.list()

        due.plan([sync_of()], now=now + MINUTE)

        assert due.list() == before

    def test_planning_one_sync_leaves_the_others_unless_it_is_the_whole(self, due, connect, now):
        connect()
        due.plan([sync_of("one"), sync_of("two")], now=now)
        due.plan([sync_of("one")], now=now)
        assert {work.sync for work in due.list()} == {"one", "two"}

        due.plan([sync_of("one")], now=now, whole=True)
        assert {work.sync for work in due.list()} == {"one"}

    def test_planning_named_connections_leaves_the_others(self, due, connect, now):
        acme, _ = connect("acme"), connect("globex")

        due.plan([sync_of()], [acme], now)

        assert [work.customer_id for work in due.list()] == ["acme"]

    def test_a_sync_that_only_runs_when_asked_is_never_due_by_itself(self, due, connect, now):
        connect()
        due.plan([sync_of(schedule=Schedule())], now=now)

        assert next_of(due) is None
        assert due.claim(now + timedelta(days=1000)) == []

    def test_another_schedule_counts_from_now(self, due, connect, now):
        connect()
        due.plan([sync_of()], now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, ok("acme"), now)

        due.plan([sync_of(every=timedelta(hours=6))], now=now + MINUTE)
        assert next_of(due) == now + timedelta(hours=6)
        due.plan([sync_of(schedule=Schedule())], now=now + MINUTE)
        assert next_of(due) is None
        due.plan([sync_of(schedule=Schedule(cron="0 5 * * *"))], now=now + MINUTE)
        assert next_of(due) == now + MINUTE

    def test_ten_thousand_connections_are_planned_and_claimed_in_a_few_statements(
        self, store, due, now, statements, database
    ):
        with database.connect() as connection:
            connection.execute(
                "INSERT INTO connections (customer_id, provider, environment, status) "
                "SELECT 'customer-' || n, 'salesforce', 'production', 'connected' FROM generate_series(1, 10000) AS n"
            )

        due.plan([sync_of("one"), sync_of("two")], now=now, whole=True)
        planned = len(statements)
        claims = due.claim(now, limit=20_000, batch=5_000)
        claimed = len(statements) - planned
        due.done(claims[0].id, ok(*claims[0].customers), now)
        finished = len(statements) - planned - claimed

        assert [len(claim.customers) for claim in claims] == [5_000] * 4
        assert planned <= 7
        assert claimed <= 3 + len(claims)
        assert finished == 2


class TestClaiming:
    def test_a_claim_holds_what_is_due_and_nobody_gets_it_again(self, due, connect, now):
        connect("acme")
        connect("globex")
        due.plan([sync_of()], now=now)

        (claim,) = due.claim(now)

        assert (claim.sync, claim.customers, claim.objects, claim.full) == ("crm", ("acme", "globex"), (), False)
        assert due.claim(now) == []
        assert due.get(claim.id) == claim
        assert due.open_claims() == [claim]

    def test_work_is_split_by_sync_and_by_batch(self, due, connect, now):
        for number in range(5):
            connect(f"c{number}")
        due.plan([sync_of("one"), sync_of("two")], now=now)

        claims = due.claim(now, batch=3)

        assert [(claim.sync, len(claim.customers)) for claim in claims] == [
            ("one", 3),
            ("one", 2),
            ("two", 3),
            ("two", 2),
        ]

    def test_a_claim_can_be_of_one_sync_only(self, due, connect, now):
        connect()
        due.plan([sync_of("one"), sync_of("two")], now=now)

        assert [claim.sync for claim in due.claim(now, sync="two")] == ["two"]
        assert [claim.sync for claim in due.claim(now)] == ["one"]

    def test_what_waits_longest_comes_first(self, due, connect, now):
        connect("late")
        due.plan([sync_of()], now=now)
        connect("early")
        due.plan([sync_of()], now=now - MINUTE)

        assert [claim.customers for claim in due.claim(now, limit=1)] == [("early",)]

    def test_connections_that_do_not_work_wait(self, store, due, connect, now):
        acme = connect()
        due.plan([sync_of()], now=now)
        store.connections.set_status(acme, "expired", "revoked")

        assert due.claim(now) == []

    def test_what_another_is_claiming_at_this_moment_is_passed_over(self, due, connect, now, database):
        connect("acme")
        connect("globex")
        due.plan([sync_of()], now=now)

        with database.connect(autocommit=False) as another:
            another.execute("SELECT * FROM due WHERE customer_id = 'acme' FOR UPDATE")
            assert [claim.customers for claim in due.claim(now)] == [("globex",)]

    def test_processes_that_claim_at_once_get_different_work(self, due, connect, now, database):
        for number in range(60):
            connect(f"c{number:02}")
        due.plan([sync_of()], now=now)
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            found = pool.starmap(claim_elsewhere, [(database.url(), now.isoformat())] * 2)

        customers = [customer for part in found for customer in part]
        assert len(customers) == len(set(customers)) == 60

    def test_a_claim_without_a_sign_of_life_can_be_claimed_again_with_the_same_work(self, due, connect, now):
        connect()
        due.plan([sync_of(schedule=Schedule())], now=now)
        due.request("crm", objects=["account"], full=True, now=now)
        (first,) = due.claim(now)

        assert due.claim(now + 1.5 * MINUTE) == []
        assert due.heartbeat([first.id], now + 1.5 * MINUTE) == 1
        assert due.claim(now + 3 * MINUTE) == []
        (second,) = due.claim(now + 4 * MINUTE)

        assert (second.objects, second.full) == (("account",), True)
        assert due.done(first.id, ok("acme"), now) == 0
        assert due.done(second.id, ok("acme"), now) == 1

    def test_what_is_given_back_can_be_claimed_again_at_once_whoever_was_not_at_work_first(self, due, connect, now):
        for customer in ("acme", "bolt", "corvo", "dune"):
            connect(customer)
        due.plan([sync_of()], now=now)
        due.request("crm", full=True, now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, ok("dune"), now)

        left = {"acme": (), "bolt": ("contact",), "corvo": (), "dune": ()}
        assert due.give_back(claim.id, left, begun={"acme", "bolt"}) == 3
        assert due.get(claim.id) is None, "its run holds nothing any more"
        assert due.heartbeat([claim.id], now) == 0

        whole, rest = due.claim(now)
        assert (whole.customers, whole.objects, whole.full) == (("corvo", "acme"), (), True)
        assert (rest.customers, rest.objects, rest.full) == (("bolt",), ("contact",), True)
        assert due.claim(now) == []

    def test_a_cancel_holds_for_what_was_given_back(self, store, due, connect, now):
        connect()
        due.plan([sync_of()])
        (claim,) = due.claim()
        due.give_back(claim.id, {"acme": ()}, begun={"acme"})
        assert store.lifecycle.cancel("crm") == ("acme",)
        (again,) = due.claim()
        assert store.lifecycle.cancelled_of(again.id) == {"acme"}

    def test_a_claim_of_what_is_gone_ends_without_a_trace(self, store, due, connect, now):
        acme = connect()
        due.plan([sync_of()], now=now)
        (claim,) = due.claim(now)
        store.connections.disconnect(acme)

        assert due.done(claim.id, ok("acme"), now) == 0
        assert due.get(claim.id) is None


class TestOutcomes:
    @pytest.fixture
    def claim(self, due, connect, now):
        connect()
        due.plan([sync_of()], now=now)
        (claim,) = due.claim(now)
        return claim

    def test_success_waits_for_the_next_time(self, due, claim, now):
        due.done(claim.id, ok("acme"), now + 2 * MINUTE)

        assert next_of(due) == now + 15 * MINUTE

    def test_a_run_that_took_longer_than_the_period_is_not_made_up_for(self, due, claim, now):
        due.done(claim.id, ok("acme"), now + 50 * MINUTE)

        assert next_of(due) == now + 60 * MINUTE

    def test_times_do_not_drift(self, due, claim, now):
        moment = now
        for _ in range(20):
            due.done(claim.id, ok("acme"), moment + 3 * MINUTE)
            moment = next_of(due)
            (claim,) = due.claim(moment)

        assert moment == now + 300 * MINUTE

    def test_a_clock_that_is_behind_does_not_bring_the_same_time_twice(self, due, claim, now):
        due.done(claim.id, ok("acme"), now + 5 * MINUTE)
        (again,) = due.claim(now + 15 * MINUTE)
        due.done(again.id, ok("acme"), now + 14 * MINUTE)

        assert next_of(due) == now + 30 * MINUTE

    def test_failures_come_back_sooner_and_each_time_later(self, due, claim, now):
        waits = []
        for _ in range(3):
            due.done(claim.id, [Outcome(customer_id="acme", failed=True)], now)
            waits.append(next_of(due) - now)
            now = next_of(due)
            (claim,) = due.claim(now)
        due.done(claim.id, ok("acme"), now)

        for number, wait in enumerate(waits):
            assert 0.75 * MINUTE <= wait / 2**number <= MINUTE
        assert due.list()[0].attempts == 0

    def test_only_what_failed_is_tried_again(self, due, claim, now):
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, failed_objects=("account",))], now)

        (again,) = due.claim(now + MINUTE)

        assert again.objects == ("account",)

    def test_a_retry_that_the_schedule_overtakes_becomes_a_whole_run(self, due, claim, now):
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, failed_objects=("account",))], now)

        (again,) = due.claim(now + 20 * MINUTE)

        assert again.objects == ()
        due.done(again.id, ok("acme"), now + 20 * MINUTE)
        assert next_of(due) > now + 29 * MINUTE

    def test_the_vendors_wish_is_obeyed(self, due, claim, now):
        later = now + timedelta(hours=3)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, retry_at=later)], now)

        assert next_of(due) == later

    def test_what_no_retry_helps_waits_for_the_schedule(self, due, claim, now):
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, retry=False)], now)

        assert now + 15 * MINUTE <= next_of(due)
        assert due.list()[0].attempts == 1

    def test_one_customers_failure_is_not_anothers(self, due, connect, claim, now):
        connect("globex")
        due.plan([sync_of()], now=now)
        (other,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True)], now)
        due.done(other.id, ok("globex"), now)

        assert next_of(due, "acme") < next_of(due, "globex")


class TestRequests:
    @pytest.fixture(autouse=True)
    def _planned(self, due, connect, now):
        connect("acme")
        connect("globex")
        due.plan([sync_of(schedule=Schedule())], now=now)

    def test_a_request_is_due_now_with_what_it_asks_for(self, due, now):
        assert due.request("crm", customers=["acme"], objects=["contact"], full=True, now=now) == ("acme",)

        (claim,) = due.claim(now)

        assert (claim.customers, claim.objects, claim.full) == (("acme",), ("contact",), True)

    def test_a_request_for_nobody_in_particular_is_for_all(self, due, now):
        assert due.request("crm", now=now) == ("acme", "globex")

    def test_several_requests_become_one_that_does_them_all(self, due, now):
        due.request("crm", customers=["acme"], objects=["contact"], now=now)
        due.request("crm", customers=["acme"], objects=["account", "contact"], full=True, now=now)
        due.request("crm", customers=["globex"], objects=["contact"], now=now)
        due.request("crm", customers=["globex"], now=now)

        found = {claim.customers: (claim.objects, claim.full) for claim in due.claim(now)}

        assert found == {("acme",): (("account", "contact"), True), ("globex",): ((), False)}

    def test_a_request_during_a_run_is_kept_for_afterwards(self, due, now):
        due.request("crm", customers=["acme"], now=now)
        (running,) = due.claim(now)
        due.request("crm", customers=["acme"], full=True, now=now + MINUTE)
        assert due.claim(now + MINUTE) == []

        due.done(running.id, ok("acme"), now + 2 * MINUTE)

        (again,) = due.claim(now + 2 * MINUTE)
        assert again.full
        due.done(again.id, ok("acme"), now + 3 * MINUTE)
        assert next_of(due) is None

    def test_a_full_request_that_fails_is_tried_again_in_full(self, due, now):
        due.request("crm", customers=["acme"], full=True, now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, failed_objects=("account",))], now)

        (again,) = due.claim(now + MINUTE)

        assert (again.objects, again.full) == (("account",), True)

    def test_a_request_for_one_object_keeps_the_retry_of_another(self, due, now):
        due.request("crm", customers=["acme"], now=now)
        (claim,) = due.claim(now)
        due.done(claim.id, [Outcome(customer_id="acme", failed=True, failed_objects=("account",))], now)
        due.request("crm", customers=["acme"], objects=["contact"], now=now)
        (claim,) = due.claim(now)

        due.done(claim.id, ok("acme"), now)

        assert [again.objects for again in due.claim(now + MINUTE)] == [("account",)]

    def test_a_request_for_somebody_who_is_not_covered_changes_nothing(self, due, now):
        with pytest.raises(ConfigurationError, match="does not cover initech, umbrella"):
            due.request("crm", customers=["acme", "umbrella", "initech"], now=now)

        assert due.claim(now) == []

    def test_requests_are_remembered_with_who_made_them(self, due, now, database):
        due.request("crm", customers=["acme"], objects=["contact"], full=True, actor="ada", now=now)

        with database.connect() as connection:
            rows = connection.execute(
                'SELECT asked_at, actor, sync, customers, objects, "full" FROM requests'
            ).fetchall()
        assert [(row[0].astimezone(UTC), *row[1:]) for row in rows] == [
            (now, "ada", "crm", ["acme"], ["contact"], True)
        ]


def claim_elsewhere(url, now):
    from datetime import datetime

    store = Store(url, (Secret(KEY),))
    found = []
    while claims := store.due.claim(datetime.fromisoformat(now), limit=7):
        found += [customer for claim in claims for customer in claim.customers]
    store.close()
    return found
