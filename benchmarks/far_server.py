"""A vendor that is far away and counts: `server.py` with many accounts, a latency, and a record of what each one saw.

Every account has a token of its own. An answer takes the account's latency, the same for the same request of the same
account, whatever else goes on. `GET /control/seen` tells for each account how many requests were under way at once at
most, and how many fell into any of the vendor's windows; `POST /control/forget` begins anew.
"""

import argparse
import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from benchmarks.answers import Answer, Vendors
from benchmarks.server import READY, Line

FASTEST, SLOWEST = 0.05, 0.2
"""Seconds of a far account's answers, spread evenly between these."""
WINDOWS: Final = {"api": (10.0,), "search": (10.0, 1.0)}
"""Seconds of the rolling windows in which requests are counted, by family."""
_OTHERS: Final = re.compile(
    r"^(/crm/v3/(?:objects|properties)/|/services/data/[^/]+/sobjects/)"
    r"(companies|deals|leads|products|tickets|Account|Case|Lead|Opportunity|User)(?=[/?]|$)"
)
_PORTAL: Final = "/account-info/v3/details"
_PIPELINES: Final = "/crm/v3/pipelines/"


class Resident(msgspec.Struct, frozen=True):
    """An account of the stand-in. `number` decides its latency, `records` how many each of its objects has."""

    token: str
    number: int
    records: int
    far: bool = True


class Town(msgspec.Struct, frozen=True):
    """Everything that the server must know: where the pages of each size lie, and who lives there."""

    pages: str
    residents: list[Resident]


class Seen:
    """What one account, or all of them together, saw."""

    def __init__(self) -> None:
        self.under_way = self.most_under_way = 0
        self.arrivals: dict[str, list[float]] = {}

    def arrived(self, family: str, at: float) -> None:
        self.arrivals.setdefault(family, []).append(at)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

    def told(self) -> dict[str, Any]:
        windows = {
            f"{family} in {seconds:g} s": most_within(self.arrivals.get(family, ()), seconds)
            for family, lengths in WINDOWS.items()
            for seconds in lengths
        }
        requests = sum(map(len, self.arrivals.values()))
        return {"requests": requests, "most_under_way": self.most_under_way, "windows": windows}


def most_within(times: Sequence[float], seconds: float) -> int:
    """The most of the ascending times that lie in any window of that length."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class FarVendors(Vendors):
    """All accounts. Of each object there are the same records, under six names for each vendor."""

    def __init__(self, town: Town) -> None:
        sizes = {resident.records for resident in town.residents}
        self._by_size = {size: Vendors(Path(town.pages) / str(size)) for size in sizes}
        self._residents = {resident.token: resident for resident in town.residents}
        self.seen: dict[str, Seen] = {}
        self.all = Seen()

    def resident(self, headers: Mapping[str, str]) -> Resident | None:
        return self._residents.get(headers.get("authorization", "").removeprefix("Bearer "))

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Of one request; 401 without the token of an account."""
        if target == "/control/seen":
            told = {token: seen.told() for token, seen in self.seen.items()} | {"": self.all.told()}
            return Answer([msgspec.json.encode(told)])
        if target == "/control/forget":
            self.seen, self.all = {}, Seen()
            return Answer([b"{}"])
        resident = self.resident(headers)
        if resident is None:
            return Answer([b"{}"], 401)
        if target.startswith(_PORTAL):
            portal = crc32(resident.token.encode())
            return Answer([msgspec.json.encode({"portalId": portal, "uiDomain": "app.hubspot.com"})])
        if target.startswith(_PIPELINES):
            return Answer([b'{"results":[]}'])
        known = _OTHERS.sub(lambda found: found[1] + ("contacts" if found[2].islower() else "Contact"), target)
        return self._by_size[resident.records].answer(method, known, headers, body)

    def counters(self, resident: Resident) -> tuple[Seen, Seen]:
        return self.seen.setdefault(resident.token, Seen()), self.all


class FarLine(Line):
    """Answers after the account's latency, and counts meanwhile."""

    def __init__(self, vendors: FarVendors) -> None:
        super().__init__(vendors)
        self._far = vendors

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        resident = self._far.resident(headers)
        if resident is None:
            super()._answer(method, target, headers, body)
            return
        loop = asyncio.get_running_loop()
        counters = self._far.counters(resident)
        family = "search" if target.partition("?")[0].endswith("/search") else "api"
        for seen in counters:
            seen.arrived(family, loop.time())
        seconds = latency(resident.number, method, target) if resident.far else 0.0
        loop.call_later(seconds, self._send, counters, method, target, headers, body)

    def _send(
        self, counters: Sequence[Seen], method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        for seen in counters:
            seen.under_way -= 1
        if self._transport is not None and not self._transport.is_closing():
            super()._answer(method, target, headers, body)


def latency(number: int, method: str, target: str) -> float:
    """Seconds, as if by chance and always the same for the same request of an account."""
    return FASTEST + crc32(f"{number} {method} {target}".encode()) % 1000 / 999 * (SLOWEST - FASTEST)


async def serve(town: Town) -> None:
    """Until the process is told to end."""
    loop = asyncio.get_running_loop()
    vendors = FarVendors(town)
    server = await loop.create_server(lambda: FarLine(vendors), "127.0.0.1", 0, backlog=256)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{READY}http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("town", type=Path, help="a Town as JSON")
    asyncio.run(serve(msgspec.json.decode(parser.parse_args().town.read_bytes(), type=Town)))
