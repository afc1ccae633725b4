"""Connections of this process to one server, lent to the landings of all customers for one transaction at a time."""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import psycopg
from psycopg.types.string import BytesBinaryDumper

from sync_pipelines.destinations.postgres.failures import connect_failure
from sync_pipelines.destinations.postgres.place import Place, Server
from sync_pipelines.model.errors import DestinationBusy

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

MOST_CONNECTIONS = 10
"""Of one process to one server."""
BORROW_SECONDS = 300.0
TRUSTED_SECONDS = 5.0
"""A connection that was idle for longer is asked whether it still answers before it is lent."""

_SESSION = b"""
SELECT set_config('lock_timeout', '60s', false), set_config('idle_in_transaction_session_timeout', '10min', false),
  set_config('TimeZone', 'UTC', false), set_config('jit', 'off', false);
SELECT set_config(name, 'lz4', false) FROM pg_catalog.pg_settings
  WHERE name = 'default_toast_compression' AND 'lz4' = ANY(enumvals)
"""


@dataclass(kw_only=True)
class Lent:
    """A connection, and the temporary staging tables of its session, the one used last at the end."""

    connection: Connection
    database: str
    staging: list[str] = field(default_factory=list)
    idle_since: float = 0.0

    @property
    def is_clean(self) -> bool:
        status = self.connection.pgconn.transaction_status
        return not self.connection.closed and status == psycopg.pq.TransactionStatus.IDLE

    def answers(self) -> bool:
        """Whether the server is still there, as far as it can be told."""
        # A server that ends a session says so, and something to read on an idle connection is nearly always that.
        waiting = select.poll()
        waiting.register(self.connection.pgconn.socket, select.POLLIN)
        told_something = bool(waiting.poll(0))
        if told_something or time.monotonic() - self.idle_since > TRUSTED_SECONDS:
            try:
                self.connection.execute("SELECT 1")
            except psycopg.OperationalError:
                return False
        return self.is_clean


class Pool:
    """Lends at most `most` connections at once, whatever the number of databases. Safe for threads."""

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._idle: list[Lent] = []
        self._lent = 0
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def lend(self, place: Place) -> Iterator[Lent]:
        """DestinationBusy when none becomes free in time; the errors of connecting."""
        lent = self._borrow(place)
        try:
            yield lent
        finally:
            self._give_back(lent)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
        for lent in idle:
            lent.connection.close()

    def _borrow(self, place: Place) -> Lent:
        with self._changed:
            if not self._changed.wait_for(lambda: self._lent < self._most, BORROW_SECONDS):
                raise DestinationBusy(
                    f"All {self._most} connections to {place} have been in use for {BORROW_SECONDS:.0f} s; "
                    "the sync is tried again by itself."
                )
            self._lent += 1
        try:
            return self._idle_connection(place.database) or _connect(place)
        except BaseException:
            self._one_less()
            raise

    def _idle_connection(self, database: str) -> Lent | None:
        while True:
            with self._changed:
                found = next((lent for lent in reversed(self._idle) if lent.database == database), None)
                spare = None
                if found is not None:
                    self._idle.remove(found)
                elif self._idle and len(self._idle) + self._lent > self._most:
                    spare = self._idle.pop(0)
            if spare is not None:
                spare.connection.close()
            if found is None or found.answers():
                return found
            found.connection.close()

    def _give_back(self, lent: Lent) -> None:
        lent.idle_since = time.monotonic()
        with self._changed:
            keep = lent.is_clean and not self._closed
            if keep:
                self._idle.append(lent)
        if not keep:
            lent.connection.close()
        self._one_less()

    def _one_less(self) -> None:
        with self._changed:
            self._lent -= 1
            self._changed.notify()


class Pools:
    """One pool for each server, for as long as a destination uses it."""

    def __init__(self) -> None:
        self._pools: dict[Server, tuple[Pool, int]] = {}
        self._lock = threading.Lock()

    def take(self, server: Server) -> Pool:
        with self._lock:
            pool, users = self._pools.get(server) or (Pool(), 0)
            self._pools[server] = pool, users + 1
            return pool

    def leave(self, server: Server) -> None:
        with self._lock:
            pool, users = self._pools[server]
            if users > 1:
                self._pools[server] = pool, users - 1
                return
            del self._pools[server]
        pool.close()


def _connect(place: Place) -> Lent:
    try:
        connection = psycopg.connect(**place.connect_arguments, autocommit=True, prepare_threshold=None)
    except psycopg.Error as problem:
        # Not "from" it: psycopg's error carries the connection's parameters, the password among them.
        raise connect_failure(problem, place) from None
    try:
        connection.execute(_SESSION)
    except psycopg.Error as problem:
        connection.close()
        raise connect_failure(problem, place) from problem
    # Of the two dumpers for bytea the one registered last is taken by Copy.set_types: this one is written in C.
    connection.adapters.register_dumper(bytes, BytesBinaryDumper)
    return Lent(connection=connection, database=place.database)
