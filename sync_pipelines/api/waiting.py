"""How long a client may take to say what it wants, so that slow ones do not use up the server's connections."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 200
"""Beyond that, who only holds one loses it to whoever comes."""


@dataclass(frozen=True)
class Patience:
    """Seconds. `head`: from the first byte of a connection, or of a further request on it, to the end of the request's
    headers. `body`: for the whole body, however slowly it comes."""

    head: float = 10.0
    body: float = 30.0


USUAL: Final = Patience()


def protocol(patience: Patience) -> type[asyncio.Protocol]:
    """HTTP/1.1 as uvicorn speaks it, ended where headers take longer."""
    return type("PatientProtocol", (BoundedProtocol,), {"head_seconds": patience.head})


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, which by itself waits for headers without an end, and refuses all where many connections are
    held."""

    head_seconds = Patience.head
    _due: asyncio.TimerHandle | None = None
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        self._expect_head()
        self._make_room()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        """The connection goes that was idle for the longest time; those with a call are bounded elsewhere."""
        if len(self.connections) <= MOST_CONNECTIONS:
            return
        held = [each for each in self.connections if isinstance(each, BoundedProtocol) and not each._leaving]
        idle = [each for each in held if each is not self and each._idle]
        if len(held) > MOST_CONNECTIONS and idle:
            min(idle, key=lambda each: each._since)._give_up()

    @property
    def _leaving(self) -> bool:
        return self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head_is_here()
        elif self._due is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._due = self.loop.call_later(self.head_seconds, self._give_up)

    def _head_is_here(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> None:
        transport: Any = self.transport
        transport.abort()
