"""Why a server refuses a connection. libpq tells only a sentence, so the SQLSTATE is read from its protocol trace."""

import os
import re
import selectors
import time

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from sync_pipelines.destinations.postgres.place import CONNECT_SECONDS, Place

CANNOT_CONNECT_NOW = "57P03"
NOT_LET_IN = "28000"

_ERROR_RESPONSE = re.compile(rb'ErrorResponse\t S "[A-Z]+" V "[A-Z]+" C "([0-9A-Z]{5})"')
_EVENTS: dict[int, int] = {
    pq.PollingStatus.READING: selectors.EVENT_READ,
    pq.PollingStatus.WRITING: selectors.EVENT_WRITE,
}


def refusal_code(place: Place) -> str | None:
    """The SQLSTATE with which the server refuses us at this moment; None when it accepts us or does not answer."""
    conninfo = make_conninfo(**place.connect_arguments).encode()
    try:
        return _traced_code(conninfo)
    except psycopg.NotSupportedError:
        # Without a trace (it exists on Linux only) we still learn whether it is starting up or refuses us for good.
        answer = pq.Ping(pq.PGconn.ping(conninfo))
        return {pq.Ping.REJECT: CANNOT_CONNECT_NOW, pq.Ping.OK: NOT_LET_IN}.get(answer)


def _traced_code(conninfo: bytes) -> str | None:
    if not hasattr(os, "memfd_create"):
        raise psycopg.NotSupportedError("a trace needs a file in memory")
    connection = pq.PGconn.connect_start(conninfo)
    try:
        with os.fdopen(os.memfd_create("trace"), "rb") as trace:
            if connection.status == pq.ConnStatus.BAD:
                return None
            connection.trace(trace.fileno())
            _until_decided(connection)
            connection.untrace()
            trace.seek(0)
            codes = _ERROR_RESPONSE.findall(trace.read())
            return codes[-1].decode() if codes else None
    finally:
        connection.finish()


def _until_decided(connection: pq.abc.PGconn) -> None:
    deadline = time.monotonic() + CONNECT_SECONDS
    while (status := connection.connect_poll()) in _EVENTS:
        with selectors.DefaultSelector() as selector:
            selector.register(connection.socket, _EVENTS[status])
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return
