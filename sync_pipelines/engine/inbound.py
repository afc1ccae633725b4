"""One connection's object, from the vendor into the destination.

The order of things is what makes a crash harmless: a page's `resume` is stored in the same transaction as the page's
rows, bounds are frozen in the checkpoint before the first page, and nothing is deleted before a full read is complete.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from sync_pipelines.engine.ahead import read_ahead_if_long
from sync_pipelines.engine.backfill import BACKFILL_ROWS, Refill, change_of, keeps_records, marked
from sync_pipelines.engine.chunk import Chunk, ChunkPlan, TextBatch, chunks_of
from sync_pipelines.engine.keys import key_reader
from sync_pipelines.engine.layout import FieldPlan, Marks, marks_of, plan_fields, table_of
from sync_pipelines.engine.mapping import LaterMapper, RecordMapper
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import NO_ROWS, Destination, Landing, Observer, Scope, Table
from sync_pipelines.model.errors import (
    ConfigurationError,
    DeleteBrake,
    ExpiredToken,
    ProtocolError,
    RefusedValue,
    RejectRecord,
)
from sync_pipelines.model.flow import Flow, Notice, Page
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.provider import Account, CrmObject, ObjectSchema, Provider, ReadPlan
from sync_pipelines.model.run import Counts, Rejection
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import APPEND, FULL_REFRESH, MIRROR, Sync, SyncObject

KEPT_REJECTIONS: Final = 100
KEPT_NOTICES: Final = 50
_STANDS: Final = (
    "The mapping, the columns or the mode has changed. In append mode the rows that are stored stay as they are; "
    "records that are added from now on follow the change. To change stored rows too, set the mode to upsert or mirror."
)


class Vendor(Protocol):
    """What the engine needs of a vendor session."""

    notices: list[Notice]

    def ask(self, flow: Flow) -> Any: ...

    def read(self, flow: Flow) -> Iterator[Page | Notice]: ...

    def vendor_now(self) -> datetime: ...

    def check_stop(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """One connection's object of one sync, ready to be done.

    `full` forces a full read; `due_at` is when it was due; `hash_key` is the key of the transform `hash`.
    """

    sync: Sync
    declared: SyncObject
    provider: Provider
    connection: Connection
    application_id: str
    run_id: str
    mapping: FieldMapping | None = None
    full: bool = False
    chunk_rows: int = 5_000
    due_at: datetime | None = None
    hash_key: Secret | None = None

    @property
    def crm_object(self) -> CrmObject:
        return self.provider.find_object(self.declared.object)

    @property
    def scope(self) -> Scope:
        return Scope(
            application_id=self.application_id,
            provider=self.provider.name,
            customer_id=self.connection.customer_id,
            sync=self.sync.name,
            object=self.declared.object,
        )


@dataclass
class Tally:
    """What happened so far; read by the caller even when the work ends in an error."""

    counts: Counts = field(default_factory=Counts)
    full: bool = False
    account_id: str | None = None
    notices: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    def notice(self, text: str) -> None:
        if text not in self.notices and len(self.notices) < KEPT_NOTICES:
            self.notices.append(text)

    def reject(self, reason: str, record: bytes) -> None:
        self.counts += Counts(read=1, rejected=1)
        if len(self.rejections) < KEPT_REJECTIONS:
            self.rejections.append(Rejection(reason=reason, record=record[:2000].decode("utf-8", "replace")))


Describe = Callable[[CrmObject], ObjectSchema]


def sync_object(
    work: Work, vendor: Vendor, destination: Destination, tally: Tally, *, observe: Observer, describe: Describe
) -> None:
    """Do the work; `tally` tells what was done, also when an error of the tree in model.errors ends it early."""
    schema = describe(work.crm_object)
    tally.account_id = _account_id(work, vendor)
    observe("described")
    table = table_of(work.sync, work.declared, work.crm_object)
    plan = plan_fields(work.declared, work.crm_object, schema, work.provider.name, work.mapping)
    for name in plan.missing:
        tally.notice(
            f"The mapped field {name} is not in this account or not readable any more; its column stays as it is for "
            "records that do not change, and null for others. Map another field or give back the permission."
        )
    with destination.open(work.scope, table, work.run_id, observe) as landing:
        known = landing.checkpoint or Checkpoint()
        _same_account(known, tally.account_id)
        marks = marks_of(work.declared, table, plan, work.hash_key)
        refill = Refill(
            landing=landing,
            table=table,
            crm_object=work.crm_object,
            schema=schema,
            plan=plan,
            marks=marks,
            hash_key=work.hash_key,
            rows=min(BACKFILL_ROWS, work.chunk_rows),
        )
        known, reread = _follow(refill, known, vendor, tally, observe)
        checkpoint = _begin(work, known, marks, vendor, tally.account_id, reread=reread)
        chunks = _chunk_plan(work, schema, table, plan, checkpoint.seed or checkpoint.fingerprint)
        _Read(
            work=work, vendor=vendor, landing=landing, chunks=chunks, plan=plan, tally=tally, observe=observe
        ).to_the_end(checkpoint)
    for notice in vendor.notices:
        tally.notice(notice.message)


def _chunk_plan(work: Work, schema: ObjectSchema, table: Table, plan: FieldPlan, mark: str) -> ChunkPlan:
    crm_object = work.crm_object
    mapper = LaterMapper(
        lambda: RecordMapper(
            crm_object,
            schema,
            table.columns,
            common=work.declared.common_schema and crm_object.common_name is not None,
            custom=plan.custom,
            additional=plan.additional,
            hash_key=work.hash_key,
        )
    )
    # All that decides a row besides the record's text.
    seed = msgspec.json.encode((mark, schema.lookups), order="sorted").decode()
    volatile = crm_object.volatile.intersection(field.name for field in plan.fields)
    key_of = key_reader(crm_object.shape, volatile=volatile, seed=seed)
    without_deleted = work.sync.mode in (MIRROR, APPEND)
    return ChunkPlan(key_of=key_of, mapper=mapper, most_rows=work.chunk_rows, without_deleted=without_deleted)


def _account_id(work: Work, vendor: Vendor) -> str | None:
    if work.connection.account_id is not None:
        return work.connection.account_id
    account: Account = vendor.ask(work.provider.identify())
    return account.id


def _same_account(known: Checkpoint, account_id: str | None) -> None:
    if known.account_id is not None and account_id is not None and known.account_id != account_id:
        raise ConfigurationError(
            f"This connection now leads to account {account_id}, but the stored rows came from {known.account_id}. "
            "Reconnect the former account, or connect the new one under another customer id."
        )


def _follow(
    refill: Refill, known: Checkpoint, vendor: Vendor, tally: Tally, observe: Observer
) -> tuple[Checkpoint, bool]:
    """Stored rows follow a change of schema and mapping: the position to go on from, and whether all is to be read."""
    change = change_of(known, refill.marks, keeps_records=keeps_records(refill.table))
    if change and refill.table.append:
        tally.notice(_STANDS)
        return marked(known, refill.marks, reread=False), False
    if not change.columns:
        return known, change.full_read
    done = _refilled(replace(refill, columns=change.columns), known, vendor, tally, observe)
    return refill.landing.checkpoint or known, not done


def _refilled(refill: Refill, known: Checkpoint, vendor: Vendor, tally: Tally, observe: Observer) -> bool:
    """Whether the changed columns could be made anew of what is stored."""
    told = Counts()

    def count(counts: Counts) -> None:
        nonlocal told
        told += counts
        tally.counts += replace(counts, unchanged=0)

    done = refill.run(known, observe, vendor.check_stop, count)
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


def _begin(
    work: Work, known: Checkpoint, marks: Marks, vendor: Vendor, account_id: str | None, *, reread: bool
) -> Checkpoint:
    """The checkpoint to read under: a reading that was interrupted goes on, else a new one begins.

    `reread`: stored rows are not what they should be, so everything is read.
    """
    now = vendor.vendor_now()
    checkpoint = replace(marked(known, marks, reread=reread), account_id=account_id)
    if known.reading is not None and not reread and not (work.full and not known.reading.full):
        return checkpoint
    full = work.full or reread or _full_is_due(work, known)
    since = None
    if not full and known.read_until is not None:
        since = known.read_until - (work.sync.overlap if work.sync.overlap is not None else work.provider.overlap)
    reading = Reading(id=uuid.uuid4().hex, full=full, started_at=now, since=since, until=None if full else _after(now))
    return replace(checkpoint, reading=reading)


def _after(now: datetime) -> datetime:
    """The bound of an incremental read: the second that has begun is read too, but not yet relied upon, because
    `read_until` is the moment before it."""
    return now.replace(microsecond=0) + timedelta(seconds=1)


def _full_is_due(work: Work, known: Checkpoint) -> bool:
    strategy = work.declared.strategy or work.sync.strategy
    every = work.sync.full_refresh_every
    return (
        strategy == FULL_REFRESH
        or known.read_until is None
        or work.crm_object.cursor_field is None
        or (every is not None and known.incrementals >= every)
    )


@dataclass(kw_only=True)
class _Read:
    """One reading, from its checkpoint to its end."""

    work: Work
    vendor: Vendor
    landing: Landing
    chunks: ChunkPlan
    plan: FieldPlan
    tally: Tally
    observe: Observer
    records: int = 0

    def to_the_end(self, checkpoint: Checkpoint) -> None:
        try:
            self._pages(checkpoint)
        except ExpiredToken:
            # What the vendor kept for this read is gone, so the read starts over.
            reading = checkpoint.reading
            assert reading is not None
            self.records = 0
            self.tally.notice("The vendor no longer had the interrupted read; it started over.")
            self._pages(replace(self.landing.checkpoint or checkpoint, reading=reading.anew()))

    def _pages(self, checkpoint: Checkpoint) -> None:
        reading = checkpoint.reading
        assert reading is not None
        self.tally.full = reading.full
        resumed, total, rest = reading.resume is not None, None, Chunk(self.chunks)
        if not reading.complete:
            flow = self.work.provider.read(self._read_plan(reading))
            with read_ahead_if_long(chunks_of(self.vendor.read(flow), self.chunks), _size, _is_last) as steps:
                for step in steps:
                    if isinstance(step, Notice):
                        self.tally.notice(step.message)
                        continue
                    self._count(step)
                    total = step.total if step.total is not None else total
                    if step.pages:
                        rejected = reading.rejected + len(step.refused)
                        reading = replace(reading, resume=step.resume, rejected=rejected)
                    if _is_last(step):
                        rest = step
                        continue
                    checkpoint = self._store(step, replace(checkpoint, reading=reading))
                    reading = checkpoint.reading or reading
            if not resumed and total is not None and self.records < total:
                # Were it resumed, the records that are missing would count as deleted.
                self._leave_to_the_next_run(checkpoint, reading)
                raise ProtocolError(
                    f"The vendor announced {total} records and gave {self.records}. Nothing was deleted; run the "
                    "sync again, and if it stays so ask the vendor."
                )
        self._finish(checkpoint, reading, rest)

    def _read_plan(self, reading: Reading) -> ReadPlan:
        return ReadPlan(
            object=self.work.crm_object,
            fields=self.plan.fields,
            since=reading.since,
            until=reading.until,
            resume=reading.resume,
            bulk_above=self.work.sync.bulk_above,
        )

    def _count(self, chunk: Chunk) -> None:
        # Told from this thread, not from the one that reads: steps then have one order.
        for _ in range(chunk.pages):
            self.observe("page.read")
        for refusal, text in chunk.refused:
            self.tally.reject(str(refusal), text)
        self.records += chunk.records
        self.tally.counts += Counts(read=chunk.records - len(chunk.refused), unchanged=chunk.doubled)

    def _store(self, chunk: Chunk, checkpoint: Checkpoint) -> Checkpoint:
        self.observe("chunk.ready")
        batch = chunk.batch()
        try:
            counts = self._load(chunk, batch, checkpoint)
        except (RefusedValue, RejectRecord):
            # Rows are made of what is wanted of a record; what is passed over may hold what no destination takes.
            checkpoint = self._screened(chunk, checkpoint)
            batch = chunk.batch(carefully=True)
            counts = self._load(chunk, batch, checkpoint)
        self.tally.counts += counts + Counts(invalid=batch.misfits)
        self.observe("chunk.stored")
        return self.landing.checkpoint or checkpoint

    def _screened(self, chunk: Chunk, checkpoint: Checkpoint) -> Checkpoint:
        refused = chunk.screen()
        for refusal, text in refused:
            self.tally.counts += Counts(read=-1)
            self.tally.reject(str(refusal), text)
        reading = checkpoint.reading
        if reading is None:
            return checkpoint
        return replace(checkpoint, reading=replace(reading, rejected=reading.rejected + len(refused)))

    def _load(self, chunk: Chunk, batch: TextBatch, checkpoint: Checkpoint) -> Counts:
        return self.landing.load(batch, checkpoint, merged=chunk.losers, removed=chunk.removed)

    def _finish(self, checkpoint: Checkpoint, reading: Reading, rest: Chunk) -> None:
        done = replace(
            checkpoint,
            reading=None,
            read_until=reading.started_at,
            full_at=reading.started_at if reading.full else checkpoint.full_at,
            incrementals=0 if reading.full else checkpoint.incrementals + 1,
        )
        may_delete = reading.full and self.work.sync.mode != APPEND
        if may_delete and not reading.rejected and not reading.complete:
            checkpoint = self._store(rest, replace(checkpoint, reading=replace(reading, complete=True)))
            reading, rest = checkpoint.reading or reading, Chunk(self.chunks)
        if not may_delete or reading.rejected:
            self._store(rest, done)
            if may_delete:
                self.tally.notice(
                    f"{reading.rejected} records came without a usable id (see the rejected ones), so nothing was "
                    "deleted by difference; the next full read without such records does it."
                )
            return
        self.observe("full.complete")
        try:
            deleted = self.landing.delete_unseen(
                replace(done, version=checkpoint.version),
                hard=self.work.sync.mode == MIRROR,
                brake=self.work.sync.delete_brake,
            )
        except DeleteBrake:
            # By then the vendor may show everything again.
            self._leave_to_the_next_run(checkpoint, reading)
            raise
        self.tally.counts += Counts(deleted=deleted)
        self.observe("full.deleted")

    def _leave_to_the_next_run(self, checkpoint: Checkpoint, reading: Reading) -> None:
        """That run reads everything anew, whatever it is asked for."""
        self.landing.load(NO_ROWS, replace(checkpoint, reading=reading.anew()))


def _size(step: Chunk | Notice) -> int:
    return step.bytes if isinstance(step, Chunk) else 0


def _is_last(step: Chunk | Notice) -> bool:
    """A chunk that ends where the read ends. The last one of a read may look like another one by chance."""
    return isinstance(step, Chunk) and (step.resume is None or not step.is_full)
