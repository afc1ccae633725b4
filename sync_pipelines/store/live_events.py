"""What is told of changes that vendors told: of an object of a connection one event in ten seconds, not one for each.

A change is told of in the transaction of its row: the next run finds nothing to tell of any more. Until an event is
sent, later changes of its ten seconds are added to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Connection as Database
from sqlalchemy import text

from sync_pipelines.model.event import SYNC_COMPLETED
from sync_pipelines.model.run import SyncRun
from sync_pipelines.store import events

SECONDS: Final = 10

_BY_SLOT: Final = UUID("5d3a1d1e-9c55-4c7e-8f0e-2f4b6a0d7c11")
"""Where the ids come from, so that whoever adds to an event finds it."""

# Endpoints are locked before deliveries, as everywhere.
_LISTENING: Final = text(
    """
    SELECT id FROM endpoints
    WHERE enabled AND :type = ANY(events) AND (customer_id IS NULL OR customer_id = ANY(:customers))
    ORDER BY id FOR KEY SHARE
    """
)
# Who takes a delivery to send it holds it until he has read its event.
_SENT: Final = text(
    "SELECT event_id, claimed_until IS NOT NULL OR log <> '[]' FROM deliveries "
    "WHERE event_id = ANY(:ids) ORDER BY id FOR UPDATE"
)
_TOLD: Final = text("SELECT id, subject FROM events WHERE id = ANY(:ids)")


def add(database: Database, runs: Sequence[SyncRun]) -> None:
    """Tell of runs that are being counted in this transaction, each of another object of one connection."""
    changed = [run for run in runs if events.changed_something(run)]
    if not changed:
        return
    customers = sorted({run.customer_id for run in changed})
    if not database.execute(_LISTENING, {"type": SYNC_COMPLETED, "customers": customers}).all():
        return
    known = _not_sent_yet(database, [_slot_of(run)[0] for run in changed])
    told, due_at = [], {}
    for run in changed:
        id, ends_at = _slot_of(run)
        event = events.of_run(SYNC_COMPLETED, run)
        before = known.get(id, {})
        if before is not None:
            event = replace(event, id=id, subject=_together(before, event.subject))
            due_at[id] = ends_at
        told.append(event)
    events.add(database, *told, due_at=due_at)


def _not_sent_yet(database: Database, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any] | None]:
    """By event, what it tells; None for one that somebody has, or may have. Nobody takes the others meanwhile."""
    sent = {id for id, is_sent in database.execute(_SENT, {"ids": list(ids)}) if is_sent}
    rows = database.execute(_TOLD, {"ids": list(ids)})
    return {id: None if id in sent else subject for id, subject in rows}


def _slot_of(run: SyncRun) -> tuple[UUID, datetime]:
    """The event that tells of what is done then, and when it is sent."""
    second = int(run.finished_at.timestamp()) // SECONDS * SECONDS
    name = (run.run_id, run.sync, run.object, run.provider, run.customer_id, str(second))
    return uuid5(_BY_SLOT, "\0".join(name)), datetime.fromtimestamp(second, UTC) + timedelta(seconds=SECONDS)


def _together(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    if not before:
        return now
    counts = {name: before["counts"].get(name, 0) + count for name, count in now["counts"].items()}
    return {**now, "started_at": before["started_at"], "counts": counts}
