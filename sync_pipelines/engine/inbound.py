"""One connection's object, from the vendor into the destination.

The order of things is what makes a crash harmless: a page's `resume` is stored in the same transaction as the page's
rows, bounds are frozen in the checkpoint before the first page, and nothing is deleted before a full read is complete.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import msgspec

from sync_pipelines.engine import first_records, selecting
from sync_pipelines.engine.ahead import read_ahead_if_long
from sync_pipelines.engine.backfill import BACKFILL_ROWS, Refill, follow
from sync_pipelines.engine.beginning import begin, same_account
from sync_pipelines.engine.chunk import Chunk, ChunkPlan, TextBatch, chunks_of
from sync_pipelines.engine.formulas import Formulas
from sync_pipelines.engine.keys import key_reader, refusing
from sync_pipelines.engine.layout import FieldPlan, marks_of, plan_fields, table_of, unused_rules
from sync_pipelines.engine.mapping import LaterMapper, RecordMapper
from sync_pipelines.engine.record_log import log_changes
from sync_pipelines.engine.schema_policy import Ruling, SchemaMemory, ruled
from sync_pipelines.engine.tally import Tally as Tally
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import NO_ROWS, Destination, Landing, Observer, Scope, Table
from sync_pipelines.model.errors import (
    DeleteBrake,
    ExpiredToken,
    ProtocolError,
    RefusedValue,
    RejectRecord,
)
from sync_pipelines.model.filter import Filter
from sync_pipelines.model.flow import Flow, Notice, Page
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.provider import Account, CrmObject, ObjectSchema, Provider, ReadPlan
from sync_pipelines.model.run import Counts
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import APPEND, MIRROR, Sync, SyncObject


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

    `full` forces a full read; `due_at` is when it was due; `hash_key` is the key of the transform `hash`. `first`: a
    test run of so many records, which leaves the position as it is.
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
    first: int | None = None
    elsewhere: Callable[[], Collection[str]] = frozenset
    """Fields that the mapping may name for the schemas of other syncs; asked for where one is not in this one's."""
    at_checkpoint: Callable[[], None] = lambda: None
    """Called where the next run can go on from; it may raise to leave the rest to that one."""

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


Describe = Callable[[CrmObject], ObjectSchema]


def sync_object(
    work: Work,
    vendor: Vendor,
    destination: Destination,
    tally: Tally,
    *,
    observe: Observer,
    describe: Describe,
    memory: SchemaMemory | None = None,
) -> None:
    """Do the work; `tally` tells what was done, also when an error of the tree in model.errors ends it early.

    `memory`: of the account's fields; without one a change of them goes unnoticed.
    """
    schema = (ruling := ruled(work, describe(work.crm_object), memory, tally)).schema
    tally.account_id = _account_id(work, vendor)
    observe("described")
    table = table_of(work.sync, work.declared, work.crm_object)
    plan = plan_fields(work.declared, work.crm_object, schema, work.provider.name, work.mapping)
    _tell_without_effect(work, plan, ruling, tally)
    with destination.open(work.scope, table, work.run_id, observe) as landing:
        known = landing.checkpoint or Checkpoint()
        same_account(known, tally.account_id)
        marks = marks_of(work.declared, table, plan, work.hash_key, remade=landing.remade, unexpected=ruling.unexpected)
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
        reread = False
        if work.first is None:
            known, reread = follow(refill, known, lambda: _pause(work, vendor), tally, observe)
            log_changes(work, landing, plan, known, tally)
        all_marks = marks, selecting.mark_of(work.declared, plan.custom, work.hash_key)
        checkpoint = begin(work, known, all_marks, vendor, tally.account_id, reread=reread)
        selection = selecting.select(work.declared, work.crm_object, schema, checkpoint, plan.custom, work.hash_key)
        plan = replace(plan, fields=selecting.with_fields(plan.fields, selection))
        chunks = chunk_plan_of(work, ruling, table, plan, checkpoint.seed or checkpoint.fingerprint)
        read = _Read(
            work=work,
            vendor=vendor,
            landing=landing,
            chunks=selecting.judged(chunks, selection, work.provider, work.crm_object, lambda flow: vendor.ask(flow)),
            plan=plan,
            selection=selection,
            tally=tally,
            observe=observe,
        )
        if work.first is None:
            read.to_the_end(checkpoint)
            made = Formulas(work=work, landing=landing, table=table, schema=schema, plan=plan, key_of=chunks.key_of)
            made.refresh_if_due(vendor, tally, observe)
        else:
            read.first_records(known, checkpoint, work.first)
    for notice in vendor.notices:
        tally.notice(notice.message)


def _pause(work: Work, vendor: Vendor) -> None:
    """Something is stored, and the position with it: may this go on?"""
    vendor.check_stop()
    work.at_checkpoint()


def _tell_without_effect(work: Work, plan: FieldPlan, ruling: Ruling, tally: Tally) -> None:
    rules = (work.declared, work.provider.name, work.mapping)
    if unused_rules(*rules):
        for name, reason in unused_rules(*rules, work.elsewhere()).items():
            tally.notice(f"The rule for {name} is kept and not used: {reason}.")
    for name in plan.missing:
        if name not in ruling.left_out:
            tally.notice(
                f"The mapped field {name} is not in this account or not readable any more; its column stays as it is "
                "for records that do not change, and null for others. Map another field or give back the permission."
            )


def chunk_plan_of(work: Work, ruling: Ruling, table: Table, plan: FieldPlan, mark: str) -> ChunkPlan:
    """How the work's records become rows. `mark`: of the rules that rows are made by, it goes into their hashes."""
    crm_object, schema = work.crm_object, ruling.schema
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
    if ruling.refused:
        key_of = refusing(key_of, crm_object.shape, ruling.refused)
    without_deleted = work.sync.mode in (MIRROR, APPEND)
    return ChunkPlan(key_of=key_of, mapper=mapper, most_rows=work.chunk_rows, without_deleted=without_deleted)


def _account_id(work: Work, vendor: Vendor) -> str | None:
    if work.connection.account_id is not None:
        return work.connection.account_id
    account: Account = vendor.ask(work.provider.identify())
    return account.id


@dataclass(kw_only=True)
class _Read:
    """One reading, from its checkpoint to its end."""

    work: Work
    vendor: Vendor
    landing: Landing
    chunks: ChunkPlan
    plan: FieldPlan
    selection: selecting.Selection
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

    def first_records(self, known: Checkpoint, begun: Checkpoint, most: int) -> None:
        reading = begun.reading
        assert reading is not None
        plan = first_records.plan_of(self._read_plan(reading, self._pushed(reading)), most)
        steps = self.vendor.read(self.work.provider.read(plan))
        stored = first_records.stored_of(known, begun)
        first_records.load_first(steps, self.landing, self.chunks, stored, most, self.tally)

    def _pages(self, checkpoint: Checkpoint) -> None:
        reading = checkpoint.reading
        assert reading is not None
        self.tally.full = reading.full
        resumed, total, rest = reading.resume is not None, None, Chunk(self.chunks)
        if not reading.complete:
            flow = self.work.provider.read(self._read_plan(reading, self._pushed(reading)))
            with read_ahead_if_long(chunks_of(self.vendor.read(flow), self.chunks), _size, _is_last) as steps:
                for step in steps:
                    if isinstance(step, Notice):
                        self.selection.heed(step)
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
                    # All pages may have been read ahead, so that no call is left that would heed it.
                    _pause(self.work, self.vendor)
            if not resumed and total is not None and self.records < total:
                # Were it resumed, the records that are missing would count as deleted.
                self._leave_to_the_next_run(checkpoint, reading)
                raise ProtocolError(
                    f"The vendor announced {total} records and gave {self.records}. Nothing was deleted; run the "
                    "sync again, and if it stays so ask the vendor."
                )
        self._finish(checkpoint, reading, rest)

    def _pushed(self, reading: Reading) -> Filter | None:
        """What the vendor is asked to apply; a full read tells the share of everybody."""
        part = selecting.pushed_part(self.selection, reading, self.work.provider, self.work.crm_object)
        notice = selecting.notice_of(self.selection, part, self.work.provider.title) if reading.full else None
        if notice is not None:
            self.tally.notice(notice)
        return part

    def _read_plan(self, reading: Reading, where: Filter | None) -> ReadPlan:
        return ReadPlan(
            object=self.work.crm_object,
            fields=self.plan.fields,
            since=reading.since,
            until=reading.until,
            resume=reading.resume,
            bulk_above=self.work.sync.bulk_above,
            associated=tuple(self.work.provider.find_object(name).name for name in self.work.declared.associated),
            where=where,
        )

    def _count(self, chunk: Chunk) -> None:
        # Told from this thread, not from the one that reads: steps then have one order.
        for _ in range(chunk.pages):
            self.observe("page.read")
        for refusal, text in chunk.refused:
            self.tally.reject(str(refusal), text)
        self.records += chunk.counted
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
        self.tally.counts += counts + Counts(invalid=batch.misfits, skipped=chunk.skipped)
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
        reading = checkpoint.reading
        return self.landing.load(
            batch,
            checkpoint,
            merged=chunk.losers,
            removed=chunk.removed,
            # A full read deletes by difference, behind the brake.
            regrouped=chunk.regrouped if reading is None or not reading.full else (),
            gone=chunk.gone,
            passed=chunk.passed,
        )

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
                    f"{reading.rejected} records were rejected (see the rejected ones), so nothing was deleted by "
                    "difference; the next full read without such records does it."
                )
            return
        self.observe("full.complete")
        try:
            deleted = self.landing.delete_unseen(
                replace(done, version=checkpoint.version),
                hard=self.work.sync.mode == MIRROR or self.work.crm_object.associations_of is not None,
                brake=self.work.sync.delete_brake,
            )
        except DeleteBrake:
            if reading.pushed:
                # What the vendor's filter hid may all be there: only a read of everything tells.
                self.records = 0
                self.tally.notice("Many records left the filter, so everything was read to see that they are there.")
                self._pages(replace(self.landing.checkpoint or checkpoint, reading=selecting.whole_reading(reading)))
                return
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
