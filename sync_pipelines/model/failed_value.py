"""A value that did not fit its column: the row is there, the column is null, and this is kept beside it."""

from dataclasses import dataclass
from typing import NamedTuple


class FailedPlace(NamedTuple):
    """Where a failed value stands among those of a table."""

    customer_id: str
    id: str
    column: str


@dataclass(frozen=True, kw_only=True)
class FailedValue:
    """`field`: the vendor's fields that the column is made of. `value`: the beginning of its text, None for nothing."""

    customer_id: str
    id: str
    column: str
    field: str
    value: str | None
    reason: str

    @property
    def place(self) -> FailedPlace:
        return FailedPlace(self.customer_id, self.id, self.column)


@dataclass(frozen=True, kw_only=True)
class FailedCount:
    """How many rows of a customer have one reason in one column."""

    customer_id: str
    column: str
    field: str
    reason: str
    rows: int
