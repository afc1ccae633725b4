"""Which tables a plan creates and alters, and which of their columns nobody fills any more."""

from collections.abc import Iterator

from sync_pipelines.config.snapshot import digest_of
from sync_pipelines.model.survey import TableLook, Where
from sync_pipelines.plans.plan import ALTER, BLOCKED, CREATE, Stays, TableChange
from sync_pipelines.plans.world import World


def table_changes(world: World) -> list[TableChange]:
    """By destination and table; schemas in which the same is to be done stand together."""
    together: dict[str, list[tuple[Where, TableLook]]] = {}
    for (where, _), look in world.looks.items():
        if _action(look) is not None:
            alike = (
                where.destination,
                where.database,
                look.name,
                look.found is None,
                look.added,
                look.retyped,
                look.renamed,
            )
            together.setdefault(digest_of((*alike, look.problem)), []).append((where, look))
    changes = [_change(world, several) for several in together.values()]
    return sorted(changes, key=lambda each: (each.destination, each.database, each.table, each.schemas))


def _change(world: World, several: list[tuple[Where, TableLook]]) -> TableChange:
    several.sort(key=lambda pair: pair[0].schema)
    where, look = several[0]
    rows = None
    if look.retyped.keys() - look.renamed.keys():
        counted = (world.rows(at, world.wanted_tables[at][look.name]) for at, _ in several)
        rows = sum(number for each in counted for number in each.values())
    return TableChange(
        destination=where.destination,
        database=where.database,
        schemas=tuple(at.schema for at, _ in several),
        table=look.name,
        action=_action(look) or "",
        added=look.added,
        retyped=look.retyped,
        renamed=look.renamed,
        statements=look.statements,
        problem=look.problem,
        rows=rows,
    )


def _action(look: TableLook) -> str | None:
    if look.problem:
        return BLOCKED
    if look.found is None:
        return CREATE
    return ALTER if look.statements or look.added else None


def left_columns(world: World) -> Iterator[Stays]:
    """Columns that the version in effect fills and what is written does not."""
    filled: dict[tuple[str, str], set[str]] = {}
    for sync, objects in (world.in_effect.writes if world.in_effect else {}).items():
        if not world.only or sync in world.only:
            for each in objects.values():
                filled.setdefault((each["destination"], each["table"]), set()).update(each["columns"].split(","))
    still: dict[tuple[str, str], set[str]] = {}
    for target in world.all_targets:
        names = still.setdefault((target.sync.destination, target.table.name), set())
        names.update(column.name for column in target.table.columns)
    found: dict[tuple[str, tuple[str, ...]], dict[tuple[str, str], int]] = {}
    for (where, name), look in world.looks.items():
        key = (where.destination, name)
        if left := filled.get(key, set()).intersection(look.left) - still[key]:
            rows = found.setdefault((f"{where.destination} {name}", tuple(sorted(left))), {})
            for owner, number in world.rows(where, world.wanted_tables[where][name]).items():
                rows[owner] = rows.get(owner, 0) + number
    for (table, columns), rows in sorted(found.items()):
        customers = {customer for _, customer in rows}
        yield Stays(what="columns", table=table, columns=columns, customers=len(customers), rows=sum(rows.values()))


def tables_basis(world: World) -> dict[str, str]:
    """Of the tables that change, a digest of the columns as they are."""
    return {f"{where}.{name}": digest_of(look.found) for (where, name), look in world.looks.items() if _action(look)}
