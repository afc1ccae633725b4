"""Completeness of a project's syncs: counts compared and kept, gaps repaired by full reads."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sync_pipelines.engine.completeness import Surroundings, compare_side_by_side
from sync_pipelines.engine.inbound import Work
from sync_pipelines.model.budget import Hold
from sync_pipelines.model.completeness import GAP, UNKNOWN, Comparison
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.spending import Sightings

AT_ONCE: Final = 500
"""So many connections of an object are counted before their results are kept and the next are begun."""

BETWEEN_REPAIRS: Final = timedelta(hours=6)
"""A full read that did not mend a gap would not do it a minute later either."""

ACTOR: Final = "completeness"


def verify(
    project: Project,
    sync: str,
    objects: Sequence[str] = (),
    customers: Sequence[str] = (),
    *,
    run_id: str,
    on_counted: Callable[[Sequence[Comparison]], None] = lambda found: None,
) -> list[Comparison]:
    """Compare both sides of a sync's objects for its customers, and keep what was found.

    No `objects`: all that can be counted, which associations cannot. Who differs is synced once in the ordinary way, as
    `run_id`. Answers what is known now, so that a gap which could not be counted again is still one. `on_counted` is
    told as it goes on.
    """
    declared = project.sync(sync)
    countable = [each for each in declared.objects if not each.is_associations]
    chosen = [project.declared(sync, name) for name in objects] or countable
    connections = project.connections(sync, customers)
    found: list[Comparison] = []
    for each in chosen:
        covered = [one for one in connections if each in declared.objects_of(one.customer_id)]
        if not customers:
            project.store.completeness.keep_only(sync, each.object, [one.id for one in covered])
        for start in range(0, len(covered), AT_ONCE):
            if project.stops.is_set():
                return found
            part = covered[start : start + AT_ONCE]
            kept = _verify_part(project, declared, each, part, run_id)
            found += kept
            on_counted(kept)
    return found


def repair(project: Project, sync: str, found: Sequence[Comparison], now: datetime | None = None) -> list[Comparison]:
    """Ask for a full read of exactly the gaps among these, unless that was done lately; those that were asked for."""
    now = now or datetime.now(UTC)
    asked: dict[str, list[Comparison]] = defaultdict(list)
    for each in found:
        waited = each.repair_asked_at is None or each.repair_asked_at <= now - BETWEEN_REPAIRS
        if each.status == GAP and waited:
            asked[each.object].append(each)
    if not asked:
        return []
    store = project.store
    project.plan(sync)
    for name, gaps in asked.items():
        customers = [each.customer_id for each in gaps]
        store.due.request(sync, customers, [name], full=True, actor=ACTOR, now=now)
        store.completeness.mark_asked(sync, name, [each.connection_id for each in gaps], now)
    return [each for gaps in asked.values() for each in gaps]


def _verify_part(
    project: Project, sync: Sync, declared: SyncObject, connections: Sequence[Connection], run_id: str
) -> list[Comparison]:
    rest = project.store.freshness.rest(sync.name)
    resting = {
        one.customer_id: f"{'The sync' if rest.state else 'It'} is {rest.state or 'paused'}, so it was not counted."
        for one in connections
        if rest.state or one.customer_id in rest.customers
    }
    awake = [one for one in connections if one.customer_id not in resting]
    names = [one.customer_id for one in awake]
    mappings = project.store.mappings.current_of(sync.provider, [declared.object], names)
    work = [
        replace(_work(project, sync, declared, one, run_id), mapping=mappings.get((one.customer_id, declared.object)))
        for one in awake
    ]
    counted = _compared(project, work) if work else []
    at_rest = [_at_rest(sync, declared, one, resting) for one in connections if one.customer_id in resting]
    project.store.completeness.record([*counted, *at_rest])
    customers = [one.customer_id for one in connections]
    return project.store.completeness.list(sync.name, object=declared.object, customers=customers)


def _work(project: Project, sync: Sync, declared: SyncObject, connection: Connection, run_id: str) -> Work:
    return Work(
        sync=sync,
        declared=sync.object_of(connection.customer_id, declared),
        provider=project.providers[connection.provider],
        connection=connection,
        application_id=project.settings.application_id,
        run_id=run_id,
    )


def _at_rest(sync: Sync, declared: SyncObject, connection: Connection, resting: dict[str, str]) -> Comparison:
    return Comparison(
        sync=sync.name,
        object=declared.object,
        customer_id=connection.customer_id,
        connection_id=connection.id,
        checked_at=datetime.now(UTC),
        status=UNKNOWN,
        message=resting[connection.customer_id],
    )


def _compared(project: Project, work: Sequence[Work]) -> list[Comparison]:
    """Who is held is not asked, and what counting costs is remembered, as of any other work."""
    holds = project.store.budgets.holds([item.connection for item in work], project.budget_terms)
    seen = Sightings(project.store.budgets, project.budget_terms)
    try:
        return compare_side_by_side(work, _around(project, holds, seen))
    finally:
        seen.record()


def _around(project: Project, holds: Mapping[int, Hold], seen: Sightings) -> Surroundings:
    def sync(work: Sequence[Work]) -> list[SyncRun]:
        first = work[0]
        customers = [item.connection.customer_id for item in work]
        return project.sync_connections(first.sync.name, first.declared.object, customers, run_id=first.run_id)

    def rejected(work: Sequence[Work]) -> list[int]:
        first = work[0]
        customers = [item.connection.customer_id for item in work]
        counts = project.store.completeness.rejected(first.sync.name, first.declared.object, customers)
        return [counts[customer] for customer in customers]

    return Surroundings(
        session=lambda work: project.session(work.connection),
        destination=lambda work: project.destination(work.sync, work.connection.customer_id),
        sync=sync,
        rejected=rejected,
        at_once=project.settings.connections_at_once,
        held=lambda work: holds.get(work.connection.id),
        spent=lambda work, session: seen.add(work.connection.id, session),
    )
