"""The transport below httpx: the standard library's HTTP/1.1, which takes less CPU for a page than httpx's own.

It is kept to what sessions need: one request at a time, whole bodies, one kept-alive connection for each origin. Where
proxies are configured in the environment httpx's own transport is used (docs/adr/0007).
"""

import http.client
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias
from urllib.request import getproxies

import httpx

Origin: TypeAlias = tuple[str, str, int | None]

DEFAULT_SECONDS: Final = 60.0


class Wire(httpx.BaseTransport):
    """For one thread at a time. Honours the extensions `timeout` and `target` as httpx documents them.

    `tls` is called when the first https address is asked: reading the certificates costs a tenth of a second.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._tls = tls
        self._connections: dict[Origin, http.client.HTTPConnection] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        origin = (request.url.scheme, request.url.host, request.url.port)
        timeouts = request.extensions.get("timeout", {})
        connection = self._open(origin, request, timeouts)
        try:
            return _exchanged(connection, request, timeouts)
        except BaseException:
            self._drop(origin)
            raise

    def close(self) -> None:
        for origin in list(self._connections):
            self._drop(origin)

    def _open(
        self, origin: Origin, request: httpx.Request, timeouts: dict[str, float | None]
    ) -> http.client.HTTPConnection:
        """The connection that is there if it still stands, else a new one."""
        known = self._connections.get(origin)
        if known is not None and known.sock is not None and not _is_readable(known.sock):
            return known
        self._drop(origin)
        scheme, host, port = origin
        seconds = timeouts.get("connect", DEFAULT_SECONDS)
        made = (
            http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls())
            if scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=seconds)
        )
        try:
            with _told_as_httpx(request, httpx.ConnectTimeout, httpx.ConnectError):
                made.connect()
        except BaseException:
            made.close()
            raise
        made.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[origin] = made
        return made

    def _drop(self, origin: Origin) -> None:
        known = self._connections.pop(origin, None)
        if known is not None:
            known.close()


def wire(tls: Callable[[], ssl.SSLContext]) -> httpx.BaseTransport | None:
    """A Wire; None (httpx's own transport) where the environment names proxies."""
    return None if getproxies() else Wire(tls)


def _exchanged(
    connection: http.client.HTTPConnection, request: httpx.Request, timeouts: dict[str, float | None]
) -> httpx.Response:
    target = request.extensions.get("target", request.url.raw_path).decode("ascii")
    connection.sock.settimeout(timeouts.get("write", DEFAULT_SECONDS))
    with _told_as_httpx(request, httpx.WriteTimeout, httpx.WriteError):
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.raw:
            connection.putheader(name, value)
        connection.endheaders(request.read() or None)
    connection.sock.settimeout(timeouts.get("read", DEFAULT_SECONDS))
    with _told_as_httpx(request, httpx.ReadTimeout, httpx.ReadError):
        answer = connection.getresponse()
        body = answer.read()
    return httpx.Response(answer.status, headers=list(answer.headers.raw_items()), content=body)


def _is_readable(sock: socket.socket) -> bool:
    """An idle connection has something to read only when the other side has closed it."""
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(0))


@contextmanager
def _told_as_httpx(
    request: httpx.Request, timed_out: type[httpx.TimeoutException], failed: type[httpx.NetworkError]
) -> Iterator[None]:
    try:
        yield
    except TimeoutError as problem:
        raise timed_out(str(problem), request=request) from problem
    except OSError as problem:
        # Before ValueError, as a certificate that is not trusted is both.
        raise failed(str(problem), request=request) from problem
    except (http.client.InvalidURL, ValueError) as problem:
        raise httpx.LocalProtocolError(str(problem), request=request) from problem
    except http.client.HTTPException as problem:
        raise httpx.RemoteProtocolError(f"{type(problem).__name__}: {problem}", request=request) from problem
