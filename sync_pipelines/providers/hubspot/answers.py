"""What HubSpot answers besides records: refusals, tokens, quota."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sync_pipelines.model.budget import Window
from sync_pipelines.model.errors import (
    ProtocolError,
    Reauthorize,
    SetupError,
    SkipObject,
    SyncError,
    VendorError,
    Wait,
)
from sync_pipelines.model.flow import Request, Response
from sync_pipelines.model.provider import CodeGrant, Tokens
from sync_pipelines.model.secret import Secret

DAILY_PAUSE: Final = timedelta(hours=1)
"""The daily limit ends at midnight in the portal's time zone, which the refusal does not tell."""
WINDOWS: Final = {"SECONDLY": timedelta(seconds=1), "TEN_SECONDLY_ROLLING": timedelta(seconds=10)}
"""The short limits by the name of their policy, and after how long a call is allowed again."""
REVOKED: Final = frozenset({"invalid_grant", "access_denied", "BAD_REFRESH_TOKEN", "BAD_AUTH_CODE", "BAD_HUB"})
REFUSED_APP: Final = frozenset({"BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "BAD_REDIRECT_URI", "invalid_client"})
SCOPE_KEYS: Final = ("requiredScopes", "requiredGranularScopes")
MALFORMED_TOKEN: Final = 530
MOVING: Final = 477
"""The account is being moved to another data centre; Retry-After says for how long."""


def usage(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Calls used and allowed today; None for OAuth apps, which have no daily limit and no such headers."""
    allowed, left = headers.get("x-hubspot-ratelimit-daily", ""), headers.get("x-hubspot-ratelimit-daily-remaining", "")
    return (int(allowed) - int(left), int(allowed)) if allowed.isdigit() and left.isdigit() else None


def window(headers: Mapping[str, str]) -> Window | None:
    """The calls left in 10 seconds; searches, which are counted apart, do not tell."""
    names = ("x-hubspot-ratelimit-remaining", "x-hubspot-ratelimit-max", "x-hubspot-ratelimit-interval-milliseconds")
    left, most, interval = (headers.get(name, "") for name in names)
    if not (left.isdigit() and most.isdigit() and interval.isdigit()):
        return None
    return Window(left=int(left), most=int(most), seconds=int(interval) / 1000)


def classify(request: Request, response: Response) -> SyncError | None:
    """The error by its category; None leaves it to the status."""
    body = response.problem()
    told: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if request.host == "login":
        return _token_refusal(told)
    category, message = str(told.get("category", "")), str(told.get("message", ""))
    if response.status == 429:
        return _limit(str(told.get("policyName", "")))
    if response.status == MALFORMED_TOKEN:
        return Reauthorize("HubSpot cannot read the access token: the customer must connect again.")
    if response.status == MOVING:
        return VendorError("HubSpot is moving the account to another data centre; it will be tried again.")
    if response.status == 403:
        return _no_permission(request, told, message)
    if response.status == 404:
        return SkipObject(f"HubSpot does not know {request.path}: check the name of the object.", detail=message)
    if response.status == 400:
        return ProtocolError(f"HubSpot refuses the request ({category or 400}): {message[:300]}")
    return None


def _limit(policy: str) -> Wait | None:
    if policy == "DAILY":
        return Wait(
            "HubSpot's daily limit of requests is used up; the sync goes on when calls are free again.",
            until=datetime.now(UTC) + DAILY_PAUSE,
            whole_account=True,
        )
    pause = WINDOWS.get(policy)
    if pause is None:
        return None
    return Wait("HubSpot asks us to slow down; the sync goes on by itself.", until=datetime.now(UTC) + pause)


def _no_permission(request: Request, told: Mapping[str, Any], message: str) -> SkipObject:
    scopes = _missing_scopes(told)
    needed = f": add the scopes {', '.join(scopes)} and connect again" if scopes else ""
    return SkipObject(f"HubSpot does not let this connection read {request.path}{needed}.", detail=message)


def _missing_scopes(told: Mapping[str, Any]) -> list[str]:
    """Older answers name them in their own context, newer ones in that of each error."""
    errors = told.get("errors")
    contexts = [told.get("context"), *(one.get("context") for one in errors or () if isinstance(one, dict))]
    named = [context.get(key) for context in contexts if isinstance(context, dict) for key in SCOPE_KEYS]
    return sorted({str(scope) for scopes in named if isinstance(scopes, list) for scope in scopes})


def _token_refusal(told: Mapping[str, Any]) -> SyncError | None:
    codes = {str(told.get("status", "")), str(told.get("error", ""))}
    if codes & REFUSED_APP:
        return SetupError("HubSpot refuses the app: check the provider's client id, client secret and redirect URL.")
    if codes & REVOKED:
        return Reauthorize("HubSpot has withdrawn our access: the customer must connect again.")
    return None


def token_request(path: str, client_id: str, client_secret: str, refresh_token: Secret) -> Request:
    """The refresh: everything in the form, also in the versions after v1."""
    form = {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "client_secret": client_secret,
        "refresh_token": refresh_token.reveal(),
    }
    return Request(method="POST", path=path, form=form, host="login", authorized=False)


def code_request(path: str, client_id: str, client_secret: str, grant: CodeGrant) -> Request:
    """The first tokens, for a code."""
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "client_secret": client_secret,
        "redirect_uri": grant.redirect_uri,
        "code": grant.code.reveal(),
    }
    return Request(method="POST", path=path, form=form, host="login", authorized=False)


def revoke_request(path: str, client_id: str, client_secret: str, tokens: Tokens) -> Request:
    """The refresh token works no more; access tokens end within half an hour. The app stays installed."""
    token, kind = (
        tokens.refresh_token or tokens.access_token,
        "refresh_token" if tokens.refresh_token else "access_token",
    )
    form = {
        "token": token.reveal(),
        "token_type_hint": kind,
        "client_id": client_id,
        "client_secret": client_secret,
    }
    return Request(method="POST", path=path, form=form, host="login", authorized=False)


def token_from(response: Response) -> Tokens:
    """Access tokens live for half an hour (`expires_in`); refresh tokens do not rotate today."""
    body: Any = response.json()
    if not isinstance(body, dict) or not body.get("access_token"):
        raise VendorError("HubSpot answered the refresh without an access token; it will be tried again.")
    refresh, lifetime = body.get("refresh_token"), body.get("expires_in")
    return Tokens(
        access_token=Secret(str(body["access_token"])),
        refresh_token=Secret(str(refresh)) if refresh else None,
        expires_at=datetime.now(UTC) + timedelta(seconds=lifetime) if isinstance(lifetime, int | float) else None,
    )
