"""Sessions kept between the objects of a connection: its network connection and its tokens serve them all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.model.connection import Connection

KEPT_SESSIONS: Final = 250
"""Idle ones. Of more, the one that has been idle longest is closed. As objects take turns it would be asked for next,
so that this is more than the connections of a run by the sensor."""
KEPT_SECONDS: Final = 300.0
"""A session that was opened earlier is not lent again, so that tokens are read anew."""


class KeptSessions:
    """Lends each session to one thread at a time, and none again that met with an error."""

    def __init__(self, open_session: Callable[[Connection], VendorSession]) -> None:
        self._open = open_session
        self._lock = threading.Lock()
        self._idle: list[VendorSession] = []

    def lend(self, connection: Connection) -> VendorSession:
        """A session with nothing counted yet. Hand it to `take_back` when the work is done."""
        with self._lock:
            found = next((idle for idle in self._idle if idle.connection.id == connection.id), None)
            if found is not None:
                self._idle.remove(found)
        if found is None:
            return self._open(connection)
        found.count_anew()
        return found

    def take_back(self, session: VendorSession) -> None:
        """Keep it for the connection's next object, or close it."""
        spare: VendorSession | None = session
        if not session.failed and time.monotonic() - session.opened_at < KEPT_SECONDS:
            with self._lock:
                self._idle.append(session)
                spare = self._idle.pop(0) if len(self._idle) > KEPT_SESSIONS else None
        if spare is not None:
            spare.close()

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()


@contextmanager
def kept_sessions(open_session: Callable[[Connection], VendorSession]) -> Iterator[KeptSessions]:
    """For the time of one run."""
    kept = KeptSessions(open_session)
    try:
        yield kept
    finally:
        kept.close()
