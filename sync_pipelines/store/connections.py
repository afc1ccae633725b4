"""Connections: who is connected to what, and whether it works."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.event import CONNECTION_CONNECTED, Event
from sync_pipelines.model.naming import refusal_of_customer_id
from sync_pipelines.model.provider import Tokens
from sync_pipelines.store import events
from sync_pipelines.store.audit import note
from sync_pipelines.store.credentials import CredentialsSafe, expired
from sync_pipelines.store.mending import mend_connection
from sync_pipelines.store.requests import KeyUsed
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import audit, connections

STATUSES = ("connected", "expired", "error")
ENVIRONMENTS = ("production", "sandbox")

_SHOWN = ("environment", "status", "status_reason", "account_id", "login_url", "api_url")
_COLUMNS = [connections.c[name] for name in ("id", "customer_id", "provider", *_SHOWN)]


class AnotherAccount(ConfigurationError):
    """The customer was connected to another account, whose rows are in the destination. `former`: its id."""

    def __init__(self, former: str) -> None:
        super().__init__(
            f"The customer was connected to another account, {former}: connect that one again, or choose the "
            "new one on the connect page, which removes the rows of the old one first."
        )
        self.former = former


class Connections:
    """One connection for each customer and provider."""

    def __init__(self, engine: Engine, safe: CredentialsSafe) -> None:
        self._engine = engine
        self._safe = safe

    def list(
        self,
        provider: str | None = None,
        customer_id: str | None = None,
        status: str | None = None,
        *,
        customers: Sequence[str] | None = None,
    ) -> list[Connection]:
        """Connections that match everything given, by provider and customer."""
        query = select(*_COLUMNS).order_by(connections.c.provider, connections.c.customer_id)
        for column, wanted in (("provider", provider), ("customer_id", customer_id), ("status", status)):
            if wanted is not None:
                query = query.where(connections.c[column] == wanted)
        if customers is not None:
            query = query.where(connections.c.customer_id == func.any(list(customers)))
        with self._engine.connect() as database:
            return [_connection(row) for row in database.execute(query).mappings()]

    def page(
        self,
        *,
        provider: str | None = None,
        customer_id: str | None = None,
        status: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> "Sequence[Connection]":
        """As `list`, at most so many, of those behind (provider, customer) `after`."""
        query = select(*_COLUMNS).order_by(connections.c.provider, connections.c.customer_id).limit(limit)
        for column, wanted in (("provider", provider), ("customer_id", customer_id), ("status", status)):
            if wanted is not None:
                query = query.where(connections.c[column] == wanted)
        if after is not None:
            query = query.where(tuple_(connections.c.provider, connections.c.customer_id) > tuple_(*after))
        with self._engine.connect() as database:
            return [_connection(row) for row in database.execute(query).mappings()]

    def customers(self, *, after: str | None = None, limit: int = 100) -> "Sequence[str]":
        """Ids of who is connected to anything, in order, behind `after`."""
        query = select(connections.c.customer_id).distinct().order_by(connections.c.customer_id).limit(limit)
        if after is not None:
            query = query.where(connections.c.customer_id > after)
        with self._engine.connect() as database:
            return list(database.execute(query).scalars())

    def customers_of(
        self, provider: str, customers: "Sequence[str] | None", *, after: str | None = None, limit: int = 100
    ) -> "Sequence[str]":
        """As `customers`, of those that are connected to this provider; `customers`: among these alone."""
        query = select(connections.c.customer_id).where(connections.c.provider == provider)
        if customers is not None:
            query = query.where(connections.c.customer_id == func.any(list(customers)))
        if after is not None:
            query = query.where(connections.c.customer_id > after)
        with self._engine.connect() as database:
            return list(database.execute(query.order_by(connections.c.customer_id).limit(limit)).scalars())

    def find(self, customer_id: str, provider: str) -> Connection | None:
        """The customer's connection to a provider, None where there is none."""
        found = self.list(provider=provider, customer_id=customer_id)
        return found[0] if found else None

    def by_id(self, id: int) -> Connection | None:
        """The connection of this number, None where there is none (any more)."""
        with self._engine.connect() as database:
            row = database.execute(select(*_COLUMNS).where(connections.c.id == id)).mappings().one_or_none()
        return _connection(row) if row else None

    def get(self, customer_id: str, provider: str) -> Connection:
        """The customer's connection to a provider; ConfigurationError where there is none."""
        found = self.find(customer_id, provider)
        if found is None:
            raise ConfigurationError(
                f"Customer {customer_id} is not connected to {provider}: connect it with "
                f"`sync-pipelines connect {provider} {customer_id}`."
            )
        return found

    def connect(  # noqa: PLR0913 - what a connection is made of
        self,
        *,
        customer_id: str,
        provider: str,
        tokens: Tokens,
        environment: str = "production",
        login_url: str | None = None,
        api_url: str | None = None,
        account_id: str | None = None,
        replaces: bool = False,
        actor: str = "system",
        key: str | None = None,
        key_mark: str | None = None,
    ) -> Connection:
        """Connect, or reconnect: new tokens, status connected, everything of it due now.

        `account_id`: the vendor's id of the account, where it is known already. AnotherAccount where the customer is or
        was connected to another one, unless that was meant (`replaces`). `key`: what `made_with` finds it by, with a
        mark of what was asked for. ConfigurationError for what is no customer's id.
        """
        if reason := refusal_of_customer_id(customer_id):
            raise ConfigurationError(f"This cannot be a customer's id: {reason}.")
        if environment not in ENVIRONMENTS:
            raise ConfigurationError(f"There is no environment {environment}: use {' or '.join(ENVIRONMENTS)}.")
        values = {"environment": environment, "status": "connected", "status_reason": ""}
        with self._engine.begin() as database:
            old = _locked(database, connections.c.customer_id == customer_id, connections.c.provider == provider)
            former = old.account_id if old else _left(database, customer_id, provider)
            if former and account_id and former != account_id and not replaces:
                raise AnotherAccount(former)
            values |= {"account_id": account_id} if account_id else {}
            # One that is made otherwise later keeps its key: old tokens that are sent again must not replace its own.
            keys = {"key": key, "key_mark": key_mark} if key is not None else {}
            urls = {"login_url": login_url, "api_url": api_url, **keys}
            upsert = insert(connections).values(customer_id=customer_id, provider=provider, **values, **urls)
            upsert = upsert.on_conflict_do_update(
                index_elements=["customer_id", "provider"],
                set_={**values, **urls, "connected_at": func.now(), "updated_at": func.now()},
            )
            new = _connection(database.execute(upsert.returning(*_COLUMNS)).mappings().one())
            self._safe.put(database, new, tokens)
            mend_connection(database, new.id, datetime.now(UTC))
            _note_change(database, actor, "reconnect" if old else "connect", old, new)
            events.add(database, _connected(new, again=old is not None))
        return new

    def made_with(self, key: str, mark: str) -> Connection | None:
        """What an idempotency key connected, None where it is free. KeyUsed where it stands for something else."""
        query = select(*_COLUMNS, connections.c.key_mark).where(connections.c.key == key)
        with self._engine.connect() as database:
            row = database.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["key_mark"] != mark:
            raise KeyUsed(
                "This idempotency key made another connection: use a new key for each new one, and the same one only "
                "to repeat a call that you have no answer to."
            )
        return _connection({name: row[name] for name in Connection.__dataclass_fields__})

    def set_status(self, connection: Connection, status: str, reason: str = "", *, actor: str = "system") -> Connection:
        """Change the status, with the reason that a person reads."""
        if status not in STATUSES:
            raise ValueError(f"no such status: {status}")
        return self._change(connection, actor, "status", status=status, status_reason=storable(reason, 1_000))

    def set_account(self, connection: Connection, account_id: str, *, actor: str = "system") -> Connection:
        """Remember the vendor's id of the account."""
        return self._change(connection, actor, "account", account_id=account_id)

    def disconnect(self, connection: Connection, *, actor: str = "system") -> None:
        """Forget the connection and its credentials. Mappings and runs stay."""
        with self._engine.begin() as database:
            old = _locked(database, connections.c.id == connection.id)
            database.execute(delete(connections).where(connections.c.id == connection.id))
            if old is not None:
                _note_change(database, actor, "disconnect", old, None)

    def _change(self, connection: Connection, actor: str, action: str, **values: Any) -> Connection:
        with self._engine.begin() as database:
            old = _locked(database, connections.c.id == connection.id)
            if old is None:
                raise ConfigurationError(
                    f"Customer {connection.customer_id} is not connected to {connection.provider} any more."
                )
            if all(getattr(old, name) == value for name, value in values.items()):
                return old
            change = update(connections).where(connections.c.id == connection.id)
            change = change.values(**values, updated_at=func.now())
            new = _connection(database.execute(change.returning(*_COLUMNS)).mappings().one())
            _note_change(database, actor, action, old, new)
            if new.status == "expired" != old.status:
                events.add(database, expired(new, new.status_reason))
            return new


def subject_of(connection: Connection) -> str:
    """How the audit names a connection."""
    return f"connection {connection.customer_id}/{connection.provider}"


def _left(database: Database, customer_id: str, provider: str) -> str | None:
    """The account of which the customer was disconnected last: its rows are still in the destinations."""
    query = select(audit.c.old["account_id"].astext).where(
        audit.c.subject == f"connection {customer_id}/{provider}", audit.c.action == "disconnect"
    )
    return database.execute(query.order_by(audit.c.id.desc()).limit(1)).scalar_one_or_none()


def _connected(connection: Connection, *, again: bool) -> Event:
    return Event(
        type=CONNECTION_CONNECTED,
        customer_id=connection.customer_id,
        provider=connection.provider,
        subject={"environment": connection.environment, "again": again},
    )


def _connection(row: Mapping[str, Any] | RowMapping) -> Connection:
    return Connection(**row)


def _locked(database: Database, *where: Any) -> Connection | None:
    row = database.execute(select(*_COLUMNS).where(*where).with_for_update()).mappings().one_or_none()
    return _connection(row) if row else None


def _note_change(database: Database, actor: str, action: str, old: Connection | None, new: Connection | None) -> None:
    before = {name: value for name, value in asdict(old).items() if name in _SHOWN} if old else None
    after = {name: value for name, value in asdict(new).items() if name in _SHOWN} if new else None
    if before and after:
        changed = {name for name in _SHOWN if before[name] != after[name]}
        before = {name: before[name] for name in sorted(changed)}
        after = {name: after[name] for name in sorted(changed)}
    subject = subject_of(new or old) if (new or old) else ""  # type: ignore[arg-type]
    whom = [each.customer_id for each in (old, new) if each is not None]
    note(database, actor=actor, action=action, subject=subject, old=before, new=after, customers=whom)
