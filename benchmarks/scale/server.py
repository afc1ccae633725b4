"""All small accounts of both vendors behind one port, each answer after 50 to 200 ms, by one event loop.

Nobody waits in a thread, and nothing is stored per account: ten thousand take as much memory as ten. `POST
/control/play` says what goes on from now (a Play), `GET /control/changes` what has changed.
"""

import argparse
import asyncio
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from benchmarks.answers import Answer
from benchmarks.far_server import latency
from benchmarks.scale import faults, hubspot, salesforce
from benchmarks.scale.accounts import Accounts, vendor_of
from benchmarks.scale.fields import OBJECTS
from benchmarks.server import READY, Line

_TOKEN_PATHS: Final = frozenset({"/oauth/v1/token", "/services/oauth2/token"})
_REFUSED: Final = Answer([b"{}"], 401)
_CUT_OFF: Final = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"re'
_DONE: Final = Answer([b"{}"])


class Town(msgspec.Struct, frozen=True):
    """Who lives there. `token_seconds`: how long a HubSpot access token is good; an org's has no end."""

    connections: int
    failing_share: float
    token_seconds: int
    seed: int = 1


class Play(msgspec.Struct, frozen=True):
    """What goes on: answers take their time, some accounts fail, and records change, so many a second in all."""

    far: bool = False
    failing: bool = False
    changes_per_second: float = 0.0


def access_token(number: int, good_until: int) -> str:
    return f"access-{number}-{good_until}"


def refresh_token(number: int) -> str:
    return f"refresh-{number}"


class Vendors:
    """Answers a request by its token's account, as things stand."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._choice = Random(town.seed)  # noqa: S311 - the same changes for the same seed
        self.accounts = Accounts()
        self.failing = faults.failing(town.connections, town.failing_share)
        self.play = Play()
        self.calls: Counter[int] = Counter()

    def number(self, headers: Mapping[str, str]) -> int | None:
        """The account of a token that is good now."""
        kind, _, rest = headers.get("authorization", "").removeprefix("Bearer ").partition("-")
        number, _, good_until = rest.partition("-")
        known = kind == "access" and number.isdigit() and good_until.isdigit() and int(number) < self._town.connections
        return int(number) if known and int(good_until) > time.time() else None

    def fault(self, number: int) -> str | None:
        return self.failing.get(number) if self.play.failing else None

    def answer(self, number: int, method: str, target: str, body: bytes) -> Answer:
        """Of an account that showed its token."""
        self.calls[number] += 1
        vendor, kind = vendor_of(number), self.fault(number)
        if kind == faults.REVOKED:
            return faults.refused_token(vendor)
        broken = faults.answer(kind, vendor, target) if kind else None
        if broken is not None:
            return broken
        address = urlsplit(target)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if vendor == "hubspot":
            return hubspot.answer(self.accounts, number, address.path, query, body)
        found = salesforce.answer(self.accounts, number, address.path, query)
        usage = f"api-usage={self.calls[number]}/{salesforce.ALLOWED}"
        return Answer(found.pieces, found.status, found.content_type, {"sforce-limit-info": usage})

    def tokens(self, path: str, body: bytes) -> Answer:
        """Of the token endpoint."""
        form = dict(parse_qsl(body.decode()))
        number = int(form["refresh_token"].removeprefix("refresh-"))
        vendor = vendor_of(number)
        if self.fault(number) == faults.REVOKED:
            return faults.refused_refresh(vendor)
        until = int(time.time()) + self._town.token_seconds
        told = {"access_token": access_token(number, until), "token_type": "bearer"}
        if path == "/oauth/v1/token":
            told |= {"refresh_token": refresh_token(number), "expires_in": self._town.token_seconds}
        else:
            told |= {"access_token": access_token(number, 2**40), "issued_at": "1767225600000"}
        return Answer([msgspec.json.encode(told)])

    def change(self, at: float) -> None:
        """One record of one account that does not fail becomes another."""
        while (number := self._choice.randrange(self._town.connections)) in self.failing:
            pass
        self.accounts.change(number, self._choice.choice(OBJECTS[vendor_of(number)]), self._choice, at)


class FarLine(Line):
    """Answers after a while, and cuts the answers of accounts that do so."""

    def __init__(self, vendors: Vendors) -> None:
        super().__init__(vendors)  # type: ignore[arg-type]  # it calls nothing of it that is not asked for here
        self._all = vendors

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        if target.startswith("/control/"):
            self._write(self._controlled(target, body))
            return
        path = target.partition("?")[0]
        number = None if path in _TOKEN_PATHS else self._all.number(headers)
        seconds = latency(number or 0, method, target) if self._all.play.far else 0.0
        asyncio.get_running_loop().call_later(seconds, self._reply, number, method, target, body)

    def _reply(self, number: int | None, method: str, target: str, body: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        path = target.partition("?")[0]
        if path in _TOKEN_PATHS:
            self._write(self._all.tokens(path, body))
        elif number is None:
            self._write(_REFUSED)
        elif self._all.fault(number) == faults.CUT_OFF:
            self._transport.write(_CUT_OFF)
            self._transport.close()
        else:
            self._write(self._all.answer(number, method, target, body))

    def _controlled(self, target: str, body: bytes) -> Answer:
        if target == "/control/play":
            self._all.play = msgspec.json.decode(body, type=Play)
            return _DONE
        return Answer([msgspec.json.encode(self._all.accounts.told())])


async def _change_forever(vendors: Vendors) -> None:
    while True:
        rate = vendors.play.changes_per_second
        await asyncio.sleep(1 / rate if rate else 0.2)
        if vendors.play.changes_per_second:
            vendors.change(time.time())


async def serve(town: Town) -> None:
    """Until the process is told to end."""
    loop = asyncio.get_running_loop()
    vendors = Vendors(town)
    changing = loop.create_task(_change_forever(vendors))
    server = await loop.create_server(lambda: FarLine(vendors), "127.0.0.1", 0, backlog=512)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{READY}http://{host}:{port}", flush=True)
    await asyncio.gather(server.serve_forever(), changing)


if __name__ == "__main__":
    # Whoever starts it may ignore the signal that ends it, and that is inherited.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("town", type=Path, help="a Town as JSON")
    asyncio.run(serve(msgspec.json.decode(parser.parse_args().town.read_bytes(), type=Town)))
