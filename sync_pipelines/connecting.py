"""Connecting a customer's account, testing it, and letting go of it: the same for the connect page, API and CLI."""

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

from sync_pipelines.covering import syncs_covering
from sync_pipelines.engine.connecting import revoked, tokens_by_code
from sync_pipelines.erasing import nobody_works, rows_of_customer
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection, Credentials
from sync_pipelines.model.errors import ConfigurationError, Reauthorize, SyncError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import Account, CodeGrant, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.store.connect_sessions import ConnectSession

log = logging.getLogger(__name__)

ATTEMPTS: Final = 2
SECONDS: Final = 20.0
"""Somebody waits in front of a page."""


class FreshTokens:
    """Tokens that are stored nowhere yet (`model.connection.Credentials`)."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens

    def read(self) -> Tokens:
        if self.tokens is None:
            raise Reauthorize("There are no tokens yet.")
        return self.tokens

    def refresh(self, stale: Secret, fetch: Callable[[Tokens], Tokens]) -> Tokens:
        self.tokens = fetch(self.read())
        return self.tokens

    def expire(self, reason: str) -> None:
        """There is no connection yet that could expire."""


def authorize_url(
    project: Project, session: ConnectSession, *, redirect_uri: str, state: Secret, verifier: Secret
) -> str:
    """Where the customer's browser goes to log in at the vendor."""
    config, provider = project.configuration.providers[session.provider], project.providers[session.provider]
    hosts = provider.environments[session.environment]
    root = session.login_url or config.login_url or hosts.authorize or hosts.login
    query = {
        "response_type": "code",
        "client_id": config.client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(config.scopes or provider.auth.scopes),
        "state": state.reveal(),
    }
    if provider.auth.pkce:
        digest = hashlib.sha256(verifier.reveal().encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    return f"{root.rstrip('/')}{provider.auth.authorize_path}?{urlencode(query)}"


def connect_by_code(
    project: Project, session: ConnectSession, *, code: Secret, redirect_uri: str, verifier: Secret
) -> tuple[Tokens, Account]:
    """The tokens that a code is worth, and whose account they open; nothing is stored."""
    provider = project.providers[session.provider]
    grant = CodeGrant(code=code, redirect_uri=redirect_uri, verifier=verifier if provider.auth.pkce else None)
    client = project.configuration.providers[session.provider].client
    fresh = FreshTokens()
    with _session(project, _attempt(session), fresh) as vendor:
        fresh.tokens = vendor.ask(tokens_by_code(provider, client, grant))
        return _known(vendor, fresh, provider.identify())


def connect_by_key(project: Project, session: ConnectSession, typed: Mapping[str, str]) -> tuple[Tokens, Account]:
    """The same for what a customer typed. ConfigurationError where something is missing."""
    provider = project.providers[session.provider]
    form = provider.key_form
    if form is None or project.configuration.providers[session.provider].auth_type != "api_key":
        raise ConfigurationError(f"{provider.title} is connected by its login page.")
    values = {field.name: typed.get(field.name, "").strip() for field in form.fields}
    if missing := [field.label for field in form.fields if not values[field.name]]:
        raise ConfigurationError(f"{', '.join(missing)} is missing.")
    fresh = FreshTokens(form.tokens(values))
    with _session(project, _attempt(session), fresh) as vendor:
        return _known(vendor, fresh, provider.identify())


def _known(vendor: VendorSession, fresh: FreshTokens, identify: Flow) -> tuple[Tokens, Account]:
    account: Account = vendor.ask(identify)
    return fresh.read(), account


def _attempt(session: ConnectSession) -> Connection:
    # Negative ids are those of attempts: what the vendor says of their accounts is not mixed up with connections.
    return Connection(
        id=-session.id,
        customer_id=session.customer_id,
        provider=session.provider,
        environment=session.environment,
        login_url=session.login_url,
    )


def _session(project: Project, connection: Connection, credentials: Credentials) -> VendorSession:
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


def store_connection(
    project: Project, session: ConnectSession, tokens: Tokens, account: Account, *, replaces: bool = False
) -> Connection:
    """Keep a connection that was tried out; its syncs are due now. AnotherAccount where it was another account's."""
    connection = project.store.connections.connect(
        customer_id=session.customer_id,
        provider=session.provider,
        tokens=tokens,
        environment=session.environment,
        login_url=session.login_url,
        account_id=account.id,
        replaces=replaces,
        actor=session.by,
    )
    for sync in syncs_covering(project, session.customer_id, session.provider):
        project.plan(sync.name)
    return connection


def account_replaced(project: Project, session: ConnectSession, tokens: Tokens, account: Account) -> Connection:
    """Connect another account than before: what came from the old one goes from the destinations first."""
    with nobody_works(project, session.customer_id, session.provider):
        for _ in rows_of_customer(project, session.customer_id, session.provider, remove=True):
            pass
        former = project.store.connections.find(session.customer_id, session.provider)
        if former is not None:
            project.store.connections.disconnect(former, actor=session.by)
    return store_connection(project, session, tokens, account, replaces=True)


def account_of(project: Project, connection: Connection) -> Account:
    """Who the vendor says we are connected to: one call, with the stored credentials."""
    with _session(project, connection, project.store.credentials(connection)) as vendor:
        account: Account = vendor.ask(project.providers[connection.provider].identify())
        return account


def disconnect(project: Project, connection: Connection, *, actor: str) -> str:
    """End the tokens at the vendor, and forget connection and credentials whatever it answers.

    Answers with what became of the tokens at the vendor, for a person.
    """
    provider = project.providers[connection.provider]
    told = _ended_at_vendor(project, connection)
    project.store.connections.disconnect(connection, actor=actor)
    return told or f"{provider.title} has ended the access."


def _ended_at_vendor(project: Project, connection: Connection) -> str:
    """Why the tokens may still work there; empty where they do not."""
    provider, config = project.providers[connection.provider], project.configuration.providers[connection.provider]
    own_page = f"take the app away in {provider.title}'s own settings, if you want to be sure"
    if config.auth_type == "api_key":
        return f"{provider.title} still knows the key: delete it there, if nobody else uses it."
    try:
        credentials = project.store.credentials(connection)
        with _session(project, connection, credentials) as vendor:
            done = vendor.ask(revoked(provider, config.client, credentials.read()))
    except SyncError as problem:
        log.warning("%s did not end the access of a disconnected account: %s", provider.title, problem)
        return f"{provider.title} could not be told that the access ends: {own_page}."
    return "" if done else f"{provider.title} has no way for an app to end its access: {own_page}."


def refuse_login_url(project: Project, provider: str, login_url: str) -> None:
    """ConfigurationError unless it is a login page of the vendor's: the app's secret is sent to where it leads."""
    pattern = project.providers[provider].auth.own_login
    if pattern is None or not re.fullmatch(pattern, login_url):
        title = project.providers[provider].title
        raise ConfigurationError(
            f"{login_url} is no login page of {title}: leave it out"
            + (", or write such as https://acme.my.salesforce.com." if pattern else ".")
        )
