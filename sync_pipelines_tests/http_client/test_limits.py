"""What vendors' limits do to the sessions of an account: pacing in the short window, holds over the day, classes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sync_pipelines.http_client.pace import Pace
from sync_pipelines.model.budget import Window
from sync_pipelines.model.errors import Wait
from sync_pipelines.model.flow import Get
from sync_pipelines.model.provider import Limits
from sync_pipelines.providers import PROVIDERS
from sync_pipelines_tests.http_client.scripted import Conversation, Vendor, answer

HUBSPOT, SALESFORCE = PROVIDERS["hubspot"], PROVIDERS["salesforce"]
ACCOUNT = {"account_id": "account-of-limits"}
PATIENCE = 20


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def one_call(family="api"):
    return (yield Get("/thing", family=family)).json()


def conversation(*answers, provider=HUBSPOT, **options):
    return Conversation(provider, Vendor(*answers), connection=ACCOUNT, **options)


def window(left, most=110, milliseconds=10_000):
    return {
        "X-HubSpot-RateLimit-Remaining": str(left),
        "X-HubSpot-RateLimit-Max": str(most),
        "X-HubSpot-RateLimit-Interval-Milliseconds": str(milliseconds),
    }


def salesforce_usage(used, allowed):
    return {"Sforce-Limit-Info": f"api-usage={used}/{allowed}"}


def hubspot_usage(used, allowed):
    return {"X-HubSpot-RateLimit-Daily": str(allowed), "X-HubSpot-RateLimit-Daily-Remaining": str(allowed - used)}


def test_the_reserve_of_the_short_window_is_left_alone_until_the_window_is_over():
    one = conversation(answer({}, headers=window(11)), answer({}, headers=window(10)), answer({}), reserve=0.1)
    other = conversation(answer({}), reserve=0.1)
    one.ask(one_call())
    one.ask(one_call())
    assert one.slept == [], "11 of 110 are the reserve, and it is untouched"
    other.ask(one_call("search"))
    assert other.slept == [], "searches are counted apart"
    one.ask(one_call())
    assert 9.5 < one.slept[-1] <= 10
    assert len(one.vendor.requests) == 3, "paced, not failed"


def test_the_hold_of_a_window_is_kept_by_all_sessions_of_the_account_and_by_no_other():
    sessions = [conversation(answer({}, headers=window(left)), reserve=0.1) for left in (3, 109)]
    stranger = Conversation(HUBSPOT, Vendor(answer({})), connection={"account_id": "another"}, reserve=0.1)
    sessions[0].ask(one_call())
    sessions[1].ask(one_call())
    stranger.ask(one_call())
    assert 9.5 < sessions[1].slept[-1] <= 10
    assert stranger.slept == []


@pytest.mark.parametrize(("most", "ours"), [(110, 99), (190, 171), (20, 18)])
def test_a_window_is_kept_as_the_vendor_tells_it(most, ours):
    clock = Clock()
    made = Pace(Limits(requests={"api": 100}), clock, reserve=0.1)
    made.reserve("api")
    made.heed("api", Window(left=most - 1, most=most, seconds=10))
    waits = [made.reserve("api") for _ in range(ours)]
    assert waits[:-1] == [0] * (ours - 1)
    assert waits[-1] > 10


def test_a_family_that_waits_for_its_window_leaves_the_slots_to_the_others():
    clock, waiting, go_on = Clock(), threading.Event(), threading.Event()
    made = Pace(Limits(requests={"search": 1}, concurrent=1), clock)
    made.reserve("search")

    def sleep(seconds):
        if seconds > 0:
            waiting.set()
            assert go_on.wait(PATIENCE)

    def search():
        with made.turn("search", sleep, lambda: None):
            return "searched"

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(search)
        try:
            assert waiting.wait(PATIENCE)
            with made.turn("api", sleep, lambda: None):
                assert not slow.done()
        finally:
            go_on.set()
        assert slow.result(PATIENCE) == "searched"


@pytest.mark.parametrize(("provider", "usage"), [(SALESFORCE, salesforce_usage), (HUBSPOT, hubspot_usage)])
def test_at_the_reserve_nothing_more_is_sent_by_any_session_of_the_account(provider, usage):
    one = conversation(answer({}, headers=usage(899, 1000)), provider=provider, reserve=0.1)
    other = conversation(answer({}, headers=usage(900, 1000)), provider=provider, reserve=0.1)
    one.ask(one_call())
    other.ask(one_call())
    for session in (one, other):
        with pytest.raises(Wait, match="900 of 1,000 calls") as wait:
            session.ask(one_call())
        assert wait.value.until - datetime.now(UTC) > provider.quota.pause - timedelta(minutes=1)
        assert session.session.calls == 1
        assert session.session.hold.until == wait.value.until
        assert session.slept == [], "no thread sleeps through it"


def test_two_providers_of_one_vendor_share_an_accounts_budget():
    one = conversation(answer({}, headers=salesforce_usage(95, 100)), provider=SALESFORCE, reserve=0.1)
    other = conversation(answer({}), provider=replace(SALESFORCE, name="salesforce_eu"), reserve=0.1)
    one.ask(one_call())
    with pytest.raises(Wait):
        other.ask(one_call())
    assert other.vendor.requests == []


def test_a_daily_refusal_of_a_search_holds_the_whole_account():
    one = conversation(answer({"policyName": "DAILY"}, 429))
    other = conversation(answer({}))
    with pytest.raises(Wait):
        one.ask(one_call("search"))
    with pytest.raises(Wait):
        other.ask(one_call())
    assert other.vendor.requests == []


def test_a_long_retry_after_of_searches_holds_searches_only():
    one = conversation(answer({}, 429, headers={"retry-after": "3600"}))
    other = conversation(answer({"a": 1}))
    with pytest.raises(Wait):
        one.ask(one_call("search"))
    assert other.ask(one_call()) == {"a": 1}
    with pytest.raises(Wait):
        other.ask(one_call("search"))
    assert one.session.hold is None


@pytest.mark.parametrize("status", [429, 477, 503])
def test_a_long_retry_after_holds_the_account(status):
    one = conversation(answer({}, status, headers={"retry-after": "3600"}))
    other = conversation(answer({}))
    with pytest.raises(Wait):
        one.ask(one_call())
    with pytest.raises(Wait) as wait:
        other.ask(one_call())
    assert timedelta(minutes=59) < wait.value.until - datetime.now(UTC) <= timedelta(hours=1)
    assert other.vendor.requests == []


@pytest.mark.parametrize(("policy", "seconds"), [("SECONDLY", 1), ("TEN_SECONDLY_ROLLING", 10)])
def test_a_refusal_of_hubspots_short_windows_is_waited_out_by_the_whole_family(policy, seconds):
    family = "search" if policy == "SECONDLY" else "api"
    one = conversation(answer({"policyName": policy}, 429), answer({"a": 1}))
    other = conversation(answer({}))
    assert one.ask(one_call(family)) == {"a": 1}
    assert seconds - 0.5 < max(one.slept) <= seconds
    other.ask(one_call(family))
    assert seconds - 0.5 < max(other.slept) <= seconds


def test_backoff_grows_with_jitter_up_to_its_cap_and_only_the_failed_call_is_repeated():
    def flow():
        first = yield Get("/first")
        second = yield Get("/second")
        return first.json(), second.json()

    def talk():
        said = conversation(answer(1), *(answer({}, 500) for _ in range(9)), answer(2), attempts=10)
        assert said.ask(flow()) == (1, 2)
        assert said.vendor.paths() == ["/first"] + ["/second"] * 10
        return [seconds for seconds in said.slept if seconds > 0]

    one, other = talk(), talk()
    for slept in (one, other):
        assert len(slept) == 9
        assert all(0.5 * 2**number <= seconds <= 0.5 * 2**number + 0.5 for number, seconds in enumerate(slept[:6]))
        assert max(slept) <= 30
    assert one != other


def test_a_token_is_renewed_although_no_call_is_left():
    """Vendors do not count requests for tokens, and a connection must not expire for want of one."""
    talk = conversation(
        answer([{"errorCode": "INVALID_SESSION_ID"}], 401, headers=salesforce_usage(90, 100)),
        answer({"access_token": "second-token"}),
        provider=SALESFORCE,
        reserve=0.1,
    )
    with pytest.raises(Wait):
        talk.ask(one_call())
    assert talk.vendor.paths() == ["/thing", "/services/oauth2/token"]
    assert talk.credentials.tokens.access_token.reveal() == "second-token"


def test_a_line_that_breaks_counts_as_a_call():
    talk = conversation(
        answer({}, headers=salesforce_usage(88, 100)),
        httpx.ConnectError("cut"),
        httpx.ConnectError("cut"),
        provider=SALESFORCE,
        reserve=0.1,
    )
    talk.ask(one_call())
    with pytest.raises(Wait):
        talk.ask(one_call())
    assert talk.session.calls == 3
