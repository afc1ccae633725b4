"""The saved position of one connection's object. It commits in the same transaction as the data it stands for."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sync_pipelines.model.flow import PageToken


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A read under way. A run that finds one goes on from `resume` with the same bounds.

    `id` names this read; for a full one the ids seen so far are kept under it. All times are the vendor's clock.
    """

    id: str
    full: bool
    started_at: datetime
    since: datetime | None = None
    until: datetime | None = None
    resume: PageToken | None = None
    complete: bool = False
    """Everything is read and stored; for a full read only the delete by difference is left."""
    pushed: bool = False
    """The vendor applies the filter: what it does not show may exist and not fit."""
    rejected: int = 0
    """Records of this read that were refused: any row that was not seen may be one of them, so none is deleted."""

    def anew(self) -> "Reading":
        """The same read from its beginning: under a new id, as ids seen by half a read must not count for a whole."""
        return replace(self, id=uuid.uuid4().hex, resume=None, complete=False, rejected=0)


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """Columns of stored rows that are being made anew: done up to and with the id `after` (None: not begun).

    `columns` are of no one version of the mapping meanwhile. `target`: the fingerprint that the rows will have.
    """

    columns: tuple[str, ...]
    target: str
    after: str | None = None


@dataclass(frozen=True, kw_only=True)
class FormulaReading:
    """A refresh of formula fields under way: since when, by the vendor's clock, and where to go on."""

    started_at: datetime
    resume: PageToken | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """`read_until`: every change visible at the vendor before then is in the destination.

    `fingerprint`: what decided the columns (rules, schema, options). `ground` is the part of it that is no column's
    own, `mapped` has the parts of the single columns that are mapped (None: stored before these were kept apart).
    `seed` goes into the rows' hashes; empty: the fingerprint. It stays when columns are made anew of stored rows, as
    hashes do. `backfills` counts those, so that no seed comes twice.
    `selection`: filter and history that decided which records are there; another one asks for a full read too.
    `began_at`: a time of the vendor's clock; what changed from then on is wanted whatever the history says.
    `formulas_at`: when formula fields were last read apart; `formulas`: doing so at the moment.
    `version` counts commits and fences: a writer whose number is behind loses.
    """

    read_until: datetime | None = None
    reading: Reading | None = None
    full_at: datetime | None = None
    incrementals: int = 0
    fingerprint: str = ""
    ground: str = ""
    mapped: Mapping[str, str] | None = None
    seed: str = ""
    backfill: Backfill | None = None
    backfills: int = 0
    formulas_at: datetime | None = None
    formulas: FormulaReading | None = None
    account_id: str | None = None
    selection: str = ""
    began_at: datetime | None = None
    version: int = 0

    @property
    def rules(self) -> tuple[object, ...]:
        """What decides how rows are made and which of them are there: equal as long as none of it changes."""
        return self.account_id, self.fingerprint, self.seed, self.backfill, self.backfills, self.selection
