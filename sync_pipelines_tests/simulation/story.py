"""What happened in one life: told to people, and compared when a seed is lived through twice."""

from collections import Counter
from dataclasses import dataclass, field


class Broken(BaseException):
    """A promise was broken. Not an Exception, which the engine would take for trouble of its own."""


class PowerCut(BaseException):
    """The process ends here."""


@dataclass
class Story:
    """`lines` and `requests` hold nothing that differs when the seed is the same. `counts`: how often what happened."""

    seed: int
    shaped: bool = False
    lines: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    depth: int = 0
    broken: str = ""
    seconds: float = 0.0
    cpu: float = 0.0

    def tell(self, text):
        self.lines.append("    " * self.depth + text)

    def act(self, kind, text):
        """An action of the schedule, counted by its kind."""
        self.counts[kind] += 1
        self.counts["actions"] += 1
        self.tell(text)

    @property
    def trace(self):
        return (*self.lines, *self.requests, self.broken)

    def told(self):
        """For a person who has to find out why."""
        head = f"Seed {self.seed}" + (f": BROKEN\n  {self.broken}" if self.broken else "")
        again = f"Again: make simulate SEED={self.seed}{' SHAPED=yes' if self.shaped else ''}"
        return "\n".join((head, *(f"  {line}" for line in self.lines), again))


def outcome(run):
    if run is None:
        return "and the process is gone"
    counts = run.counts
    numbers = {name: getattr(counts, name) for name in counts.__dataclass_fields__ if getattr(counts, name)}
    told = " ".join(f"{name} {number}" for name, number in numbers.items()) or "nothing read"
    problem = f" ({run.error_type}: {run.error_message})" if run.error_message else ""
    return f"{run.status}{' full' if run.full else ''}: {told}{problem}"
