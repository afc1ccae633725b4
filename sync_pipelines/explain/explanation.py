"""The answer to "why is this value there?", as one value that people and programs read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sync_pipelines.engine.tracing import TracedRule, TracedValue
from sync_pipelines.model.run import Counts

LIVE: Final = "live"
DELETED: Final = "deleted"
REMOVED: Final = "removed"
MISSING: Final = "missing"

STORED: Final = "stored record"
VENDOR: Final = "vendor"

SAME: Final = "same"
DIFFERS: Final = "differs"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True)
class WrittenBy:
    """The run that wrote the row last. `known` False: the store has forgotten it, and the row alone tells of it."""

    run_id: str | None
    at: datetime | None
    known: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    status: str | None = None
    full: bool | None = None
    counts: Counts | None = None


@dataclass(frozen=True, kw_only=True)
class RowState:
    """`state`: live, deleted (the row is there and marked), removed or missing. `reason` is a word for programs."""

    state: str
    reason: str
    message: str
    merged_into: str | None = None


@dataclass(frozen=True, kw_only=True)
class MappingVersion:
    """A version of the customer's mapping; 0: the customer has mapped nothing."""

    version: int
    actor: str = ""
    saved_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainedRule:
    """A rule of the column, and whose it is.

    `by`: customer, developer (a default of the custom schema), locked (a default that customers cannot change), same
    name (nobody mapped it, and the account has a field of that name), common model, record (the vendor's own id and
    times), or nobody.
    """

    by: str
    rule: TracedRule


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """What the row keeps of a value that did not fit. `value` None: nothing, or not to be told."""

    field: str
    value: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Whether the rules of now give what is stored: same, differs or unknown. `reason` is a word for programs."""

    result: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the vendor says now. `there`: it shows the record. `made`: what a sync would store of it."""

    asked_at: datetime
    there: bool
    values: tuple[TracedValue, ...] = ()
    made: Any = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One cell, or the row of a record where no column was named.

    `source`: where the vendor's values come from, `stored record` or `vendor`; None where neither had them. `made`:
    what the rules of now give of them. `mapping`: in effect now; `written_with`: when the row was written.
    """

    sync: str
    object: str
    provider: str
    customer_id: str
    table: str
    id: str
    column: str | None
    type: str | None = None
    row: RowState
    written: WrittenBy | None = None
    stored: Any = None
    misfit: Misfit | None = None
    source: str | None = None
    rules: tuple[ExplainedRule, ...] = ()
    made: Any = None
    problem: str | None = None
    mapping: MappingVersion | None = None
    written_with: MappingVersion | None = None
    agreement: Agreement | None = None
    live: Live | None = None
    notices: tuple[str, ...] = ()
