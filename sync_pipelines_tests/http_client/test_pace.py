"""Pacing: no rolling window of the vendor's is ever overfull."""

import itertools
import threading
from datetime import timedelta

import pytest

from sync_pipelines.http_client.pace import Pace
from sync_pipelines.model.provider import Limits


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def send_times(pace, clock, family, count):
    times = []
    for _ in range(count):
        clock.now += pace.reserve(family)
        times.append(clock.now)
    return times


@pytest.mark.parametrize("count", [3, 10, 11, 57])
def test_no_window_holds_more_than_the_limit(count):
    clock = Clock()
    pace = Pace(Limits(requests={"api": 10}, per=timedelta(seconds=10)), clock)
    times = send_times(pace, clock, "api", count)
    assert all(later - earlier > 10 for earlier, later in zip(times, times[10:], strict=False))
    assert times[: min(count, 10)] == [100.0] * min(count, 10)


def test_a_family_may_also_be_counted_by_the_second():
    clock = Clock()
    pace = Pace(Limits(requests={"search": 20}, per_second={"search": 5}), clock)
    times = send_times(pace, clock, "search", 41)
    assert all(later - earlier > 1 for earlier, later in zip(times, times[5:], strict=False))
    assert all(later - earlier > 10 for earlier, later in zip(times, times[20:], strict=False))


def test_families_do_not_hinder_each_other_and_an_unlimited_one_never_waits():
    clock = Clock()
    pace = Pace(Limits(requests={"api": 1}), clock)
    pace.reserve("api")
    assert pace.reserve("api") > 0
    assert [pace.reserve("bulk") for _ in range(50)] == [0] * 50


def test_a_hold_delays_everybody_until_it_ends():
    clock = Clock()
    pace = Pace(Limits(requests={"api": 100}), clock)
    pace.hold("api", 30)
    pace.hold("api", 5)
    assert pace.reserve("api") == 30
    clock.now += 31
    assert pace.reserve("api") == 0


def test_a_place_counts_from_when_it_is_really_used():
    """Every third thread wakes up long after its place has come, as on a machine that is busy."""
    clock, sent, lateness = Clock(), [], itertools.cycle([0, 0, 0.4])
    pace = Pace(Limits(requests={"api": 20}, per=timedelta(seconds=10), per_second={"api": 5}), clock)

    def oversleep(seconds):
        clock.now += seconds + next(lateness)

    for _ in range(90):
        pace.wait_for_place("api", oversleep)
        sent.append(clock.now)
    assert all(later - earlier > 1 for earlier, later in zip(sent, sent[5:], strict=False))
    assert all(later - earlier > 10 for earlier, later in zip(sent, sent[20:], strict=False))


def test_threads_share_one_window():
    clock = Clock()
    pace = Pace(Limits(requests={"api": 8}, per=timedelta(seconds=1)), clock)
    waits = []

    def work():
        for _ in range(8):
            waits.append(pace.reserve("api"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for window, group in itertools.groupby(sorted(waits)):
        assert len(list(group)) == 8, window
