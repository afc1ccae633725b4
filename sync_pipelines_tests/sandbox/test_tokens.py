"""Tokens end, are refreshed, rotated, refused and revoked as the vendors do it."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from .conftest import API, Caller

REFRESH = {"salesforce": "/services/oauth2/token", "hubspot": "/oauth/v1/token"}
PROBE = {"salesforce": f"{API}/limits", "hubspot": "/crm/v3/owners"}


@pytest.fixture(params=["acme-robotics", "lumen-bakery"])
def account(request, sandbox):
    return sandbox.account(request.param)


@pytest.fixture
def caller(account):
    with Caller(account) as caller:
        yield caller


def refresh(account, path=None, **changes):
    form = {
        "grant_type": "refresh_token",
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "refresh_token": account.refresh_token,
        **changes,
    }
    return httpx.post(account.login_url + (path or REFRESH[account.vendor]), data=form, trust_env=False)


def probe(caller, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return caller.get(PROBE[caller.account.vendor], headers=headers)


def expired(answer, vendor):
    if vendor == "salesforce":
        return answer.status_code == 401 and answer.json()[0]["errorCode"] == "INVALID_SESSION_ID"
    return answer.status_code == 401 and answer.json()["category"] == "EXPIRED_AUTHENTICATION"


def test_an_access_token_ends_with_the_vendors_clock(sandbox, account, caller):
    assert probe(caller).status_code == 200
    sandbox.clock(advance=2 * 3600 + 1)
    assert expired(probe(caller), account.vendor)
    fresh = refresh(account).json()["access_token"]
    assert probe(caller, fresh).status_code == 200


def test_access_tokens_end_at_a_control_call(sandbox, account, caller):
    sandbox.expire_tokens(account.id)
    assert expired(probe(caller), account.vendor)
    assert probe(caller, refresh(account).json()["access_token"]).status_code == 200


def test_a_token_that_nobody_gave_is_unauthorized(caller):
    assert probe(caller, "made-up").status_code == 401
    del caller.headers["Authorization"]
    assert probe(caller).status_code == 401


def test_a_token_of_one_account_does_not_open_another(sandbox):
    with Caller(sandbox.account("acme-robotics")) as caller:
        other = sandbox.account("brightwater-clinics")
        assert probe(caller, other.access_token).status_code == 401


def test_a_revoked_connection_cannot_refresh(sandbox, account, caller):
    sandbox.revoke_tokens(account.id)
    assert probe(caller).status_code == 401
    answer = refresh(account)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    if account.vendor == "hubspot":
        assert answer.json()["status"] == "BAD_REFRESH_TOKEN"


@pytest.mark.parametrize("wrong", [{"client_id": "x"}, {"client_secret": "x"}, {"grant_type": "password"}])
def test_a_wrong_client_is_told_so(account, wrong):
    answer = refresh(account, **wrong)
    assert answer.status_code == 400
    assert answer.json()["error"] != "invalid_grant"


def test_rotation_ends_the_old_refresh_token(sandbox, account):
    sandbox.settings(account.id, rotate_refresh_tokens=True)
    fresh = refresh(account).json()["refresh_token"]
    assert fresh != account.refresh_token
    assert refresh(account).status_code == 400
    assert refresh(account, refresh_token=fresh).status_code == 200


def test_salesforce_tells_where_the_organisation_lives_and_may_move_it(sandbox):
    account = sandbox.account("acme-robotics")
    told = refresh(account).json()
    assert told["instance_url"] == account.api_url
    assert {"access_token", "id", "issued_at", "signature", "token_type"} <= set(told)
    assert "refresh_token" not in told
    assert "expires_in" not in told
    sandbox.settings(account.id, instance="na99")
    moved = refresh(account).json()
    assert moved["instance_url"] == account.api_url + ".na99"
    headers = {"Authorization": f"Bearer {moved['access_token']}"}
    assert httpx.get(moved["instance_url"] + f"{API}/limits", headers=headers, trust_env=False).status_code == 200
    assert httpx.get(account.api_url + f"{API}/limits", headers=headers, trust_env=False).status_code == 401


def test_salesforce_says_who_is_connected(sandbox):
    account = sandbox.account("acme-robotics")
    headers = {"Authorization": f"Bearer {account.access_token}"}
    for url in (account.login_url, account.api_url):
        told = httpx.get(url + "/services/oauth2/userinfo", headers=headers, trust_env=False).json()
        assert told["organization_id"] == account.account_id
    httpx.post(account.login_url + "/services/oauth2/revoke", data={"token": account.access_token}, trust_env=False)
    assert (
        httpx.get(account.login_url + "/services/oauth2/userinfo", headers=headers, trust_env=False).status_code == 401
    )


@pytest.mark.parametrize("path", ["/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-03/token"])
def test_hubspot_refreshes_under_three_paths(sandbox, path):
    account = sandbox.account("lumen-bakery")
    told = refresh(account, path).json()
    assert told["expires_in"] == 1800
    assert told["refresh_token"] == account.refresh_token
    assert (told.get("hub_id") == int(account.account_id)) == ("v1" not in path)


def test_hubspot_says_whose_token_it_is(sandbox):
    account = sandbox.account("lumen-bakery")
    old = httpx.get(f"{account.login_url}/oauth/v1/access-tokens/{account.access_token}", trust_env=False).json()
    assert old["hub_id"] == int(account.account_id)
    form = {"token": account.access_token, "token_type_hint": "access_token"}
    new = httpx.post(f"{account.login_url}/oauth/v3/token/introspect", data=form, trust_env=False).json()
    assert new["hub_id"] == int(account.account_id)
    httpx.delete(f"{account.login_url}/oauth/v1/refresh-tokens/{account.refresh_token}", trust_env=False)
    assert refresh(account).json()["status"] == "BAD_REFRESH_TOKEN"


def test_no_token_is_in_the_log_of_calls(sandbox, account, caller):
    probe(caller)
    told = refresh(account).json()
    httpx.get(f"{account.login_url}/oauth/v1/access-tokens/{account.access_token}", trust_env=False)
    logged = str(sandbox.calls())
    assert REFRESH[account.vendor] in logged
    for secret in (account.access_token, account.refresh_token, account.client_secret, told["access_token"]):
        assert secret not in logged


BACK = "https://app.example/connect/callback"
VERIFIER = "v" * 43
AUTHORIZE = {"salesforce": "/services/oauth2/authorize", "hubspot": "/oauth/authorize"}


def log_in(account, decision="allow", **changes):
    """What the login page sends the browser back with."""
    challenge = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    asked = {
        "client_id": account.client_id,
        "redirect_uri": BACK,
        "response_type": "code",
        "state": "the state",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **changes,
    }
    place = account.login_url + AUTHORIZE[account.vendor]
    shown = httpx.get(place, params=asked, trust_env=False)
    if shown.status_code != 200:
        return shown
    assert account.title in shown.text
    return httpx.post(place, data={**asked, "account": account.id, "decision": decision}, trust_env=False)


def told(answer):
    assert answer.headers["location"].startswith(BACK + "?")
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def redeem(account, given, **changes):
    form = {"grant_type": "authorization_code", "code": given, "redirect_uri": BACK, "code_verifier": VERIFIER}
    return refresh(account, refresh_token="", **{**form, **changes})


def test_somebody_logs_in_and_allows(account, caller):
    back = told(log_in(account))
    assert back["state"] == "the state"
    tokens = redeem(account, back["code"]).json()
    assert probe(caller, tokens["access_token"]).status_code == 200
    assert refresh(account, refresh_token=tokens["refresh_token"]).status_code == 200
    assert redeem(account, back["code"]).json()["error"] == "invalid_grant"


def test_somebody_refuses(account):
    assert told(log_in(account, decision="deny")) | {"error_description": ""} == {
        "error": "access_denied",
        "error_description": "",
        "state": "the state",
    }


@pytest.mark.parametrize(
    "wrong", [{"code": "made-up"}, {"redirect_uri": BACK + "/x"}, {"code_verifier": "w" * 43}, {"client_secret": "x"}]
)
def test_a_code_is_worth_nothing_with_anything_else_than_it_was_given_with(account, wrong):
    code = told(log_in(account))["code"]
    assert redeem(account, code, **wrong).status_code == 400
    assert redeem(account, code).status_code == 200


def test_a_code_ends_with_the_vendors_clock(sandbox, account):
    code = told(log_in(account))["code"]
    sandbox.clock(advance=16 * 60)
    assert redeem(account, code).json()["error"] == "invalid_grant"


def test_an_app_that_nobody_knows_is_not_sent_back_to(account):
    assert log_in(account, client_id="stranger").status_code == 400
    assert log_in(account, redirect_uri="javascript:alert(1)").status_code == 400
    assert told(log_in(account, scope="api everything"))["error"] == "invalid_scope"


def test_a_revoked_refresh_token_takes_its_access_tokens_along(account, caller):
    tokens = redeem(account, told(log_in(account))["code"]).json()
    form = {"token": tokens["refresh_token"], "token_type_hint": "refresh_token"}
    path = {"salesforce": "/services/oauth2/revoke", "hubspot": "/oauth/v3/token/revoke"}[account.vendor]
    assert httpx.post(account.login_url + path, data=form, trust_env=False).status_code == 200
    assert probe(caller, tokens["access_token"]).status_code == 401
    assert refresh(account, refresh_token=tokens["refresh_token"]).status_code == 400
