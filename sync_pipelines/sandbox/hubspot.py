"""HubSpot: tokens, limits, and what goes with every answer."""

from typing import Any

from sync_pipelines.sandbox import (
    hubspot_associations,
    hubspot_errors,
    hubspot_lists,
    hubspot_objects,
    hubspot_portal,
    hubspot_search,
    hubspot_writes,
    oauth,
)
from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.customers import CLIENT_ID, CLIENT_SECRET
from sync_pipelines.sandbox.exchange import Answer, Call, Refused, Route, as_json
from sync_pipelines.sandbox.faults import Fault
from sync_pipelines.sandbox.world import TOKEN_LIFE_MS

SCOPES = (
    "oauth", "tickets", "crm.objects.contacts.read", "crm.objects.companies.read", "crm.objects.deals.read",
    "crm.objects.leads.read", "crm.objects.owners.read", "crm.objects.custom.read", "crm.schemas.custom.read",
)  # fmt: skip
_WRONG = {
    "code": ("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code"),
    "redirect": ("invalid_request", "BAD_REDIRECT_URI", "missing or invalid redirect_uri"),
    "verifier": ("invalid_grant", "BAD_CODE_VERIFIER", "missing or invalid code verifier"),
}
_DATED = ("/hubspot/oauth/v3/token", "/hubspot/oauth/2026-03/token")


def token(call: Call) -> Answer:
    form = call.form()
    if form.get("grant_type") not in ("refresh_token", "authorization_code"):
        return _oauth_error(call, "unsupported_grant_type", "BAD_GRANT_TYPE", "missing or unknown grant type")
    if form.get("client_id") != CLIENT_ID:
        return _oauth_error(call, "invalid_client", "BAD_CLIENT_ID", "missing or unknown client id")
    if form.get("client_secret") != CLIENT_SECRET:
        return _oauth_error(call, "invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret")
    if form["grant_type"] == "authorization_code":
        return _first_tokens(call, form)
    refusal = call.fault("refresh_refused")
    presented = form.get("refresh_token", "")
    account, state = call.world.holder(presented, "refresh")
    if refusal is not None:
        return _oauth_error(call, "invalid_grant", str(refusal.options.get("error", "BAD_REFRESH_TOKEN")), "refused")
    if account is None or state != "valid" or account.vendor != "hubspot":
        return _oauth_error(call, "invalid_grant", "BAD_REFRESH_TOKEN", "missing or unknown refresh token")
    if account.rotate_refresh_tokens:
        call.world.end_token(presented)
        presented = call.world.issue(account, "refresh")
    return _granted(call, account, presented)


def _first_tokens(call: Call, form: dict[str, str]) -> Answer:
    found = oauth.redeem(call, form, "hubspot")
    if isinstance(found, str):
        return _oauth_error(call, *_WRONG[found])
    return _granted(call, found, call.world.issue(found, "refresh"))


def _granted(call: Call, account: Account, refresh_token: str) -> Answer:
    granted: dict[str, Any] = {
        "access_token": call.world.issue(account, "access"),
        "refresh_token": refresh_token,
        "expires_in": TOKEN_LIFE_MS["hubspot"] // 1000,
        "token_type": "bearer",
    }
    if not call.path.startswith("/hubspot/oauth/v1"):
        granted |= {"token_use": "access_token", **_holder(account)}
    return as_json(granted)


def _holder(account: Account) -> dict[str, Any]:
    return {"hub_id": int(account.id), "user_id": 41_000_017, "scopes": list(SCOPES)}


def _oauth_error(call: Call, error: str, status: str, message: str) -> Answer:
    body = {
        "error": error,
        "error_description": message,
        "status": status,
        "message": message,
        "correlationId": hubspot_errors.correlation(call),
    }
    return as_json(body, 400)


def introspect(call: Call) -> Answer:
    form = call.form() if "json" not in call.headers.get("content-type", "") else call.json()
    account, state = call.world.holder(
        str(form.get("token", "")), str(form.get("token_type_hint") or "access_token")[:-6]
    )
    if account is None or state != "valid":
        return as_json({"active": False})
    return as_json({"active": True, "token_type": "bearer", "token_use": "access_token", **_holder(account)})


def access_token(call: Call) -> Answer:
    """The v1 way to ask whose token it is."""
    account, state = call.world.holder(call.parts["token"], "access")
    if account is None or state != "valid":
        return hubspot_errors.error(call, 404, "missing or unknown access token", "OBJECT_NOT_FOUND")
    return as_json(
        {
            "token": call.parts["token"],
            "user": "person1@crm.example",
            "hub_domain": f"{account.customer.id}.example",
            "app_id": 111_111,
            "expires_in": 1800,
            "token_type": "access",
            **_holder(account),
        }
    )


def forget_refresh_token(call: Call) -> Answer:
    call.world.revoke(call.parts["token"])
    return Answer(204, content_type=None)


def revoke(call: Call) -> Answer:
    call.world.revoke(call.form().get("token", ""))
    return Answer(200, content_type=None)


class HubSpot:
    """The vendor's half of the server."""

    routes = (
        Route("GET", "/hubspot/oauth/authorize", oauth.authorize_page("hubspot", SCOPES), open=True),
        Route(
            "POST",
            "/hubspot/oauth/authorize",
            oauth.decided("hubspot", SCOPES, "The user denied the request for access"),
            open=True,
        ),
        Route("POST", "/hubspot/oauth/v1/token", token, open=True),
        Route("GET", "/hubspot/oauth/v1/access-tokens/{token}", access_token, open=True),
        Route("DELETE", "/hubspot/oauth/v1/refresh-tokens/{token}", forget_refresh_token, open=True),
        *(Route("POST", path, token, open=True) for path in _DATED),
        *(Route("POST", path + "/introspect", introspect, open=True) for path in _DATED),
        *(Route("POST", path + "/revoke", revoke, open=True) for path in _DATED),
        *hubspot_search.ROUTES,
        *hubspot_lists.ROUTES,
        *hubspot_associations.ROUTES,
        *hubspot_writes.ROUTES,
        *hubspot_objects.ROUTES,
        *hubspot_portal.ROUTES,
    )

    def identify(self, call: Call, *, open: bool) -> None:
        if open:
            call.account, _ = call.world.holder(call.refresh_token, "refresh")
            call.account = call.account or oauth.account_of_code(call, call.form().get("code", ""))
            return
        scheme, _, presented = call.headers.get("authorization", "").partition(" ")
        call.account, state = call.world.holder(presented.strip(), "access")
        if scheme.lower() != "bearer" or call.account is None or call.account.vendor != "hubspot":
            raise Refused(hubspot_errors.usual(call, 401))
        if state == "expired":
            message = "The OAuth token used to make this call expired 1 minute(s) ago."
            raise hubspot_errors.refused(call, 401, message, "EXPIRED_AUTHENTICATION")
        if state != "valid":
            raise Refused(hubspot_errors.usual(call, 401))

    def admit(self, call: Call) -> None:
        account, now = call.own, call.world.clock.now()
        if account.private_app:
            if account.daily_used(now) >= account.daily_limit:
                raise Refused(hubspot_errors.rate_limited(call, "DAILY"))
            account.ours.add(now)
        search = _is_search(call)
        too_many = (account.search_window if search else account.window).add(now)
        if too_many and account.enforce_limits:
            raise Refused(hubspot_errors.rate_limited(call, "SECONDLY" if search else "TEN_SECONDLY_ROLLING"))

    def error_for(self, fault: Fault, call: Call) -> Answer:
        if fault.name == "rate_limit":
            answer = hubspot_errors.rate_limited(call, str(fault.options.get("policy", "TEN_SECONDLY_ROLLING")))
            if "retry_after" in fault.options:
                answer.headers["Retry-After"] = str(fault.options["retry_after"])
            return answer
        if fault.name == "refresh_refused":
            word = str(fault.options.get("error", "BAD_REFRESH_TOKEN"))
            return _oauth_error(call, "invalid_grant", word, "missing or unknown refresh token")
        if fault.name == "missing_scope":
            return hubspot_errors.missing_scopes(call, str(fault.options.get("scope", "crm.objects.contacts.read")))
        if fault.name == "token_expired":
            message = "The OAuth token used to make this call expired 1 minute(s) ago."
            return hubspot_errors.error(call, 401, message, "EXPIRED_AUTHENTICATION")
        answer = hubspot_errors.usual(call, int(fault.options.get("status", 500)))
        if "retry_after" in fault.options:
            answer.headers["Retry-After"] = str(fault.options["retry_after"])
        return answer

    def finish(self, call: Call, answer: Answer) -> None:
        answer.headers.setdefault("X-HubSpot-Correlation-Id", hubspot_errors.correlation(call))
        if call.account is None or _is_search(call) or "/oauth/" in call.path:
            return
        account, window = call.account, call.account.window
        answer.headers |= {
            "X-HubSpot-RateLimit-Max": str(window.calls),
            "X-HubSpot-RateLimit-Remaining": str(window.left),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(window.milliseconds),
        }
        if account.private_app:
            left = max(account.daily_limit - account.daily_used(call.world.clock.now()), 0)
            answer.headers |= {
                "X-HubSpot-RateLimit-Daily": str(account.daily_limit),
                "X-HubSpot-RateLimit-Daily-Remaining": str(left),
            }


def _is_search(call: Call) -> bool:
    return call.path.endswith("/search")
