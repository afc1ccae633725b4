"""Which stored rows go because of a change, or are marked as deleted, as far as it can be told without the accounts.

Rows that are marked already are known to go once rows are mirrored. Whether a record still fits, or is still there,
only its account says: of such rows the plan tells how many there can be at most.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sync_pipelines.model.filter import DELETE, KEEP, MARK
from sync_pipelines.model.sync import APPEND, FULL_REFRESH, MIRROR, UPSERT, Sync, SyncObject
from sync_pipelines.plans.plan import (
    BRAKE,
    FIRST_READ,
    FOLLOWING,
    LEAVING,
    LINKS,
    MIRRORING,
    NEXT_FULL_READ,
    NEXT_RUN,
    REMAP,
    WHEN_ASKED,
    Read,
    Removal,
)
from sync_pipelines.plans.reads import Reads, customers_of, is_touched
from sync_pipelines.plans.world import Target, World

_WHEN_FULL: Final = ("strategy", "full_refresh_every")


def removals_of(world: World, reads: Reads) -> list[Removal]:
    """By sync and object, in the order of the configuration; a table is counted only where its rows may go."""
    return [each for target in world.targets if target.sync.mode != APPEND for each in _of_target(world, target, reads)]


def _of_target(world: World, target: Target, reads: Reads) -> Iterator[Removal]:
    key = (target.sync.name, target.declared.object)
    rereads = {
        customer: read
        for read in reads.found
        if (read.sync, read.object) == key and read.kind != REMAP
        for customer in read.customers
    }
    settings = _settings(world, target)
    touched = is_touched(world, target) or (world.in_effect is not None and bool(settings))
    alike: dict[tuple[str, tuple[str, ...], str, bool], list[str]] = {}
    for customer in customers_of(world, target):
        read, declared = rereads.get(customer), target.sync.object_of(customer, target.declared)
        leavers = _leavers(target.sync, declared, read, rechosen=customer in reads.rechosen.get(key, ()))
        why = _why(target, settings, read, leavers)
        if why:
            fate = _fate(target, leavers)
            caused = touched or (read is not None and read.caused)
            alike.setdefault((fate, why, _by(world, target, read), caused), []).append(customer)
    for (fate, why, by, caused), customers in alike.items():
        known, most = _counted(world, target, customers, fate, why)
        yield Removal(
            sync=target.sync.name,
            object=target.declared.object,
            table=target.table.name,
            customers=tuple(sorted(customers)),
            fate=fate,
            why=why,
            by=by,
            caused=caused,
            known=known,
            most=most,
        )


def _settings(world: World, target: Target) -> frozenset[str]:
    """Of what takes rows away, that which is otherwise than in effect."""
    before = world.before["syncs"].get(target.sync.name)
    if before is None:
        # Runs use what is written, so that they do it whether it is applied or not.
        return frozenset({MIRRORING} if world.in_effect is None and _mirrors(target) else ())
    after = world.after["syncs"][target.sync.name]
    old: Mapping[str, Any] = before["objects"].get(target.declared.object, {})
    new: Mapping[str, Any] = after["objects"][target.declared.object]
    found = set()
    if _mirrors(target) and (before.get("mode") != MIRROR or _differ(before, after) or _differ(old, new)):
        found.add(MIRRORING)
    if before.get("mode") == APPEND and target.sync.mode == UPSERT:
        found.add(FOLLOWING)
    if before.get("delete_brake", Sync.delete_brake) < target.sync.delete_brake:
        found.add(BRAKE)
    kept, was = set(target.declared.associated), set(old.get("associated", ()))
    # What is meant where none are named, the provider says.
    more = kept == was or (was and kept > was)
    if target.declared.object in before["objects"] and not more:
        found.add(LINKS)
    return frozenset(found)


def _mirrors(target: Target) -> bool:
    """Links go in any mode."""
    return target.sync.mode == MIRROR and not target.declared.is_associations


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether full reads come otherwise."""
    return any(before.get(name) != after.get(name) for name in _WHEN_FULL)


def _leavers(sync: Sync, declared: SyncObject, read: Read | None, *, rechosen: bool) -> str:
    """What becomes of rows whose records are not chosen: DELETE, MARK, or KEEP."""
    fate = sync.leavers_of(declared) if rechosen else KEEP
    if read is not None and read.kind == FIRST_READ and (declared.filter or declared.history):
        # Rows of another sync's time: the vendor may be asked for chosen records only, and the others count as gone.
        fate = DELETE if sync.mode == MIRROR or sync.leavers_of(declared) == DELETE else MARK
    return fate


def _why(target: Target, settings: frozenset[str], read: Read | None, leavers: str) -> tuple[str, ...]:
    found = []
    if MIRRORING in settings or (_mirrors(target) and (leavers != KEEP or (read is not None and read.caused))):
        found.append(MIRRORING)
    if leavers != KEEP:
        found.append(LEAVING)
    return (*found, *(each for each in (FOLLOWING, LINKS, BRAKE) if each in settings))


def _fate(target: Target, leavers: str) -> str:
    if target.declared.is_associations or target.sync.mode == MIRROR:
        return DELETE
    return MARK if leavers == KEEP else leavers


def _by(world: World, target: Target, read: Read | None) -> str:
    sync, declared = target.sync, target.declared
    always = world.project.crm_object(sync.name, declared.object).cursor_field is None
    if read is not None or always or (declared.strategy or sync.strategy) == FULL_REFRESH:
        return NEXT_RUN
    return NEXT_FULL_READ if sync.full_refresh_every is not None else WHEN_ASKED


def _counted(world: World, target: Target, customers: list[str], fate: str, why: tuple[str, ...]) -> tuple[int, int]:
    """(rows that are known to go, rows that may go, those included)."""
    every = world.rows_in(target, customers)
    if fate == DELETE and why != (BRAKE,):
        known = sum(world.rows_in(target, customers, deleted=True).values()) if MIRRORING in why else 0
        return known, sum(every.values())
    marked = world.rows_in(target, customers, deleted=True)
    live = {customer: rows - marked[customer] for customer, rows in every.items()}
    if why != (BRAKE,):
        return 0, sum(live.values())
    return 0, sum(math.floor(target.sync.delete_brake * rows) for rows in live.values())
