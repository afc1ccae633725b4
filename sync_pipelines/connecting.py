"""Connecting a customer's account, testing it, and letting go of it: the same for the connect page, API and CLI."""

import base64
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from sync_pipelines.covering import syncs_covering
from sync_pipelines.engine.connecting import tokens_by_code
from sync_pipelines.erasing import nobody_works, rows_of_customer
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import Account, CodeGrant, KeyForm, Provider, Tokens
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
    """The same for what a customer typed. `session`: placed where the customer says that its organisation is."""
    provider = project.providers[session.provider]
    form = form_of(project, session.provider)
    if form is None:
        raise ConfigurationError(f"{provider.title} is connected by its login page.")
    values = {field.name: typed.get(field.name, "").strip() for field in form.fields}
    if missing := [field.label for field in form.fields if not values[field.name]]:
        raise ConfigurationError(f"{', '.join(missing)} is missing.")
    fresh = FreshTokens(form.tokens(values))
    with short_session(project, attempt_of(session), fresh) as vendor:
        return _known(vendor, fresh, provider.identify())


def form_of(project: Project, provider: str) -> KeyForm | None:
    """What customers type to connect; None where they log in at the vendor."""
    return project.providers[provider].form(project.configuration.providers[provider].auth_type)


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


def own_login(project: Project, provider: str, typed: str) -> tuple[str, str]:
    """(login page, environment) of an organisation's own login page as somebody typed it: with or without https://, and
    whatever path behind it. ConfigurationError unless it is one of the vendor's."""
    try:
        parts = urlsplit(typed if "://" in typed else f"https://{typed}")
    except ValueError:
        raise _no_login(project.providers[provider], typed) from None
    url = f"{parts.scheme}://{parts.netloc}".lower()
    if _same_server(url, project.configuration.providers[provider].login_url):
        return typed.rstrip("/"), "production"
    own = project.providers[provider].auth.own_login
    found = re.fullmatch(own.pattern, url) if own else None
    if found is None:
        raise _no_login(project.providers[provider], typed)
    return url, "sandbox" if found.groupdict().get("sandbox") else "production"


def refuse_login_url(project: Project, provider: str, login_url: str) -> None:
    """ConfigurationError unless it is a login page of the vendor's: the app's secret is sent to where it leads."""
    own = project.providers[provider].auth.own_login
    if own is None or not re.fullmatch(own.pattern, login_url):
        raise _no_login(project.providers[provider], login_url)


def refuse_api_url(project: Project, provider: str, api_url: str) -> None:
    """ConfigurationError unless an account of the vendor's may live there: tokens are sent to it."""
    own, config = project.providers[provider].auth.own_login, project.configuration.providers[provider]
    try:
        parts = urlsplit(api_url)
        server = f"{parts.scheme}://{parts.netloc}".lower()
    except ValueError:
        server = ""
    configured = any(_same_server(server, each) for each in (config.login_url, config.api_url))
    if not configured and (own is None or not re.fullmatch(own.pattern, api_url)):
        such = f": write such as {own.example}." if own else ": leave it out."
        raise ConfigurationError(f"The api_url is no address of {project.providers[provider].title}{such}")


def place_of_account(
    project: Project, customer_id: str, provider: str, environment: str | None, login_url: str | None
) -> tuple[str, str | None]:
    """(environment, login page) as they are wished; what is left out is as it is connected. ConfigurationError for a
    login page that is none of the vendor's."""
    connected = project.store.connections.find(customer_id, provider)
    if login_url is not None:
        refuse_login_url(project, provider, login_url)
    elif connected is not None and environment in (None, connected.environment):
        login_url = connected.login_url
    return environment or (connected.environment if connected else "production"), login_url


def _same_server(url: str, configured: str | None) -> bool:
    """Whether it is on the server that the provider's file names in place of the vendor's."""
    parts = urlsplit(configured or "")
    return bool(parts.netloc) and url == f"{parts.scheme}://{parts.netloc}".lower()


def _no_login(provider: Provider, given: str) -> ConfigurationError:
    own = provider.auth.own_login
    such = f", or write such as {own.example}." if own else "."
    return ConfigurationError(f"{given} is no login page of {provider.title}: leave it out{such}")
