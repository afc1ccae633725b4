"""Sealed tokens of connections, refreshed by one owner at a time."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import Reauthorize, Retry
from sync_pipelines.model.event import CONNECTION_EXPIRED, Event
from sync_pipelines.model.provider import OwnApp, Tokens
from sync_pipelines.model.secret import Secret
from sync_pipelines.store import events
from sync_pipelines.store.audit import note
from sync_pipelines.store.sealing import KeyRing
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import connections, credentials


class CredentialsSafe:
    """Seals and opens rows of the credentials table."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def put(self, database: Database, connection: Connection, tokens: Tokens) -> None:
        """Store a connection's tokens in place of what was there."""
        self.put_all(database, {connection.id: tokens})

    def put_all(self, database: Database, tokens: Mapping[int, Tokens]) -> None:
        """Store the tokens of many connections, by the connection's id, in one statement."""
        rows = [
            {"connection_id": id, **self._sealed(id, _to_json(each)), "expires_at": each.expires_at}
            for id, each in tokens.items()
        ]
        upsert = insert(credentials).values(rows)
        changed = {name: upsert.excluded[name] for name in ("sealed", "key_id", "expires_at")}
        database.execute(
            upsert.on_conflict_do_update(index_elements=["connection_id"], set_={**changed, "stored_at": func.now()})
        )

    def get(self, database: Database, connection: Connection, *, lock: bool = False) -> Tokens:
        """A connection's tokens; with `lock`, nobody else gets them with `lock` until this transaction ends."""
        query = select(credentials).where(credentials.c.connection_id == connection.id)
        row = database.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise Reauthorize(
                f"There are no credentials of customer {connection.customer_id} for {connection.provider}: "
                "the customer must connect again."
            )
        return self._open(row)

    def sealed(self, about: str, tokens: Tokens) -> tuple[str, str]:
        """(sealed text, name of the key) of tokens that belong to no connection yet. Their lifetime is not kept."""
        return self._ring.seal(_to_json(tokens), about=about), self._ring.sealing_key

    def opened(self, about: str, sealed: str, key_id: str) -> Tokens:
        """What `sealed` gave, as tokens."""
        return _from_json(self._ring.open(sealed, key_id=key_id, about=about), None)

    def _sealed(self, connection_id: int, text: str) -> dict[str, str]:
        return {"sealed": self._ring.seal(text, about=_about(connection_id)), "key_id": self._ring.sealing_key}

    def _open(self, row: Row[tuple[int, str, str, datetime | None, datetime]]) -> Tokens:
        text = self._ring.open(row.sealed, key_id=row.key_id, about=_about(row.connection_id))
        return _from_json(text, row.expires_at)


class StoredCredentials:
    """One connection's tokens (`model.connection.Credentials`)."""

    def __init__(self, engine: Engine, safe: CredentialsSafe, connection: Connection) -> None:
        self._engine = engine
        self._safe = safe
        self._connection = connection
        self._seen: Secret | None = None

    def read(self) -> Tokens:
        """The newest stored tokens. Reauthorize when there are none."""
        with self._engine.connect() as database:
            tokens = self._safe.get(database, self._connection)
        self._seen = tokens.access_token
        return tokens

    def refresh(self, stale: Secret, fetch: Callable[[Tokens], Tokens]) -> Tokens:
        """Tokens newer than the access token `stale`: somebody else's, or what `fetch` makes of the stored ones.

        The row stays locked from before `fetch` until its tokens are stored.
        """
        fresh: Tokens | None = None
        try:
            with self._engine.begin() as database:
                stored = self._safe.get(database, self._connection, lock=True)
                self._seen = stored.access_token
                if stored.access_token != stale:
                    return stored
                fresh = stored.followed_by(fetch(stored))
                self._safe.put(database, self._connection, fresh)
        except OperationalError as error:
            if fresh is None:
                raise Retry(
                    "The store did not answer while tokens were refreshed; it will be tried again.",
                    detail=str(error.orig),
                ) from error
            # The vendor may have taken the old refresh token away already: these must not be lost with the connection.
            with self._engine.begin() as database:
                self._safe.put(database, self._connection, fresh)
        self._seen = fresh.access_token
        return fresh

    def expire(self, reason: str) -> None:
        """The connection becomes `expired`; told once, however often it is found out.

        Nothing happens when the customer has connected again since we last looked at the tokens.
        """
        where = (connections.c.id == self._connection.id, connections.c.status != "expired")
        change = update(connections).where(*where)
        change = change.values(status="expired", status_reason=storable(reason, 1_000), updated_at=func.now())
        with self._engine.begin() as database:
            if self._seen is not None:
                try:
                    newest = self._safe.get(database, self._connection, lock=True).access_token
                except Reauthorize:
                    newest = self._seen
                if newest != self._seen:
                    return
            if database.execute(change).rowcount:
                note(
                    database,
                    actor="system",
                    action="expire",
                    subject=f"connection {self._connection.customer_id}/{self._connection.provider}",
                    old={"status": self._connection.status},
                    new={"status": "expired", "status_reason": reason},
                    customers=[self._connection.customer_id],
                )
                events.add(database, expired(self._connection, storable(reason, 1_000)))

    def __repr__(self) -> str:
        return f"<credentials of {self._connection.customer_id} for {self._connection.provider}>"


def expired(connection: Connection, reason: str) -> Event:
    """That it works no more until the customer connects again."""
    return Event(
        type=CONNECTION_EXPIRED,
        customer_id=connection.customer_id,
        provider=connection.provider,
        subject={"environment": connection.environment, "reason": reason},
    )


def _about(connection_id: int) -> str:
    return f"connection {connection_id}"


def _to_json(tokens: Tokens) -> str:
    return json.dumps(
        {
            "access_token": tokens.access_token.reveal(),
            "refresh_token": tokens.refresh_token.reveal() if tokens.refresh_token else None,
            "api_url": tokens.api_url,
            **_app_to_json(tokens.app),
        }
    )


def _app_to_json(app: OwnApp | None) -> dict[str, dict[str, str]]:
    return {} if app is None else {"app": {"client_id": app.client_id, "client_secret": app.client_secret.reveal()}}


def _from_json(text: str, expires_at: datetime | None) -> Tokens:
    found = json.loads(text)
    app = found.get("app")
    return Tokens(
        access_token=Secret(found["access_token"]),
        refresh_token=Secret(found["refresh_token"]) if found["refresh_token"] else None,
        expires_at=expires_at,
        api_url=found["api_url"],
        app=OwnApp(client_id=app["client_id"], client_secret=Secret(app["client_secret"])) if app else None,
    )
