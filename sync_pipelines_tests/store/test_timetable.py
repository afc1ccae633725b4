from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_pipelines.model.sync import Schedule
from sync_pipelines.store.timetable import backoff, jitter, longest_period, next_time, period

NONE = timedelta(0)
CRONS = ["*/15 * * * *", "0 * * * *", "30 2 * * *", "0 5 * * 1-5", "0 0 1 * *"]
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
moments = st.integers(0, 2 * 365 * 86_400_000).map(
    lambda thousandths: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(milliseconds=thousandths)
)
schedules = st.one_of(
    st.builds(Schedule, every=st.timedeltas(timedelta(seconds=1), timedelta(days=40))),
    st.builds(Schedule, cron=st.sampled_from(CRONS), timezone=st.sampled_from(ZONES)),
)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(schedule, start, count):
    found = [utc(start)]
    for _ in range(count):
        found.append(next_time(schedule, found[-1], NONE))
    return [moment.strftime("%d %H:%M") for moment in found[1:]]


@settings(deadline=None)
@given(schedules, moments, st.text())
def test_the_next_time_is_still_to_come_and_at_most_a_period_away(schedule, now, customer):
    length = period(schedule, now)
    spread = jitter("crm", customer, schedule, length)

    following = next_time(schedule, now, spread)

    assert now < following + spread
    assert next_time(schedule, following + spread, spread) > following
    if schedule.every is not None:
        assert following + spread <= now + length
        assert next_time(schedule, following + spread, spread) == following + length


@settings(deadline=None)
@given(schedules, moments, st.text(), st.text())
def test_the_place_in_the_spread_is_always_the_same_and_inside_of_it(schedule, now, sync, customer):
    length = period(schedule, now)
    spread = jitter(sync, customer, schedule, length)

    widest = length if schedule.every is not None else min(length / 10, timedelta(seconds=60))
    assert NONE <= spread < widest + timedelta(microseconds=1)
    assert spread == jitter(sync, customer, schedule, length)


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [
        (Schedule(every=timedelta(hours=1)), 60),
        (Schedule(every=timedelta(hours=1), spread=timedelta(minutes=5)), 5),
        (Schedule(every=timedelta(hours=1), spread=timedelta(days=5)), 60),
        (Schedule(cron="0 5 * * *"), 1),
        (Schedule(cron="0 5 * * *", spread=timedelta(hours=2)), 120),
    ],
)
def test_customers_are_spread_over_the_whole_of_it(schedule, minutes):
    length = period(schedule, utc("2026-01-01"))
    found = [
        jitter("crm", f"customer-{number}", schedule, length) / (minutes * NONE.resolution) for number in range(1_000)
    ]

    tenth = timedelta(minutes=1) / NONE.resolution / 10
    tenths = [sum(1 for place in found if at * tenth <= place < (at + 1) * tenth) for at in range(10)]
    assert min(tenths) > 50


def test_customers_connected_in_one_minute_do_not_come_in_one_minute_for_ever():
    schedule, now = Schedule(every=timedelta(hours=1)), utc("2026-01-01T10:20")
    length = period(schedule, now)
    spreads = [jitter("crm", f"customer-{number}", schedule, length) for number in range(600)]

    minutes = Counter((next_time(schedule, now, spread) + spread).minute for spread in spreads)

    assert len(minutes) == 60
    assert max(minutes.values()) < 30


def test_a_period_below_a_minute_runs_at_the_pace_of_a_minute():
    assert period(Schedule(every=timedelta(seconds=3.6)), utc("2026-01-01")) == timedelta(minutes=1)


def test_a_schedule_that_only_runs_when_asked_has_no_next_time():
    now = utc("2026-01-01")

    assert next_time(Schedule(), now, NONE) is None
    assert period(Schedule(), now) is None
    assert jitter("crm", "acme", Schedule(), None) == NONE


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 5 * * *", "2026-03-27T12:00", ["28 04:00", "29 03:00", "30 03:00"]),
        ("0 5 * * *", "2026-10-23T12:00", ["24 03:00", "25 04:00", "26 04:00"]),
        # 02:30 does not exist on the 29th: it fires when the clock has gone on to 03:00.
        ("30 2 * * *", "2026-03-27T12:00", ["28 01:30", "29 01:00", "30 00:30"]),
        # 02:30 comes twice on the 25th and fires once.
        ("30 2 * * *", "2026-10-23T12:00", ["24 00:30", "25 00:30", "26 01:30"]),
        # An hourly line fires every real hour on both days.
        ("0 * * * *", "2026-03-28T23:30", ["29 00:00", "29 01:00", "29 02:00"]),
        ("0 * * * *", "2026-10-24T23:30", ["25 00:00", "25 01:00", "25 02:00"]),
    ],
)
def test_cron_lines_over_the_change_of_the_clocks_in_paris(cron, start, expected):
    assert fires(Schedule(cron=cron, timezone="Europe/Paris"), start, 3) == expected


@settings(deadline=None)
@given(st.sampled_from(CRONS), st.sampled_from(ZONES), moments)
def test_cron_fires_in_its_own_time_zone_within_its_period(cron, zone, now):
    schedule = Schedule(cron=cron, timezone=zone)

    first = next_time(schedule, now, NONE)

    assert now < first <= now + timedelta(days=32)


@pytest.mark.parametrize(
    ("schedule", "longest"),
    [
        (Schedule(), None),
        (Schedule(every=timedelta(minutes=15)), timedelta(minutes=15)),
        (Schedule(every=timedelta(weeks=1)), timedelta(weeks=1)),
        (Schedule(cron="*/5 * * * *"), timedelta(minutes=5)),
        (Schedule(cron="0 6 * * *", timezone="Europe/Paris"), timedelta(days=1)),
        (Schedule(cron="0 6 * * 1-5"), timedelta(days=3)),
        (Schedule(cron="* 9-17 * * 1-5"), timedelta(days=2, hours=15, minutes=1)),
        (Schedule(cron="0 0 1 * *"), timedelta(days=31)),
        (Schedule(cron="0 0 1 1 *"), timedelta(days=366)),
    ],
)
def test_the_longest_time_between_two_runs_knows_nights_weekends_and_months(schedule, longest):
    assert longest_period(schedule) == longest


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 1), (2, 2), (4, 8), (7, 60), (500, 60)])
def test_waits_double_up_to_the_longest_and_are_spread(attempts, minutes):
    waits = [backoff(timedelta(minutes=1), timedelta(hours=1), attempts, "crm", f"c{n}") for n in range(200)]

    assert timedelta(minutes=0.75 * minutes) <= min(waits) < max(waits) <= timedelta(minutes=minutes)
    assert max(waits) - min(waits) > timedelta(minutes=0.2 * minutes)
