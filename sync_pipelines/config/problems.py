"""What is wrong with a configuration: where, what, and what to do about it; all of it at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from sync_pipelines.model.errors import ConfigurationError


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake. `line` and `column` count from 1; 0 where the whole file or no file is meant."""

    file: str
    line: int
    field: str
    message: str
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class ConfigurationProblems(ConfigurationError):
    """Every problem of every file, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"The configuration has {count}:\n{lines}")


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` when one of the known words is close, else nothing."""
    words = {word.casefold(): word for word in known}
    close = difflib.get_close_matches(written.casefold(), words, n=1, cutoff=0.6)
    return f' Did you mean "{words[close[0]]}"?' if close else ""


def listed(words: Iterable[str]) -> str:
    """Words for a person to choose from, or `(none)`."""
    return ", ".join(sorted(words)) or "(none)"
