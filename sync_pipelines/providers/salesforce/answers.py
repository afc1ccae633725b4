"""What Salesforce answers besides records: refusals, tokens, quota."""

import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sync_pipelines.model.errors import (
    ExpiredToken,
    InvalidField,
    ProtocolError,
    Reauthorize,
    SetupError,
    SkipObject,
    SyncError,
    VendorError,
    Wait,
)
from sync_pipelines.model.flow import Request, Response
from sync_pipelines.model.provider import CodeGrant, OwnApp, Tokens
from sync_pipelines.model.secret import Secret

OAUTH_PATH: Final = "/services/oauth2/token"
REVOKE_PATH: Final = "/services/oauth2/revoke"
CLIENT_CREDENTIALS: Final = "client_credentials"
QUOTA_PAUSE: Final = timedelta(hours=1)
"""The daily quota is a rolling 24 hours, so an hour later some of it is back."""
_USAGE: Final = re.compile(r"(?<![\w-])(?:per-app-)?api-usage=(\d+)/(\d+)")
"""`api-usage=18/5000; per-app-api-usage=17/250(appName=Ours)`: the second where the organisation limits the app."""
_NO_COLUMN: Final = re.compile(r"No such column '([^']+)'")

BUSY: Final = frozenset({"QUERY_TIMEOUT", "UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION"})
GONE: Final = frozenset({"NOT_FOUND", "INVALID_TYPE", "INVALID_TYPE_FOR_OPERATION"})
REVOKED: Final = frozenset({"invalid_grant", "inactive_user", "inactive_org"})
REFUSED_APP: Final = frozenset(
    {"invalid_client", "invalid_client_id", "invalid_client_credentials", "redirect_uri_mismatch"}
)


def usage(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Calls used and allowed in the rolling 24 hours, from Sforce-Limit-Info: the org's, or our app's own where
    fewer of those are left."""
    told = _USAGE.findall(headers.get("sforce-limit-info", ""))
    counts = [(int(used), int(allowed)) for used, allowed in told]
    return min(counts, key=lambda count: count[1] - count[0], default=None)


def error_of(response: Response) -> tuple[str, str]:
    """(errorCode, message) of the first error in the body; empty when there is none."""
    body = response.problem()
    first = body[0] if isinstance(body, list) and body else None
    if not isinstance(first, dict):
        return "", ""
    return str(first.get("errorCode", "")), str(first.get("message", ""))


def invalid_field(message: str) -> InvalidField:
    """Only a hint: the message is in the user's language, so a flow that finds no name asks describe."""
    return InvalidField(
        "Salesforce refuses a field of the query.", fields=tuple(_NO_COLUMN.findall(message)), detail=message[-500:]
    )


def classify(request: Request, response: Response) -> SyncError | None:
    """The error by its errorCode; None leaves it to the status."""
    if request.host == "login":
        return _token_refusal(response, of_customer=(request.form or {}).get("grant_type") == CLIENT_CREDENTIALS)
    code, message = error_of(response)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(response)
    if code == "INVALID_QUERY_LOCATOR":
        return ExpiredToken("Salesforce has forgotten where the query was; it is asked again from the last record.")
    if code == "INVALID_FIELD":
        return invalid_field(message)
    if code in BUSY:
        return VendorError(f"Salesforce is busy ({code}); it will be tried again.", detail=message)
    if code in GONE or response.status == 403:
        return SkipObject(
            f"Salesforce does not let this connection read the object ({code or response.status}): check that it "
            "exists and that the connected user may see it.",
            detail=message,
        )
    if response.status == 400:
        return ProtocolError(f"Salesforce refuses the request ({code or 400}): {message[-300:]}")
    return None


def _limit(response: Response) -> Wait:
    # One code stands for the daily quota and for too many long requests at once. Only the first needs patience.
    spent = usage(response.headers)
    if spent and spent[0] >= spent[1]:
        return Wait(
            "Salesforce's API request limit is used up; the sync goes on when calls are free again.",
            until=datetime.now(UTC) + QUOTA_PAUSE,
            whole_account=True,
        )
    return Wait("Salesforce refuses more requests at the moment (REQUEST_LIMIT_EXCEEDED); the sync goes on by itself.")


def _token_refusal(response: Response, *, of_customer: bool) -> SyncError | None:
    """`of_customer`: the app is the customer's own."""
    body = response.problem()
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    if code in REVOKED:
        return Reauthorize("Salesforce has withdrawn our access: the customer must connect again.", detail=code)
    if code in REFUSED_APP and of_customer:
        return Reauthorize(
            "Salesforce no longer accepts the customer's own app: the customer must connect again, with the app's "
            "present secret.",
            detail=code,
        )
    if code in REFUSED_APP:
        return SetupError(
            "Salesforce refuses the connected app: check the provider's client id, client secret and callback URL.",
            detail=code,
        )
    return None


def token_request(client_id: str, client_secret: str, refresh_token: Secret) -> Request:
    """The refresh; a public client (PKCE) has no secret to send."""
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token.reveal()}
    if client_secret:
        form["client_secret"] = client_secret
    return Request(method="POST", path=OAUTH_PATH, form=form, host="login", authorized=False)


def code_request(client_id: str, client_secret: str, grant: CodeGrant) -> Request:
    """The first tokens, for a code; a public client (PKCE) has no secret to send."""
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "redirect_uri": grant.redirect_uri,
        "code": grant.code.reveal(),
    }
    if client_secret:
        form["client_secret"] = client_secret
    if grant.verifier is not None:
        form["code_verifier"] = grant.verifier.reveal()
    return Request(method="POST", path=OAUTH_PATH, form=form, host="login", authorized=False)


def app_request(app: OwnApp) -> Request:
    """For an app of the customer's own organisation, at its My Domain: the usual login hosts refuse it."""
    pair = f"{app.client_id}:{app.client_secret.reveal()}".encode()
    return Request(
        method="POST",
        path=OAUTH_PATH,
        form={"grant_type": CLIENT_CREDENTIALS},
        headers={"authorization": f"Basic {b64encode(pair).decode()}"},
        host="login",
        authorized=False,
    )


def revoke_request(client_id: str, client_secret: str, tokens: Tokens) -> Request:
    """With a refresh token its access tokens end too."""
    token = tokens.refresh_token or tokens.access_token
    return Request(method="POST", path=REVOKE_PATH, form={"token": token.reveal()}, host="login", authorized=False)


def token_from(response: Response) -> Tokens:
    """Salesforce tells no lifetime (a session lives as long as the org's settings say) and may move the org."""
    body: Any = response.json()
    if not isinstance(body, dict) or not body.get("access_token"):
        raise VendorError("Salesforce answered the refresh without an access token; it will be tried again.")
    refresh = body.get("refresh_token")
    return Tokens(
        access_token=Secret(str(body["access_token"])),
        refresh_token=Secret(str(refresh)) if refresh else None,
        api_url=body.get("instance_url"),
    )
