"""A place where customers' copies land: the few calls that each one answers."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.failed_value import FailedCount, FailedPlace, FailedValue
from sync_pipelines.model.record_log import RecordLog
from sync_pipelines.model.run import Counts

Observer: TypeAlias = Callable[[str], None]
"""Called with the name of each step as it is passed: progress for people, crash points for tests."""

Row: TypeAlias = tuple[Any, ...]
"""(hash, errors, merged_into, then one value for each of the table's columns in their order).

hash: int, signed 64 bits. errors: JSON bytes or None. merged_into: id or None.
Values by column type: text str; numeric Decimal; bigint int; boolean bool; timestamptz aware datetime; date date;
jsonb JSON as bytes (valid UTF-8, no NUL, no lone surrogate); None anywhere but in `id`.
"""

ROW_HEAD = 3
"""How many values stand before the columns in a Row."""

Columns: TypeAlias = Sequence[Sequence[Any]]
"""Rows the other way round: for every position in a Row the values of all rows."""


METADATA: Final[Mapping[str, str]] = {
    "application_id": "text",
    "customer_id": "text",
    "provider_name": "text",
    "emitted_at": "timestamptz",
    "run_id": "text",
    "hash": "bigint",
    "errors": "jsonb",
    "merged_into": "text",
}
"""Metadata columns without their prefix, in their order before the columns of the table."""


class Batch(Protocol):
    """Rows to load, each id once. Columns are made when they are asked for: most rows turn out to be stored already."""

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def hashes(self) -> Sequence[int]:
        """Equal hashes of one id mean equal rows. The reverse need not hold."""
        ...

    def columns(self, places: Sequence[int]) -> Columns:
        """Of the rows at these places among the ids, in the order of the places."""
        ...


class ReadyRows:
    """A Batch of rows that are at hand."""

    def __init__(self, rows: Sequence[Row], id_at: int = ROW_HEAD) -> None:
        self._rows = rows
        self.ids: list[str] = [row[id_at] for row in rows]
        self.hashes: list[int] = [row[0] for row in rows]

    def columns(self, places: Sequence[int]) -> Columns:
        return list(zip(*(self._rows[place] for place in places), strict=True))


NO_ROWS = ReadyRows(())


class PartOf:
    """Some rows of a Batch, by their places."""

    def __init__(self, batch: Batch, places: Sequence[int]) -> None:
        self._batch = batch
        self._places = places
        self.ids: Sequence[str] = [batch.ids[place] for place in places]
        self.hashes: Sequence[int] = [batch.hashes[place] for place in places]

    def columns(self, places: Sequence[int]) -> Columns:
        return self._batch.columns([self._places[place] for place in places])


class StoredRecord(NamedTuple):
    """What a row keeps of its record. `raw`: the row's raw_data as JSON; None where the row has none."""

    id: str
    deleted: bool
    raw: bytes | None


@dataclass(frozen=True, kw_only=True)
class StoredRow:
    """One record's row as it is stored. `values`: by column, as in a Row but for jsonb, which is decoded; a column that
    the table does not have yet is left out. `errors`: by column, see FailedValue.

    `removed`: the row says that its record is gone for good, and holds nothing else.
    """

    emitted_at: datetime | None
    run_id: str | None
    errors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    merged_into: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    removed: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a destination holds of one record: its row, None where there is none, and the position of its scope.

    `remade`: see Landing.
    """

    checkpoint: Checkpoint | None = None
    row: StoredRow | None = None
    remade: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose rows are written: no statement goes without all of it."""

    application_id: str
    provider: str
    customer_id: str
    sync: str
    object: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """`columns` always hold id, is_deleted and last_modified_at. Metadata columns come by themselves, before them.

    `grouped_by`: a column that tells which rows were told together (see Landing.load); their ids begin with its value
    and a colon, so that a destination can find them by either.
    `volatile`: keys of raw_data's object at `volatile_at` that change on every read; a row is not rewritten for them.
    `append`: rows are only added. One that is stored is never changed, marked or removed, whatever is loaded.
    """

    name: str
    columns: tuple[Column, ...]
    metadata_prefix: str = "_sync_"
    grouped_by: str | None = None
    volatile: tuple[str, ...] = ()
    volatile_at: tuple[str, ...] = ()
    append: bool = False

    def position(self, column: str) -> int:
        """Where a column's value stands in a Row."""
        return ROW_HEAD + [known.name for known in self.columns].index(column)


class Landing(Protocol):
    """One scope's open place in one table. Every call is one transaction: all of it or nothing."""

    checkpoint: Checkpoint | None
    """As read when it was opened, and after each call as stored by it."""
    remade: Mapping[str, int]
    """Columns that were made anew in place of others of their names, and a number that no other one of that name has.
    They are empty until the stored records, or all that the vendor has, are mapped again."""

    def log_changes(self, log: RecordLog) -> None:
        """From now on tell this log what `load` and `delete_unseen` do to single rows, once it is committed."""
        ...

    def load(
        self,
        batch: Batch,
        checkpoint: Checkpoint,
        *,
        merged: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
        regrouped: Sequence[str] = (),
        gone: Sequence[str] = (),
        passed: Sequence[str] = (),
    ) -> Counts:
        """Upsert rows and store the checkpoint, together. Counts.invalid: misfits in rows that were left as they are.

        While `checkpoint.reading` is a full read, also remember the ids as seen in it. A row whose hash is stored
        already, or whose whole content is, is left alone; an older last_modified_at never replaces a newer one (all of
        these count as unchanged). RefusedValue when the destination cannot hold a value of the batch.
        `merged`: (losing id, surviving id) pairs told by the survivor. `removed`: ids whose rows go for good (mirror
        mode, where the vendor says that the record is deleted, and records that left a filter). `regrouped`: values of
        the table's `grouped_by`; rows that have one of these and are not in the batch go for good. `gone`: ids whose
        rows, where there are any, become deleted ones; the next version of such a record makes the row live again.
        `passed`: ids that count as seen although nothing is loaded of them. LeaseLost when the stored version is not
        the one we last saw. Into a table that is `append`, rows with new ids are added; all others count as unchanged,
        their misfits as invalid, and `merged`, `removed`, `regrouped` and `gone` do nothing.
        """
        ...

    def amend(
        self,
        batch: Batch,
        *,
        merged: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
        regrouped: Sequence[str] = (),
        gone: Sequence[str] = (),
    ) -> Counts:
        """As `load`, for single records that are looked at beside whoever reads the scope: the position stays.

        What is amended is noted until a read ends that began later. A full read that is under way takes it for seen,
        and a `load` of a landing that was opened before leaves it alone (it counts as unchanged): its page may be the
        older one. DestinationBusy where rows are made by other rules by now than when this landing was opened, or
        where nothing has been loaded yet.
        """
        ...

    def delete_unseen(self, checkpoint: Checkpoint, *, hard: bool, brake: float) -> int:
        """After a complete full read: delete this scope's rows whose ids were not seen in it, store the checkpoint.

        Soft sets is_deleted; hard removes (soft-deleted rows too). DeleteBrake, and nothing changes, when more than
        `brake` of the rows that are not yet deleted would go. Must be called with the reading's checkpoint stored.
        ValueError without one, and of a table that is `append`.
        """
        ...

    def stored(self, after: str | None, limit: int) -> list[StoredRecord]:
        """The next rows of this scope behind the id `after` (None: the first ones), deleted ones too; none: the end.

        At most `limit`, in the destination's own order of ids, which is the same at every call. For tables that have
        the column raw_data; changes nothing.
        """
        ...

    def remap(
        self, batch: Batch, columns: Sequence[str], checkpoint: Checkpoint, *, dropped: Sequence[str] = ()
    ) -> Counts:
        """Set these columns of rows that are there, and store the checkpoint, together.

        The batch's rows hold the head of a Row and then one value for each of `columns`, in their order. The named
        columns are set; in a row's errors, those under the named columns are replaced by the batch's and all others
        stay (no error left: null). All else keeps its bytes, the hash too, as it stands for the record's text, which
        is the same; where raw_data is among the columns, the hash is the batch's. A row in which nothing differs is
        left alone and counts as unchanged, as one that is not there does; the others count as updated and learn run id
        and time. `dropped`: columns that the table no longer has; their errors go.

        Whatever `checkpoint.reading` is stays with the ids it has seen. LeaseLost as in `load`, which also keeps a row
        that another run has written since `stored` from being set to what it was. DestinationBusy where one of these
        rows was amended since this landing was opened.
        """
        ...

    def outdated(self, patches: Mapping[str, bytes]) -> list[StoredRecord]:
        """Of the rows with these ids, those whose raw_data does not hold what its patch holds, with their records.

        A patch is JSON; an object holds another one if it has all of its keys with values that hold theirs. Deleted
        rows and rows without raw_data are left out. Changes nothing.
        """
        ...

    def sample(self, limit: int) -> tuple[list[str], list[Row]]:
        """Column names and the most recently emitted rows of this scope, for a person to look at."""
        ...


class Destination(Protocol):
    """Where rows go. Errors: DestinationBusy (comes back by itself) or DestinationError (a person must act)."""

    name: str
    where: Hashable
    """Equal for destinations whose customers share their tables."""

    def check(self) -> None:
        """Can we connect, and create tables? Raises with what to do if not."""
        ...

    def open(self, scope: Scope, table: Table, run_id: str, observe: Observer) -> AbstractContextManager[Landing]:
        """Create or alter the table to have these columns, and open this scope in it."""
        ...

    def stocks(self, scopes: Sequence[Scope], table: Table, lately: timedelta) -> list[Stock]:
        """How many rows each of these scopes has here, in their order; makes nothing, and counts all in one go.

        The scopes differ in their customer alone. `lately` goes before each scope's own `read_until`.
        """
        ...

    def failed(
        self, scopes: Sequence[Scope], table: Table, *, after: FailedPlace | None = None, limit: int = 100
    ) -> list[FailedValue]:
        """Values of these scopes' rows that did not fit, as the rows' errors keep them, by customer, id and column.

        Rows that are deleted are left out. At most `limit` of them, those behind `after`. The scopes differ in their
        customer alone. Makes nothing; a place without the table has none.
        """
        ...

    def failed_counts(self, scopes: Sequence[Scope], table: Table) -> list[FailedCount]:
        """How many there are of `failed` for each customer, column and reason, by these, the most first."""
        ...

    def of_customer(
        self, application_id: str, customer_id: str, provider: str | None = None, *, remove: bool = False
    ) -> Mapping[str, int]:
        """By table, how many rows the customer has here, whichever sync wrote them, positions and all that is kept
        besides; `remove`: how many it had, and none is left. `provider`: only what came from there.

        Nobody may be writing for the customer meanwhile. Ended half-way, the next one removes the rest. MissingDatabase
        where the place itself is not there.
        """
        ...

    def find(self, scope: Scope, table: Table, id: str) -> Found:
        """One record's row, and the scope's position. Makes nothing; a place without the table has no row."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """Files that were merged into fewer ones, and files that were removed because nobody needs them any more."""

    merged: int = 0
    removed: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(merged=self.merged + other.merged, removed=self.removed + other.removed)


@runtime_checkable
class Compacts(Protocol):
    """A Destination that is made of files, which become many."""

    def compact(self, scope: Scope, table: Table) -> Compacted:
        """Merge what can be merged and remove what is no longer needed. Runs may write at the same time."""
        ...
