"""What every kind of process uses, from /proc: CPU with that of children that have ended, and memory."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

from benchmarks.measure import process_seconds, tree

CODE, RUNS, SANDBOX = "code server", "run workers", "sandbox"
_SAMPLE_SECONDS: Final = 10.0
_OF_A_RUN: Final = b"multiprocessing"


@dataclass(frozen=True)
class Sample:
    """CPU seconds since the processes began, and megabytes now, by kind of process. `at` is of the monotonic clock."""

    at: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]


def sample(roots: Mapping[str, int]) -> Sample:
    """Of the processes below each root. Runs are started by the code server and counted apart from it."""
    cpu: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for kind, root in roots.items():
        for pid in tree(root):
            try:
                own, waited = process_seconds(pid)
                is_run = kind == CODE and _OF_A_RUN in Path(f"/proc/{pid}/cmdline").read_bytes()
                cpu[RUNS if is_run else kind] += own
                cpu[RUNS if kind == CODE else kind] += waited
                memory[RUNS if is_run else kind] += _proportional_mb(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return Sample(time.monotonic(), dict(cpu), dict(memory))


def _proportional_mb(pid: int) -> float:
    """Resident memory, what several processes share divided among them: buffers of Postgres count once."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass
class Watch:
    """Samples in a thread for the time of the block. `check` is called with each; what it raises, `wait` raises."""

    roots: Mapping[str, int]
    check: Callable[[], None]
    samples: list[Sample] = field(default_factory=list)
    failed: Exception | None = None

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> "Watch":
        self.samples.append(sample(self.roots))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self.samples.append(sample(self.roots))

    def wait(self, until: float) -> None:
        """Sleep until that time of the monotonic clock; the exception of a check as soon as there is one."""
        while (left := until - time.monotonic()) > 0 and self.failed is None:
            self._ended.wait(min(left, 1.0))
        if self.failed is not None:
            raise self.failed

    def _run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            try:
                self.samples.append(sample(self.roots))
                self.check()
            except Exception as problem:
                self.failed = problem
                return

    @property
    def seconds(self) -> float:
        return self.samples[-1].at - self.samples[0].at

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU from the first sample to the last, by kind."""
        first, last = self.samples[0].cpu, self.samples[-1].cpu
        return {kind: last[kind] - first.get(kind, 0.0) for kind in last}

    def peaks(self) -> dict[str, float]:
        """The most megabytes that each kind had in any sample."""
        kinds = {kind for one in self.samples for kind in one.memory}
        return {kind: max(one.memory.get(kind, 0.0) for one in self.samples) for kind in sorted(kinds)}

    def cores(self) -> dict[str, list[tuple[float, float]]]:
        """By kind, (minutes since the beginning, cores used since the sample before)."""
        began, lines = self.samples[0].at, {}
        for kind in sorted(self.samples[-1].cpu):
            spent = _never_falling([one.cpu.get(kind, 0.0) for one in self.samples])
            pairs = zip(self.samples, self.samples[1:], spent, spent[1:], strict=False)
            lines[kind] = [
                ((b.at - began) / 60, (until_b - until_a) / (b.at - a.at))
                for a, b, until_a, until_b in pairs
                if b.at - a.at > 1
            ]
        return lines

    def memory(self) -> dict[str, list[tuple[float, float]]]:
        """By kind, (minutes since the beginning, megabytes)."""
        began = self.samples[0].at
        kinds = sorted({kind for one in self.samples for kind in one.memory})
        return {kind: [((one.at - began) / 60, one.memory.get(kind, 0.0)) for one in self.samples] for kind in kinds}


def _never_falling(spent: Sequence[float]) -> list[float]:
    """CPU up to each sample, where later samples correct earlier ones.

    What a process has used cannot fall. A sample above a later one has counted something twice: a child that ended
    between two reads, once as living and once as waited for.
    """
    return list(accumulate(reversed(spent), min))[::-1]
