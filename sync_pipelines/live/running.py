"""The loops of the live process, for the time of a block."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sync_pipelines.live.events import EventsLoop
from sync_pipelines.live.loops import Loop, run_loops
from sync_pipelines.notify.delivering import deliver_until
from sync_pipelines.project import Project


@contextmanager
def running(project: Project, sign: Path | None = None) -> Iterator[Sequence[str]]:
    """All loops in threads of this process, by name. In the end what is under way comes to a stop first; the project's
    work is told to stop with it. `sign` is a file that is touched as long as all loops go on."""
    stop = threading.Event()
    loops: dict[str, Loop] = {
        "events": EventsLoop(project).until,
        "deliveries": lambda stop, turn: deliver_until(project, stop, turn),
    }
    thread = threading.Thread(target=run_loops, args=(loops, stop, sign), name="live")
    thread.start()
    try:
        yield list(loops)
    finally:
        stop.set()
        project.stops.set()
        thread.join()
