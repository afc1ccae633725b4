"""What the store forgets, and when. Nothing else deletes history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    ScalarSelect,
    Table,
    TextClause,
    and_,
    bindparam,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.retention import Keep
from sync_pipelines.store.api_sync_tables import api_sync_versions, api_syncs
from sync_pipelines.store.connect_tables import connect_sessions
from sync_pipelines.store.log_tables import record_changes
from sync_pipelines.store.outbox_tables import events
from sync_pipelines.store.tables import IDLE, audit, budget_points, requests, runs, schema_changes
from sync_pipelines.store.vendor_event_tables import vendor_event_days, vendor_events

AT_ONCE: Final = 5_000
"""Rows that one transaction deletes: it takes well under a second and keeps nobody waiting."""

CONNECT_SESSIONS: Final = timedelta(days=7)
"""They end after hours at most; a few days longer a browser is told that, and not that there was no such link."""

SYNC_VERSIONS: Final = 100
"""So many documents of each sync made by API stay, the present one among them."""

_GONE_OBJECTS: Final = text(
    """
    WITH declared AS (
        SELECT sync, objects FROM jsonb_to_recordset(:declared) AS given (sync text, objects text[])
    ),
    uncounted AS (
        DELETE FROM completeness USING declared
        WHERE completeness.sync = declared.sync AND completeness.object <> ALL (declared.objects)
    ),
    unlooked AS (
        DELETE FROM schemas USING declared
        WHERE schemas.sync = declared.sync AND schemas.object <> ALL (declared.objects)
    )
    DELETE FROM progress USING declared
    WHERE progress.sync = declared.sync AND progress.object <> ALL (declared.objects)
    """
).bindparams(bindparam("declared", type_=JSONB))


@dataclass(frozen=True)
class _Outdated:
    """Rows of one table that may go: `key` tells them apart, `moment` is in the order of an index."""

    table: Table
    key: Sequence[Column[object]]
    moment: Column[datetime]
    before: datetime
    where: tuple[ColumnElement[bool] | TextClause, ...] = ()

    @property
    def condition(self) -> ColumnElement[bool]:
        return and_(self.moment < self.before, *self.where)


class Retention:
    """Deletes set by set in small transactions. Several processes may do it at once: they share the work."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def outdated(self, keep: Keep, now: datetime | None = None) -> Mapping[str, int]:
        """What `prune` would delete: rows by what they are. Nothing is changed."""
        with self._engine.connect() as database:
            return {
                name: database.execute(select(func.count()).select_from(each.table).where(each.condition)).scalar_one()
                for name, each in _outdated(keep, now).items()
            }

    def prune(
        self, keep: Keep, now: datetime | None = None, *, at_once: int = AT_ONCE, most: int | None = None
    ) -> Mapping[str, int]:
        """Delete what is older than `keep` says; rows by what they were.

        `at_once` rows in one transaction; about `most` rows of each kind, None for all there are.
        """
        return {name: self._delete(each, at_once, most) for name, each in _outdated(keep, now).items()}

    def forget_objects(self, declared: Mapping[str, Iterable[str]]) -> int:
        """Delete the standing of objects that a sync has no longer; of how many objects of connections that was.

        `declared`: the objects of each sync. Syncs that are not among them are left alone.
        """
        rows = [{"sync": sync, "objects": sorted(objects)} for sync, objects in declared.items()]
        with self._engine.begin() as database:
            return database.execute(_GONE_OBJECTS, {"declared": rows}).rowcount

    def _delete(self, each: _Outdated, at_once: int, most: int | None) -> int:
        oldest = select(*each.key).where(each.condition).order_by(each.moment).limit(at_once)
        gone = select(oldest.with_for_update(skip_locked=True).subquery())
        key = each.key[0] if len(each.key) == 1 else func.row(*each.key)
        count = 0
        while True:
            with self._engine.begin() as database:
                deleted = database.execute(delete(each.table).where(key.in_(gone))).rowcount
            count += deleted
            if deleted < at_once or (most is not None and count >= most):
                return count


def _outdated(keep: Keep, now: datetime | None) -> Mapping[str, _Outdated]:
    now = now or datetime.now(UTC)
    return {
        "idle runs": _Outdated(runs, [runs.c.id], runs.c.finished_at, now - keep.idle_runs, (text(IDLE),)),
        "runs": _Outdated(runs, [runs.c.id], runs.c.finished_at, now - keep.runs),
        "requests": _Outdated(requests, [requests.c.id], requests.c.asked_at, now - keep.requests),
        "record changes": _Outdated(
            record_changes, [record_changes.c.id], record_changes.c.at, now - keep.record_changes
        ),
        "audit": _Outdated(audit, [audit.c.id], audit.c.at, now - keep.audit),
        "schema changes": _Outdated(schema_changes, [schema_changes.c.id], schema_changes.c.at, now - keep.audit),
        "versions of syncs": _Outdated(
            api_sync_versions,
            [api_sync_versions.c.sync, api_sync_versions.c.version],
            api_sync_versions.c.saved_at,
            now,
            (api_sync_versions.c.version <= _newest_version_of_each() - SYNC_VERSIONS,),
        ),
        "connect sessions": _Outdated(
            connect_sessions, [connect_sessions.c.id], connect_sessions.c.created_at, now - CONNECT_SESSIONS
        ),
        "budget points": _Outdated(
            budget_points,
            [budget_points.c.connection_id, budget_points.c.hour],
            budget_points.c.hour,
            now - keep.budget_points,
        ),
        "vendor events": _Outdated(
            vendor_events,
            [vendor_events.c.id],
            vendor_events.c.received_at,
            now - keep.vendor_events,
            (vendor_events.c.next_at.is_(None),),
        ),
        "vendor event days": _Outdated(
            vendor_event_days,
            [vendor_event_days.c.provider, vendor_event_days.c.day],
            vendor_event_days.c.day,
            now - keep.runs,
        ),
        "events": _Outdated(events, [events.c.id], events.c.at, now - keep.events),
    }


def _newest_version_of_each() -> ScalarSelect[int]:
    return select(api_syncs.c.version).where(api_syncs.c.name == api_sync_versions.c.sync).scalar_subquery()
