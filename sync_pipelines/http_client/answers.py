"""What an answer means: is it whole, and if it is a refusal, which error is it."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from sync_pipelines.model.errors import (
    ConfigurationError,
    NetworkError,
    ProtocolError,
    Reauthorize,
    Retry,
    SkipObject,
    SyncError,
    VendorError,
    Wait,
)
from sync_pipelines.model.flow import Request, Response
from sync_pipelines.model.provider import Provider

BUSY: Final = frozenset({406, 408, 409, 420, 421, 423, 425})
"""Client-error statuses that vendors use for "not now"."""
REVOKED: Final = frozenset({"invalid_grant", "access_denied"})
REFUSED_APP: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request"})
KEPT_BODY: Final = 300
VALIDATED_BODY: Final = 32 * 1024
"""Bytes. A longer JSON body is only looked at where it ends; its flow finds out whether the rest is whole."""
_ENDS_JSON: Final = re.compile(rb"[\]}]\s*\Z")


def check_answer(provider: Provider, request: Request, response: Response) -> None:
    """Raise what a refusal or a broken answer means. Silent for an answer that the flow may have."""
    html = "html" in response.headers.get("content-type", "")
    if 200 <= response.status < 300 or response.status in request.accept:
        if html or response.body[:1] == b"<":
            raise VendorError(
                f"{provider.title} answered with a web page instead of data; it will be tried again.",
                detail=_excerpt(request, response),
            )
        _check_whole(provider, request, response)
        return
    error = None if html else provider.classify(request, response)
    raise _with_detail(_asked_to_wait(error or _by_status(provider, request, response), response), request, response)


def _check_whole(provider: Provider, request: Request, response: Response) -> None:
    told = response.headers.get("content-length", "")
    short = told.isdigit() and "content-encoding" not in response.headers and len(response.body) != int(told)
    json = "json" in response.headers.get("content-type", "") and response.status not in (204, 304)
    if short or (json and not _looks_whole(response)):
        raise NetworkError(
            f"The answer of {provider.title} was cut off; it will be tried again.",
            detail=f"{request.method} {request.path}: {len(response.body)} bytes of {told or 'unknown'}",
        )


def _looks_whole(response: Response) -> bool:
    if len(response.body) > VALIDATED_BODY:
        return _ENDS_JSON.search(response.body[-64:]) is not None
    try:
        response.decode(msgspec.Raw)
    except VendorError:
        return False
    return True


def _by_status(provider: Provider, request: Request, response: Response) -> SyncError:
    title, status = provider.title, response.status
    if not request.authorized and status < 500 and status != 429:
        return _token_refusal(title, response)
    if "html" in response.headers.get("content-type", "") and status not in (401, 429):
        return VendorError(f"{title} answered with a web page (status {status}); it will be tried again.")
    if status == 429:
        return Wait(f"{title} asks us to slow down; the sync goes on by itself.")
    if status == 401:
        return Reauthorize(f"{title} no longer accepts the credentials: the customer must connect again.")
    if status in (403, 404, 410):
        return SkipObject(f"{title} does not let this connection read {request.path} (status {status}).")
    if status < 400 or status >= 500 or status in BUSY:
        return VendorError(f"{title} could not answer (status {status}); it will be tried again.")
    return ProtocolError(f"{title} refuses our request (status {status}); see the log for its answer.")


def _token_refusal(title: str, response: Response) -> SyncError:
    """The token endpoint's refusals as RFC 6749 section 5.2 names them."""
    body = response.problem()
    code = body.get("error") if isinstance(body, dict) else None
    if code in REVOKED:
        return Reauthorize(f"{title} has withdrawn our access: the customer must connect again.", detail=str(code))
    if code in REFUSED_APP or response.status in (404, 405):
        return ConfigurationError(
            f"{title} refuses the app itself: check the provider's client id, client secret and login URL.",
            detail=str(code),
        )
    return VendorError(f"{title} did not refresh the access token (status {response.status}); it will be tried again.")


def _asked_to_wait(error: SyncError, response: Response) -> SyncError:
    """The vendor's own Retry-After decides when anything that comes back by itself comes back."""
    until = retry_after(response)
    if until is None or not isinstance(error, Retry | Wait):
        return error
    whole_account = isinstance(error, Wait) and error.whole_account
    return Wait(str(error), until=until, detail=error.detail, whole_account=whole_account)


def retry_after(response: Response) -> datetime | None:
    """When the Retry-After header (seconds or an HTTP date) allows the next try, on our clock."""
    value = response.headers.get("retry-after", "").strip()
    now = datetime.now(UTC)
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return now + timedelta(seconds=float(value))
    named = http_date(value)
    if named is None:
        return None
    return now + max(timedelta(0), named - (http_date(response.headers.get("date", "")) or now))


def http_date(text: str) -> datetime | None:
    """A time as HTTP headers spell it, UTC; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _with_detail(error: SyncError, request: Request, response: Response) -> SyncError:
    error.detail = error.detail or _excerpt(request, response)
    return error


def _excerpt(request: Request, response: Response) -> str:
    """For the log. What the token endpoint says stays out: it may hold a token."""
    said = repr(response.body[:KEPT_BODY]) if request.authorized else "(not shown)"
    return f"{request.method} {request.path} -> {response.status}: {said}"
