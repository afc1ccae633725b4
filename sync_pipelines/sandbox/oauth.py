"""The vendors' login pages: somebody chooses an invented account and allows or refuses; codes, and what they are worth.

One page for all vendors; what their refusals look like is in the vendors' own modules.
"""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Final
from urllib.parse import urlencode, urlsplit

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.customers import CLIENT_ID
from sync_pipelines.sandbox.exchange import Answer, Call

CODE_LIFE_MS: Final = {"salesforce": 15 * 60_000, "hubspot": 10 * 60_000}

_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title} (sandbox)</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem;color:#222}}
button,select{{font:inherit;padding:.5rem .8rem;margin:.3rem .5rem .3rem 0}}select{{width:100%}}</style></head>
<body><h1>{title}</h1>{body}</body></html>"""


@dataclass(frozen=True, kw_only=True)
class GivenCode:
    """What a code stands for. `challenge`: of the verifier that must come with it; empty where none was given."""

    account: str
    client_id: str
    redirect_uri: str
    challenge: str
    expires: int


def authorize_page(vendor: str, scopes: Collection[str]) -> Callable[[Call], Answer]:
    """The page that asks which account it is to be, and whether the app may."""

    def answer(call: Call) -> Answer:
        refusal = _refusal(call, dict(call.params), scopes)
        if refusal is not None:
            return refusal
        hidden = "".join(
            f'<input type="hidden" name="{escape(name, quote=True)}" value="{escape(value, quote=True)}">'
            for name, value in call.params
        )
        choices = "".join(
            f'<option value="{escape(account.customer.id)}">{escape(account.customer.title)}</option>'
            for account in call.world.accounts.values()
            if account.vendor == vendor and call.account in (None, account)
        )
        wanted = "".join(f"<li>{escape(scope)}</li>" for scope in call.first("scope").split())
        body = (
            f'<p>An app wants to:</p><ul>{wanted}</ul><form method="post">{hidden}'
            f'<label for="account">Log in as</label><select id="account" name="account">{choices}</select>'
            '<p><button name="decision" value="allow">Allow</button>'
            '<button name="decision" value="deny">Deny</button></p></form>'
        )
        return _html(200, f"Log in to {vendor.title()}", body)

    return answer


def decided(vendor: str, scopes: Collection[str], denied: str) -> Callable[[Call], Answer]:
    """What follows from what somebody chose: back to the app, with a code or with the vendor's word for no."""

    def answer(call: Call) -> Answer:
        form = call.form()
        refusal = _refusal(call, form, scopes)
        if refusal is not None:
            return refusal
        account = call.world.account(form.get("account", ""))
        if form.get("decision") != "allow" or account is None or account.vendor != vendor or _elsewhere(call, account):
            return _back(form, {"error": "access_denied", "error_description": denied})
        code = f"sandbox-code-{secrets.token_urlsafe(24)}"
        call.world.codes[code] = GivenCode(
            account=account.customer.id,
            client_id=form["client_id"],
            redirect_uri=form["redirect_uri"],
            challenge=form.get("code_challenge", ""),
            expires=call.world.clock.now() + CODE_LIFE_MS[vendor],
        )
        return _back(form, {"code": code})

    return answer


def _elsewhere(call: Call, account: Account) -> bool:
    """At an organisation's own login page only its own users can log in."""
    return call.account not in (None, account)


def account_of_code(call: Call, code: str) -> Account | None:
    """Whose code it is, be it too old; the code still works."""
    given = call.world.codes.get(code)
    return None if given is None else call.world.accounts[given.account]


def redeem(call: Call, form: dict[str, str], vendor: str) -> Account | str:
    """The account that a code stands for, or what is wrong: code, redirect or verifier. It works this once."""
    given = call.world.codes.get(form.get("code", ""))
    if given is None or given.expires <= call.world.clock.now():
        return "code"
    account = call.world.accounts[given.account]
    if account.vendor != vendor or given.client_id != form.get("client_id"):
        return "code"
    if given.redirect_uri != form.get("redirect_uri"):
        return "redirect"
    if given.challenge and _challenge(form.get("code_verifier", "")) != given.challenge:
        return "verifier"
    del call.world.codes[form["code"]]
    return account


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


def _refusal(call: Call, given: dict[str, str], scopes: Collection[str]) -> Answer | None:
    """Where it is not known who asks, nobody is sent back: a page says so."""
    place = urlsplit(given.get("redirect_uri", ""))
    if given.get("client_id") != CLIENT_ID:
        return _html(400, "Error", "<p>invalid_client_id: client identifier invalid</p>")
    if place.scheme not in ("http", "https") or not place.netloc:
        return _html(400, "Error", "<p>redirect_uri_mismatch: redirect_uri must match configuration</p>")
    if given.get("response_type", "code") != "code":
        return _back(given, {"error": "unsupported_response_type", "error_description": "response type not supported"})
    if given.get("code_challenge") and given.get("code_challenge_method") != "S256":
        return _back(given, {"error": "invalid_request", "error_description": "code challenge method not supported"})
    if unknown := [scope for scope in given.get("scope", "").split() if scope not in scopes]:
        return _back(given, {"error": "invalid_scope", "error_description": f"invalid scope: {unknown[0]}"})
    return None


def _back(given: dict[str, str], told: dict[str, str]) -> Answer:
    if "state" in given:
        told = {**told, "state": given["state"]}
    mark = "&" if urlsplit(given["redirect_uri"]).query else "?"
    return Answer(302, headers={"Location": f"{given['redirect_uri']}{mark}{urlencode(told)}"}, content_type=None)


def _html(status: int, title: str, body: str) -> Answer:
    return Answer(
        status, _PAGE.format(title=escape(title), body=body).encode(), content_type="text/html; charset=utf-8"
    )
