"""The bearer token of one connection: read once, refreshed before it ends or when the vendor refuses it."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, quote_plus

from sync_pipelines.model.connection import Credentials, OAuthClient
from sync_pipelines.model.errors import Reauthorize, SyncError
from sync_pipelines.model.flow import Request, Response
from sync_pipelines.model.provider import OwnApp, Provider, Tokens
from sync_pipelines.model.secret import MASK, Secret

EARLY: Final = timedelta(seconds=60)
"""A token that ends sooner is refreshed first, so that a call is not spent on finding out."""


SHORTEST_SECRET: Final = 6


class BearerTokens:
    """One session's view of its connection's tokens. `send` asks the vendor's token endpoint."""

    def __init__(
        self,
        provider: Provider,
        credentials: Credentials,
        client: OAuthClient,
        send: Callable[[Request], Response],
    ) -> None:
        self._provider = provider
        self._credentials = credentials
        self._client = client
        self._send = send
        self._tokens: Tokens | None = None
        self._used: list[Secret] = []

    def current(self) -> Tokens:
        """Tokens that are good for a call now."""
        if self._tokens is None:
            self._tokens = self._credentials.read()
        tokens = self._tokens
        none_yet = not tokens.access_token.reveal()
        ending = tokens.expires_at is not None and tokens.expires_at - datetime.now(UTC) < EARLY
        if (none_yet or ending) and tokens.renewable:
            tokens = self.renewed(tokens)
        return _sendable(tokens, self._provider)

    def renewed(self, stale: Tokens) -> Tokens:
        """Tokens newer than `stale`. Reauthorize when the vendor refuses."""
        self._tokens = self._credentials.refresh(stale.access_token, self._fetch)
        return _sendable(self._tokens, self._provider)

    def expire(self, refusal: Reauthorize) -> None:
        """Nothing of this connection is tried again until the customer connects anew."""
        self._credentials.expire(str(refusal))

    def mask(self, error: SyncError) -> None:
        """Take every secret of this session out of what the error says."""
        for text in self._secret_texts():
            error.args = tuple(part.replace(text, MASK) if isinstance(part, str) else part for part in error.args)
            error.detail = error.detail.replace(text, MASK)

    def masked(self, body: bytes) -> bytes:
        """An answer's body without any secret of this session, before something of it is cut out and kept."""
        for text in self._secret_texts():
            body = body.replace(text.encode(), MASK.encode())
        return body

    def _secret_texts(self) -> list[str]:
        """Every spelling of every secret that was sent, the longest first."""
        tokens = self._tokens
        known = [self._client.client_secret.reveal(), *(secret.reveal() for secret in self._used)]
        if tokens is not None:
            known += [each.reveal() for each in (tokens.access_token, tokens.refresh_token) if each is not None]
            known += _texts_of(tokens.app)
        texts = {spelled for text in known for spelled in _spellings(text)}
        return sorted(texts, key=len, reverse=True)

    def _fetch(self, old: Tokens) -> Tokens:
        if old.app is not None:
            return self._fetch_of_app(old, old.app)
        if old.refresh_token is None:
            raise Reauthorize(
                f"{self._provider.title} no longer accepts the token, and there is no refresh token to replace it: "
                "the customer must connect again."
            )
        self._used += [old.access_token, old.refresh_token]
        secret = self._client.client_secret.reveal()
        request = self._provider.refresh(self._client.client_id, secret, old.refresh_token)
        return self._provider.token_from(self._send(request))

    def _fetch_of_app(self, old: Tokens, app: OwnApp) -> Tokens:
        if self._provider.app_tokens is None:
            raise Reauthorize(f"{self._provider.title} knows no apps of customers: the customer must connect again.")
        # Its secret is sent now, and an answer may repeat it.
        self._tokens = old
        self._used.append(old.access_token)
        return replace(self._provider.token_from(self._send(self._provider.app_tokens(app))), app=app)


def _texts_of(app: OwnApp | None) -> list[str]:
    """The secret of a customer's app as it is, and as a header carries it."""
    if app is None:
        return []
    pair = f"{app.client_id}:{app.client_secret.reveal()}"
    return [app.client_secret.reveal(), b64encode(pair.encode()).decode()]


def _spellings(secret: str) -> set[str]:
    """As it is, and as a form or an escaped text carries it. Too short a text would mask half the message."""
    return {secret, quote_plus(secret), quote(secret)} if len(secret) >= SHORTEST_SECRET else set()


def _sendable(tokens: Tokens, provider: Provider) -> Tokens:
    """Refuse a token that no header can carry; the HTTP library would print it in its own error."""
    text = tokens.access_token.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise Reauthorize(f"The stored {provider.title} token is not a token: the customer must connect again.")
    return tokens
