"""A plan: what would change, what it rests on, and a digest of both. Immutable; kept as a JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from sync_pipelines.config.snapshot import digest_of
from sync_pipelines.model.errors import ConfigurationError

FORMAT: Final = 2

_NO_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)

CREATED, REMOVED, RENAMED, CHANGED, RECORDED = "created", "removed", "renamed", "changed", "recorded"
"""`recorded`: it works already and is in no version yet."""

CREATE, ALTER, BLOCKED = "create", "alter", "blocked"

FIRST_READ, FULL_READ, REMAP = "first read", "full read", "remap"

MIRRORING, FOLLOWING, LEAVING, LINKS, BRAKE = "mirror", "mode", "filter", "associations", "delete_brake"
"""The setting because of which rows go. `mode`: rows that were only added follow their records from now on."""

NEXT_RUN, NEXT_FULL_READ, WHEN_ASKED = "next run", "next full read", "full read that is asked for"
"""`full read that is asked for`: none comes by itself."""


@dataclass(frozen=True, kw_only=True)
class FieldDifference:
    """One setting, by its path in the document. None: it is not written, so that its default holds."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class DocumentChange:
    """`kind`: provider, destination or sync. `action`: one of those above. `was`: the name before, of what is renamed.

    `customers`: how many are covered by it.
    """

    kind: str
    name: str
    action: str
    was: str | None = None
    fields: tuple[FieldDifference, ...] = ()
    customers: int = 0


@dataclass(frozen=True, kw_only=True)
class TableChange:
    """A table in all the schemas in which the same has to be done to it.

    `added` and `retyped` ([type now, type then]) by column. `renamed`: columns that move aside for their new type, or
    back. `statements` are those of the first schema; none where the next load makes what is missing. `rows`: how many
    the table has where a type changes in place, which writes each of them anew.
    """

    destination: str
    database: str
    schemas: tuple[str, ...]
    table: str
    action: str
    added: Mapping[str, str] = field(default_factory=dict)
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    problem: str | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleChange:
    """`customers`: those whose next time changes."""

    sync: str
    old: str
    new: str
    customers: int


@dataclass(frozen=True, kw_only=True)
class Read:
    """Customers whose object is read in full or made anew of what is stored (`remap`: `columns` only).

    `left`: columns that are not filled any more; of their rows only the notes of what did not fit in them go.
    `caused`: by this change. Others wait already, because of a mapping or a change that runs have met.
    `sure`: only the account could say more, where this is False it may turn out to be less. `rows`: as stored now.
    """

    sync: str
    object: str
    table: str
    kind: str
    customers: tuple[str, ...]
    columns: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    caused: bool = True
    sure: bool = True
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stays:
    """What nobody writes any more and what is left as it is. `columns` empty: all of the rows.

    `rows`: all that the customers have in the table; None where it cannot be asked.
    """

    what: str
    table: str
    columns: tuple[str, ...] = ()
    customers: int | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Removal:
    """Rows that runs take away, or mark as deleted, because of a change.

    `fate`: DELETE or MARK of model.filter. `why` and `by` (which run does it): of those above. `known`: rows that go
    unless the account has their records again. `most`: never more than these, those known included; only the accounts
    can tell how many. `caused`: see Read.
    """

    sync: str
    object: str
    table: str
    customers: tuple[str, ...]
    fate: str
    why: tuple[str, ...]
    by: str
    caused: bool = True
    known: int = 0
    most: int = 0


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a plan rests on, each part as a digest: if one is another, the plan is of another world.

    `made_at` is the store's clock.
    """

    made_at: datetime
    configuration: str
    in_effect: int
    tables: Mapping[str, str] = field(default_factory=dict)
    positions: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`only`: the syncs that it is about; empty: all. `problems` keep it from being applied, `notices` do not."""

    format: int = FORMAT
    actor: str
    only: tuple[str, ...] = ()
    basis: Basis
    documents: tuple[DocumentChange, ...] = ()
    tables: tuple[TableChange, ...] = ()
    schedules: tuple[ScheduleChange, ...] = ()
    reads: tuple[Read, ...] = ()
    removals: tuple[Removal, ...] = ()
    stays: tuple[Stays, ...] = ()
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    digest: str = ""

    @property
    def changes(self) -> bool:
        """Whether applying it would do anything."""
        tables = any(each.statements or each.problem for each in self.tables)
        return bool(self.documents or tables or self.schedules or any(each.caused for each in self.reads))

    def sealed(self) -> "Plan":
        """The plan with its digest."""
        return replace(self, digest=self.computed())

    def computed(self) -> str:
        """A digest of all that must not move: not of who made it and when, nor of counts of rows."""
        basis = replace(self.basis, made_at=_NO_TIME)
        still = replace(
            self,
            actor="",
            digest="",
            basis=basis,
            notices=(),
            tables=tuple(replace(each, rows=None) for each in self.tables),
            reads=tuple(replace(each, rows=None) for each in self.reads),
            removals=tuple(replace(each, known=0, most=0) for each in self.removals),
            stays=tuple(replace(each, rows=None, customers=None) for each in self.stays),
        )
        return digest_of(still)

    def json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self))


def plan_from(text: bytes) -> Plan:
    """A plan as `Plan.json` wrote it. ConfigurationError for what is none, or was changed since."""
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ConfigurationError(
            f"This is not a plan ({problem}): make one with `sync-pipelines plan --out FILE`."
        ) from problem
    if plan.format != FORMAT:
        raise ConfigurationError("This plan was made by another version of sync_pipelines: make it again.")
    if plan.digest != plan.computed():
        raise ConfigurationError("This plan was changed after it was made: make it again with `sync-pipelines plan`.")
    return plan
