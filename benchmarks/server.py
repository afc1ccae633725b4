"""Both vendors on one port: ready bytes out of files, by an event loop that does little else.

It answers what our providers ask and the plain paging that the peers use. `POST /control/state` with base, one_percent
or all_changed says which version of the records is served.
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.answers import Answer, Vendors

READY: Final = "stand-in ready: "
_END: Final = b"\r\n\r\n"
Piece: TypeAlias = bytes | memoryview


class Line(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self._waiting = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, chunk: bytes) -> None:
        self._waiting += chunk
        while (end := self._waiting.find(_END)) >= 0:
            head = bytes(self._waiting[:end]).decode("latin-1")
            request, *lines = head.split("\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            length = int(headers.get("content-length", 0))
            whole = end + len(_END) + length
            if len(self._waiting) < whole:
                return
            body = bytes(self._waiting[whole - length : whole])
            del self._waiting[:whole]
            method, target, _ = request.split(" ", 2)
            self._answer(method, target, headers, body)

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self._write(self._vendors.answer(method, target, headers, body))

    def _write(self, answer: Answer) -> None:
        assert self._transport is not None
        pieces: Sequence[Piece] = answer.pieces
        head = [
            f"HTTP/1.1 {answer.status} {'OK' if answer.status < 400 else 'Refused'}",
            f"content-type: {answer.content_type}",
            f"content-length: {sum(map(len, pieces))}",
            f"date: {format_datetime(datetime.now(UTC), usegmt=True)}",
            *(f"{name}: {value}" for name, value in answer.headers.items()),
        ]
        self._transport.writelines([("\r\n".join(head) + "\r\n\r\n").encode(), *pieces])


async def serve(folder: Path) -> None:
    """Until the process is told to end."""
    loop = asyncio.get_running_loop()
    vendors = Vendors(folder)
    server = await loop.create_server(lambda: Line(vendors), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{READY}http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asyncio.run(serve(parser.parse_args().folder))
