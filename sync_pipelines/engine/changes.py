"""Single records that the vendor says have changed: read by their ids and loaded beside whoever reads the object.

The same mapping, filter, schema policy and table as in a run (engine/inbound.py); what a run does besides, such as
following a change of mapping or deleting by difference, is left to it. Why no lease is taken is in docs/adr/0029.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sync_pipelines.engine import selecting
from sync_pipelines.engine.backfill import change_of, keeps_records
from sync_pipelines.engine.beginning import same_account
from sync_pipelines.engine.chunk import Chunk, ChunkPlan
from sync_pipelines.engine.inbound import Vendor, Work, chunk_plan_of
from sync_pipelines.engine.layout import FieldPlan, marks_of, plan_fields, table_of
from sync_pipelines.engine.record_log import log_changes
from sync_pipelines.engine.schema_policy import Ruling, SchemaMemory, ruled
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.destination import Batch, Destination, Landing, Observer
from sync_pipelines.model.errors import RefusedValue, RejectRecord
from sync_pipelines.model.flow import Notice
from sync_pipelines.model.provider import ObjectSchema, ReadPlan
from sync_pipelines.model.run import Counts
from sync_pipelines.model.sync import APPEND, MIRROR


class NotNow(Exception):
    """Changes that cannot be applied at the moment; the message says why. A run is about to do what is missing."""


class LeftToTheRun(Exception):
    """Changes that only a run brings; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where changes of one object of a connection go."""

    destination: Destination
    schema: ObjectSchema
    memory: SchemaMemory | None
    observe: Observer


def apply_changes(work: Work, ids: Sequence[str], vendor: Vendor, place: Place, tally: Tally) -> None:
    """Make the rows of these records what the vendor says now; `tally` tells what was done.

    `ids`: of associations, those of the records that have them. NotNow, LeftToTheRun, or an error of model.errors.
    """
    if work.provider.read_ids is None:
        raise LeftToTheRun(f"{work.provider.title} cannot be asked for single records.")
    ruling = ruled(work, place.schema, place.memory, tally)
    table = table_of(work.sync, work.declared, work.crm_object)
    plan = plan_fields(work.declared, work.crm_object, ruling.schema, work.provider.name, work.mapping)
    with place.destination.open(work.scope, table, work.run_id, place.observe) as landing:
        known = _position(work, landing, plan, ruling)
        log_changes(work, landing, plan, known, tally)
        selection = _selection(work, known, plan, ruling, vendor.vendor_now())
        plan = replace(plan, fields=selecting.with_fields(plan.fields, selection))
        made = chunk_plan_of(work, ruling, table, plan, known.seed or known.fingerprint)
        chunks = selecting.judged(made, selection, work.provider, work.crm_object, vendor.ask)
        chunk = _read(work, ids, vendor, chunks, plan, selection, tally)
        place.observe("changes.read")
        _store(work, ids, landing, chunks, chunk, tally)
    for notice in vendor.notices:
        tally.notice(notice.message)


def _position(work: Work, landing: Landing, plan: FieldPlan, ruling: Ruling) -> Checkpoint:
    """As it is, where rows are made by the rules that we would make them by."""
    known = landing.checkpoint
    if known is None or known.version == 0:
        raise LeftToTheRun("Nothing of it was ever synced; the first run reads everything.")
    same_account(known, work.connection.account_id)
    table = table_of(work.sync, work.declared, work.crm_object)
    marks = marks_of(work.declared, table, plan, work.hash_key, remade=landing.remade, unexpected=ruling.unexpected)
    changed = known.backfill is not None or change_of(known, marks, keeps_records=keeps_records(table))
    if changed or known.selection != selecting.mark_of(work.declared, plan.custom, work.hash_key):
        raise NotNow("Mapping, fields, filter or mode have changed, and no run has followed that yet.")
    return known


def _selection(work: Work, known: Checkpoint, plan: FieldPlan, ruling: Ruling, now: datetime) -> selecting.Selection:
    at_this_moment = replace(known, reading=Reading(id="", full=False, started_at=now))
    found = selecting.select(
        work.declared, work.crm_object, ruling.schema, at_this_moment, plan.custom, hash_key=work.hash_key
    )
    if found.lists:
        raise LeftToTheRun("Its filter asks for lists, of which all members would have to be read for every change.")
    return found


def _read(
    work: Work,
    ids: Sequence[str],
    vendor: Vendor,
    chunks: ChunkPlan,
    plan: FieldPlan,
    selection: selecting.Selection,
    tally: Tally,
) -> Chunk:
    assert work.provider.read_ids is not None
    associated = tuple(work.provider.find_object(name).name for name in work.declared.associated)
    wanted = ReadPlan(object=work.crm_object, fields=plan.fields, associated=associated)
    chunk = Chunk(chunks)
    for step in vendor.read(work.provider.read_ids(wanted, ids)):
        if isinstance(step, Notice):
            selection.heed(step)
            tally.notice(step.message)
        else:
            chunk.add(step)
    return chunk


def _store(work: Work, ids: Iterable[str], landing: Landing, chunks: ChunkPlan, chunk: Chunk, tally: Tally) -> None:
    # A record that was refused may be one of those that seem to be missing.
    missing = [] if chunk.refused or work.declared.is_associations else [id for id in ids if id not in chunk]
    for refusal, text in chunk.refused:
        tally.reject(str(refusal), text)
    read = Counts(read=chunk.records - len(chunk.refused), unchanged=chunk.doubled)
    batch = chunk.batch()
    try:
        counts = _amend(work, landing, batch, chunk, missing)
    except (RefusedValue, RejectRecord):
        for refusal, text in chunk.screen():
            tally.reject(str(refusal), text)
            read += Counts(read=-1)
        batch = chunk.batch(carefully=True)
        counts = _amend(work, landing, batch, chunk, missing)
    tally.counts += counts + read + Counts(invalid=batch.misfits, skipped=chunk.skipped)


def _amend(work: Work, landing: Landing, batch: Batch, chunk: Chunk, missing: Sequence[str]) -> Counts:
    mirror = work.sync.mode in (MIRROR, APPEND)
    return landing.amend(
        batch,
        merged=chunk.losers,
        removed=[*chunk.removed, *(missing if mirror else ())],
        regrouped=chunk.regrouped,
        gone=[*chunk.gone, *(() if mirror else missing)],
    )
