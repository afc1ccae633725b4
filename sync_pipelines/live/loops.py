"""Named loops side by side: one that dies is begun anew, after a pause that grows with every time."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

Loop: TypeAlias = Callable[[threading.Event], None]
"""Goes on until the event is set."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds."""
STEADY_SECONDS: Final = 300.0
"""A loop that went on for so long is taken for mended."""


def run_loops(loops: Mapping[str, Loop], stop: threading.Event) -> None:
    """All of them until `stop` is set and each has come to its end."""
    threads = [
        threading.Thread(target=supervise, args=(name, loop, stop), name=f"live {name}") for name, loop in loops.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def supervise(name: str, loop: Loop, stop: threading.Event, *, first_pause: float = FIRST_PAUSE) -> None:
    """Run a loop until `stop` is set; what it raises is logged, and it begins anew."""
    pause = first_pause
    while not stop.is_set():
        begun = time.monotonic()
        try:
            loop(stop)
        except Exception:
            log.exception("The loop %s failed and begins anew in %.0f s", name, pause)
        else:
            if not stop.is_set():
                log.error("The loop %s ended by itself and begins anew in %.0f s", name, pause)
        if time.monotonic() - begun > STEADY_SECONDS:
            pause = first_pause
        stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
