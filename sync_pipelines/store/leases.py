"""Leases: one holder at a time, everywhere, gone with the process that holds them."""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection as Database
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from sync_pipelines.model.errors import Retry

_BROKEN = (DBAPIError, psycopg.Error)

_HELD = text(
    """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND ((CAST(classid AS bigint) << 32) | CAST(objid AS bigint)) = ANY(:keys)
    )
    """
)


class Leases:
    """Advisory locks of one session of its own, shared by this process's threads.

    A holder whose session is lost is not told: another process may take the lease while it still works. The checkpoint
    in the destination, which counts its versions, keeps the one that comes late from writing.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._session: Database | None = None
        self._held: dict[int, Database] = {}

    @contextmanager
    def hold(self, *parts: str) -> Iterator[bool]:
        """Whether the lease named by `parts` is ours; if it is, until the end of the block. Never waits."""
        key = _key(parts)
        session = self._take(key)
        try:
            yield session is not None
        finally:
            if session is not None:
                self._give_back(key, session)

    def held(self, leases: Iterable[Sequence[str]]) -> bool:
        """Whether anybody, in any process, holds one of them."""
        keys = [_key(tuple(parts)) for parts in leases]
        with self._engine.connect() as database:
            return bool(database.execute(_HELD, {"keys": keys}).scalar_one())

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._drop_session()
            self._held.clear()

    def _take(self, key: int) -> Database | None:
        with self._lock:
            # Within one session Postgres would give the same lock twice.
            if key in self._held:
                return None
            try:
                session, taken = self._try(key)
            except _BROKEN:
                # The server closed the old session, perhaps long ago: a new one may well work.
                self._drop_session()
                try:
                    session, taken = self._try(key)
                except _BROKEN as error:
                    self._drop_session()
                    raise Retry(
                        "The store does not answer, so that no lease can be taken; it will be tried again.",
                        detail=str(error.orig if isinstance(error, DBAPIError) else error),
                    ) from error
            if not taken:
                return None
            self._held[key] = session
            return session

    def _try(self, key: int) -> tuple[Database, bool]:
        if self._session is None:
            session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            # A host that vanishes is noticed in a minute or so, not after the system's two hours.
            for setting, value in (("idle", 30), ("interval", 10), ("count", 3)):
                session.execute(text(f"SET tcp_keepalives_{setting} = {value}"))
            self._session = session
        return self._session, _asked(self._session, b"SELECT pg_try_advisory_lock(%s)", key)

    def _give_back(self, key: int, session: Database) -> None:
        with self._lock:
            if self._held.get(key) is session:
                del self._held[key]
            if session is self._session:
                try:
                    _asked(session, b"SELECT pg_advisory_unlock(%s)", key)
                except _BROKEN:
                    # With its session the lease is gone already.
                    self._drop_session()

    def _drop_session(self) -> None:
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None


def _asked(session: Database, statement: bytes, key: int) -> bool:
    """By the driver itself: SQLAlchemy would cost several times what these two statements for each work cost."""
    driver: psycopg.Connection[Any] = session.connection.driver_connection  # type: ignore[assignment]
    return driver.execute(statement, [key]).fetchone() == (True,)


def _key(parts: tuple[str, ...]) -> int:
    written = "\0".join(("lease", *parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(written, digest_size=8).digest(), "big", signed=True)
