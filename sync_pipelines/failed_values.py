"""Values that did not fit their columns, found where they are kept: beside the rows in the destinations."""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from sync_pipelines.model.destination import Destination, Scope, Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.failed_value import FailedCount, FailedValue
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Those of one sync's object in one place. `values` are the first of them."""

    sync: str
    object: str
    table: str
    counts: tuple[FailedCount, ...]
    values: tuple[FailedValue, ...]


def find_failed(
    project: Project,
    *,
    sync: str | None = None,
    customer: str | None = None,
    object_name: str | None = None,
    limit: int = 50,
) -> Iterator[Failed]:
    """Object by object, of one sync or of all, for one customer or for all that are connected.

    ConfigurationError for a customer who is not connected.
    """
    if customer is not None and not project.store.connections.list(customers=[customer]):
        raise ConfigurationError(f"{customer} is not connected to anything: see `sync-pipelines connections`.")
    syncs = [project.sync(sync)] if sync else list(project.configuration.syncs.values())
    for each in syncs:
        connections = project.store.connections.list(
            provider=each.provider, customers=[customer] if customer is not None else None
        )
        named = [one.customer_id for one in connections if each.covers(one.customer_id)]
        objects = [project.declared(each.name, object_name)] if object_name and sync else _named(each, object_name)
        for item in objects:
            customers = [name for name in named if item in each.objects_of(name)]
            yield from _of_object(project, each, item, customers, limit)


def _named(sync: Sync, object_name: str | None) -> list[SyncObject]:
    if object_name is None:
        return list(sync.objects)
    return [item for item in sync.objects if item.object.casefold() == object_name.casefold()]


def _of_object(project: Project, sync: Sync, item: SyncObject, customers: list[str], limit: int) -> Iterator[Failed]:
    table = project.table(sync.name, item.object)
    places: dict[Hashable, tuple[Destination, list[Scope]]] = {}
    for name in customers:
        destination = project.destination(sync, name)
        places.setdefault(destination.where, (destination, []))[1].append(project.scope_of(sync, item, name))
    for destination, scopes in places.values():
        yield _in_one_place(sync, item, table, destination, scopes, limit)


def _in_one_place(
    sync: Sync, item: SyncObject, table: Table, destination: Destination, scopes: list[Scope], limit: int
) -> Failed:
    return Failed(
        sync=sync.name,
        object=item.object,
        table=table.name,
        counts=tuple(destination.failed_counts(scopes, table)),
        values=tuple(destination.failed(scopes, table, limit=limit)) if limit else (),
    )


def by_column(counts: tuple[FailedCount, ...]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(rows, customers) for each column, vendor field and reason, the most rows first."""
    found: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for each in counts:
        found[each.column, each.field, each.reason].append(each.rows)
    ordered = sorted(found.items(), key=lambda entry: (-sum(entry[1]), entry[0]))
    return {key: (sum(rows), len(rows)) for key, rows in ordered}
