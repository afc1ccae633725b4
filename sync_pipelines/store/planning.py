"""Brings the plan in line with the syncs and the connections there are: a few statements, however many rows."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert

from sync_pipelines.model.sync import Sync
from sync_pipelines.store.freshness import objectives_of
from sync_pipelines.store.mending import mend_syncs
from sync_pipelines.store.tables import due, planned
from sync_pipelines.store.timetable import jitter, longest_period, next_time, period, schedule_of, written

SCHEDULING = ("every_seconds", "cron", "timezone", "spread_seconds", "own_schedules")
"""The columns of `planned` that a schedule is made of."""

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('sync_pipelines plan', 0))")

_COVERED = """
    connections.provider = planned.provider
    AND (planned.customers = '{}' OR connections.customer_id = ANY(planned.customers))
"""

_NEW = text(
    f"""
    INSERT INTO due (sync, connection_id, customer_id, regular_at, scheduled_at)
    SELECT planned.sync, connections.id, connections.customer_id, start.at, start.at
    FROM planned
    JOIN connections ON {_COVERED} AND connections.status IN ('connected', 'error')
    CROSS JOIN LATERAL (
        SELECT COALESCE(planned.own_schedules -> connections.customer_id, to_jsonb(planned)) AS schedule
    ) AS own
    CROSS JOIN LATERAL (
        SELECT CASE WHEN own.schedule ->> 'cron' IS NULL AND own.schedule ->> 'every_seconds' IS NULL THEN NULL
                    ELSE CAST(:now AS timestamptz) END AS at
    ) AS start
    WHERE planned.sync = ANY(:syncs) AND (CAST(:ids AS bigint[]) IS NULL OR connections.id = ANY(:ids))
      AND NOT EXISTS (SELECT 1 FROM due WHERE due.sync = planned.sync AND due.connection_id = connections.id)
    ON CONFLICT DO NOTHING
    """  # noqa: S608 - no value enters the text
)

_GONE = text(
    f"""
    DELETE FROM due
    USING planned, connections
    WHERE due.sync = ANY(:syncs) AND planned.sync = due.sync AND connections.id = due.connection_id
      AND NOT ({_COVERED}) AND (CAST(:ids AS bigint[]) IS NULL OR connections.id = ANY(:ids))
    """  # noqa: S608 - no value enters the text
)

_CREATED = text(
    """
    INSERT INTO sync_states (sync, state, actor, since)
    SELECT sync, CASE WHEN EXISTS (SELECT 1 FROM runs WHERE runs.sync = planned.sync) THEN 'active' ELSE 'created' END,
           'configuration', :now
    FROM planned WHERE sync = ANY(:syncs)
    ON CONFLICT DO NOTHING
    """
)

_RESCHEDULE = text(
    """
    UPDATE due
    SET regular_at = new.regular_at, scheduled_at = new.scheduled_at
    FROM jsonb_to_recordset(:rows) AS new
        (sync text, connection_id bigint, regular_at timestamptz, scheduled_at timestamptz)
    WHERE due.sync = new.sync AND due.connection_id = new.connection_id
    """
).bindparams(bindparam("rows", type_=JSONB))


def plan(
    database: Database,
    syncs: Sequence[Sync],
    connection_ids: Sequence[int] | None,
    now: datetime,
    *,
    whole: bool,
    marks: Mapping[str, str],
) -> None:
    """See `Due.plan`. Runs in the caller's transaction; two planners take turns."""
    lock_plan(database)
    names = [sync.name for sync in syncs]
    before = {row["sync"]: dict(row) for row in database.execute(select(planned)).mappings()}
    if whole:
        database.execute(planned.delete().where(planned.c.sync.not_in(names)))
    after = [_row(sync, marks.get(sync.name, "")) for sync in syncs]
    if changed := [row for row in after if before.get(row["sync"]) != row]:
        upsert = insert(planned)
        columns = {name: upsert.excluded[name] for name in changed[0] if name != "sync"}
        database.execute(upsert.on_conflict_do_update(index_elements=["sync"], set_=columns), changed)
    scope = {"syncs": names, "ids": connection_ids}
    database.execute(_GONE, scope)
    for row in changed:
        old = before.get(row["sync"])
        if old is not None and any(old[name] != row[name] for name in SCHEDULING):
            _reschedule(database, old, row, now)
    if mended := [row["sync"] for row in changed if before.get(row["sync"], row)["fingerprint"] != row["fingerprint"]]:
        mend_syncs(database, mended, now)
    database.execute(_CREATED, {"syncs": names, "now": now})
    database.execute(_NEW, {**scope, "now": now})


def lock_plan(database: Database) -> None:
    """Wait until nobody else plans; nobody does until the transaction ends."""
    database.execute(_LOCK)


def _row(sync: Sync, mark: str) -> dict[str, Any]:
    own = {customer: each.schedule for customer, each in sync.overrides.items() if each.schedule is not None}
    made_of = f"{sync!r}\0{mark}".encode("utf-8", "surrogatepass")
    return {
        "sync": sync.name,
        "provider": sync.provider,
        "customers": sorted(sync.customers),
        **written(sync.schedule),
        "own_schedules": {customer: written(schedule) for customer, schedule in own.items()},
        "period_seconds": _longest_period(sync),
        "objectives": objectives_of(sync),
        "fingerprint": hashlib.blake2b(made_of, digest_size=16).hexdigest(),
    }


def _longest_period(sync: Sync) -> int | None:
    """Within which somebody's work must come, in seconds. None: only when asked."""
    own = (longest_period(each.schedule) for each in sync.overrides.values() if each.schedule is not None)
    found = longest_period(sync.schedule) or min((each for each in own if each is not None), default=None)
    return None if found is None else int(found.total_seconds())


def _reschedule(database: Database, old: Mapping[str, Any], new: Mapping[str, Any], now: datetime) -> None:
    """Another schedule than before: what is due stays due, the rest gets its time by the new one."""
    sync = new["sync"]
    rows = database.execute(
        select(due.c.connection_id, due.c.customer_id, due.c.scheduled_at).where(due.c.sync == sync)
    ).mappings()
    changes = []
    for row in rows:
        customer = row["customer_id"]
        schedule = schedule_of(new, customer)
        if schedule == schedule_of(old, customer):
            continue
        length = period(schedule, now)
        spread = jitter(sync, customer, schedule, length)
        # A sync that only ran when asked begins its schedule at once.
        begins = row["scheduled_at"] is None or row["scheduled_at"] <= now
        regular = None if length is None else now if begins else next_time(schedule, now, spread)
        scheduled = None if regular is None else regular if begins else regular + spread
        changes.append(
            {
                "sync": sync,
                "connection_id": row["connection_id"],
                "regular_at": regular and regular.isoformat(),
                "scheduled_at": scheduled and scheduled.isoformat(),
            }
        )
    if changes:
        database.execute(_RESCHEDULE, {"rows": changes})
