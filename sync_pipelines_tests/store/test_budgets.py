"""What vendors let accounts do, as all processes see it: counts, holds, the use by the hour and the forecast."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sync_pipelines.model.budget import Budget, Hold, Point, Quota, Sighting, Terms, spendable
from sync_pipelines.store.budgets import forecast
from sync_pipelines_tests.store.conftest import sync_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ROLLING, BY_DAY = Quota(rolling=True), Quota(rolling=False)
TERMS = {
    "salesforce": Terms(vendor="salesforce", quota=ROLLING, reserve=0.1),
    "salesforce_eu": Terms(vendor="salesforce", quota=ROLLING, reserve=0.1),
    "hubspot": Terms(vendor="hubspot", quota=BY_DAY, reserve=0.1),
}


@pytest.fixture
def account(store, connect):
    """A connection whose account is known."""

    def make(customer_id="acme", provider="salesforce", account_id=None):
        connection = connect(customer_id, provider)
        return store.connections.set_account(connection, account_id) if account_id else connection

    return make


def sighting(connection, at=NOON, calls=1, **rest):
    return Sighting(connection_id=connection.id, at=at, calls=calls, **rest)


def hold(minutes=60, reason="spent", now=NOON):
    return Hold(until=now + timedelta(minutes=minutes), reason=reason)


def test_a_batch_is_recorded_in_three_statements(store, account, statements):
    several = [account(f"customer-{number}") for number in range(5)]
    statements.clear()
    store.budgets.record([sighting(each, used=number, allowed=100) for number, each in enumerate(several)], TERMS)
    assert len(statements) == 3
    found = store.budgets.budgets_of(None, TERMS, now=NOON)
    assert [found[each.id].used for each in several] == [0, 1, 2, 3, 4]


def test_the_newest_count_stays_whoever_records_last(store, account):
    one = account()
    store.budgets.record([sighting(one, NOON + timedelta(seconds=9), 3, used=50, allowed=100)], TERMS)
    store.budgets.record([sighting(one, NOON, 4, used=40, allowed=90)], TERMS)
    assert store.budgets.budgets_of([one.id], TERMS, now=NOON + HOUR)[one.id] == Budget(
        used=50, allowed=100, seen_at=NOON + timedelta(seconds=9), calls=7
    )


def test_calls_of_a_vendor_that_tells_nothing_are_counted_too(store, account):
    one = account(provider="hubspot")
    store.budgets.record([sighting(one, calls=3)], TERMS)
    store.budgets.record([sighting(one, NOON + HOUR, calls=4)], TERMS)
    assert store.budgets.budgets_of([one.id], TERMS, now=NOON + HOUR)[one.id] == Budget(calls=7)


def test_calls_of_more_than_a_day_ago_are_not_todays(store, account):
    one = account()
    for hours in (30, 25, 3):
        store.budgets.record([sighting(one, NOON - hours * HOUR, calls=hours)], TERMS)
    assert store.budgets.budgets_of([one.id], TERMS, now=NOON)[one.id].calls == 3


def test_a_hold_is_seen_until_it_ends_by_another_process_with_one_query(store, open_store, account, statements):
    held, free = account("acme"), account("kestrel")
    store.budgets.record([sighting(held, calls=0, hold=hold(60))], TERMS)
    statements.clear()
    assert store.budgets.holds([held, free], TERMS, now=NOON) == {held.id: hold(60)}
    assert len(statements) == 1
    other = open_store()
    assert other.budgets.holds([held, free], TERMS, now=NOON + 59 * timedelta(minutes=1)) == {held.id: hold(60)}
    assert other.budgets.holds([held, free], TERMS, now=NOON + HOUR) == {}
    assert other.budgets.budgets_of([held.id], TERMS, now=NOON)[held.id].held_until == NOON + HOUR
    assert other.budgets.budgets_of([held.id], TERMS, now=NOON + HOUR)[held.id].held_until is None


def test_the_longest_hold_counts_and_a_count_does_not_end_it(store, account):
    one = account()
    store.budgets.record([sighting(one, calls=0, hold=hold(60, "long"))], TERMS)
    store.budgets.record([sighting(one, calls=0, hold=hold(20, "short"))], TERMS)
    store.budgets.record([sighting(one, used=1, allowed=100)], TERMS)
    assert store.budgets.holds([one], TERMS, now=NOON) == {one.id: hold(60, "long")}


def test_connections_of_one_account_share_its_budget_also_under_two_providers(store, account):
    one = account("acme", "salesforce", "00D1")
    same = account("acme", "salesforce_eu", "00D1")
    other = account("kestrel", "salesforce", "00D2")
    alike = account("lumen", "hubspot", "00D1")
    store.budgets.record([sighting(same, calls=5, used=70, allowed=100, hold=hold())], TERMS)
    store.budgets.record([sighting(one, NOON - HOUR, calls=2, used=60, allowed=100)], TERMS)
    found = store.budgets.holds([one, other, alike], TERMS, now=NOON)
    assert found == {one.id: hold()}, "an id of another vendor is another account"
    budgets = store.budgets.budgets_of([one.id, other.id, alike.id], TERMS, now=NOON)
    assert set(budgets) == {one.id, other.id, alike.id}
    assert (budgets[one.id].used, budgets[one.id].calls, budgets[one.id].held_until) == (70, 7, NOON + HOUR)
    assert budgets[one.id].runs_out_at == NOON + 2 * HOUR
    assert budgets[other.id] == budgets[alike.id] == Budget()


@pytest.mark.parametrize(
    ("provider", "reserve", "used", "minutes"),
    [
        pytest.param("salesforce", 0.1, (500, 600), 180, id="the reserve is not spent"),
        pytest.param("salesforce", 0.3, (500, 600), 60, id="a larger reserve"),
        pytest.param("salesforce", 0.5, (500, 600), 0, id="it has come to that"),
        pytest.param("salesforce", 0.1, (600, 600), None, id="at rest"),
        pytest.param("salesforce", 0.1, (890, 500, 550), None, id="a rolling count that fell"),
        pytest.param("hubspot", 0.1, (890, 500, 550), 420, id="a new day of a vendor with days"),
        pytest.param("hubspot", 0.1, (890, 500), None, id="a new day without a rate"),
    ],
)
def test_health_and_budget_tell_one_forecast_which_all_connections_of_the_account_have(
    store, account, provider, reserve, used, minutes
):
    """The count comes from one connection, an hour apart; another one of the account has seen nothing."""
    one, same = account("acme", provider, "00D1"), account("acme-eu", provider, "00D1")
    store.due.plan([sync_of(provider=provider)])
    terms = {provider: Terms(vendor=provider, quota=TERMS[provider].quota, reserve=reserve)}
    now = datetime.now(UTC)
    for hours, each in zip(reversed(range(len(used))), used, strict=True):
        store.budgets.record([sighting(one, now - hours * HOUR, used=each, allowed=1_000)], terms)
    budgets = store.budgets.budgets_of(None, terms)
    health = {each.customer_id: each for each in store.health.connections()}
    ends = {budgets[one.id].runs_out_at, budgets[same.id].runs_out_at, *(each.api_ends_at for each in health.values())}
    if minutes is None:
        assert ends == {None}
    else:
        assert all(abs(at - now - timedelta(minutes=minutes)) < timedelta(seconds=60) for at in ends)
    assert {each.api_used for each in health.values()} == {used[-1]}


def test_what_is_gone_or_did_nothing_is_passed_over(store, account, statements):
    gone, idle = account("gone"), account("idle")
    store.connections.disconnect(gone)
    store.budgets.record([sighting(gone, used=1, allowed=2, hold=hold())], TERMS)
    statements.clear()
    store.budgets.record([sighting(idle, calls=0)], TERMS)
    store.budgets.record([], TERMS)
    assert statements == []
    assert store.budgets.budgets_of(None, TERMS, now=NOON) == {idle.id: Budget()}


def points(*used, allowed=100, every=HOUR, until=NOON):
    begin = until - every * (len(used) - 1)
    return [Point(seen_at=begin + every * number, used=each, allowed=allowed) for number, each in enumerate(used)]


@pytest.mark.parametrize(
    ("seen", "quota", "expected"),
    [
        pytest.param([], ROLLING, None, id="nothing known"),
        pytest.param(points(50), ROLLING, None, id="no rate from one point"),
        pytest.param(points(50, 50, 50), ROLLING, None, id="no growth"),
        pytest.param(points(50, 40), ROLLING, None, id="shrinking"),
        pytest.param(points(50, 60), ROLLING, NOON + 3 * HOUR, id="30 left at 10 an hour"),
        pytest.param(points(40, 45, 60), ROLLING, NOON + 3 * HOUR, id="the rate of all points"),
        pytest.param(points(60, 50, 70), ROLLING, NOON + 4 * HOUR, id="a rolling count may fall between"),
        pytest.param(points(90), ROLLING, NOON, id="reached"),
        pytest.param(points(97, 99), BY_DAY, NOON, id="beyond"),
        pytest.param(points(10, 12), BY_DAY, None, id="39 hours are longer than a day"),
        pytest.param(points(80, 85, 5, 15), BY_DAY, NOON + 7.5 * HOUR, id="only the present day counts"),
        pytest.param(points(80, 85, 5), BY_DAY, None, id="a new day without a rate"),
        pytest.param(points(80, 1, 5, 9), BY_DAY, NOON + 20.25 * HOUR, id="just before the day that began ends"),
        pytest.param(points(80, 2, 5, 8), BY_DAY, None, id="just after it"),
    ],
)
def test_the_forecast_by_cases(seen, quota, expected):
    assert forecast(seen, reserve=0.1, quota=quota, now=NOON) == expected


counts = st.lists(st.integers(0, 1000), min_size=1, max_size=8)


@given(counts, st.integers(1, 1000), st.integers(0, 99), st.booleans(), st.integers(1, 3600))
def test_a_forecast_is_within_the_period_and_the_line_through_the_points_meets_it(used, allowed, percent, rolling, gap):
    seen = points(*used, allowed=allowed, every=timedelta(seconds=gap))
    at = forecast(reversed(seen), reserve=percent / 100, quota=Quota(rolling=rolling), now=NOON)
    ours = spendable(allowed, percent / 100)
    assert (at == NOON) == (used[-1] >= ours) or at is None or at > NOON
    if at is None or used[-1] >= ours:
        return
    assert NOON < at < NOON + DAY
    if rolling:
        rate = (used[-1] - used[0]) / ((len(used) - 1) * gap)
        assert used[-1] + rate * (at - NOON).total_seconds() == pytest.approx(ours, abs=0.01)


@given(counts, st.integers(1, 1000), st.integers(0, 50))
def test_the_more_is_left_to_others_the_sooner_it_runs_out(used, allowed, percent):
    seen = points(*used, allowed=allowed)
    sooner = forecast(seen, reserve=(percent + 40) / 100, quota=ROLLING, now=NOON)
    later = forecast(seen, reserve=percent / 100, quota=ROLLING, now=NOON)
    assume(later is not None)
    assert sooner is not None
    assert sooner <= later
