"""Makes a plan: what applying the configuration as it is written now would do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from sync_pipelines.config.snapshot import digest_of
from sync_pipelines.engine.exposure import exposed
from sync_pipelines.engine.layout import resolve_mapping, unused_rules
from sync_pipelines.model.sync import Schedule
from sync_pipelines.plans.differences import document_changes
from sync_pipelines.plans.plan import (
    CREATED,
    FIRST_READ,
    RECORDED,
    REMOVED,
    RENAMED,
    Basis,
    DocumentChange,
    Plan,
    Read,
    ScheduleChange,
    Stays,
)
from sync_pipelines.plans.reads import mappings_basis, positions_basis, reads_of, shortened
from sync_pipelines.plans.removals import removals_of
from sync_pipelines.plans.tables import left_columns, table_changes, tables_basis
from sync_pipelines.plans.world import World, looked_at
from sync_pipelines.project import Project
from sync_pipelines.store.timetable import schedule_of, written
from sync_pipelines.vendor_names import fields_elsewhere


def make_plan(project: Project, only: Sequence[str] = (), *, actor: str = "system") -> Plan:
    """What `apply` would do now for these syncs, or for everything. Changes nothing and calls no vendor."""
    with looked_at(project, only) as world:
        return plan_of(world, actor)


def plan_of(world: World, actor: str) -> Plan:
    """The plan for a world that is being looked at."""
    moment = world.project.store.configurations.now()
    documents = _documents(world)
    tables = table_changes(world)
    reads = reads_of(world)
    basis = Basis(
        made_at=moment,
        configuration=digest_of((world.project.settings.application_id, world.after)),
        in_effect=world.in_effect.version if world.in_effect else 0,
        tables=tables_basis(world),
        positions=dict(positions_basis(world, reads.found)),
        mappings=dict(mappings_basis(world, reads.found)),
    )
    return Plan(
        actor=actor,
        only=world.only,
        basis=basis,
        documents=tuple(documents),
        tables=tuple(tables),
        schedules=tuple(_schedules(world)),
        reads=tuple(reads.found),
        removals=tuple(removals_of(world, reads)),
        stays=(*_staying(world, documents), *left_columns(world)),
        problems=tuple(each.problem for each in tables if each.problem),
        notices=tuple(_notices(world, documents, reads.found, reads.problems)),
    ).sealed()


def _documents(world: World) -> list[DocumentChange]:
    found = [_counted(world, change) for change in document_changes(world.before, world.after)]
    # What runs have planned of a sync that is nowhere written any more, and was in no version.
    now = world.project.configuration
    for name in sorted(world.planned.keys() - world.before["syncs"].keys() - now.syncs.keys() - now.set_aside.keys()):
        if not world.only or name in world.only:
            found.append(DocumentChange(kind="sync", name=name, action=REMOVED))
    return found


def _counted(world: World, change: DocumentChange) -> DocumentChange:
    if change.kind != "sync":
        users = [sync for sync in world.syncs if getattr(sync, change.kind) == change.name]
        customers = {each.customer_id for sync in users for each in world.connections[sync.name]}
        action = RECORDED if change.action == CREATED and world.in_effect is None else change.action
        return replace(change, action=action, customers=len(customers))
    known = change.action == CREATED and world.in_effect is None and change.name in world.planned
    covered = world.connections.get(change.name, ())
    return replace(change, action=RECORDED if known else change.action, customers=len(covered))


def _schedules(world: World) -> Iterator[ScheduleChange]:
    """By how work is planned at the moment, which runs may have brought up to date already."""
    for sync in world.syncs:
        row = world.planned.get(sync.name)
        if row is None:
            continue
        covered = world.connections[sync.name]
        moved = [
            each
            for each in covered
            if written(schedule_of(row, each.customer_id)) != written(sync.schedule_of(each.customer_id))
        ]
        old, new = schedule_of(row), sync.schedule
        if moved or written(old) != written(new):
            yield ScheduleChange(sync=sync.name, old=told(old), new=told(new), customers=len(moved))


def told(schedule: Schedule) -> str:
    """A schedule in words."""
    if schedule.every is not None:
        text = f"every {_span(schedule.every)}"
    elif schedule.cron is not None:
        text = f"cron {schedule.cron} ({schedule.timezone})"
    else:
        return "only when asked"
    return text if schedule.spread is None else f"{text}, spread over {_span(schedule.spread)}"


def _span(span: timedelta) -> str:
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        number, rest = divmod(span.total_seconds(), seconds)
        if number and not rest:
            return f"{number:g} {unit}{'s' if number > 1 else ''}"
    return f"{span.total_seconds():g} seconds"


def _staying(world: World, documents: Sequence[DocumentChange]) -> Iterator[Stays]:
    """Rows that nobody writes any more: of removed syncs, and of objects that syncs no longer have."""
    gone = {change.name for change in documents if change.kind == "sync" and change.action == REMOVED}
    writes = world.in_effect.writes if world.in_effect else {}
    for name in sorted(gone):
        for object_name, target in sorted(writes.get(name, {}).items()):
            yield _rows_left(world, name, object_name, target)
        if name not in writes:
            yield Stays(what=f"rows of {name}", table="(not known: the sync was in no version)")
    for sync in world.syncs:
        mine = writes.get(sync.name, {})
        for object_name in sorted(mine.keys() - {each.object for each in sync.objects}):
            yield _rows_left(world, sync.name, object_name, mine[object_name])


def _rows_left(world: World, sync: str, object_name: str, target: Mapping[str, str]) -> Stays:
    counted = world.rows_left(target)
    return Stays(
        what=f"rows of {sync} {object_name}",
        table=f"{target['destination']} {target['table']}",
        customers=None if counted is None else len(counted),
        rows=None if counted is None else sum(counted.values()),
    )


def _notices(
    world: World, documents: Sequence[DocumentChange], reads: Sequence[Read], failing: Sequence[str]
) -> Iterator[str]:
    yield from failing
    for customer, reason in sorted(world.nowhere.items()):
        yield f"{customer}: {reason}"
    for change in documents:
        if change.action == RENAMED:
            yield (
                f"Positions are kept under a sync's name, so that {change.name} reads everything once as if it were "
                f"new. Rows that {change.was} wrote are recognised and stay."
            )
        for each in change.fields:
            if change.kind == "provider" and each.path == "scopes":
                yield f"{change.name}: customers who are connected keep the scopes they gave until they reconnect."
    yield from _unused(world)
    yield from _exposures(world)
    waiting = {each.customers for each in reads if not each.caused}
    if waiting:
        total = len({customer for customers in waiting for customer in customers})
        yield (
            f"{total:,} customer(s) have work waiting that this change does not cause (kind and columns are told as "
            "waiting): their next run does it."
        )
    if any(each.kind == FIRST_READ for each in reads):
        yield "How many records a first read brings only the accounts can tell; they were not asked."


def _unused(world: World) -> Iterator[str]:
    """Customers' own rules that the schemas, as they are written, do not take."""
    configuration, providers = world.project.configuration, world.project.providers
    for target in world.targets:
        declared, sync = target.declared, target.sync
        elsewhere = fields_elsewhere(configuration, providers, sync, declared)
        covered = {each.customer_id for each in world.connections[sync.name]}
        whom: dict[str, list[str]] = {}
        for customer, mapping in world.mappings.get((sync.provider, declared.object), {}).items():
            if customer in covered:
                for reason in unused_rules(declared, sync.provider, mapping, elsewhere).values():
                    whom.setdefault(reason, []).append(customer)
        for reason, customers in sorted(whom.items()):
            whose = f"{len(customers):,} customer(s) ({shortened(customers)})"
            yield f"{target.label}, {whose}: {reason}; their own rule for it is kept and not used."


def _exposures(world: World) -> Iterator[str]:
    """Values that rules hide and that are loaded all the same, of the developer's and of the customers' own rules."""
    for target in world.targets:
        declared, provider = target.declared, target.sync.provider
        crm_object = world.project.crm_object(target.sync.name, declared.object)
        for text in exposed(declared, crm_object, resolve_mapping(declared, provider, None)[0]):
            yield f"{target.label}, {text}"
        whom: dict[str, list[str]] = {}
        covered = {each.customer_id for each in world.connections[target.sync.name]}
        for customer, mapping in world.mappings.get((provider, declared.object), {}).items():
            if customer in covered:
                for text in exposed(declared, crm_object, mapping.fields):
                    whom.setdefault(text, []).append(customer)
        for text, customers in sorted(whom.items()):
            yield f"{target.label}, {shortened(customers)}, {text}"
