"""The outbox: events are written in the transaction of what they tell of, and only where an endpoint wants them.

So no event is ever lost, none tells of what did not happen, and where nobody listens nothing grows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import Connection as Database
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.event import SYNC_COMPLETED, SYNC_ERROR, Event
from sync_pipelines.model.run import SyncRun
from sync_pipelines.store.storable import storable, storable_json

_ADD = text(
    """
    WITH told AS (
        SELECT * FROM jsonb_to_recordset(:events)
            AS told (id uuid, type text, customer_id text, provider text, at timestamptz, due_at timestamptz,
                     subject jsonb)
    ),
    wanted AS (
        SELECT told.id AS event_id, endpoints.id AS endpoint_id, told.customer_id, told.due_at
        FROM told JOIN endpoints ON endpoints.enabled AND told.type = ANY(endpoints.events)
            AND (endpoints.customer_id IS NULL OR endpoints.customer_id = told.customer_id)
    ),
    kept AS (
        INSERT INTO events (id, type, customer_id, provider, at, subject)
        SELECT id, type, customer_id, provider, at, subject FROM told WHERE id IN (SELECT event_id FROM wanted)
        ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at, subject = EXCLUDED.subject
    )
    INSERT INTO deliveries (event_id, endpoint_id, customer_id, due_at)
    SELECT event_id, endpoint_id, customer_id, due_at FROM wanted
    ON CONFLICT (event_id, endpoint_id) DO NOTHING
    """
).bindparams(bindparam("events", type_=JSONB))

_LISTENING = text(
    """
    SELECT EXISTS (SELECT FROM endpoints WHERE enabled AND :completed = ANY(events)) AS completed,
           EXISTS (SELECT FROM endpoints WHERE enabled AND :error = ANY(events)) AS error
    """
)

_WORTH_TELLING = text(
    """
    SELECT run.number
    FROM jsonb_to_recordset(:rows) AS run
        (number integer, sync text, object text, customer_id text, provider text,
         due_at timestamptz, started_at timestamptz)
    WHERE EXISTS (
        SELECT FROM requests
        WHERE requests.sync = run.sync AND requests.asked_at BETWEEN run.due_at AND run.started_at
          AND (requests.customers IS NULL OR run.customer_id = ANY(requests.customers))
          AND (requests.objects IS NULL OR run.object = ANY(requests.objects))
    ) OR EXISTS (
        SELECT FROM progress JOIN connections ON connections.id = progress.connection_id
        WHERE progress.sync = run.sync AND progress.object = run.object AND progress.failures_in_row > 0
          AND connections.customer_id = run.customer_id AND connections.provider = run.provider
    ) OR EXISTS (
        SELECT FROM due JOIN connections ON connections.id = due.connection_id
        LEFT JOIN progress ON progress.sync = run.sync AND progress.object = run.object
            AND progress.connection_id = due.connection_id
        WHERE due.sync = run.sync AND connections.customer_id = run.customer_id AND connections.provider = run.provider
          AND due.attempts > 0 AND (progress.last_attempt_at IS NULL OR progress.last_attempt_at < due.failing_since)
    )
    """
).bindparams(bindparam("rows", type_=JSONB))
"""Of runs that changed nothing: those that somebody asked for, those whose work had failed before, and those before
which a process died: it may have stored what it could not tell of any more."""


def add(database: Database, *told: Event, due_at: Mapping[UUID, datetime] = MappingProxyType({})) -> None:
    """Write events into the transaction that is under way: for every endpoint that wants one, a delivery.

    Those that nobody wants are not kept. `due_at`: by event, when it is sent; it is due at once otherwise. An event
    that is there already, and was not sent yet, tells from now on what this one tells.
    """
    if told:
        database.execute(_ADD, {"events": [_row(event, due_at.get(event.id, event.at)) for event in told]})


def add_of_runs(database: Database, finished: Sequence[SyncRun]) -> None:
    """Tell of runs that are being recorded in this transaction, before they count as progress."""
    ended = [run for run in finished if run.status in ("success", "error")]
    if not ended:
        return
    listening = database.execute(_LISTENING, {"completed": SYNC_COMPLETED, "error": SYNC_ERROR}).one()
    if listening.completed:
        done = _worth_telling(database, [run for run in ended if run.status == "success"])
        add(database, *(of_run(SYNC_COMPLETED, run) for run in done))
    if listening.error:
        add(database, *(of_run(SYNC_ERROR, run) for run in ended if run.status == "error"))


def _worth_telling(database: Database, done: Sequence[SyncRun]) -> list[SyncRun]:
    """Those that changed something or were started by hand, and those of which the store knows why they matter."""
    names = ("sync", "object", "customer_id", "provider")
    asked = [
        {
            "number": number,
            **{name: getattr(run, name) for name in names},
            "due_at": run.due_at.isoformat(),
            "started_at": run.started_at.isoformat(),
        }
        for number, run in enumerate(done)
        if not _tells_of_itself(run) and run.due_at is not None
    ]
    worth = set(database.execute(_WORTH_TELLING, {"rows": asked}).scalars()) if asked else set()
    return [run for number, run in enumerate(done) if _tells_of_itself(run) or number in worth]


def _tells_of_itself(run: SyncRun) -> bool:
    """Nobody had planned it, or it changed something."""
    return changed_something(run) or run.due_at is None


def changed_something(run: SyncRun) -> bool:
    """It created, updated or deleted something, or could not write it."""
    return bool(run.counts.changed or run.counts.rejected or run.counts.invalid)


def of_run(type: str, run: SyncRun) -> Event:
    """What is told of a run that succeeded or failed."""
    subject: dict[str, Any] = {
        "sync": run.sync,
        "object": run.object,
        "execution_id": run.run_id,
        "status": run.status,
        "full": run.full,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "counts": asdict(run.counts),
    }
    if type == SYNC_ERROR:
        retry_at = run.retry_at.isoformat() if run.retry_at else None
        subject |= {
            "error_type": run.error_type,
            "error_message": storable(run.error_message, 1_000),
            "retry_at": retry_at,
        }
    return Event(type=type, customer_id=run.customer_id, provider=run.provider, subject=subject, at=run.finished_at)


def _row(event: Event, due_at: datetime) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "type": event.type,
        "customer_id": event.customer_id,
        "provider": event.provider,
        "at": event.at.isoformat(),
        "due_at": due_at.isoformat(),
        "subject": storable_json(dict(event.subject)),
    }
