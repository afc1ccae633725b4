"""A customer's access at its vendor, while somebody waits: short conversations with it, and its end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sync_pipelines.engine.connecting import revoked
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection, Credentials
from sync_pipelines.model.errors import Reauthorize, SyncError
from sync_pipelines.model.provider import Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.store.connect_sessions import ConnectSession

log = logging.getLogger(__name__)

ATTEMPTS: Final = 2
SECONDS: Final = 20.0
"""Somebody waits in front of a page."""


@dataclass(frozen=True, kw_only=True)
class AccessEnd:
    """`ended`: the vendor takes the tokens no more. `message`: what became of them, for a person."""

    ended: bool
    message: str


class FreshTokens:
    """Tokens that are stored nowhere yet (`model.connection.Credentials`)."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens

    def read(self) -> Tokens:
        if self.tokens is None:
            raise Reauthorize("There are no tokens yet.")
        return self.tokens

    def refresh(self, stale: Secret, fetch: Callable[[Tokens], Tokens]) -> Tokens:
        old = self.read()
        self.tokens = old.followed_by(fetch(old))
        return self.tokens

    def expire(self, reason: str) -> None:
        """There is no connection yet that could expire."""


def attempt_of(session: ConnectSession) -> Connection:
    """What a session would connect, as if it were a connection."""
    # Negative ids are those of attempts: what the vendor says of their accounts is not mixed up with connections.
    return Connection(
        id=-session.id,
        customer_id=session.customer_id,
        provider=session.provider,
        environment=session.environment,
        login_url=session.login_url,
    )


def short_session(project: Project, connection: Connection, credentials: Credentials) -> VendorSession:
    """For a few calls: it gives up soon. Use it as a context."""
    config = project.configuration.providers[connection.provider]
    return VendorSession(
        project.providers[connection.provider],
        config.placed(connection),
        credentials,
        config.client,
        timeout=min(SECONDS, project.settings.request_timeout_seconds),
        attempts=ATTEMPTS,
        reserve=config.reserve,
    )


def end_access(project: Project, connection: Connection, credentials: Credentials) -> AccessEnd:
    """Have the vendor end the tokens; whatever it answers is an outcome."""
    provider = project.providers.get(connection.provider)
    if provider is None:
        name = connection.provider
        message = f"{name} is not configured any more, and could not be told that the access ends: take the app away in"
        return AccessEnd(ended=False, message=f"{message} its own settings, if you want to be sure.")
    config = project.configuration.providers[connection.provider]
    own_page = f"take the app away in {provider.title}'s own settings, if you want to be sure"
    if config.auth_type == "api_key":
        message = f"{provider.title} still knows the key: delete it there, if nobody else uses it."
        return AccessEnd(ended=False, message=message)
    try:
        with short_session(project, connection, credentials) as vendor:
            tokens = credentials.read()
            done = vendor.ask(revoked(provider, config.client, tokens))
    except SyncError as problem:
        log.warning("%s did not end the access of an account that is left: %s", provider.title, problem)
        message = f"{provider.title} could not be told that the access ends: {own_page}."
        return AccessEnd(ended=False, message=message)
    if not done:
        return AccessEnd(ended=False, message=f"{provider.title} has no way for an app to end its access: {own_page}.")
    if tokens.app is not None:
        message = f"{provider.title} has ended the token. Delete the app there too, if nobody else uses it."
        return AccessEnd(ended=False, message=message)
    return AccessEnd(ended=True, message=f"{provider.title} has ended the access.")
