"""Connecting a customer's account, testing it, and letting go of it: the same for the connect page, API and CLI."""

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from sync_pipelines.covering import syncs_covering
from sync_pipelines.engine.connecting import tokens_by_code
from sync_pipelines.erasing import nobody_works, rows_of_customer
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import Account, CodeGrant, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.store.connect_sessions import ConnectSession
from sync_pipelines.vendor_access import FreshTokens, attempt_of, end_access, short_session


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
    with short_session(project, attempt_of(session), fresh) as vendor:
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
    with short_session(project, attempt_of(session), fresh) as vendor:
        return _known(vendor, fresh, provider.identify())


def _known(vendor: VendorSession, fresh: FreshTokens, identify: Flow) -> tuple[Tokens, Account]:
    account: Account = vendor.ask(identify)
    return fresh.read(), account


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
            disconnect(project, former, actor=session.by)
    return store_connection(project, session, tokens, account, replaces=True)


def account_of(project: Project, connection: Connection) -> Account:
    """Who the vendor says we are connected to: one call, with the stored credentials."""
    with short_session(project, connection, project.store.credentials(connection)) as vendor:
        account: Account = vendor.ask(project.providers[connection.provider].identify())
        return account


def disconnect(project: Project, connection: Connection, *, actor: str) -> str:
    """End the tokens at the vendor, and forget connection and credentials whatever it answers.

    Answers with what became of the tokens at the vendor, for a person.
    """
    outcome = end_access(project, connection, project.store.credentials(connection))
    project.store.connections.disconnect(connection, actor=actor)
    return outcome.message


def refuse_login_url(project: Project, provider: str, login_url: str) -> None:
    """ConfigurationError unless it is a login page of the vendor's: the app's secret is sent to where it leads."""
    pattern = project.providers[provider].auth.own_login
    if pattern is None or not re.fullmatch(pattern, login_url):
        title = project.providers[provider].title
        raise ConfigurationError(
            f"{login_url} is no login page of {title}: leave it out"
            + (", or write such as https://acme.my.salesforce.com." if pattern else ".")
        )
