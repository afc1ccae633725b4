"""The bearer token of one connection: read once, refreshed before it ends or when the vendor refuses it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sync_pipelines.model.connection import Credentials, OAuthClient
from sync_pipelines.model.errors import Reauthorize
from sync_pipelines.model.flow import Request, Response
from sync_pipelines.model.provider import Provider, Tokens

EARLY: Final = timedelta(seconds=60)
"""A token that ends sooner is refreshed first, so that a call is not spent on finding out."""


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

    def current(self) -> Tokens:
        """Tokens that are good for a call now."""
        if self._tokens is None:
            self._tokens = self._credentials.read()
        tokens = self._tokens
        ending = tokens.expires_at is not None and tokens.expires_at - datetime.now(UTC) < EARLY
        if ending and tokens.refresh_token is not None:
            tokens = self.renewed(tokens)
        return _sendable(tokens, self._provider)

    def renewed(self, stale: Tokens) -> Tokens:
        """Tokens newer than `stale`. Reauthorize when the vendor refuses."""
        self._tokens = self._credentials.refresh(stale.access_token, self._fetch)
        return _sendable(self._tokens, self._provider)

    def expire(self, refusal: Reauthorize) -> None:
        """Nothing of this connection is tried again until the customer connects anew."""
        self._credentials.expire(str(refusal))

    def _fetch(self, old: Tokens) -> Tokens:
        if old.refresh_token is None:
            raise Reauthorize(
                f"{self._provider.title} no longer accepts the token, and there is no refresh token to replace it: "
                "the customer must connect again."
            )
        secret = self._client.client_secret.reveal()
        request = self._provider.refresh(self._client.client_id, secret, old.refresh_token)
        return self._provider.token_from(self._send(request))


def _sendable(tokens: Tokens, provider: Provider) -> Tokens:
    """Refuse a token that no header can carry; the HTTP library would print it in its own error."""
    text = tokens.access_token.reveal()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise Reauthorize(f"The stored {provider.title} token is not a token: the customer must connect again.")
    return tokens
