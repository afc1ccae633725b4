"""What a piece of work costs: wall time, CPU of a process tree, CPU of Postgres apart from it, peak memory."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS: Final = 0.2
LONGEST_RUN: Final = 4 * 3600.0
"""Seconds after which a measured process is taken for hanging and ended."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds, and megabytes of the largest moment of the whole tree."""

    wall: float
    client_cpu: float
    postgres_cpu: float
    server_cpu: float = 0.0
    peak_mb: float = 0.0

    @property
    def cpu(self) -> float:
        """Client and Postgres; the stand-in plays the vendor and does not count."""
        return self.client_cpu + self.postgres_cpu

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Failed(RuntimeError):
    """A measured process ended badly; the text is the end of what it wrote."""


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return found


def tree(pid: int) -> list[int]:
    """The process and all below it that live now."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        try:
            waiting += _children(one)
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(one)
    return found


def tree_cpu(pid: int) -> float:
    """CPU seconds of the process, of all that live below it, and of those that it has waited for."""
    total = 0.0
    for one in tree(pid):
        try:
            total += sum(process_seconds(one))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def process_seconds(pid: int) -> tuple[float, float]:
    """CPU seconds of one process, and of those below it that have ended and were waited for."""
    user, system, waited_user, waited_system = map(int, _stat(pid)[11:15])
    return _exact(pid) or (user + system) / _TICKS, (waited_user + waited_system) / _TICKS


def _exact(pid: int) -> float | None:
    """Seconds on a CPU to the nanosecond, where the kernel tells and the process has one thread; ticks are 10 ms."""
    if len(os.listdir(f"/proc/{pid}/task")) > 1:
        return None
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, IndexError):
        return None


def high_water_mb(pid: int | str = "self") -> float:
    """The largest resident memory that one process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class _Watch(threading.Thread):
    """Adds up the largest memory of every process of a tree, also of those that end before it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.peaks: dict[int, float] = {}

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            for one in tree(self._pid):
                try:
                    self.peaks[one] = high_water_mb(one)
                except (FileNotFoundError, ProcessLookupError):
                    continue

    def stop(self) -> float:
        self._ended.set()
        self.join()
        return sum(self.peaks.values())


def run(
    command: Sequence[str],
    *,
    postgres_pid: int,
    server_pid: int,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
) -> tuple[Cost, str]:
    """Run a command to its end. Its cost from start to exit, interpreter and imports included, and what it printed."""
    postgres, server = tree_cpu(postgres_pid), tree_cpu(server_pid)
    began = time.perf_counter()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL
        )
        watch = _Watch(process.pid)
        watch.start()
        ending = threading.Timer(LONGEST_RUN, process.kill)
        ending.daemon = True
        ending.start()
        assert process.stdout is not None
        with process.stdout:
            printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        ending.cancel()
    wall = time.perf_counter() - began
    peak = watch.stop()
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{_end_of(log)}")
    cost = Cost(
        wall=wall,
        client_cpu=usage.ru_utime + usage.ru_stime,
        postgres_cpu=tree_cpu(postgres_pid) - postgres,
        server_cpu=tree_cpu(server_pid) - server,
        peak_mb=max(peak, usage.ru_maxrss / 1024),
    )
    return cost, printed


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])


def median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Each number's own median."""
    fields: dict[str, Any] = {name: median([getattr(one, name) for one in costs]) for name in asdict(costs[0])}
    return Cost(**fields)
