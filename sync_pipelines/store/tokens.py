"""Tokens of the API: who may call it, what for, and for which customer. The tokens themselves are kept by nobody."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, RowMapping, insert, or_, select, update

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.secret import Secret
from sync_pipelines.store.audit import note
from sync_pipelines.store.tables import api_tokens

PREFIX: Final = "sp_"
"""Scanners for leaked secrets know a token by it."""

SCOPES: Final = {  # docs/api.md has the same words
    "syncs:read": "syncs, their runs, their health, what was asked for, providers and destinations",
    "syncs:run": "trigger, pause, resume, cancel",
    "syncs:write": "make, change and delete syncs, go back to an older document; archive, restore",
    "configuration:write": "make, change and delete providers and destinations",
    "connections:read": "customers and connections",
    "connections:write": "links to the connect page, connect with tokens, test and disconnect",
    "customers:erase": "erase a customer everywhere",
    "mappings:read": "custom schemas, the fields of an account, mappings, their versions, suggestions, values that did "
    "not fit, previews (which show records of the account as the vendor has them)",
    "mappings:write": "change a mapping, go back to an older one",
    "webhooks:read": "endpoints, and what was delivered to them",
    "webhooks:write": "make, change, remove and test endpoints, send again, hooks of Zapier",
    "logs:read": "what happened, who changed what, why a value is there, and receipts of erasing",
}

_USED_EVERY: Final = timedelta(minutes=1)
"""`used_at` is written at most so often: a token is read with every call."""


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """`customer_id` None: for all customers."""

    id: int
    name: str
    scopes: tuple[str, ...]
    customer_id: str | None
    actor: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    def works(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


_COLUMNS = [api_tokens.c[name] for name in ApiToken.__dataclass_fields__]


class ApiTokens:
    """Every change is audited."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        customer_id: str | None = None,
        expires_at: datetime | None = None,
        actor: str = "system",
    ) -> tuple[ApiToken, Secret]:
        """A new token, which is told this once. ConfigurationError for a scope or customer id that cannot be."""
        if unknown := sorted(set(scopes) - SCOPES.keys()):
            raise ConfigurationError(f"There is no scope {', '.join(unknown)}: use {', '.join(SCOPES)}.")
        if not scopes:
            raise ConfigurationError(f"A token without a scope can do nothing: give it some of {', '.join(SCOPES)}.")
        if not name or len(name) > 100 or not name.isprintable():
            raise ConfigurationError("A token's name must have 1 to 100 printable characters.")
        if customer_id is not None and (reason := refusal_of_customer_id(customer_id)):
            raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
        secret = PREFIX + secrets.token_urlsafe(32)
        values = {
            "name": name,
            "hash": _hash(secret),
            "scopes": sorted(set(scopes)),
            "customer_id": customer_id,
            "expires_at": expires_at,
            "actor": actor,
        }
        with self._engine.begin() as database:
            row = database.execute(insert(api_tokens).values(values).returning(*_COLUMNS)).mappings().one()
            new = {"name": name, "scopes": values["scopes"], "customer_id": customer_id}
            note(database, actor=actor, action="create", subject=f"token {row['id']}", new=new, customers=[customer_id])
        return _token(row), Secret(secret)

    def find(self, secret: str) -> ApiToken | None:
        """The token, whether it still works or not; None when there is none."""
        if not secret.startswith(PREFIX) or not secret.isascii() or len(secret) > 100:
            return None
        now = datetime.now(UTC)
        with self._engine.connect() as database:
            query = select(*_COLUMNS).where(api_tokens.c.hash == _hash(secret))
            row = database.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["used_at"] is None or row["used_at"] < now - _USED_EVERY:
            self._used(row["id"], now)
        return _token(row)

    def list(self) -> list[ApiToken]:
        """All there ever were, newest first."""
        with self._engine.connect() as database:
            return [
                _token(row) for row in database.execute(select(*_COLUMNS).order_by(api_tokens.c.id.desc())).mappings()
            ]

    def revoke(self, id: int, *, actor: str = "system") -> ApiToken:
        """It works no more, from the next call on. ConfigurationError when there is none of this id."""
        change = update(api_tokens).where(api_tokens.c.id == id, api_tokens.c.revoked_at.is_(None))
        with self._engine.begin() as database:
            revoked = change.values(revoked_at=datetime.now(UTC)).returning(api_tokens.c.customer_id)
            for customer in database.execute(revoked).scalars():
                note(database, actor=actor, action="revoke", subject=f"token {id}", customers=[customer])
            row = database.execute(select(*_COLUMNS).where(api_tokens.c.id == id)).mappings().one_or_none()
        if row is None:
            raise ConfigurationError(f"There is no token {id}: `sync-pipelines token list` shows them.")
        return _token(row)

    def _used(self, id: int, now: datetime) -> None:
        stale = or_(api_tokens.c.used_at.is_(None), api_tokens.c.used_at < now - _USED_EVERY)
        with self._engine.begin() as database:
            database.execute(update(api_tokens).where(api_tokens.c.id == id, stale).values(used_at=now))


def _hash(secret: str) -> str:
    """A plain digest is enough for 256 random bits: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: RowMapping) -> ApiToken:
    return ApiToken(**{**row, "scopes": tuple(row["scopes"])})
