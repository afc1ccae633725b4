from datetime import timedelta

import pytest
from sqlalchemy import text

from sync_pipelines.model.sync import Schedule
from sync_pipelines_tests.store.conftest import sync_of
from sync_pipelines_tests.store.standing import Standing


@pytest.fixture
def standing(store):
    return Standing(store._engine)


@pytest.fixture
def acme(store, connect, standing):
    """A connection of the sync crm for which all is well."""
    connection = connect("acme")
    store.due.plan([sync_of()])
    standing.settled(connection)
    return connection


@pytest.fixture
def of(store):
    """How one customer is."""

    def of(customer="acme"):
        (found,) = store.health.connections(customer_id=customer)
        return found

    return of


def test_a_connection_that_syncs_is_healthy_and_counts_over_its_objects(store, acme, of, standing):
    found = of()

    assert (found.health, found.reason, found.advice) == ("healthy", "", "")
    assert (found.objects, found.attempts, found.successes, found.success_rate) == (2, 20, 20, 1.0)
    assert (found.records, found.records_today, found.attempts_today, found.calls_today) == (200, 14, 8, 24)
    assert found.average_seconds == 2.0
    assert found.last_success_at == standing.at(-10)
    assert found.next_at == standing.at(5)
    assert (found.due, found.late_seconds) == (False, 0)


def test_counts_of_another_day_are_not_those_of_today(acme, of, standing):
    standing.tried(acme, "contact", today=standing.now.date() - timedelta(days=1))

    assert (of().records_today, of().records) == (7, 200)


def test_new_work_is_healthy_until_it_is_late(store, connect, of, standing):
    connection = connect("acme")
    store.due.plan([sync_of()])
    assert (of().health, of().reason, of().due) == ("healthy", "It has not run yet", True)

    standing.due(connection, scheduled_at=standing.at(-16))

    assert (of().health, of().reason) == ("warning", "It should have started 16 minutes ago")
    assert of().late_seconds == pytest.approx(16 * 60, abs=30)


@pytest.mark.parametrize(("minutes", "health"), [(-14, "healthy"), (-16, "warning")])
def test_late_means_by_more_than_a_period(acme, of, standing, minutes, health):
    standing.due(acme, scheduled_at=standing.at(minutes))

    assert of().health == health


@pytest.mark.parametrize(("minutes", "health"), [(-59, "healthy"), (-61, "warning")])
def test_a_cron_sync_is_late_after_an_hour(store, acme, of, standing, minutes, health):
    store.due.plan([sync_of(schedule=Schedule(cron="0 3 * * *"))])
    standing.due(acme, scheduled_at=standing.at(minutes))

    assert of().health == health


def test_claimed_work_is_late_only_when_its_run_gives_no_sign_of_life(store, acme, of, standing):
    standing.due(acme, scheduled_at=standing.at(-120))
    store.due.claim()
    standing.due(acme, claimed_due_at=standing.at(-120))
    assert (of().health, of().claimed, of().due) == ("healthy", True, False)

    standing.due(acme, heartbeat_at=standing.at(-20))

    assert of().reason == "It should have started 120 minutes ago"


def test_work_that_waits_for_the_vendor_says_so_instead_of_late(acme, of, standing):
    standing.due(acme, scheduled_at=standing.at(-120))
    standing.budget(acme, None, None, held_until=standing.at(30), held_reason="The reserve is for the customer's apps")

    assert of().health == "warning"
    assert of().reason.startswith("The account rests until ")
    assert of().reason.endswith(": The reserve is for the customer's apps")


def test_an_expired_connection_is_an_error_that_the_customer_mends(store, acme, of):
    store.connections.set_status(acme, "expired", "the refresh token was revoked")

    assert of().health == "error"
    assert of().reason == "The customer's tokens no longer work: the refresh token was revoked"
    assert of().advice == "The customer reconnects: sync-pipelines connect salesforce acme"


def test_some_failing_objects_are_a_warning_and_all_are_an_error(acme, of, standing):
    standing.tried(acme, "contact", failing=2)
    assert (of().health, of().reason) == ("warning", "Failing: contact: The vendor is out.")
    assert (of().failing_objects, of().success_rate, of().failures_today) == (1, 0.9, 2)

    standing.tried(acme, "account", failing=1)

    assert (of().health, of().reason) == ("error", "Every object fails: The vendor is out.")
    assert "sync-pipelines runs --customer acme" in of().advice


def test_the_newest_failure_gives_type_message_and_advice(acme, of, standing):
    standing.tried(acme, "contact", failing=3)
    newest = {"last_error_type": "not_found", "last_error_message": "No scope."}
    standing.tried(acme, "account", failing=1, minutes=-1, **newest)

    assert (of().error_type, of().error_message) == ("not_found", "No scope.")
    assert of().advice == "Give the permission, or take the object out of the sync"


def test_work_in_the_error_state_is_an_error_with_its_reason(acme, of, standing):
    since = {"failing_since": standing.at(-600), "error_since": standing.at(-300)}
    standing.due(acme, attempts=9, error_type="destination", error_message="The disk is full.", **since)

    assert of().health == "error"
    assert of().reason == f"It fails since {standing.at(-600):%Y-%m-%d %H:%M}: The disk is full."
    assert of().advice.startswith("Mend your database")


def test_failures_in_a_row_are_a_warning(acme, of, standing):
    standing.due(acme, attempts=2, error_type="rate_limit", error_message="Wait.")

    assert (of().health, of().reason) == ("warning", "Attempts that failed in a row: 2: Wait.")


def test_a_gap_is_a_warning_until_it_is_closed(store, acme, of, standing):
    standing.gap(acme, "account", status="complete")
    assert of().health == "healthy"

    standing.gap(acme, "contact")

    assert (of().health, of().gaps) == ("warning", 1)
    assert of().reason == "Records are missing in contact: 3 of 10 are missing"
    assert of().advice == "A full read mends it: sync-pipelines trigger crm --customer acme --full"


@pytest.mark.parametrize(("used", "health"), [(800, "healthy"), (801, "warning")])
def test_more_than_80_percent_of_the_quota_is_a_warning(acme, of, standing, used, health):
    standing.budget(acme, used, 1_000)

    assert (of().health, of().api_used_ratio, of().api_allowed) == (health, used / 1_000, 1_000)


def test_a_quota_that_would_end_within_six_hours_is_a_warning(acme, of, standing):
    standing.budget(acme, 500, 1_000, seen=0, points={4: 100, 2: 300})

    assert of().health == "warning"
    assert of().reason.startswith("At the pace of the last hours the account's API calls end at ")
    assert abs(of().api_ends_at - standing.at(5 * 60)) < timedelta(minutes=1)


@pytest.mark.parametrize("points", [{4: 300}, {4: 500}, {4: 900}, {7: 0}, {}], ids=str)
def test_a_quota_that_lasts_or_was_given_back_is_no_warning(acme, of, standing, points):
    standing.budget(acme, 500, 1_000, seen=0, points=points)

    assert of().health == "healthy"


def test_what_a_vendor_said_days_ago_says_nothing_of_today(acme, of, standing):
    standing.budget(acme, 999, 1_000, seen=-2 * 24 * 60)

    assert (of().health, of().api_used_ratio) == ("healthy", None)


@pytest.mark.parametrize("state", ["paused", "archived"])
def test_a_sync_that_people_stopped_is_inactive_whatever_else_is_wrong(store, acme, of, standing, state):
    store.connections.set_status(acme, "expired")
    standing.state(state, reason="the customer asked")

    (sync,) = store.health.syncs()
    assert of().health == sync.health == "inactive"
    assert of().reason == sync.reason == f"The sync is {state}: the customer asked"
    assert (of().due, of().late_seconds) == (False, 0)


def test_a_paused_customer_is_inactive(acme, of, standing):
    standing.due(acme, paused_at=standing.at(-60), scheduled_at=standing.at(-60))

    assert of().health == "inactive"
    assert of().reason == f"This customer is paused since {standing.at(-60):%Y-%m-%d %H:%M}"


def test_what_never_ran_and_never_will_is_inactive(store, connect, of):
    connect("acme")
    store.due.plan([sync_of(schedule=Schedule())])
    assert (of().health, of().reason) == ("inactive", "It has never run and nothing is planned")

    store.due.request("crm")

    assert of().health == "healthy"


@pytest.mark.parametrize(
    ("broken", "paused", "health", "reason"),
    [
        (0, 0, "healthy", ""),
        (1, 0, "warning", "Of 3 connections 1 in error"),
        (3, 0, "error", "No connection of it works"),
        (2, 1, "error", "No connection of it works"),
        (1, 1, "warning", "Of 3 connections 1 in error"),
        (0, 3, "inactive", "No connection of it is at work"),
    ],
)
def test_a_sync_is_as_bad_as_the_worst_of_what_matters(store, connect, standing, broken, paused, health, reason):
    connections = [connect(f"customer-{number}") for number in range(3)]
    store.due.plan([sync_of()])
    for connection in connections:
        standing.settled(connection)
    for connection in connections[:broken]:
        standing.connection(connection, status="error")
    for connection in connections[3 - paused :]:
        standing.due(connection, paused_at=standing.now)

    (found,) = store.health.syncs()

    assert (found.health, found.reason) == (health, reason)
    assert (found.connections, found.error, found.inactive) == (3, broken, paused)
    assert (found.attempts, found.records_today, found.average_seconds) == (60, 42, 2.0)


def test_a_sync_without_connections_is_inactive(store):
    store.due.plan([sync_of()])

    (found,) = store.health.syncs()

    assert (found.health, found.reason, found.connections) == ("inactive", "Nobody is connected to salesforce", 0)


def test_syncs_of_one_customer_are_told_apart(store, connect, standing):
    connection = connect("acme")
    store.due.plan([sync_of(), sync_of("marketing")])
    standing.settled(connection)
    standing.settled(connection, "marketing")
    standing.tried(connection, "contact", "marketing", failing=1)

    assert [(found.sync, found.health) for found in store.health.connections()] == [
        ("crm", "healthy"),
        ("marketing", "warning"),
    ]
    assert [found.sync for found in store.health.connections(sync="marketing")] == ["marketing"]


def test_the_worst_come_first_and_states_can_be_chosen(store, connect, standing):
    good, bad, odd = connect("a-good"), connect("b-bad"), connect("c-odd")
    store.due.plan([sync_of()])
    for connection in (good, bad, odd):
        standing.settled(connection)
    standing.connection(bad, status="error")
    standing.tried(odd, "contact", failing=1)

    assert [found.customer_id for found in store.health.connections()] == ["b-bad", "c-odd", "a-good"]
    assert [found.customer_id for found in store.health.connections(states=["warning"])] == ["c-odd"]


def test_thousands_of_connections_are_one_query_each_time(store, statements, many):
    many(2_000, ("contact", "account", "lead", "opportunity", "user", "task"))
    statements.clear()

    syncs, unhealthy = store.health.syncs(), store.health.connections(states=["warning", "error"])

    assert len(statements) == 2
    assert (syncs[0].connections, syncs[0].error, syncs[0].healthy) == (2_000, 20, 1_980)
    assert len(unhealthy) == 20


def test_a_forecast_looks_at_the_last_hours_of_an_account_only(store, many):
    many(2_000, ("contact",))
    with store._engine.begin() as database:
        database.execute(text("INSERT INTO budgets SELECT id, 500, 1000, now() FROM connections"))
        database.execute(
            text(
                """
                INSERT INTO budget_points
                SELECT id, now() - hours * interval '1 hour', 500, 1000, 5
                FROM connections CROSS JOIN generate_series(0, 40) AS hours
                """
            )
        )
        database.execute(text("ANALYZE"))
        plan = "\n".join(database.execute(text("EXPLAIN SELECT * FROM health")).scalars())

    assert "Seq Scan on budget_points" not in plan
    assert "budget_points" in plan


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
