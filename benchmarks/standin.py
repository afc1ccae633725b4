"""Starting the stand-in as a process of its own, and telling it which records to show."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.pages import write_pages
from benchmarks.server import READY

REPOSITORY = Path(__file__).resolve().parent.parent


class StandIn:
    """A running stand-in. `pid` for those who measure what it costs."""

    def __init__(self, url: str, size: int, pid: int) -> None:
        self.url = url
        self.size = size
        self.pid = pid

    def show(self, state: str) -> None:
        """Which version of the records everybody gets from now on."""
        request = urllib.request.Request(f"{self.url}/control/state", data=state.encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own server on 127.0.0.1


@contextmanager
def standing_in(folder: Path, size: int) -> Iterator[StandIn]:
    """Pages made if they are not there yet, served for the time of the block."""
    write_pages(folder, size)
    with listening("benchmarks.server", folder) as (url, pid):
        yield StandIn(url, size, pid)


@contextmanager
def listening(module: str, argument: Path) -> Iterator[tuple[str, int]]:
    """The module's server as a process of its own, for the time of the block: its address and process id."""
    command = [sys.executable, "-m", module, str(argument)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line.startswith(READY):
            raise RuntimeError(f"the stand-in did not start (it ended with {process.poll()}): see its messages above")
        yield line.removeprefix(READY).strip(), process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            # Started by a process that ignores the signal, it ignores it too.
            process.kill()
            process.wait()
        process.stdout.close()
