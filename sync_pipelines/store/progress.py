"""Where each object of each connection stands, counted on with every outcome that is recorded."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.run import SyncRun
from sync_pipelines.store.storable import storable

_ADD = text(
    """
    INSERT INTO progress AS old (
        sync, object, connection_id, last_attempt_at, last_status, last_success_at, last_change_at,
        last_error_at, last_error_type, last_error_message, failures_in_row, attempts, successes, records, seconds,
        calls, today, attempts_today, failures_today, records_today, calls_today
    )
    SELECT
        new.sync, new.object, connections.id, new.last_attempt_at, new.last_status, new.last_success_at,
        new.last_change_at, new.last_error_at, new.last_error_type, new.last_error_message, new.failures_in_row,
        new.attempts, new.successes, new.records, new.seconds, new.calls, new.today, new.attempts_today,
        new.failures_today, new.records_today, new.calls_today
    FROM jsonb_to_recordset(:rows) AS new (
        sync text, object text, customer_id text, provider text, last_attempt_at timestamptz, last_status text,
        last_success_at timestamptz, last_change_at timestamptz, last_error_at timestamptz, last_error_type text,
        last_error_message text, failures_in_row integer, attempts bigint, successes bigint, records bigint,
        seconds double precision, calls bigint, today date, attempts_today integer, failures_today integer,
        records_today bigint, calls_today integer
    )
    JOIN connections ON connections.customer_id = new.customer_id AND connections.provider = new.provider
    -- In one order everywhere, so that two who record at once wait for each other and never in a circle.
    ORDER BY new.sync, new.object, connections.id
    -- Who disconnects at this moment is waited for and left out; without it the foreign key would refuse the batch.
    FOR KEY SHARE OF connections
    ON CONFLICT (sync, object, connection_id) DO UPDATE SET
        last_attempt_at = GREATEST(old.last_attempt_at, excluded.last_attempt_at),
        last_status = CASE WHEN excluded.last_attempt_at >= old.last_attempt_at
            THEN excluded.last_status ELSE old.last_status END,
        last_success_at = GREATEST(old.last_success_at, excluded.last_success_at),
        last_change_at = GREATEST(old.last_change_at, excluded.last_change_at),
        last_error_at = GREATEST(old.last_error_at, excluded.last_error_at),
        last_error_type = CASE WHEN excluded.last_error_at >= COALESCE(old.last_error_at, excluded.last_error_at)
            THEN excluded.last_error_type ELSE old.last_error_type END,
        last_error_message = CASE WHEN excluded.last_error_at >= COALESCE(old.last_error_at, excluded.last_error_at)
            THEN excluded.last_error_message ELSE old.last_error_message END,
        failures_in_row = CASE WHEN excluded.successes > 0
            THEN excluded.failures_in_row ELSE old.failures_in_row + excluded.failures_in_row END,
        attempts = old.attempts + excluded.attempts,
        successes = old.successes + excluded.successes,
        records = old.records + excluded.records,
        seconds = old.seconds + excluded.seconds,
        calls = old.calls + excluded.calls,
        today = GREATEST(old.today, excluded.today),
        attempts_today = CASE WHEN excluded.today = old.today THEN old.attempts_today + excluded.attempts_today
            WHEN excluded.today > old.today THEN excluded.attempts_today ELSE old.attempts_today END,
        failures_today = CASE WHEN excluded.today = old.today THEN old.failures_today + excluded.failures_today
            WHEN excluded.today > old.today THEN excluded.failures_today ELSE old.failures_today END,
        records_today = CASE WHEN excluded.today = old.today THEN old.records_today + excluded.records_today
            WHEN excluded.today > old.today THEN excluded.records_today ELSE old.records_today END,
        calls_today = CASE WHEN excluded.today = old.today THEN old.calls_today + excluded.calls_today
            WHEN excluded.today > old.today THEN excluded.calls_today ELSE old.calls_today END
    """
).bindparams(bindparam("rows", type_=JSONB))


def add(database: Database, finished: Sequence[SyncRun]) -> None:
    """Count outcomes in the transaction under way, several of one object and connection too.

    Outcomes of connections that are gone meanwhile count nowhere.
    """
    if finished:
        database.execute(_ADD, {"rows": _rows(finished)})


def _rows(finished: Sequence[SyncRun]) -> list[dict[str, Any]]:
    """One row for each key: an upsert must not meet a row twice."""

    def key(run: SyncRun) -> tuple[str, str, str, str]:
        return run.sync, run.object, run.customer_id, run.provider

    ordered = sorted(finished, key=lambda run: (*key(run), run.finished_at))
    return [_row(list(runs)) for _, runs in groupby(ordered, key)]


def _row(runs: Sequence[SyncRun]) -> dict[str, Any]:
    """What these outcomes of one key, oldest first, come to."""
    last, today = runs[-1], _day(runs[-1].finished_at)
    succeeded = [run for run in runs if run.status == "success"]
    failed = [run for run in runs if run.status == "error"]
    changed = [run for run in runs if run.counts.changed]
    of_today = [run for run in runs if _day(run.finished_at) == today]
    return {
        "sync": last.sync,
        "object": last.object,
        "customer_id": last.customer_id,
        "provider": last.provider,
        "last_attempt_at": last.finished_at.isoformat(),
        "last_status": last.status,
        "last_success_at": _newest(succeeded),
        "last_change_at": _newest(changed),
        "last_error_at": _newest(failed),
        "last_error_type": failed[-1].error_type if failed else None,
        "last_error_message": storable(failed[-1].error_message) if failed else "",
        "failures_in_row": _failures_in_row(runs),
        "attempts": len(runs),
        "successes": len(succeeded),
        "records": sum(run.counts.changed for run in runs),
        "seconds": sum((run.finished_at - run.started_at).total_seconds() for run in succeeded),
        "calls": sum(run.vendor_calls for run in runs),
        "today": today.isoformat(),
        "attempts_today": len(of_today),
        "failures_today": sum(run.status == "error" for run in of_today),
        "records_today": sum(run.counts.changed for run in of_today),
        "calls_today": sum(run.vendor_calls for run in of_today),
    }


def _failures_in_row(runs: Sequence[SyncRun]) -> int:
    """Errors since the last success; what was skipped is neither."""
    count = 0
    for run in runs:
        count = 0 if run.status == "success" else count + (run.status == "error")
    return count


def _newest(runs: Sequence[SyncRun]) -> str | None:
    return runs[-1].finished_at.isoformat() if runs else None


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
