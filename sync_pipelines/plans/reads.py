"""Whose objects a change reads in full, and whose columns it makes anew of what is stored."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sync_pipelines.config.snapshot import digest_of
from sync_pipelines.engine.backfill import Change
from sync_pipelines.engine.outlook import Outlook
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.survey import Position
from sync_pipelines.plans.plan import FIRST_READ, FULL_READ, REMAP, Read
from sync_pipelines.plans.world import Target, World

_DECIDES_ROWS = ("provider", "destination", "metadata_prefix", "mode", "overrides")
_PLACE = ("type", "host", "port", "database", "schema_name", "endpoint_url", "bucket", "folder", "prefix")
_DECIDES_WHO = ("destination", "customers", "overrides")


@dataclass
class Reads:
    """`problems`: sentences about customers whose work would fail. `rechosen`: by sync and object, the customers of
    whom everything is read because other records are chosen."""

    found: list[Read] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    rechosen: dict[tuple[str, str], set[str]] = field(default_factory=dict)


def reads_of(world: World) -> Reads:
    """By sync and object, in the order of the configuration."""
    reads = Reads()
    for target in world.targets:
        _of_target(world, target, reads)
    return reads


def _of_target(world: World, target: Target, reads: Reads) -> None:
    customers = customers_of(world, target)
    stored = world.positions.get((target.sync.name, target.declared.object), {})
    new = [each for each in customers if each not in stored]
    if new and is_new(world, target):
        reads.found.append(_read(world, target, FIRST_READ, new, caused=True))
    rechosen = reads.rechosen.setdefault((target.sync.name, target.declared.object), set())
    kinds, failing = _kinds(world, target, {each: stored[each] for each in customers if each in stored}, rechosen)
    caused = is_touched(world, target)
    for (kind, columns, sure), whom in kinds.items():
        reads.found.append(_read(world, target, kind, whom, columns=columns, sure=sure, caused=caused))
    for reason, whom in failing.items():
        reads.problems.append(f"{target.label}, {shortened(whom)}: {reason}")


def customers_of(world: World, target: Target) -> list[str]:
    """Those who are synced to a place that can be."""
    return [
        each.customer_id
        for each in world.connections[target.sync.name]
        if target.declared in target.sync.objects_of(each.customer_id) and each.customer_id not in world.nowhere
    ]


def _read(
    world: World,
    target: Target,
    kind: str,
    customers: Collection[str],
    *,
    caused: bool,
    columns: tuple[str, ...] = (),
    sure: bool = True,
) -> Read:
    filled = {column.name for column in target.table.columns}
    return Read(
        sync=target.sync.name,
        object=target.declared.object,
        table=target.table.name,
        kind=kind,
        customers=tuple(sorted(customers)),
        columns=tuple(name for name in columns if name in filled),
        left=tuple(name for name in columns if name not in filled),
        caused=caused,
        sure=sure,
        rows=None if kind == FIRST_READ else world.rows_of(target, customers),
    )


def _kinds(
    world: World, target: Target, stored: Mapping[str, Position], rechosen: set[str]
) -> tuple[dict[tuple[str, tuple[str, ...], bool], list[str]], dict[str, list[str]]]:
    """({(kind, columns, sure): customers}, {why it would fail: customers}).

    `rechosen`: gets those of whom other records are chosen.
    What is remembered of accounts is asked for only where their answer matters.
    """
    outlook = Outlook(
        target.declared,
        world.project.crm_object(target.sync.name, target.declared.object),
        target.table,
        target.sync.provider,
        world.project.settings.transform_key,
    )
    mappings = world.mappings.get((target.sync.provider, target.declared.object), {})

    def change_of(customer: str, fields: Sequence[str] | None) -> Change | str:
        known, remade = stored[customer].checkpoint, world.remade(target, customer)
        try:
            own = target.sync.object_of(customer, target.declared)
            return outlook.change(known, mappings.get(customer), fields, remade, own)
        except ConfigurationError as problem:
            return str(problem)

    kinds: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    failing: dict[str, list[str]] = {}
    suspects = [customer for customer in stored if change_of(customer, None) != Change()]
    fields = world.fields_of_accounts(target, suspects) if suspects else {}
    for customer in suspects:
        change = change_of(customer, fields.get(customer))
        if isinstance(change, str):
            failing.setdefault(change, []).append(customer)
        elif change != Change():
            kind = FULL_READ if change.full_read else REMAP
            key = (kind, tuple(sorted(change.columns)), customer in fields)
            kinds.setdefault(key, []).append(customer)
            if change.rechosen:
                rechosen.add(customer)
    return kinds, failing


def is_new(world: World, target: Target) -> bool:
    """Whether customers without a position have none because of this change."""
    if world.in_effect is None:
        return target.sync.name not in world.planned
    before = world.before["syncs"].get(target.sync.name)
    if before is None or target.declared.object not in before["objects"]:
        return True
    after = world.after["syncs"][target.sync.name]
    return any(before.get(name) != after.get(name) for name in _DECIDES_WHO) or _destination_moved(world, target)


def is_touched(world: World, target: Target) -> bool:
    """Whether this change is what makes rows of the object another way than the version in effect does."""
    before = world.before["syncs"].get(target.sync.name)
    if before is None:
        return world.in_effect is not None
    after = world.after["syncs"][target.sync.name]
    name = target.declared.object
    return (
        before["objects"].get(name) != after["objects"].get(name)
        or any(before.get(each) != after.get(each) for each in _DECIDES_ROWS)
        or _destination_moved(world, target)
    )


def _destination_moved(world: World, target: Target) -> bool:
    name = target.sync.destination
    before: Any = world.before["destinations"].get(name, {})
    after: Any = world.after["destinations"].get(name, {})
    return any(before.get(each) != after.get(each) for each in _PLACE)


def shortened(customers: Collection[str], most: int = 3) -> str:
    """The first of them by name, and how many more there are."""
    names = sorted(customers)
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def positions_basis(world: World, reads: Collection[Read]) -> Iterator[tuple[str, str]]:
    """Of objects that are read because of the change, a digest of what all stored positions were mapped with."""
    for sync, name in sorted({(each.sync, each.object) for each in reads if each.caused}):
        marks = {
            customer: (each.checkpoint.fingerprint, each.checkpoint.ground, each.checkpoint.mapped)
            for customer, each in world.positions.get((sync, name), {}).items()
        }
        yield f"{sync} {name}", digest_of(marks)


def mappings_basis(world: World, reads: Collection[Read]) -> Iterator[tuple[str, str]]:
    """Of the same objects, a digest of the customers' mapping versions."""
    syncs = world.project.configuration.syncs
    for provider, name in sorted({(syncs[each.sync].provider, each.object) for each in reads if each.caused}):
        found = world.mappings.get((provider, name), {})
        yield f"{provider} {name}", digest_of({customer: each.version for customer, each in found.items()})
