"""How fast one caller may call."""

import ipaddress
import threading
import time
from collections import OrderedDict
from typing import Final

from sync_pipelines.api.problems import Refused

MOST_CALLERS: Final = 10_000


class Pace:
    """A bucket for each caller: `burst` calls at once, refilled with `per_second`.

    Each process of the API counts for itself.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._left: OrderedDict[int | str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: int | str, who: str) -> None:
        """Refused with 429 and when to come back, where the caller's bucket is empty. `who`: as the answer names it."""
        if seconds := self.wait(caller):
            raise Refused(
                429, f"Too many calls {who}: come back in {seconds} s.", headers={"Retry-After": str(seconds)}
            )

    def wait(self, caller: int | str) -> int:
        """0 where the caller may call, which counts; else in how many seconds it may come back."""
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(caller, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._per_second)
            enough = left >= 1
            self._left[caller] = (left - 1 if enough else left, now)
            while len(self._left) > MOST_CALLERS:
                self._left.popitem(last=False)
        return 0 if enough else max(1, round((1 - left) / self._per_second + 0.5))


def place_of(address: str | None) -> str:
    """Whom an address stands for: itself, or of version 6 its network, as one customer of a network has all of it."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    return str(found if found.version == 4 else ipaddress.ip_network((found, 64), strict=False))
