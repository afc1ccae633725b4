"""Connecting a customer with tokens that somebody else got: tried out at the vendor, then kept."""

import hashlib
import json
import secrets
from dataclasses import dataclass, replace

from sync_pipelines.connecting import place_of_account, refuse_api_url
from sync_pipelines.covering import syncs_covering
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError, Reauthorize, SkipObject
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.provider import Account, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.project import Project
from sync_pipelines.vendor_access import FreshTokens, short_session


class AtWork(ConfigurationError):
    """Somebody else connects the same customer to the same provider at this moment."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """Whose tokens they are. `environment` and `login_url` None: as it is connected, else the vendor's usual ones.
    `tokens.api_url`: where the account lives; needed where the vendor tells it with new tokens alone, and the access
    token cannot be renewed."""

    customer_id: str
    provider: str
    tokens: Tokens
    environment: str | None = None
    login_url: str | None = None


def connect_with_tokens(
    project: Project, wanted: Import, *, actor: str, key: str | None = None
) -> tuple[Connection, bool]:
    """The connection, and whether this call has made it: a key that comes again gives what it made, and asks nobody.

    Nothing is stored unless the vendor takes the tokens. AnotherAccount where they are another account's than the
    customer's, KeyUsed for a key of another import, AtWork while another one is under way, ConfigurationError for
    tokens that the vendor does not take and places that are not the vendor's.
    """
    if reason := refusal_of_customer_id(wanted.customer_id):
        raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
    with project.store.leases.hold("connecting", wanted.customer_id, wanted.provider) as ours:
        if not ours:
            raise AtWork("The same customer is being connected to the same provider at this moment: repeat it.")
        mark = None if key is None else _mark(wanted)
        if key is not None and mark is not None and (known := project.store.connections.made_with(key, mark)):
            return known, False
        attempt, fresh = _attempt(project, wanted)
        account = _tried(project, attempt, fresh)
        made = project.store.connections.connect(
            customer_id=wanted.customer_id,
            provider=wanted.provider,
            tokens=fresh.read(),
            environment=attempt.environment,
            login_url=attempt.login_url,
            account_id=account.id,
            actor=actor,
            key=key,
            key_mark=mark,
        )
    for sync in syncs_covering(project, wanted.customer_id, wanted.provider):
        project.plan(sync.name)
    return made, True


def _attempt(project: Project, wanted: Import) -> tuple[Connection, FreshTokens]:
    environment, login_url = place_of_account(
        project, wanted.customer_id, wanted.provider, wanted.environment, wanted.login_url
    )
    # As of the connect page's attempts: what the vendor says of the account is not mixed up with connections.
    attempt = Connection(
        id=-1 - secrets.randbits(62),
        customer_id=wanted.customer_id,
        provider=wanted.provider,
        environment=environment,
        login_url=login_url,
    )
    return attempt, FreshTokens(_usable(project, wanted.provider, environment, wanted.tokens))


def _usable(project: Project, provider: str, environment: str, tokens: Tokens) -> Tokens:
    if tokens.api_url is not None:
        refuse_api_url(project, provider, tokens.api_url)
    hosts = project.providers[provider].environments.get(environment)
    known = tokens.api_url or project.configuration.providers[provider].api_url or (hosts and hosts.api)
    if known:
        return tokens
    if not tokens.renewable:
        raise ConfigurationError("An access_token alone does not tell where the account lives: send its api_url too.")
    # The vendor tells it with a new one.
    return replace(tokens, access_token=Secret(""))


def _tried(project: Project, attempt: Connection, fresh: FreshTokens) -> Account:
    provider = project.providers[attempt.provider]
    try:
        with short_session(project, attempt, fresh) as vendor:
            account: Account = vendor.ask(provider.identify())
            return account
    except Reauthorize as problem:
        raise ConfigurationError(
            f"{provider.title} does not take these tokens: they have expired, were withdrawn, or are another app's. "
            "Nothing was stored.",
            detail=problem.detail,
        ) from problem
    except SkipObject as problem:
        raise ConfigurationError(f"{problem} Nothing was stored.", detail=problem.detail) from problem


def _mark(wanted: Import) -> str:
    """Of everything that is asked for. Tokens are long and random: nobody finds them by it."""
    tokens = wanted.tokens
    told = [each.reveal() if each else None for each in (tokens.access_token, tokens.refresh_token)]
    told += [wanted.customer_id, wanted.provider, wanted.environment, wanted.login_url, tokens.api_url]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
