"""What every run did to every connection's object."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, bindparam, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError

from sync_pipelines.model.errors import Retry
from sync_pipelines.model.run import Counts, Rejection, SyncRun
from sync_pipelines.store import events, logs, progress
from sync_pipelines.store.storable import storable, storable_json
from sync_pipelines.store.tables import runs

MOST_REJECTIONS = 100
MOST_NOTICES = 100
LONGEST_RECORD = 2_000
"""Characters of a rejected record that are kept."""

_COUNTS = tuple(Counts.__dataclass_fields__)
_COLUMNS = ", ".join(f'"{column.name}"' for column in runs.columns if column.name != "id")
_ADD = text(
    f"INSERT INTO runs ({_COLUMNS}) SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::runs, :rows)"  # noqa: S608
).bindparams(bindparam("rows", type_=JSONB))
"""One statement for any number of rows, and no text of its own for each number."""

_OVERTAKEN = text(
    """
    SELECT ended.object, ended.customer_id
    FROM jsonb_to_recordset(:rows) AS ended
        (sync text, object text, provider text, customer_id text, finished_at timestamptz)
    JOIN connections ON connections.customer_id = ended.customer_id AND connections.provider = ended.provider
    JOIN progress ON progress.sync = ended.sync AND progress.object = ended.object
        AND progress.connection_id = connections.id
    WHERE GREATEST(progress.last_success_at, progress.last_error_at) > ended.finished_at
    """
).bindparams(bindparam("rows", type_=JSONB))


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run with the number that it has here; later ones have higher numbers."""

    id: int
    run: SyncRun


class Runs:
    """Recorded when work ends, read by whoever looks at it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, finished: Sequence[SyncRun]) -> None:
        """Store what became of each, tell of it, and count it as progress. Long lists and texts are cut.

        Retry when the store does not answer.
        """
        if not finished:
            return
        try:
            with self._engine.begin() as database:
                database.execute(_ADD, {"rows": [row_of(run) for run in finished]})
                logs.add_changes(database, finished)
                events.add_of_runs(database, finished)
                progress.add(database, finished)
        except OperationalError as error:
            raise Retry(
                "The store does not answer, so that what became of the run could not be recorded: start it, or correct "
                "SYNC_PIPELINES_STORE_URL. What was synced is in the destination; the next run goes on from there.",
                detail=str(error.orig),
            ) from error

    def overtaken(self, finished: Sequence[SyncRun]) -> frozenset[tuple[str, str]]:
        """Those of these outcomes, as (object, customer), after which the same work got through or failed once more."""
        rows = [
            {
                **{name: getattr(run, name) for name in ("sync", "object", "provider", "customer_id")},
                "finished_at": run.finished_at.isoformat(),
            }
            for run in finished
        ]
        with self._engine.connect() as database:
            found = database.execute(_OVERTAKEN, {"rows": rows}).all()
        return frozenset((row.object, row.customer_id) for row in found)

    def list(
        self,
        *,
        sync: str | None = None,
        object: str | None = None,
        customer_id: str | None = None,
        status: str | None = None,
        run_id: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[SyncRun]:
        """Runs that match everything given, newest first; `since` bounds when they finished."""
        found = self.page(
            since=since, limit=limit, sync=sync, object=object, customer_id=customer_id, status=status, run_id=run_id
        )
        return [each.run for each in found]

    def page(
        self,
        *,
        before: tuple[datetime, int] | None = None,
        since: datetime | None = None,
        limit: int = 100,
        **wanted: str | None,
    ) -> "Sequence[RecordedRun]":
        """As `list`, with each run's number. `before`: older than the run of this end and number."""
        query = select(runs).order_by(runs.c.finished_at.desc(), runs.c.id.desc()).limit(limit)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(runs.c[name] == value)
        if since is not None:
            query = query.where(runs.c.finished_at >= since)
        if before is not None:
            query = query.where(tuple_(runs.c.finished_at, runs.c.id) < tuple_(*before))
        with self._engine.connect() as database:
            return [RecordedRun(id=row["id"], run=_run(row)) for row in database.execute(query).mappings()]

    def of_executions(
        self, run_ids: "Sequence[str]", *, after: tuple[str, int], limit: int = 100
    ) -> "Sequence[RecordedRun]":
        """Runs of these executions by execution and number, those behind `after`."""
        key = tuple_(runs.c.run_id.collate("C"), runs.c.id)
        query = select(runs).where(runs.c.run_id == func.any(list(run_ids)), key > tuple_(*after))
        with self._engine.connect() as database:
            rows = database.execute(query.order_by(runs.c.run_id.collate("C"), runs.c.id).limit(limit)).mappings()
            return [RecordedRun(id=row["id"], run=_run(row)) for row in rows]

    def get(self, id: int) -> RecordedRun | None:
        """The run of this number, None where there is none (any more)."""
        with self._engine.connect() as database:
            row = database.execute(select(runs).where(runs.c.id == id)).mappings().one_or_none()
        return RecordedRun(id=id, run=_run(row)) if row else None

    def last(self, sync: str, object: str, customer_id: str) -> SyncRun | None:
        """The newest one of this work, whatever became of it."""
        found = self.list(sync=sync, object=object, customer_id=customer_id, limit=1)
        return found[0] if found else None


def row_of(run: SyncRun) -> dict[str, Any]:
    """Its columns as JSON can carry them."""
    plain = ("run_id", "sync", "object", "provider", "customer_id", "status", "full", "error_type", "vendor_calls")
    moments = {name: getattr(run, name) for name in ("started_at", "finished_at", "retry_at", "due_at")}
    return {
        **{name: getattr(run, name) for name in plain},
        **{name: None if moment is None else moment.isoformat() for name, moment in moments.items()},
        **{name: getattr(run.counts, name) for name in _COUNTS},
        "error_message": storable(run.error_message),
        "notices": [storable(notice, 1_000) for notice in run.notices[:MOST_NOTICES]],
        "rejections": [
            {"reason": storable(each.reason, 1_000), "record": storable(each.record, LONGEST_RECORD)}
            for each in run.rejections[:MOST_REJECTIONS]
        ],
        "quota": storable_json(dict(run.quota)),
        "account_id": run.account_id,
    }


def _run(row: RowMapping) -> SyncRun:
    values = {name: value for name, value in row.items() if name != "id" and name not in _COUNTS}
    values["counts"] = Counts(**{name: row[name] for name in _COUNTS})
    values["notices"] = tuple(row["notices"])
    values["rejections"] = tuple(Rejection(**each) for each in row["rejections"])
    return SyncRun(**values)
