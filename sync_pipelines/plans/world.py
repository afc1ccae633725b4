"""What a plan looks at: the configuration as written, the version in effect, the store and the destinations.

Everything is asked for set by set. No vendor is called.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy import RowMapping

from sync_pipelines.config.snapshot import KINDS, Parts, parts_of
from sync_pipelines.destinations import is_shared, open_survey, where_of
from sync_pipelines.engine.layout import resolve_mapping, root_of
from sync_pipelines.model.common_model import PLAIN_COLUMNS
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError, DestinationError
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.schema_change import DISCARD_FIELD
from sync_pipelines.model.survey import Position, Survey, TableLook, Where
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.store import AppliedVersion


@dataclass(frozen=True, kw_only=True)
class Target:
    """One object of a sync as it is written, with the table that it writes."""

    sync: Sync
    declared: SyncObject
    table: Table

    @property
    def label(self) -> str:
        return f"{self.sync.name} {self.declared.object}"


class World:
    """Opened by `looked_at`. What is asked for is asked once. `only`: the syncs of interest; empty: all."""

    def __init__(self, project: Project, only: Sequence[str], stack: ExitStack) -> None:
        self.project = project
        self.only = tuple(sorted(set(only)))
        self.in_effect: AppliedVersion | None = project.store.configurations.newest()
        self.planned: Mapping[str, RowMapping] = project.store.configurations.planned()
        self.nowhere: dict[str, str] = {}
        """Customers whose place cannot be, and why; known once `places` is."""
        self._stack = stack
        self._surveys: dict[tuple[str, str], Survey] = {}
        self._rows: dict[tuple[Where, str, bool], Mapping[tuple[str, str], int]] = {}
        known = {*self.written["syncs"], *self.before["syncs"], *self.planned}
        if unknown := [name for name in self.only if name not in known]:
            raise ConfigurationError(
                f"There is no sync named {', '.join(unknown)}. Known are: {', '.join(sorted(known)) or 'none'}."
            )

    @cached_property
    def written(self) -> Parts:
        """The parts of the configuration as it is written now. Syncs made by API are applied by the call that made
        them."""
        return parts_of(self.project.in_files)

    @property
    def before(self) -> Parts:
        """The parts in effect; nothing where nothing was applied yet."""
        return self.in_effect.parts if self.in_effect else {kind: {} for kind in KINDS}

    @cached_property
    def after(self) -> Parts:
        """The parts that would be in effect: those written, or of `only` some syncs laid over those in effect."""
        if not self.only:
            return self.written
        parts: dict[str, dict[str, Any]] = {kind: dict(self.before.get(kind, {})) for kind in KINDS}
        for name in self.only:
            parts["syncs"].pop(name, None)
            if (part := self.written["syncs"].get(name)) is not None:
                parts["syncs"][name] = part
                for kind in ("provider", "destination"):
                    parts[f"{kind}s"][part[kind]] = self.written[f"{kind}s"][part[kind]]
        return parts

    @cached_property
    def syncs(self) -> list[Sync]:
        """Those of interest that are written."""
        every = sorted(self.project.in_files.syncs.values(), key=lambda sync: sync.name)
        return [sync for sync in every if not self.only or sync.name in self.only]

    @cached_property
    def targets(self) -> list[Target]:
        return [self._target(sync, declared) for sync in self.syncs for declared in sync.objects]

    @cached_property
    def all_targets(self) -> list[Target]:
        """Those of syncs that are of no interest too, and of those made by API: they write to the same tables."""
        every = sorted(self.project.configuration.syncs.values(), key=lambda sync: sync.name)
        return [self._target(sync, declared) for sync in every for declared in sync.objects]

    def _target(self, sync: Sync, declared: SyncObject) -> Target:
        return Target(sync=sync, declared=declared, table=self.project.table(sync.name, declared.object))

    @cached_property
    def connections(self) -> dict[str, list[Connection]]:
        """By sync, whom it covers; one query."""
        every = self.project.store.connections.list()
        found: dict[str, list[Connection]] = {}
        for sync in self.syncs:
            chosen = frozenset(sync.customers)
            found[sync.name] = [
                each for each in every if each.provider == sync.provider and (not chosen or each.customer_id in chosen)
            ]
        return found

    @cached_property
    def places(self) -> dict[str, dict[Where, list[str]]]:
        """By sync, its customers by where their rows land. A place that all share is there without customers too."""
        return {sync.name: self._places_of(sync) for sync in self.syncs}

    def _places_of(self, sync: Sync) -> dict[Where, list[str]]:
        config = self.project.configuration.destinations[sync.destination]
        found: dict[Where, list[str]] = {}
        if is_shared(config):
            found[where_of(config, "")] = []
        for each in self.connections[sync.name]:
            own = sync.overrides.get(each.customer_id)
            try:
                where = where_of(config, each.customer_id, own.schema if own else None)
            except DestinationError as problem:
                self.nowhere[each.customer_id] = str(problem)
                continue
            found.setdefault(where, []).append(each.customer_id)
        return found

    @cached_property
    def mappings(self) -> dict[tuple[str, str], dict[str, FieldMapping]]:
        """By provider and object, the newest mappings by customer; a query for each provider."""
        found: dict[tuple[str, str], dict[str, FieldMapping]] = {}
        wanted: dict[str, tuple[set[str], set[str]]] = {}
        for target in self.targets:
            if target.declared.custom_schema is not None:
                names, customers = wanted.setdefault(target.sync.provider, (set(), set()))
                names.add(target.declared.object)
                customers.update(each.customer_id for each in self.connections[target.sync.name])
        for provider, (names, customers) in wanted.items():
            current = self.project.store.mappings.current_of(provider, sorted(names), sorted(customers))
            for (customer, name), mapping in current.items():
                found.setdefault((provider, name), {})[customer] = mapping
        return found

    @cached_property
    def positions(self) -> dict[tuple[str, str], dict[str, Position]]:
        """By sync and object, the positions by customer, in the place where the customer's rows land."""
        schemas: dict[tuple[str, str], dict[str, set[str]]] = {}
        for sync, places in self.places.items():
            for where in places:
                schemas.setdefault((where.destination, where.database), {}).setdefault(where.schema, set()).add(sync)
        found: dict[tuple[str, str], dict[str, Position]] = {}
        for (destination, database), syncs in schemas.items():
            survey = self._survey(destination, database)
            names = sorted({name for several in syncs.values() for name in several})
            for each in survey.positions(sorted(syncs), self.project.settings.application_id, names):
                home = self._home.get((each.sync, each.customer_id))
                if home is not None and (home.database, home.schema) == (database, each.schema):
                    found.setdefault((each.sync, each.object), {})[each.customer_id] = each
        return found

    @cached_property
    def looks(self) -> dict[tuple[Where, str], TableLook]:
        """By place and table name, how it is and what has to be done to it."""
        wanted = self.wanted_tables
        by_database: dict[tuple[str, str], dict[str, list[Table]]] = {}
        for where, tables in wanted.items():
            by_database.setdefault((where.destination, where.database), {})[where.schema] = list(tables.values())
        found: dict[tuple[Where, str], TableLook] = {}
        for (destination, database), schemas in by_database.items():
            for schema, looks in self._survey(destination, database).tables(schemas).items():
                where = Where(destination=destination, database=database, schema=schema)
                found.update({(where, look.name): look for look in looks})
        return found

    @cached_property
    def wanted_tables(self) -> dict[Where, dict[str, Table]]:
        """By place, the tables by name with the columns of all who write them."""
        found: dict[Where, dict[str, Table]] = {}
        for target in self.targets:
            for where, customers in self.places[target.sync.name].items():
                if customers and not any(target.declared in target.sync.objects_of(each) for each in customers):
                    continue
                tables = found.setdefault(where, {})
                known = tables.get(target.table.name)
                tables[target.table.name] = _both(known, target.table) if known else target.table
        return found

    def remade(self, target: Target, customer: str) -> Mapping[str, int]:
        """Columns of the customer's table that stand in the place of others."""
        position = self.positions.get((target.sync.name, target.declared.object), {}).get(customer)
        if position is not None and position.remade is not None:
            columns = {column.name for column in target.table.columns}
            return {name: number for name, number in position.remade.items() if name in columns}
        where = self._home.get((target.sync.name, customer))
        look = self.looks.get((where, target.table.name)) if where is not None else None
        return look.remade if look is not None else {}

    @cached_property
    def _home(self) -> dict[tuple[str, str], Where]:
        """By sync and customer, where the rows land."""
        return {
            (sync, customer): where
            for sync, places in self.places.items()
            for where, customers in places.items()
            for customer in customers
        }

    def rows(self, where: Where, table: Table, *, deleted: bool = False) -> Mapping[tuple[str, str], int]:
        """Rows of a table by (provider, customer); one statement for each table."""
        key = (where, table.name, deleted)
        if key not in self._rows:
            survey = self._survey(where.destination, where.database)
            application = self.project.settings.application_id
            self._rows[key] = survey.rows(where.schema, table, application, deleted=deleted)
        return self._rows[key]

    def rows_of(self, target: Target, customers: Iterable[str]) -> int:
        """How many rows these customers have of a sync's object, where it was written until now."""
        wanted = set(customers)
        if (former := self._former_table(target)) is not None:
            left = self.rows_left(former) or {}
            return sum(rows for customer, rows in left.items() if customer in wanted)
        return sum(self.rows_in(target, wanted).values())

    def rows_in(self, target: Target, customers: Iterable[str], *, deleted: bool = False) -> dict[str, int]:
        """By customer, the rows in the table that a sync's object is written to. `deleted`: see `rows`."""
        wanted, found = set(customers), dict[str, int]()
        for where, there in self.places[target.sync.name].items():
            if some := wanted.intersection(there):
                counted = self.rows(where, target.table, deleted=deleted)
                found |= {customer: counted.get((target.sync.provider, customer), 0) for customer in some}
        return found

    def _former_table(self, target: Target) -> Mapping[str, str] | None:
        """The table that the object had in the version in effect, where it is another one."""
        writes = self.in_effect.writes if self.in_effect else {}
        former = writes.get(target.sync.name, {}).get(target.declared.object)
        return former if former is not None and former["table"] != target.table.name else None

    def rows_left(self, target: Mapping[str, str]) -> dict[str, int] | None:
        """By customer, the rows of an object that is no longer synced, as its version had it.

        None where its destination is no longer configured, or cannot be asked for all customers at once.
        """
        config = self.project.configuration.destinations.get(target["destination"])
        if config is None or not is_shared(config):
            return None
        table = Table(name=target["table"], columns=PLAIN_COLUMNS, metadata_prefix=target["prefix"])
        counted = self.rows(where_of(config, ""), table)
        return {customer: rows for (provider, customer), rows in counted.items() if provider == target["provider"]}

    def writes(self) -> dict[str, dict[str, dict[str, str]]]:
        """By sync and object, the table that would be written once the plan is applied."""
        found: dict[str, dict[str, dict[str, str]]] = {}
        if self.only and self.in_effect:
            for name, objects in self.in_effect.writes.items():
                if name not in self.only:
                    found[name] = {key: dict(each) for key, each in objects.items()}
        for target in self.targets:
            found.setdefault(target.sync.name, {})[target.declared.object] = {
                "provider": target.sync.provider,
                "destination": target.sync.destination,
                "table": target.table.name,
                "prefix": target.table.metadata_prefix,
                "columns": ",".join(column.name for column in target.table.columns),
            }
        return found

    def fields_of_accounts(self, target: Target, customers: Sequence[str]) -> dict[str, list[str]]:
        """By customer, the fields that the account had when it was last looked at, as far as they are remembered.

        Only such fields as anybody's rules name, of accounts that are remembered.
        """
        declared, sync = target.declared, target.sync
        if declared.custom_schema is None:
            return {}
        wanted = set(customers)
        ids = {each.id: each.customer_id for each in self.connections[sync.name] if each.customer_id in wanted}
        named = self._named_fields(target)
        accepted = declared.schema_policy == DISCARD_FIELD
        found = self.project.store.schemas.fields_of(sync.name, declared.object, [*ids], named, accepted=accepted)
        return {ids[id]: fields for id, fields in found.items()}

    def _named_fields(self, target: Target) -> set[str]:
        """All that rules of anybody name, and what unmapped fields may be taken from."""
        declared = target.declared
        mappings = self.mappings.get((target.sync.provider, declared.object), {})
        named = {each.name for each in declared.custom_schema.fields} if declared.custom_schema else set()
        for mapping in (None, *mappings.values()):
            rules, additional = resolve_mapping(declared, target.sync.provider, mapping)
            sources = [each for rule in (*rules.values(), *additional.values()) if rule for each in rule.sources]
            named.update(sources, map(root_of, sources))
        return named

    def make_ready(self, where: Where, table: Table) -> None:
        """Create or alter one table."""
        self._survey(where.destination, where.database).make_ready(where.schema, table)

    def _survey(self, destination: str, database: str) -> Survey:
        key = (destination, database)
        if key not in self._surveys:
            config = self.project.configuration.destinations[destination]
            survey = open_survey(config, database, self.project.s3_client)
            self._stack.callback(survey.close)
            self._surveys[key] = survey
        return self._surveys[key]


def _both(one: Table, other: Table) -> Table:
    known = {column.name for column in one.columns}
    return replace(one, columns=one.columns + tuple(each for each in other.columns if each.name not in known))


@contextmanager
def looked_at(project: Project, only: Sequence[str] = ()) -> Iterator[World]:
    """The world as it is from now on; what was looked at is not looked at again."""
    with ExitStack() as stack:
        yield World(project, only, stack)
