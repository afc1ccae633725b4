"""The budget of an account within one process: the vendor's count, what is under way, the reserve, holds."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.http_client.budget import AccountBudget
from sync_pipelines.model.budget import Hold, Quota, spendable
from sync_pipelines.model.errors import Wait

PATIENCE = 20
PAUSE = timedelta(minutes=20)


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


def budget(reserve=0.1, clock=None, *, always_told=True):
    return AccountBudget("The vendor", reserve, Quota(pause=PAUSE, always_told=always_told), clock or Clock())


def make_call(budget, told):
    with budget.call() as sent:
        sent.told = told


@pytest.mark.parametrize(
    ("allowed", "reserve", "ours"),
    [(100, 0.1, 90), (100, 0, 100), (100, 0.07, 93), (5000, 0.2, 4000), (7, 0.5, 3), (1, 0.1, 0), (110, 0.1, 99)],
)
def test_the_reserve_is_rounded_up(allowed, reserve, ours):
    assert spendable(allowed, reserve) == ours


@given(st.integers(1, 10**7), st.integers(0, 99))
def test_what_is_left_to_others_is_the_share_and_less_than_one_call_more(allowed, percent):
    left = allowed - spendable(allowed, percent / 100)
    assert allowed * percent <= left * 100 < allowed * percent + 100


def test_calls_end_at_the_reserve_and_begin_again_when_the_pause_is_over():
    clock = Clock()
    account = budget(0.1, clock)
    make_call(account, (89, 100))
    assert account.hold is None
    make_call(account, (90, 100))
    with (
        pytest.raises(Wait, match=r"90 of 100 calls .* 10% are left to its other apps.*`reserve`") as wait,
        account.call(),
    ):
        pytest.fail("this call belongs to the other apps")
    assert (wait.value.until, wait.value.whole_account) == (clock.now + PAUSE, True)
    clock.now += PAUSE
    assert account.hold is None
    make_call(account, (12, 100))
    make_call(account, (13, 100))


def test_an_account_that_is_still_full_after_the_pause_costs_one_call():
    clock = Clock()
    account = budget(0.1, clock)
    make_call(account, (95, 100))
    clock.now += PAUSE
    make_call(account, (96, 100))
    with pytest.raises(Wait), account.call():
        pass


def test_answers_without_a_count_are_counted_here():
    account = budget(0.1)
    make_call(account, (80, 100))
    for _ in range(10):
        make_call(account, None)
    with pytest.raises(Wait), account.call():
        pass


def test_a_vendor_that_never_tells_is_never_held():
    account = budget(0.9, always_told=False)
    for _ in range(50):
        make_call(account, None)
    assert account.hold is None


def test_an_answer_that_was_overtaken_does_not_turn_the_count_back():
    account = budget(0, always_told=False)
    with account.call() as slow:
        for used in (51, 52, 53):
            make_call(account, (used, 60))
        slow.told = (50, 60)
    for _ in range(7):
        make_call(account, None)
    assert account.hold is not None


def test_a_count_that_falls_far_is_a_new_period():
    account = budget(0)
    make_call(account, (59, 60))
    make_call(account, (1, 60))
    for used in range(2, 30):
        make_call(account, (used, 60))
    assert account.hold is None


def test_the_first_call_goes_alone_where_every_answer_tells():
    account, sent = budget(0), []
    with ThreadPoolExecutor(1) as pool, account.call() as first:
        other = pool.submit(make_call, account, (10, 10))
        with pytest.raises(TimeoutError):
            other.result(0.2)
        first.told = (9, 10)
        sent.append(other)
    sent[0].result(PATIENCE)
    assert account.hold is not None


def test_what_the_vendor_says_holds_and_the_longest_counts():
    clock = Clock()
    account = budget(0, clock)
    account.stay_away(Hold(until=clock.now + timedelta(hours=2), reason="moving"))
    account.stay_away(Hold(until=clock.now + timedelta(hours=1), reason="busy"))
    with pytest.raises(Wait, match="moving"):
        account.refuse_if_held()
    clock.now += timedelta(hours=2)
    account.refuse_if_held()


class CountingVendor:
    """Counts its calls in the order in which they come; answers come back in another order."""

    def __init__(self, used, allowed, silent_share, seed):
        self.used, self.allowed, self.silent_share = used, allowed, silent_share
        self.calls = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._gate = threading.Semaphore(3)

    def __call__(self):
        with self._lock:
            self.used += 1
            self.calls += 1
            told = (self.used, self.allowed) if self._random.random() >= self.silent_share else None
        with self._gate:
            return told


@pytest.mark.parametrize("silent_share", [0, 0.4])
@pytest.mark.parametrize("seed", range(5))
def test_however_many_threads_call_none_takes_a_call_of_the_reserve(seed, silent_share):
    vendor, account = CountingVendor(40, 100, silent_share, seed), budget(0.2, always_told=silent_share == 0)
    make_call(account, (vendor.used, vendor.allowed))

    def work(number):
        try:
            while True:
                with account.call() as sent:
                    sent.told = vendor()
        except Wait:
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert vendor.used <= 80
    assert vendor.used == 80 or silent_share
