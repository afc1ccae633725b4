"""The stand-ins count an account's calls as the vendors do: over a day, with the customer's other apps."""

from datetime import timedelta

import pytest

from .conftest import API

OWNERS = "/crm/v3/owners"
SEARCH = "/crm/v3/objects/contacts/search"


@pytest.fixture
def still(sandbox):
    """A clock that only the test moves; it begins at noon UTC, which is 7 in the morning where the portals are."""
    sandbox.clock(frozen=True, set="2026-10-01T12:00:00Z")
    yield sandbox
    sandbox.clock(frozen=False)


def told_by_salesforce(caller, sandbox):
    caller.headers["Authorization"] = f"Bearer {sandbox.new_tokens('acme-robotics')['access_token']}"
    answer = caller.get(f"{API}/query", params={"q": "SELECT Id FROM User LIMIT 1"})
    return answer.status_code, answer.headers["Sforce-Limit-Info"]


def told_by_hubspot(caller, sandbox, path=OWNERS):
    caller.headers["Authorization"] = f"Bearer {sandbox.new_tokens('lumen-bakery')['access_token']}"
    answer = caller.post(path, json={}) if path == SEARCH else caller.get(path)
    return answer.status_code, answer.headers.get("X-HubSpot-RateLimit-Daily-Remaining")


def test_salesforce_counts_the_last_24_hours_with_other_apps(still, salesforce):
    still.settings("acme-robotics", daily_limit=10, used_by_others=6)
    assert told_by_salesforce(salesforce, still) == (200, "api-usage=7/10")
    still.clock(advance=timedelta(hours=12).total_seconds())
    assert [told_by_salesforce(salesforce, still) for _ in range(3)][-1] == (200, "api-usage=10/10")
    assert told_by_salesforce(salesforce, still) == (403, "api-usage=10/10")
    still.clock(advance=timedelta(hours=12, minutes=2).total_seconds())
    assert told_by_salesforce(salesforce, still) == (200, "api-usage=4/10"), "what is older than a day is free again"


def test_a_hubspot_private_app_counts_until_midnight_of_the_portal(still, hubspot):
    assert told_by_hubspot(hubspot, still) == (200, None), "apps with OAuth have no daily limit"
    still.settings("lumen-bakery", private_app=True, daily_limit=10, used_by_others=7)
    assert told_by_hubspot(hubspot, still) == (200, "2")
    assert told_by_hubspot(hubspot, still, SEARCH) == (200, None), "searches count and tell nothing"
    assert told_by_hubspot(hubspot, still) == (200, "0")
    assert told_by_hubspot(hubspot, still) == (429, "0")
    refused = hubspot.post(SEARCH, json={})
    assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
    still.clock(set="2026-10-02T04:59:00Z")
    assert told_by_hubspot(hubspot, still) == (429, "0")
    still.clock(set="2026-10-02T05:00:00Z")
    assert told_by_hubspot(hubspot, still) == (200, "9")


def test_the_short_window_can_be_made_smaller(still, hubspot):
    hubspot.headers["Authorization"] = f"Bearer {still.new_tokens('lumen-bakery')['access_token']}"
    still.settings("lumen-bakery", enforce_limits=True, window_calls=3, window_seconds=2)
    answers = [hubspot.get(OWNERS) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-HubSpot-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "2000"
    still.clock(advance=2)
    assert hubspot.get(OWNERS).status_code == 200
