"""Outcomes of what vendors told, folded: of an object of a connection one run in five minutes, however many events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection as Database
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.run import Counts, SyncRun
from sync_pipelines.store import live_events, logs
from sync_pipelines.store.runs import row_of
from sync_pipelines.store.tables import runs as runs_table

MINUTES: Final = 5
PREFIX: Final = "live-"
"""Run ids that begin so are of changes that vendors told."""

_COUNTS: Final = tuple(Counts.__dataclass_fields__)
_COLUMNS: Final = ", ".join(f'"{column.name}"' for column in runs_table.columns if column.name != "id")
_SUMS: Final = ", ".join(f'"{name}" = old."{name}" + new."{name}"' for name in (*_COUNTS, "vendor_calls"))
_SAME: Final = "old.run_id = new.run_id AND old.sync = new.sync AND old.object = new.object"
_OWNER: Final = "old.customer_id = new.customer_id AND old.provider = new.provider"
_FOLD: Final = text(
    f"""
    WITH new AS MATERIALIZED (SELECT * FROM jsonb_populate_recordset(NULL::runs, :rows)),
    folded AS (
        UPDATE runs AS old SET {_SUMS}, finished_at = GREATEST(old.finished_at, new.finished_at),
            account_id = COALESCE(new.account_id, old.account_id), quota = new.quota,
            notices = CASE WHEN old.notices @> new.notices OR jsonb_array_length(old.notices) > 50
                THEN old.notices ELSE old.notices || new.notices END,
            rejections = CASE WHEN jsonb_array_length(old.rejections) > 50
                THEN old.rejections ELSE old.rejections || new.rejections END
        FROM new WHERE {_SAME} AND {_OWNER}
        RETURNING old.sync, old.object
    )
    INSERT INTO runs ({_COLUMNS}) SELECT {_COLUMNS} FROM new
    WHERE NOT EXISTS (SELECT FROM folded WHERE folded.sync = new.sync AND folded.object = new.object)
    """  # noqa: S608
).bindparams(bindparam("rows", type_=JSONB))
# What a connection's standing says of attempts and successes is of the poll, which alone sees everything.
_PROGRESS: Final = text(
    """
    UPDATE progress AS old SET
        last_change_at = CASE WHEN new.records > 0
            THEN GREATEST(old.last_change_at, new.at) ELSE old.last_change_at END,
        records = old.records + new.records, calls = old.calls + new.calls,
        today = GREATEST(old.today, new.today),
        attempts_today = CASE WHEN new.today > old.today THEN 0 ELSE old.attempts_today END,
        failures_today = CASE WHEN new.today > old.today THEN 0 ELSE old.failures_today END,
        records_today = CASE WHEN new.today > old.today THEN new.records ELSE old.records_today + new.records END,
        calls_today = CASE WHEN new.today > old.today THEN new.calls ELSE old.calls_today + new.calls END
    FROM jsonb_to_recordset(:rows) AS new (
        sync text, object text, customer_id text, provider text, at timestamptz, today date, records bigint,
        calls integer
    )
    JOIN connections ON connections.customer_id = new.customer_id AND connections.provider = new.provider
    WHERE old.sync = new.sync AND old.object = new.object AND old.connection_id = connections.id
    """
).bindparams(bindparam("rows", type_=JSONB))


def run_id_at(moment: datetime) -> str:
    """Of the five minutes that a moment lies in."""
    begun = moment.astimezone(UTC)
    begun = begun.replace(minute=begun.minute // MINUTES * MINUTES, second=0, microsecond=0)
    return f"{PREFIX}{begun:%Y%m%dT%H%M}"


def add(database: Database, runs: Sequence[SyncRun]) -> None:
    """Count outcomes in the transaction under way, each of another object of one connection."""
    if not runs:
        return
    database.execute(_FOLD, {"rows": [row_of(run) for run in runs]})
    logs.add_changes(database, runs)
    live_events.add(database, runs)
    database.execute(_PROGRESS, {"rows": [_moved(run) for run in runs]})


def _moved(run: SyncRun) -> dict[str, Any]:
    return {
        "sync": run.sync,
        "object": run.object,
        "customer_id": run.customer_id,
        "provider": run.provider,
        "at": run.finished_at.isoformat(),
        "today": run.finished_at.astimezone(UTC).date().isoformat(),
        "records": run.counts.changed,
        "calls": run.vendor_calls,
    }
