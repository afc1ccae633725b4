"""The views, asked about connections in every standing: one store holds them all, each in a sync of its own."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import Override, Schedule, SyncObject
from sync_pipelines.store import Store
from sync_pipelines_tests.store.conftest import KEY, sync_of
from sync_pipelines_tests.store.standing import Standing

EVERY_QUARTER = Schedule(every=timedelta(minutes=15))
CRON = Schedule(cron="0 3 * * *")
EVERY_DAY = Schedule(every=timedelta(days=1))
HOURLY = Override(schedule=Schedule(every=timedelta(hours=1)))
AN_HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OBJECTIVE = {"freshness": AN_HOUR}
ACCOUNT_ONLY = {"objects": (SyncObject(object="contact"), SyncObject(object="account", freshness=AN_HOUR))}
VENDOR_OUT = "The vendor is out."


@dataclass
class Case:
    """`arrange(standing, connection, sync)` after all was well; `fresh`: it has never run. What is then said of it.

    `own`: the customer's override. `more`: of the sync.
    """

    health: str
    reason: str = ""
    advice: str = ""
    arrange: object = lambda standing, connection, sync: None
    schedule: Schedule = EVERY_QUARTER
    fresh: bool = False
    own: Override | None = None
    more: dict = field(default_factory=dict)

    def sync(self, name):
        overrides = {name: self.own} if self.own else {}
        return replace(sync_of(name, customers=(name,), schedule=self.schedule, overrides=overrides), **self.more)


def due(**values):
    """Moments are given in minutes from now."""

    def arrange(standing, connection, sync):
        moments = {name: standing.at(value) if name.endswith("_at") else value for name, value in values.items()}
        standing.due(connection, sync, **moments)

    return arrange


def claimed(**times):
    """Due for two hours, claimed ever since, and its run gives signs of life."""
    claim = "11111111-1111-1111-1111-111111111111"
    always = {"claimed_at": -120, "claimed_due_at": -120, "scheduled_at": -120, "heartbeat_at": 0}
    return due(claim_id=claim, **{**always, **times})


def tried(**objects):
    def arrange(standing, connection, sync):
        for name, values in objects.items():
            standing.tried(connection, name, sync, **values)

    return arrange


def budget(used, allowed=1_000, *, ends=None, **rest):
    """`ends`: in so many minutes, as it was foretold."""

    def arrange(standing, connection, sync):
        foretold = {} if ends is None else {"runs_out_at": standing.at(ends)}
        standing.budget(connection, used, allowed, **rest, **foretold)

    return arrange


def held(standing, connection, sync):
    standing.due(connection, sync, scheduled_at=standing.at(-120))
    standing.budget(connection, None, None, held_until=standing.at(30), held_reason="The reserve is for other apps")


def succeeded(minutes):
    """So many minutes ago, for the last time."""

    def arrange(standing, connection, sync):
        for name in ("contact", "account"):
            standing.tried(connection, name, sync, minutes=-minutes)

    return arrange


def status(name, reason=""):
    return lambda standing, connection, sync: standing.connection(connection, status=name, status_reason=reason)


def state(name):
    def arrange(standing, connection, sync):
        standing.state(name, sync, "the customer asked")
        standing.connection(connection, status="expired")

    return arrange


def error_state(standing, connection, sync):
    since = {"failing_since": standing.at(-600), "error_since": standing.at(-300)}
    standing.due(connection, sync, attempts=9, error_type="destination", error_message="The disk is full.", **since)


def gap(status):
    return lambda standing, connection, sync: standing.gap(connection, "account", sync, status)


CASES = {
    "fine": Case("healthy"),
    "new": Case("healthy", "It has not run yet", "Nothing, it starts", fresh=True),
    "new-late": Case("warning", "It should have started 16 minutes ago", "See that", due(scheduled_at=-16), fresh=True),
    "on-time": Case("healthy", arrange=due(scheduled_at=-14)),
    "late": Case("warning", "It should have started 16 minutes ago", "See that", due(scheduled_at=-16)),
    "asked-late": Case("warning", "It should have started 20 minutes ago", "See that", due(asked_at=-20)),
    "cron-on-time": Case("healthy", arrange=due(scheduled_at=-59), schedule=CRON),
    "cron-late": Case("warning", "It should have started 61 minutes ago", "", due(scheduled_at=-61), CRON),
    "claimed": Case("healthy", arrange=claimed(worked_at=-1)),
    "claimed-waits": Case("warning", "It should have started 120 minutes ago", arrange=claimed()),
    "claimed-dead": Case("warning", "It should have started 20 minutes ago", arrange=claimed(worked_at=-20)),
    "held": Case("warning", "The account rests until .*: The reserve is for other apps", "Sync less often", held),
    "expired": Case(
        "error",
        "The customer's tokens no longer work: revoked",
        "The customer reconnects: sync-pipelines connect salesforce expired",
        status("expired", "revoked"),
    ),
    "broken": Case("error", "The connection does not work: gone", arrange=status("error", "gone")),
    "one-fails": Case("warning", f"Failing: contact: {VENDOR_OUT}", "It is tried again", tried(contact={"failing": 2})),
    "all-fail": Case(
        "error",
        "Every object fails: No scope.",
        "Give the permission",
        tried(
            contact={"failing": 3},
            account={
                "failing": 1,
                "minutes": -1,
                "last_error_type": "not_found",
                "last_error_message": "No scope.",
            },
        ),
    ),
    "all-wait": Case(
        "warning",
        f"Failing: account, contact: {VENDOR_OUT}",
        "It comes back",
        tried(
            contact={"failing": 1, "last_error_type": "rate_limit"},
            account={"failing": 1, "last_error_type": "rate_limit"},
        ),
    ),
    "given-up": Case("error", "It fails since .*: The disk is full.", "Mend your database", error_state),
    "in-a-row": Case(
        "warning",
        "Attempts that failed in a row: 2: Wait.",
        "It comes back",
        due(attempts=2, error_type="rate_limit", error_message="Wait."),
    ),
    "complete": Case("healthy", arrange=gap("complete")),
    "gap": Case(
        "warning",
        "Records are missing in account: 3 of 10 are missing",
        "A full read mends it: sync-pipelines trigger gap --customer gap --full",
        gap("gap"),
    ),
    "quota-80": Case("healthy", arrange=budget(800)),
    "quota-81": Case("warning", "81 percent of the account's API calls are used", arrange=budget(810)),
    "quota-old": Case("healthy", arrange=budget(999, seen=-2 * 24 * 60)),
    "quota-ends": Case(
        "warning",
        "At the pace of the last hours the account's API calls end at .*",
        "Sync less often",
        budget(500, ends=5 * 60),
    ),
    "quota-is-ending": Case("warning", "At the pace of the last hours .*", "Sync less often", budget(500, ends=-10)),
    "quota-lasts": Case("healthy", arrange=budget(500, ends=7 * 60)),
    "quota-endless": Case("healthy", arrange=budget(500)),
    "quota-long-ago": Case("healthy", arrange=budget(500, seen=-7 * 60, ends=-60)),
    "own-hour-late": Case(
        "warning", "It should have started 61 minutes ago", "See that", due(scheduled_at=-61), EVERY_DAY, own=HOURLY
    ),
    "own-day-on-time": Case("healthy", arrange=due(scheduled_at=-61), own=Override(schedule=EVERY_DAY)),
    "own-cron-late": Case(
        "warning",
        "It should have started 61 minutes ago",
        "",
        due(scheduled_at=-61),
        EVERY_DAY,
        own=Override(schedule=CRON),
    ),
    "retry-late": Case(
        "warning",
        "Attempts that failed in a row: 2",
        "It is tried again",
        due(attempts=2, retry_at=-16, scheduled_at=5),
    ),
    "objective-met": Case("healthy", arrange=succeeded(59), more=OBJECTIVE),
    "stale": Case(
        "warning",
        "The last success is older than its objective: account, contact",
        "Sync more",
        succeeded(61),
        more=OBJECTIVE,
    ),
    "one-stale": Case(
        "warning",
        "The last success is older than its objective: account",
        "Sync more",
        succeeded(61),
        more=ACCOUNT_ONLY,
    ),
    "own-objective": Case("healthy", arrange=succeeded(61), own=Override(freshness=DAY), more=OBJECTIVE),
    "own-objects": Case(
        "warning",
        "The last success is older than its objective: contact",
        "Sync more",
        succeeded(61),
        own=Override(objects=("contact",)),
        more=OBJECTIVE,
    ),
    "only-own": Case(
        "warning", "The last success .*: account, contact", "Sync more", succeeded(61), own=Override(freshness=AN_HOUR)
    ),
    "paused": Case(
        "inactive", "The sync is paused: the customer asked", "To let it go on: .* resume paused", state("paused")
    ),
    "archived": Case(
        "inactive", "The sync is archived: the customer asked", "To have it back: .* restore", state("archived")
    ),
    "customer-paused": Case(
        "inactive",
        "This customer is paused since .*",
        "To let it go on: .* resume customer-paused --customer customer-paused",
        due(paused_at=-60, scheduled_at=-60),
    ),
    "never": Case("inactive", "It has never run and nothing is planned", "Ask for it", schedule=Schedule(), fresh=True),
    "asked": Case("healthy", "It has not run yet", "", due(asked_at=-1), Schedule(), fresh=True),
}


@pytest.fixture(scope="module")
def everybody(migrated, postgres_server):
    """The store with all cases: each is a customer and a sync by the case's name."""
    with psycopg.connect(postgres_server.url(driver=None), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE store_of_cases TEMPLATE {migrated}")
        store = Store(postgres_server.url("store_of_cases", "psycopg"), (Secret(KEY),))
        standing = Standing(store._engine)
        tokens = Tokens(access_token=Secret("access-1"))
        connected = {
            name: store.connections.connect(customer_id=name, provider="salesforce", tokens=tokens) for name in CASES
        }
        store.due.plan([case.sync(name) for name, case in CASES.items()])
        for name, case in CASES.items():
            if not case.fresh:
                standing.settled(connected[name], name)
            case.arrange(standing, connected[name], name)
        yield store, standing
        store.close()
        connection.execute("DROP DATABASE store_of_cases WITH (FORCE)")


@pytest.fixture(scope="module")
def of(everybody):
    """Case -> its connection's health, read once."""
    found = {each.customer_id: each for each in everybody[0].health.connections()}
    assert set(found) == set(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_every_standing_has_its_health_reason_and_advice(of, name):
    case = CASES[name]

    assert of[name].health == case.health
    assert re.fullmatch(case.reason, of[name].reason)
    assert re.match(case.advice, of[name].advice)
    assert bool(of[name].reason) == bool(of[name].advice)


def test_counts_are_over_all_objects_of_a_connection(of, everybody):
    found, standing = of["fine"], everybody[1]

    assert (found.objects, found.attempts, found.successes, found.success_rate) == (2, 20, 20, 1.0)
    assert (found.records, found.records_today, found.attempts_today, found.calls_today) == (200, 14, 8, 24)
    assert found.average_seconds == 2.0
    assert (found.last_success_at, found.next_at) == (standing.at(-10), standing.at(5))
    failing = of["one-fails"]
    assert (failing.failing_objects, failing.failures_today, failing.success_rate) == (1, 2, 0.75)


def test_who_is_due_and_for_how_long(of):
    assert {name for name, each in of.items() if each.due} == {
        *("new", "new-late", "on-time", "late", "asked-late", "cron-on-time", "cron-late", "held", "asked"),
        *("own-hour-late", "own-day-on-time", "own-cron-late", "retry-late"),
    }
    assert {name for name, each in of.items() if each.claimed} == {"claimed", "claimed-waits", "claimed-dead"}
    for name in ("late", "retry-late"):
        assert of[name].late_seconds == pytest.approx(16 * 60, abs=120)
    assert of["claimed"].late_seconds == of["customer-paused"].late_seconds == of["fine"].late_seconds == 0


def test_use_of_the_api_is_told_while_it_is_news(of, everybody):
    assert (of["quota-80"].api_used, of["quota-80"].api_allowed, of["quota-80"].api_used_ratio) == (800, 1_000, 0.8)
    assert of["quota-old"].api_used_ratio is None
    assert of["quota-long-ago"].api_ends_at is None
    assert abs(of["quota-ends"].api_ends_at - everybody[1].at(5 * 60)) < timedelta(minutes=1)


def test_the_last_failure_gives_type_and_message(of):
    assert (of["all-fail"].error_type, of["all-fail"].error_message) == ("not_found", "No scope.")


def test_objects_older_than_their_objective_are_counted_but_for_who_rests_or_must_reconnect(
    everybody, of, store, connect
):
    stale = {name: each.stale_objects for name, each in of.items() if each.stale_objects}
    assert stale == {"stale": 2, "one-stale": 1, "own-objects": 1, "only-own": 2}
    found = {each.sync: each for each in everybody[0].health.syncs()}
    assert {name: found[name].stale_objects for name in stale} == stale
    assert (found["own-hour-late"].period_seconds, found["cron-late"].period_seconds) == (86_400, 86_400)
    assert found["never"].period_seconds is None

    standing = Standing(store._engine)
    store.due.plan([sync_of(freshness=AN_HOUR)])
    for name, values in (("late", {}), ("paused", {"paused_at": standing.now})):
        connection = connect(name)
        standing.connection(connection, connected_at=standing.at(-120))
        store.due.plan([sync_of(freshness=AN_HOUR)])
        standing.due(connection, attempts=0, **values)
    standing.connection(connect("expired"), connected_at=standing.at(-120), status="expired")
    assert {each.customer_id: each.stale_objects for each in store.health.connections()} == {"late": 2, "paused": 0}


def test_a_sync_with_one_connection_is_as_that_is(everybody, of):
    found = {each.sync: each for each in everybody[0].health.syncs()}

    assert {name: each.health for name, each in found.items()} == {name: each.health for name, each in of.items()}
    assert found["paused"].reason == "The sync is paused: the customer asked"
    assert found["expired"].reason == "No connection of it works"
    assert found["customer-paused"].reason == "No connection of it is at work"
    assert found["gap"].reason == "Of 1 connections 1 with a warning"


def test_connections_are_chosen_by_sync_customer_and_state_the_worst_first(everybody):
    health = everybody[0].health

    assert [each.customer_id for each in health.connections(sync="gap")] == ["gap"]
    assert [each.sync for each in health.connections(customer_id="gap")] == ["gap"]
    assert health.connections(sync="gap", customer_id="fine") == []
    chosen = health.connections(states=["error"])
    assert {each.customer_id for each in chosen} == {name for name, case in CASES.items() if case.health == "error"}
    assert [each.sync for each in health.syncs("gap")] == ["gap"]


def test_counts_of_another_day_are_not_those_of_today(store, connect):
    connection, standing = connect("acme"), Standing(store._engine)
    store.due.plan([sync_of(), sync_of("marketing")])
    standing.settled(connection)
    standing.tried(connection, "contact", today=standing.now.date() - timedelta(days=1))

    crm, marketing = store.health.connections()

    assert (crm.sync, crm.records_today, crm.records) == ("crm", 7, 200)
    assert (marketing.sync, marketing.records_today, marketing.success_rate) == ("marketing", 0, None)


MIXES = [
    # broken, paused, and what that makes of a sync with three connections
    (0, 0, "healthy", ""),
    (1, 0, "warning", "Of 3 connections 1 in error"),
    (3, 0, "error", "No connection of it works"),
    (2, 1, "error", "No connection of it works"),
    (1, 1, "warning", "Of 3 connections 1 in error"),
    (0, 3, "inactive", "No connection of it is at work"),
]


def test_a_sync_is_as_bad_as_the_worst_of_what_matters(store, connect):
    standing = Standing(store._engine)
    everyone = {
        f"mix-{number}": [connect(f"mix-{number}-{each}") for each in range(3)] for number, _ in enumerate(MIXES)
    }
    members = {name: tuple(each.customer_id for each in some) for name, some in everyone.items()}
    store.due.plan([sync_of("nobody", "hubspot"), *(sync_of(name, customers=some) for name, some in members.items())])
    for (name, some), (broken, paused, _, _) in zip(everyone.items(), MIXES, strict=True):
        for connection in some:
            standing.settled(connection, name)
        for connection in some[:broken]:
            standing.connection(connection, status="error")
        for connection in some[3 - paused :]:
            standing.due(connection, name, paused_at=standing.now)

    *found, nobody = store.health.syncs()

    assert [(each.health, each.reason) for each in found] == [mix[2:] for mix in MIXES]
    assert [(each.connections, each.error, each.inactive) for each in found] == [(3, *mix[:2]) for mix in MIXES]
    assert (found[0].attempts, found[0].records_today, found[0].average_seconds) == (60, 42, 2.0)
    assert (nobody.health, nobody.reason) == ("inactive", "Nobody is connected to hubspot")


def test_thousands_of_connections_are_one_query_each_time(store, statements, many):
    many(2_000, ("contact", "account", "lead", "opportunity", "user", "task"))
    statements.clear()

    syncs, unhealthy = store.health.syncs(), store.health.connections(states=["warning", "error"])

    assert len(statements) == 2
    assert (syncs[0].connections, syncs[0].error, syncs[0].healthy) == (2_000, 20, 1_980)
    assert len(unhealthy) == 20


@pytest.fixture
def many(store):
    """Fills the store with a sync of so many connections; one of a hundred has expired."""

    def many(count, objects):
        with store._engine.begin() as database:
            database.execute(
                text(
                    """
                    INSERT INTO connections (customer_id, provider, environment, status)
                    SELECT 'c' || n, 'salesforce', 'production',
                           CASE WHEN n % 100 = 0 THEN 'expired' ELSE 'connected' END
                    FROM generate_series(1, :count) AS n
                    """
                ),
                {"count": count},
            )
        store.due.plan([sync_of()])
        with store._engine.begin() as database:
            database.execute(
                text(
                    """
                    INSERT INTO due (sync, connection_id, customer_id)
                    SELECT 'crm', id, customer_id FROM connections ON CONFLICT DO NOTHING
                    """
                )
            )
            database.execute(text("UPDATE due SET scheduled_at = now() + interval '5 minutes'"))
            database.execute(
                text(
                    """
                    INSERT INTO progress
                    SELECT 'crm', object, id, now(), 'success', now(), now(), NULL, NULL, '', 0, 5, 5, 50, 5.0, 9,
                           (now() AT TIME ZONE 'UTC')::date, 1, 0, 10, 2
                    FROM connections CROSS JOIN unnest(CAST(:objects AS text[])) AS object
                    """
                ),
                {"objects": list(objects)},
            )

    return many
