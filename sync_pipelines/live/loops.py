"""Named loops side by side: one that dies is begun anew, after a pause that grows with every time."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

Loop: TypeAlias = Callable[[threading.Event, Callable[[], None]], None]
"""Goes on until the event is set, and calls the function at every turn."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds."""
STEADY_SECONDS: Final = 300.0
"""A loop that went on for so long is taken for mended."""
SILENT_SECONDS: Final = 180.0
"""A loop without a turn for so long hangs: one that fails again and again has one each minute."""
SIGN_SECONDS: Final = 10.0
"""Between two signs of life."""


class Turns:
    """When each of several loops had its last turn."""

    def __init__(self, names: Iterable[str]) -> None:
        self._last = dict.fromkeys(names, time.monotonic())

    def of(self, name: str) -> Callable[[], None]:
        def turn() -> None:
            self._last[name] = time.monotonic()

        return turn

    def silent(self, seconds: float = SILENT_SECONDS) -> list[str]:
        """The loops without a turn for so long."""
        since = time.monotonic() - seconds
        return [name for name, last in self._last.items() if last < since]


def give_signs(path: Path, turns: Turns, stop: threading.Event, *, every: float = SIGN_SECONDS) -> None:
    """Touch a file until `stop` is set, as long as no loop is silent: its age tells whether all go on."""
    while True:
        if silent := turns.silent():
            log.error("No turn for %.0f s, no sign of life is given: %s", SILENT_SECONDS, ", ".join(silent))
        else:
            path.touch()
        if stop.wait(every):
            return


def run_loops(loops: Mapping[str, Loop], stop: threading.Event, sign: Path | None = None) -> None:
    """All of them until `stop` is set and each has come to its end. `sign` is a file for signs of life."""
    turns = Turns(loops)
    threads = [
        threading.Thread(target=supervise, args=(name, loop, stop, turns.of(name)), name=f"live {name}")
        for name, loop in loops.items()
    ]
    if sign is not None:
        threads.append(threading.Thread(target=give_signs, args=(sign, turns, stop), name="live sign"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def supervise(
    name: str, loop: Loop, stop: threading.Event, turn: Callable[[], None], *, first_pause: float = FIRST_PAUSE
) -> None:
    """Run a loop until `stop` is set; what it raises is logged, and it begins anew."""
    pause = first_pause
    while not stop.is_set():
        begun = time.monotonic()
        try:
            loop(stop, turn)
        except Exception:
            log.exception("The loop %s failed and begins anew in %.0f s", name, pause)
        else:
            if not stop.is_set():
                log.error("The loop %s ended by itself and begins anew in %.0f s", name, pause)
        if time.monotonic() - begun > STEADY_SECONDS:
            pause = first_pause
        stop.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
