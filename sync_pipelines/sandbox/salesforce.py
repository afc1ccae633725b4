"""Salesforce: tokens, limits, and what goes with every answer."""

from base64 import b64encode

from sync_pipelines.sandbox import (
    oauth,
    salesforce_bulk,
    salesforce_describe,
    salesforce_errors,
    salesforce_query,
    salesforce_records,
)
from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.customers import CLIENT_ID, CLIENT_SECRET
from sync_pipelines.sandbox.exchange import Answer, Call, Refused, Route, as_json
from sync_pipelines.sandbox.faults import Fault
from sync_pipelines.sandbox.salesforce_describe import VERSIONED

LOGIN = "/salesforce/login/services/oauth2"
ORG = "/salesforce/{org}/services/oauth2"

SCOPES = ("api", "refresh_token", "offline_access", "openid", "id", "profile", "email", "full", "web")
_WRONG = {
    "code": ("invalid_grant", "expired authorization code"),
    "redirect": ("redirect_uri_mismatch", "redirect_uri must match configuration"),
    "verifier": ("invalid_grant", "invalid code verifier"),
}


def token(call: Call) -> Answer:
    form = call.form()
    if form.get("grant_type") == "client_credentials":
        return _tokens_of_app(call)
    if form.get("grant_type") not in ("refresh_token", "authorization_code"):
        return _oauth_error("unsupported_grant_type", "grant type not supported")
    if form.get("client_id") != CLIENT_ID:
        return _oauth_error("invalid_client_id", "client identifier invalid")
    if form.get("client_secret") != CLIENT_SECRET:
        return _oauth_error("invalid_client", "invalid client credentials")
    if form["grant_type"] == "authorization_code":
        return _first_tokens(call, form)
    presented = form.get("refresh_token", "")
    account, state = call.world.holder(presented, "refresh")
    refusal = call.fault("refresh_refused")
    if refusal is not None:
        return _oauth_error(str(refusal.options.get("error", "invalid_grant")), "expired access/refresh token")
    if account is None or state != "valid" or account.vendor != "salesforce":
        return _oauth_error("invalid_grant", "expired access/refresh token")
    granted = _granted(call, account)
    if account.rotate_refresh_tokens:
        granted["refresh_token"] = call.world.issue(account, "refresh")
        call.world.end_token(presented)
    return as_json(granted)


def _tokens_of_app(call: Call) -> Answer:
    """For an app of one organisation, at that organisation's own address, by Basic authentication."""
    account = call.account
    if account is None or "org" not in call.parts:
        return _oauth_error("invalid_grant", "request not supported on this domain")
    id, secret = account.customer.own_app
    presented = call.headers.get("authorization", "")
    refusal = call.fault("refresh_refused")
    if refusal is not None:
        return _oauth_error(str(refusal.options.get("error", "invalid_grant")), "invalid client credentials")
    if presented != f"Basic {b64encode(f'{id}:{secret}'.encode()).decode()}":
        return _oauth_error("invalid_client", "invalid client credentials")
    return as_json(_granted(call, account))


def _first_tokens(call: Call, form: dict[str, str]) -> Answer:
    found = oauth.redeem(call, form, "salesforce")
    if isinstance(found, str):
        return _oauth_error(*_WRONG[found])
    return as_json({**_granted(call, found), "refresh_token": call.world.issue(found, "refresh")})


def _granted(call: Call, account: Account) -> dict[str, str]:
    return {
        "access_token": call.world.issue(account, "access"),
        "instance_url": f"{call.site}/salesforce/{account.id}" + (account.instance and f".{account.instance}"),
        "id": f"{call.site}/salesforce/login/id/{account.id}/{_user_id(account)}",
        "token_type": "Bearer",
        "issued_at": str(call.world.clock.now()),
        "signature": "c2FuZGJveC1zaWduYXR1cmU=",
        "scope": "api refresh_token id",
    }


def _oauth_error(error: str, description: str) -> Answer:
    return as_json({"error": error, "error_description": description}, 400)


def _user_id(account: Account) -> str:
    spec = account.objects["User"]
    return account.record_id(spec, spec.number(0))


def revoke(call: Call) -> Answer:
    call.world.revoke(call.form().get("token") or call.first("token"))
    return Answer(200, content_type=None)


def userinfo(call: Call) -> Answer:
    account = call.own
    return as_json(
        {
            "sub": f"{call.site}/salesforce/login/id/{account.id}/{_user_id(account)}",
            "user_id": _user_id(account),
            "organization_id": account.id,
            "preferred_username": "user1@crm.example",
            "name": f"{account.customer.title} integration user",
            "email": "person1@crm.example",
            "active": True,
            "urls": {"rest": f"{call.site}/salesforce/{account.id}/services/data/v{{version}}/"},
        }
    )


def limits(call: Call) -> Answer:
    account = call.own
    left = max(account.daily_limit - account.daily_used(call.world.clock.now()), 0)
    return as_json(
        {
            "DailyApiRequests": {"Max": account.daily_limit, "Remaining": left},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyBulkApiBatches": {"Max": 15_000, "Remaining": 15_000},
        }
    )


class Salesforce:
    """The vendor's half of the server."""

    routes = (
        Route("GET", LOGIN + "/authorize", oauth.authorize_page("salesforce", SCOPES), open=True),
        Route(
            "POST",
            LOGIN + "/authorize",
            oauth.decided("salesforce", SCOPES, "end-user denied authorization"),
            open=True,
        ),
        Route("GET", ORG + "/authorize", oauth.authorize_page("salesforce", SCOPES), open=True),
        Route(
            "POST", ORG + "/authorize", oauth.decided("salesforce", SCOPES, "end-user denied authorization"), open=True
        ),
        Route("POST", LOGIN + "/token", token, open=True),
        Route("POST", ORG + "/token", token, open=True),
        Route("POST", LOGIN + "/revoke", revoke, open=True),
        Route("POST", ORG + "/revoke", revoke, open=True),
        Route("GET", LOGIN + "/userinfo", userinfo),
        Route("GET", ORG + "/userinfo", userinfo),
        Route("GET", VERSIONED + "/limits", limits),
        *salesforce_bulk.ROUTES,
        *salesforce_query.ROUTES,
        *salesforce_describe.ROUTES,
        *salesforce_records.ROUTES,
    )

    def identify(self, call: Call, *, open: bool) -> None:
        org = call.parts.get("org")
        name, _, instance = (org or "").partition(".")
        by_path = None if org is None else call.world.account(name)
        if open:
            holder, _ = call.world.holder(call.refresh_token, "refresh")
            call.account = by_path or holder or oauth.account_of_code(call, call.form().get("code", ""))
            return
        scheme, _, presented = call.headers.get("authorization", "").partition(" ")
        holder, state = call.world.holder(presented.strip(), "access")
        call.account = by_path or holder
        if org is not None and by_path is None:
            raise Refused(salesforce_errors.usual(404))
        moved = by_path is not None and instance != by_path.instance
        if (
            moved
            or scheme.lower() not in ("bearer", "oauth")
            or state != "valid"
            or holder is None
            or holder is not call.account
        ):
            raise salesforce_errors.refused(401, *salesforce_errors.SESSION)

    def admit(self, call: Call) -> None:
        account, now = call.own, call.world.clock.now()
        if account.daily_used(now) >= account.daily_limit:
            raise Refused(salesforce_errors.limit_exceeded())
        account.ours.add(now)

    def error_for(self, fault: Fault, call: Call) -> Answer:
        if fault.name == "rate_limit":
            answer = salesforce_errors.limit_exceeded()
            if "retry_after" in fault.options:
                answer = salesforce_errors.usual(429)
                answer.headers["Retry-After"] = str(fault.options["retry_after"])
            return answer
        if fault.name == "refresh_refused":
            return _oauth_error(str(fault.options.get("error", "invalid_grant")), "expired access/refresh token")
        if fault.name == "missing_scope":
            return salesforce_errors.errors(403, "The user hasn't approved this consumer", "INSUFFICIENT_ACCESS")
        if fault.name == "token_expired":
            return salesforce_errors.errors(401, *salesforce_errors.SESSION)
        return salesforce_errors.usual(int(fault.options.get("status", 500)))

    def finish(self, call: Call, answer: Answer) -> None:
        if call.account is not None and "/services/data/" in call.path:
            used = call.account.daily_used(call.world.clock.now())
            answer.headers.setdefault("Sforce-Limit-Info", f"api-usage={used}/{call.account.daily_limit}")
