"""Sessions of one account, each in a thread of its own, together keep to what the vendor allows."""

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from sync_pipelines.http_client import pace
from sync_pipelines.http_client.pace import Pace
from sync_pipelines.model.flow import Get
from sync_pipelines.model.provider import Limits
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import Conversation, answer

ACCOUNT = "account-1"
PATIENCE = 20


class Slots(threading.BoundedSemaphore):
    """Tells when somebody comes for a slot."""

    def __init__(self, value):
        super().__init__(value)
        self.asked = threading.Semaphore(0)

    def __enter__(self):
        self.asked.release()
        return super().__enter__()


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def one_call(family="api"):
    yield Get("/thing", family=family)


@pytest.fixture
def account(monkeypatch):
    """Makes the pace of the account under given limits: (provider, pace, clock)."""

    def make(**limits):
        clock, provider = Clock(), replace(PROVIDERS["hubspot"], limits=Limits(**limits))
        made = Pace(provider.limits, clock)
        made.slots = Slots(provider.limits.concurrent)
        monkeypatch.setattr(pace, "_paces", OrderedDict({(provider.name, ACCOUNT): made}))
        return provider, made, clock

    return make


def session(provider, vendor, sleep):
    return Conversation(provider, vendor, connection={"account_id": ACCOUNT}, sleep=sleep)


def most_within(times, seconds):
    return max(sum(1 for other in times if 0 <= other - one <= seconds) for one in times)


def test_all_sessions_of_an_account_share_its_slots_and_its_windows(account):
    provider, _, clock = account(requests={"api": 5}, concurrent=4)
    here, lock = threading.local(), threading.Lock()
    under_way, most, sent = 0, 0, []
    full = threading.Barrier(4)

    def sleep(seconds):
        # The clock stands still, so a thread's own time is what it was told to wait.
        here.at = clock.now + seconds

    def vendor(request):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            sent.append(getattr(here, "at", clock.now))
        full.wait(PATIENCE)
        with lock:
            under_way -= 1
        return answer({})

    talks = [session(provider, vendor, sleep) for _ in range(20)]
    with ThreadPoolExecutor(len(talks)) as pool:
        list(pool.map(lambda talk: talk.ask(one_call()), talks))
    assert most == 4
    assert most_within(sent, 10) == 5
    assert len(sent) == 20


def test_a_request_that_waited_for_a_slot_counts_from_when_it_is_sent(account):
    provider, made, clock = account(requests={"api": 2}, concurrent=1)
    sent, begun, go_on = [], threading.Event(), threading.Event()

    def sleep(seconds):
        clock.now += seconds

    def vendor(request):
        sent.append(clock.now)
        begun.set()
        go_on.wait(PATIENCE)
        return answer({})

    slow, waiting, third, fourth = (session(provider, vendor, sleep) for _ in range(4))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow.ask, one_call())
        assert begun.wait(PATIENCE)
        second = pool.submit(waiting.ask, one_call())
        for _ in range(2):
            assert made.slots.asked.acquire(timeout=PATIENCE)
        clock.now += 20
        go_on.set()
        first.result(PATIENCE)
        second.result(PATIENCE)
    third.ask(one_call())
    fourth.ask(one_call())
    assert sent[:3] == [100, 120, 120]
    assert most_within(sent, 10) == 2
