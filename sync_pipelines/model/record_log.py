"""What a run did to single records, as far as a sync wants to know it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sync_pipelines.model.secret import MASK

OFF: Final = "off"
CHANGES: Final = "changes"

CREATED: Final = "created"
UPDATED: Final = "updated"
DELETED: Final = "deleted"

UNLOGGED: Final = ("id", "raw_data")
"""Columns of which nothing is told: the id stands beside, and the whole record says nothing of what changed in it."""

MOST: Final = 1_000
"""Records of one run, object and customer. What is more is counted, and said."""

LONGEST_VALUE: Final = 1_000
"""Characters of a text that are kept."""


@dataclass(frozen=True, kw_only=True)
class RecordChange:
    """One record's row. `fields`: of an updated one, by column what it held and what it holds (JSON values)."""

    record: str
    operation: str
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    message: str = ""


class RecordLog:
    """Gathers what one run does to one customer's object, up to MOST records. Used by one thread at a time.

    `hidden`: columns of which it is told that they changed, and nothing else. `values` False: all of them.
    """

    def __init__(self, hidden: Collection[str] = (), *, values: bool = True, most: int = MOST) -> None:
        self._hidden = frozenset(hidden)
        self._values = values
        self._most = most
        self.changes: list[RecordChange] = []
        self.left_out = 0

    @property
    def room(self) -> int:
        """How many more it takes."""
        return max(0, self._most - len(self.changes))

    def apart(self) -> "RecordLog":
        """One to be told of what may not come about; `join` it when it has."""
        return RecordLog(self._hidden, values=self._values, most=self.room)

    def join(self, other: "RecordLog") -> None:
        self.changes += other.changes
        self.left_out += other.left_out

    def add(self, changes: Iterable[RecordChange]) -> None:
        for each in changes:
            if self.room:
                self.changes.append(self._told(each))
            else:
                self.left_out += 1

    def add_ids(self, operation: str, ids: Sequence[str], message: str = "") -> None:
        self.left_out += max(0, len(ids) - self.room)
        self.add(RecordChange(record=id, operation=operation, message=message) for id in ids[: self.room])

    def _told(self, change: RecordChange) -> RecordChange:
        fields = {name: self._pair(name, *pair) for name, pair in change.fields.items()}
        return RecordChange(record=change.record, operation=change.operation, fields=fields, message=change.message)

    def _pair(self, name: str, old: Any, new: Any) -> tuple[Any, Any]:
        if not self._values or name in self._hidden:
            return MASK, MASK
        return _cut(old), _cut(new)


def _cut(value: Any) -> Any:
    return f"{value[:LONGEST_VALUE]}…" if isinstance(value, str) and len(value) > LONGEST_VALUE else value
