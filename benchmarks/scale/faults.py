"""Which accounts fail from some moment on, in what way, and which type of error each must be recorded with."""

from collections.abc import Mapping
from typing import Final

import msgspec

from benchmarks.answers import Answer

REVOKED, BROKEN, TOLD_TO_WAIT = "refresh token revoked", "answers 500", "told to wait"
GONE, CUT_OFF, WEB_PAGE, UNREACHABLE = "one object gone", "answers cut off", "a web page instead", "unreachable"

ERROR_TYPES: Final[Mapping[str, str]] = {
    REVOKED: "auth_expired",
    BROKEN: "vendor_error",
    TOLD_TO_WAIT: "rate_limit",
    GONE: "not_found",
    CUT_OFF: "network",
    WEB_PAGE: "vendor_error",
    UNREACHABLE: "network",
}
KINDS: Final = tuple(ERROR_TYPES)
VANISHED: Final = {"hubspot": "tickets", "salesforce": "Case"}
"""The object that is gone where one is."""
LONG_WAIT: Final = 1800
"""Seconds of Retry-After."""


def failing(connections: int, share: float) -> dict[int, str]:
    """{account: how it fails}: spread over all accounts, both vendors in turn, the kinds in turn."""
    amount = max(1, round(connections * share))
    step = connections // amount
    # Even numbers are portals, odd ones orgs.
    numbers = [k * step + (k * step - k) % 2 for k in range(amount)]
    return {number: KINDS[k // 2 % len(KINDS)] for k, number in enumerate(numbers) if number < connections}


def _json(value: object, status: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer([msgspec.json.encode(value)], status, headers=named)


def refused_token(vendor: str) -> Answer:
    """401: the access token is not, or no longer, good."""
    if vendor == "hubspot":
        return _json({"status": "error", "category": "EXPIRED_AUTHENTICATION", "message": "token expired"}, 401)
    return _json([{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}], 401)


def refused_refresh(vendor: str) -> Answer:
    """The token endpoint no longer takes the refresh token."""
    if vendor == "hubspot":
        return _json({"status": "BAD_REFRESH_TOKEN", "message": "missing or unknown refresh token"}, 400)
    return _json({"error": "invalid_grant", "error_description": "expired access/refresh token"}, 400)


def answer(kind: str, vendor: str, target: str) -> Answer | None:
    """What a failing account answers, None where it answers as others do. Tokens and cut answers are the server's."""
    if kind == BROKEN:
        return _json({"status": "error", "message": "internal error"}, 500)
    if kind == TOLD_TO_WAIT:
        return _slow_down(vendor)
    if kind == WEB_PAGE:
        page = b"<!DOCTYPE html><html><body>We are down for maintenance.</body></html>"
        return Answer([page], 200, "text/html; charset=utf-8")
    if kind == GONE and VANISHED[vendor] in target:
        return _gone(vendor, target)
    return None


def _slow_down(vendor: str) -> Answer:
    if vendor == "hubspot":
        told = {"status": "error", "message": "You have reached your limit.", "errorType": "RATE_LIMIT"}
        return _json(told, 429, retry_after=str(LONG_WAIT))
    told_by_salesforce = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]
    return _json(told_by_salesforce, 403, sforce_limit_info="api-usage=100000/100000")


def _gone(vendor: str, target: str) -> Answer:
    if vendor == "hubspot":
        needed = {"requiredGranularScopes": ["tickets"]}
        return _json({"status": "error", "category": "MISSING_SCOPES", "message": "scope", "context": needed}, 403)
    if "/describe" in target:
        return _json([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)
    return _json([{"errorCode": "INVALID_TYPE", "message": "sObject type 'Case' is not supported."}], 400)
