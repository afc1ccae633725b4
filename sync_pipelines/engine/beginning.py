"""Where a read begins: what is read, from when to when, and which part of the filter the vendor applies."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sync_pipelines.engine import selecting
from sync_pipelines.engine.backfill import marked
from sync_pipelines.engine.layout import Marks
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import FULL_REFRESH

if TYPE_CHECKING:
    from sync_pipelines.engine.inbound import Vendor, Work


def begin(
    work: "Work",
    known: Checkpoint,
    all_marks: tuple[Marks, str],
    vendor: "Vendor",
    account_id: str | None,
    *,
    reread: bool,
) -> Checkpoint:
    """The checkpoint to read under: a reading that was interrupted goes on, else a new one begins.

    `all_marks`: of what decides the columns, and of what decides which records are there. `reread`: stored rows are
    not what they should be, so everything is read.
    """
    marks, selection = all_marks
    now = vendor.vendor_now()
    changed = known.version > 0 and known.selection != selection
    checkpoint = replace(marked(known, marks, reread=reread), account_id=account_id, selection=selection)
    if work.declared.history is not None and known.began_at is None:
        checkpoint = replace(checkpoint, began_at=now - overlap_of(work))
    if work.first is not None:
        reading = Reading(id=uuid.uuid4().hex, full=True, started_at=now, pushed=True)
        return replace(checkpoint, reading=reading)
    reread = reread or changed
    if known.reading is not None and not reread and not (work.full and not known.reading.full):
        return checkpoint
    full = work.full or reread or _full_is_due(work, known)
    since = None
    if not full and known.read_until is not None:
        since = known.read_until - overlap_of(work)
    reading = Reading(
        id=uuid.uuid4().hex,
        full=full,
        started_at=now,
        since=since,
        until=None if full else _after(now),
        pushed=selecting.pushes(work.declared, known, full=full, changed=changed),
    )
    return replace(checkpoint, reading=reading)


def overlap_of(work: "Work") -> timedelta:
    """How far back something may still change unseen."""
    return work.sync.overlap if work.sync.overlap is not None else work.provider.overlap


def _after(now: datetime) -> datetime:
    """The bound of an incremental read: the second that has begun is read too, but not yet relied upon, because
    `read_until` is the moment before it."""
    return now.replace(microsecond=0) + timedelta(seconds=1)


def _full_is_due(work: "Work", known: Checkpoint) -> bool:
    strategy = work.declared.strategy or work.sync.strategy
    every = work.sync.full_refresh_every
    return (
        strategy == FULL_REFRESH
        or known.read_until is None
        or work.crm_object.cursor_field is None
        or (every is not None and known.incrementals >= every)
    )


def same_account(known: Checkpoint, account_id: str | None) -> None:
    """ConfigurationError when the stored rows came from another account of the vendor."""
    if known.account_id is not None and account_id is not None and known.account_id != account_id:
        raise ConfigurationError(
            f"This connection now leads to account {account_id}, but the stored rows came from {known.account_id}. "
            "Reconnect the former account, or connect the new one under another customer id."
        )
