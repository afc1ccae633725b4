"""Formula and roll-up fields: their values change without their records counting as changed, so they are read apart.

Of every record only its id and these fields are read, and of the stored rows only those are touched in which one of
them differs: in raw_data, and in the columns that are made of them. The position of the ordinary read stays.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from sync_pipelines.engine.chunk import TextBatch
from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import Path, at_path
from sync_pipelines.engine.keys import Key
from sync_pipelines.engine.layout import RAW_COLUMN, FieldPlan, is_common, shape_fields
from sync_pipelines.engine.mapping import RecordMapper
from sync_pipelines.engine.rules import rule_fields
from sync_pipelines.engine.some_columns import SomeColumns, ruled_mapper
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.checkpoint import Checkpoint, FormulaReading
from sync_pipelines.model.destination import Landing, Observer, Table
from sync_pipelines.model.errors import ExpiredToken
from sync_pipelines.model.flow import Flow, Notice, Page, PageToken
from sync_pipelines.model.provider import CrmObject, ObjectSchema, ReadPlan, VendorField
from sync_pipelines.model.run import Counts
from sync_pipelines.model.sync import Schedule, SyncObject
from sync_pipelines.store.timetable import jitter, next_time, period

if TYPE_CHECKING:
    from sync_pipelines.engine.inbound import Vendor, Work

_encode = msgspec.json.Encoder(decimal_format="number").encode


def formulas_are_due(schedule: Schedule, known: Checkpoint, now: datetime, sync: str, customer_id: str) -> bool:
    """Whether they were last read before the schedule's last time; a full read reads them too."""
    if known.formulas is not None:
        return True
    last = max((at for at in (known.formulas_at, known.full_at) if at is not None), default=None)
    if last is None:
        return False
    spread = jitter(sync, customer_id, schedule, period(schedule, last))
    following = next_time(schedule, last, spread)
    return following is not None and following + spread <= now


def formulas_of(plan: FieldPlan, crm_object: CrmObject) -> tuple[VendorField, ...]:
    """Fields that the vendor computes, but for those that change on every read and those that the shape needs."""
    needed = {name.casefold() for name in shape_fields(crm_object)}
    return tuple(
        each
        for each in plan.fields
        if each.calculated and each.name not in crm_object.volatile and each.name.casefold() not in needed
    )


def columns_of(
    formulas: tuple[VendorField, ...], table: Table, plan: FieldPlan, crm_object: CrmObject, declared: SyncObject
) -> list[str]:
    """raw_data, and the columns that are made of one of these fields."""
    names = {each.name.casefold() for each in formulas}
    needs: dict[str, Any] = dict(plan.needs)
    if is_common(crm_object, declared):
        needs |= {column: rule_fields(rule) for column, rule in crm_object.common.items()}
    made = {column for column, fields in needs.items() if not names.isdisjoint(each.casefold() for each in fields)}
    return [column.name for column in table.columns if column.name in made or column.name == RAW_COLUMN.name]


@dataclass(kw_only=True)
class Formulas:
    """The formula fields of one connection's object, and the place of its rows."""

    work: "Work"
    landing: Landing
    table: Table
    schema: ObjectSchema
    plan: FieldPlan
    key_of: Callable[[bytes], Key]
    looked_at: int = 0
    counts: Counts = field(default_factory=Counts)

    def refresh_if_due(self, vendor: "Vendor", tally: Tally, observe: Observer) -> None:
        """From where an earlier run stopped to the end, where there are such fields and it is time."""
        work, known, now = self.work, self.landing.checkpoint or Checkpoint(), vendor.vendor_now()
        schedule = work.declared.formula_refresh
        if schedule is None or not self.fields or self.table.append:
            return
        if not formulas_are_due(schedule, known, now, work.sync.name, work.connection.customer_id):
            return
        reading = known.formulas or FormulaReading(started_at=now)
        try:
            try:
                self._pages(vendor.read(self._flow(reading.resume)), reading, observe)
            except ExpiredToken:
                self._pages(vendor.read(self._flow(None)), replace(reading, resume=None), observe)
        finally:
            tally.counts += replace(self.counts, unchanged=0)
        tally.notice(
            f"Formula and roll-up fields were read of {self.looked_at} records; in {self.counts.updated} stored ones "
            "they had changed."
        )

    @cached_property
    def fields(self) -> tuple[VendorField, ...]:
        return formulas_of(self.plan, self.work.crm_object)

    def _flow(self, resume: PageToken | None) -> Flow:
        work = self.work
        plan = ReadPlan(object=work.crm_object, fields=self.fields, resume=resume, bulk_above=work.sync.bulk_above)
        return work.provider.read(plan)

    def _pages(self, steps: Iterator[Page | Notice], reading: FormulaReading, observe: Observer) -> None:
        waiting: dict[str, bytes] = {}
        for step in steps:
            if isinstance(step, Notice):
                continue
            waiting.update(self._patches(step))
            if step.resume is not None and len(waiting) >= self.work.chunk_rows:
                reading = replace(reading, resume=step.resume)
                self._set(waiting, observe, formulas=reading)
                waiting = {}
        self._set(waiting, observe, formulas=None, formulas_at=reading.started_at)

    def _patches(self, page: Page) -> Iterator[tuple[str, bytes]]:
        """By id what the record is to hold, as JSON."""
        shape = self.work.crm_object.shape
        for text in page.records:
            try:
                record, _, _ = decode_record(text)
            except NotARecord:
                continue
            id, fields = at_path(record, shape.id), at_path(record, shape.fields)
            if id and isinstance(fields, dict):
                patch: Any = {each.name: fields[each.name] for each in self.fields if each.name in fields}
                for step in reversed(shape.fields):
                    patch = {step: patch}
                yield str(id), _encode(patch)

    def _set(self, patches: Mapping[str, bytes], observe: Observer, **position: Any) -> None:
        observe("formulas.ready")
        self.looked_at += len(patches)
        found = self.landing.outdated(patches) if patches else []
        way = self.work.crm_object.shape.fields
        texts = {record.id: _patched(record.raw, patches[record.id], way) for record in found if record.raw is not None}
        names = columns_of(self.fields, self.table, self.plan, self.work.crm_object, self.work.declared)
        checkpoint = replace(self.landing.checkpoint or Checkpoint(), **position)
        batch = self._batch(names, texts)
        self.counts += self.landing.remap(batch, names, checkpoint) + Counts(invalid=batch.misfits)
        observe("formulas.stored")

    def _batch(self, names: list[str], texts: dict[str, bytes]) -> TextBatch:
        some = RecordMapper(
            self.work.crm_object,
            self.schema,
            [column for column in self.table.columns if column.name in names],
            common=is_common(self.work.crm_object, self.work.declared),
            custom=[item for item in self.plan.custom if item.column in names],
            additional=self.plan.additional,
            hash_key=self.work.hash_key,
        )
        ruled = ruled_mapper(self.table, self.work.crm_object, self.schema, self.plan, self.work.hash_key)
        hashes = [self.key_of(text)[1] for text in texts.values()]
        return TextBatch(SomeColumns(some, ruled), list(texts), hashes, list(texts.values()))


def _patched(raw: bytes, patch: bytes, way: Path) -> bytes:
    """The record's text with the patch's values among its fields, which lie at the end of `way` in both."""
    record, fresh = decode_record(raw)[0], decode_record(patch)[0]
    fields = record
    for step in way:
        fields, fresh = fields.setdefault(step, {}), fresh[step]
    fields.update(fresh)
    return _encode(record)
