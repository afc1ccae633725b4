"""How long a client may take to say what it wants, so that slow ones do not use up the server's connections."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol


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
    """HTTP/1.1 of uvicorn, which by itself waits for headers without an end."""

    head_seconds = Patience.head
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

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
