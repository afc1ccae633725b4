"""A mapping changed: the columns that it changed are made anew, of the records as they are stored.

The vendor is not asked, other columns keep their bytes, and rows of other customers are not touched. Only where the
stored records do not hold what the new rules want, or are not stored, is everything read again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from sync_pipelines.engine.chunk import TextBatch
from sync_pipelines.engine.cleaning import decode_record
from sync_pipelines.engine.extracting import at_path
from sync_pipelines.engine.layout import ADDITIONAL_COLUMN, RAW_COLUMN, FieldPlan, Marks, returned
from sync_pipelines.engine.mapping import RecordMapper
from sync_pipelines.engine.some_columns import SomeColumns, ruled_mapper
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.checkpoint import Backfill, Checkpoint
from sync_pipelines.model.destination import Landing, Observer, StoredRecord, Table
from sync_pipelines.model.provider import CrmObject, ObjectSchema
from sync_pipelines.model.run import Counts
from sync_pipelines.model.secret import Secret

BACKFILL_ROWS: Final = 500
"""Rows of one transaction. Few, as records may be wide, and what was done before a crash is not done again."""

_STANDS: Final = (
    "The mapping, the columns or the mode has changed. In append mode the rows that are stored stay as they are; "
    "records that are added from now on follow the change. To change stored rows too, set the mode to upsert or mirror."
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a change of schema or mapping asks for. `columns`: to be made anew, those included that are no more.

    `rechosen`: the full read is because other records are chosen.
    """

    full_read: bool = False
    columns: frozenset[str] = frozenset()
    rechosen: bool = field(default=False, compare=False)

    def __bool__(self) -> bool:
        return self.full_read or bool(self.columns)


def change_of(known: Checkpoint, marks: Marks, *, keeps_records: bool) -> Change:
    """From what the stored rows were mapped with to what they are to be mapped with now.

    `keeps_records`: whether the table holds every record as the vendor gave it.
    """
    if not known.fingerprint:
        return Change()
    full_read = Change(full_read=True)
    if returned(known.fingerprint, marks.fingerprint):
        return full_read
    if known.mapped is None:
        same = known.fingerprint.partition("|")[0] == marks.fingerprint.partition("|")[0]
        return Change() if same else full_read
    if known.ground != marks.ground:
        return full_read
    names = known.mapped.keys() | marks.mapped.keys()
    columns = {name for name in names if known.mapped.get(name) != marks.mapped.get(name)}
    columns.update(known.backfill.columns if known.backfill else ())
    return full_read if columns and not keeps_records else Change(columns=frozenset(columns))


def marked(known: Checkpoint, marks: Marks, *, reread: bool) -> Checkpoint:
    """The checkpoint for rows that are read by these marks from now on. `reread`: every row is to be made anew.

    No seed comes back after a backfill: hashes of rows that it made would be taken for those of others.
    """
    seed = known.seed
    if reread or known.fingerprint != marks.fingerprint:
        seed = f"{marks.fingerprint}#{known.backfills}" if known.backfills else ""
    return replace(
        known, fingerprint=marks.fingerprint, ground=marks.ground, mapped=marks.mapped, seed=seed, backfill=None
    )


@dataclass(frozen=True, kw_only=True)
class Refill:
    """Columns of one scope's stored rows, made anew."""

    landing: Landing
    table: Table
    crm_object: CrmObject
    schema: ObjectSchema
    plan: FieldPlan
    marks: Marks
    columns: frozenset[str] = frozenset()
    hash_key: Secret | None = None
    rows: int = BACKFILL_ROWS

    def run(
        self, known: Checkpoint, observe: Observer, check_stop: Callable[[], None], count: Callable[[Counts], None]
    ) -> bool:
        """From where an earlier run stopped to the end; False when records turn out to lack what is wanted.

        The landing's checkpoint then tells how far it came. `count` is told of every page: rows that changed, rows that
        did not, values that do not fit.
        """
        present = [column for column in self.table.columns if column.name in self.columns]
        names = [column.name for column in present]
        dropped = sorted(self.columns.difference(names))
        some = RecordMapper(
            self.crm_object,
            self.schema,
            present,
            common=False,
            custom=[item for item in self.plan.custom if item.column in self.columns],
            additional=self.plan.additional if ADDITIONAL_COLUMN.name in names else None,
            hash_key=self.hash_key,
        )
        mapper = SomeColumns(some, ruled_mapper(self.table, self.crm_object, self.schema, self.plan, self.hash_key))
        needed = {name for column in names for name in self.plan.needs.get(column, ())}
        holds = _holds(self.crm_object.shape.fields, sorted(needed))
        after, known = self._begin(known)
        while True:
            check_stop()
            found = self.landing.stored(after, self.rows)
            if not all(record.deleted or (record.raw is not None and holds(record.raw)) for record in found):
                return False
            after = found[-1].id if found else after
            finished = len(found) < self.rows
            batch = _batch(mapper, [record for record in found if record.raw is not None])
            observe("backfill.ready")
            counts = self.landing.remap(
                batch, names, self._finished(known) if finished else self._at(known, after), dropped=dropped
            )
            count(counts + Counts(invalid=batch.misfits))
            observe("backfill.stored")
            if finished:
                return True

    def _begin(self, known: Checkpoint) -> tuple[str | None, Checkpoint]:
        under_way = known.backfill
        if (
            under_way is not None
            and under_way.target == self.marks.fingerprint
            and under_way.columns == tuple(sorted(self.columns))
        ):
            return under_way.after, known
        return None, replace(known, backfills=known.backfills + 1)

    def _at(self, known: Checkpoint, after: str | None) -> Checkpoint:
        columns = tuple(sorted(self.columns))
        return replace(known, backfill=Backfill(columns=columns, target=self.marks.fingerprint, after=after))

    def _finished(self, known: Checkpoint) -> Checkpoint:
        seed = known.seed or known.fingerprint
        done = marked(known, self.marks, reread=False)
        return replace(done, seed="" if seed == done.fingerprint else seed)


def follow(
    refill: Refill, known: Checkpoint, check_stop: Callable[[], None], tally: Tally, observe: Observer
) -> tuple[Checkpoint, bool]:
    """Stored rows follow a change of schema and mapping: the position to go on from, and whether all is to be read."""
    change = change_of(known, refill.marks, keeps_records=keeps_records(refill.table))
    if change and refill.table.append:
        tally.notice(_STANDS)
        return marked(known, refill.marks, reread=False), False
    if not change.columns:
        return known, change.full_read
    done = _refilled(replace(refill, columns=change.columns), known, check_stop, tally, observe)
    return refill.landing.checkpoint or known, not done


def _refilled(
    refill: Refill, known: Checkpoint, check_stop: Callable[[], None], tally: Tally, observe: Observer
) -> bool:
    """Whether the changed columns could be made anew of what is stored."""
    told = Counts()

    def count(counts: Counts) -> None:
        nonlocal told
        told += counts
        tally.counts += replace(counts, unchanged=0)

    done = refill.run(known, observe, check_stop, count)
    names = ", ".join(sorted(refill.columns))
    if done:
        tally.notice(
            f"The rules of {names} changed: made anew for {told.updated + told.unchanged} stored records, of which "
            f"{told.updated} changed."
        )
    else:
        tally.notice(
            f"The rules of {names} changed, and the stored records do not hold all that they want: everything is read "
            "again."
        )
    return done


def _batch(mapper: SomeColumns, records: Sequence[StoredRecord]) -> TextBatch:
    texts = [record.raw for record in records if record.raw is not None]
    return TextBatch(mapper, [record.id for record in records], [0] * len(texts), texts)


def keeps_records(table: Table) -> bool:
    return any(column.name == RAW_COLUMN.name for column in table.columns)


def _holds(way: Sequence[str], names: Sequence[str]) -> Callable[[bytes], bool]:
    """Whether a record's text has a key for each of these fields below `way`, be it null.

    A record that was read before a field was there, or was shown to us, has none.
    """
    if not names:
        return lambda text: True
    maybe: Any = msgspec.Raw | msgspec.UnsetType
    keys = [(f"f{at}", maybe, msgspec.field(default=msgspec.UNSET, name=name)) for at, name in enumerate(names)]
    try:
        shape: Any = msgspec.defstruct("Fields", keys)
        for step in reversed(way):
            shape = msgspec.defstruct("Way", [("f0", shape, msgspec.field(default_factory=shape, name=step))])
        decode = msgspec.json.Decoder(shape).decode
    except ValueError:
        return lambda text: _holds_all(decode_record(text)[0], way, names)

    def holds(text: bytes) -> bool:
        try:
            found = decode(text)
        except msgspec.ValidationError:
            return False
        for _ in way:
            found = found.f0
        return msgspec.UNSET not in msgspec.structs.astuple(found)

    return holds


def _holds_all(record: Any, way: Sequence[str], names: Sequence[str]) -> bool:
    inner = at_path(record, tuple(way))
    return isinstance(inner, dict) and all(name in inner for name in names)
