"""How fast one token may call."""

import threading
import time
from collections import OrderedDict
from typing import Final

from sync_pipelines.api.problems import Refused

MOST_TOKENS: Final = 10_000


class Pace:
    """A bucket for each token: `burst` calls at once, refilled with `per_second`.

    Each process of the API counts for itself.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._left: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, token_id: int) -> None:
        """Refused with 429 and when to come back, where the token's bucket is empty."""
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(token_id, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._per_second)
            enough = left >= 1
            self._left[token_id] = (left - 1 if enough else left, now)
            while len(self._left) > MOST_TOKENS:
                self._left.popitem(last=False)
        if not enough:
            seconds = max(1, round((1 - left) / self._per_second + 0.5))
            raise Refused(
                429, f"Too many calls with this token: come back in {seconds} s.", headers={"Retry-After": str(seconds)}
            )
