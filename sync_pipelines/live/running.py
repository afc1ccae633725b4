"""The loops of the live process, for the time of a block."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sync_pipelines.live.events import EventsLoop
from sync_pipelines.live.loops import Loop, run_loops
from sync_pipelines.notify.delivering import deliver_until
from sync_pipelines.project import Project


@contextmanager
def running(project: Project) -> Iterator[Sequence[str]]:
    """All loops in threads of this process, by name. In the end what is under way comes to a stop first; the project's
    work is told to stop with it."""
    stop = threading.Event()
    loops: dict[str, Loop] = {
        "events": EventsLoop(project).until,
        "deliveries": lambda stop: deliver_until(project, stop),
    }
    thread = threading.Thread(target=run_loops, args=(loops, stop), name="live")
    thread.start()
    try:
        yield list(loops)
    finally:
        stop.set()
        project.stops.set()
        thread.join()
