"""Tokens end, are refreshed, rotated, refused and revoked as the vendors do it."""

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
