"""What a destination holds at the moment, of many customers at once: for plans, which look and change nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Table


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where rows of some customers land. Customers of one place share its tables."""

    destination: str
    database: str
    schema: str

    def __str__(self) -> str:
        return f"{self.destination} {'.'.join(filter(None, (self.database, self.schema)))}"


@dataclass(frozen=True, kw_only=True)
class TableLook:
    """A table as it is found, and what has to be done so that it can be written to.

    `found`: its columns' types by name, in the destination's words; None when there is no such table. `added`,
    `retyped` ({column: (type now, type then)}) and `renamed` (columns that move aside for their new type, or back) are
    what `statements` do to it; without statements the next load does it. `left`: columns of it that nobody fills.
    `remade`: see model.destination.Landing. `problem`: why it cannot be made ready.
    """

    name: str
    found: Mapping[str, str] | None
    added: Mapping[str, str] = field(default_factory=dict)
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    remade: Mapping[str, int] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where one customer's object of a sync stands, in one schema.

    `remade`: columns of the customer's own files, see model.destination.Landing; None where the table is everybody's.
    """

    schema: str
    sync: str
    object: str
    customer_id: str
    checkpoint: Checkpoint
    remade: Mapping[str, int] | None = None


class Survey(Protocol):
    """One database of a destination, or its bucket or folder, where a schema is a prefix.

    A database is asked by a few statements, however many customers there are; of files each manifest is read, once.
    """

    def tables(self, wanted: Mapping[str, Sequence[Table]]) -> dict[str, list[TableLook]]:
        """By schema, a look for each of the tables wanted there, in their order."""
        ...

    def positions(self, schemas: Sequence[str], application_id: str, syncs: Sequence[str]) -> list[Position]:
        """All stored positions of these syncs."""
        ...

    def rows(
        self, schema: str, table: Table, application_id: str, *, deleted: bool = False
    ) -> dict[tuple[str, str], int]:
        """How many rows each (provider, customer) has in a table; none when there is no such table.

        `deleted`: only those that are marked as deleted.
        """
        ...

    def make_ready(self, schema: str, table: Table) -> None:
        """Create or alter the table, exactly as a run would."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
