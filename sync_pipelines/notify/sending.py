"""One POST to somebody else's server: to a checked address, within a fixed time, no redirect followed, little read."""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final

import httpcore
import httpx

from sync_pipelines.notify.addresses import RefusedAddress, Terms, parsed, resolved

SECONDS: Final = 15.0
"""For everything together, from connecting to the last byte that is read."""
READ_BYTES: Final = 4_096
"""More of an answer is of no interest."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`status` None: there was none, and `error` says why. `body`: its beginning."""

    status: int | None = None
    body: bytes = b""
    retry_after: timedelta | None = None
    error: str = ""
    seconds: float = 0.0


def send(url: str, headers: Mapping[str, str], body: bytes, terms: Terms, *, seconds: float = SECONDS) -> Answer:
    """What came of it. Nothing that a receiver does is an exception."""
    began = time.monotonic()

    def answer(**values: Any) -> Answer:
        return Answer(seconds=time.monotonic() - began, **values)

    try:
        status, received, start = _exchanged(parsed(url, terms), headers, body, _Network(terms, began + seconds))
    except RefusedAddress as refusal:
        return answer(error=str(refusal))
    except (httpcore.TimeoutException, TimeoutError):
        return answer(error=f"no answer within {seconds:g} seconds")
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as problem:
        return answer(error=f"{type(problem).__name__}: {problem}"[:300])
    return answer(status=status, body=start, retry_after=asked_to_wait(received.get("retry-after"), datetime.now(UTC)))


def asked_to_wait(value: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for: seconds, or a date."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return timedelta(seconds=min(int(value.strip()[:9]), 10**8))
    try:
        return max(parsedate_to_datetime(value) - now, timedelta(0))
    except (ValueError, TypeError, OverflowError):
        return None


def _exchanged(
    url: httpx.URL, headers: Mapping[str, str], body: bytes, network: "_Network"
) -> tuple[int, Mapping[str, str], bytes]:
    """(status, headers, beginning of the body)."""
    place = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    sent = {"Host": url.netloc.decode("ascii"), "Content-Length": str(len(body)), "Connection": "close", **headers}
    with (
        httpcore.ConnectionPool(ssl_context=_tls(), network_backend=network) as pool,
        pool.stream("POST", place, headers=list(sent.items()), content=body) as response,
    ):
        start = b""
        for part in response.iter_stream():
            start = (start + part)[:READ_BYTES]
            if len(start) == READ_BYTES:
                break
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return response.status, found, start


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates costs a tenth of a second."""
    return httpx.create_ssl_context()


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that were checked, and lets nothing take longer than until `deadline` (monotonic)."""

    def __init__(self, terms: Terms, deadline: float) -> None:
        self._terms = terms
        self._deadline = deadline
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = OSError(f"{host} has no address")
        for address in resolved(host, port, self._terms):
            try:
                stream = self._real.connect_tcp(address, port, _left(self._deadline), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as problem:
                failure = problem
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    """Every step has as much time as is left of the whole."""

    def __init__(self, real: httpcore.NetworkStream, deadline: float) -> None:
        self._real = real
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._real.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._real.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._real.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)


def _left(deadline: float) -> float:
    """Seconds; httpcore takes 0 for no waiting at all."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left
