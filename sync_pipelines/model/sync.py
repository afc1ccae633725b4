"""A sync: the standing order that says what is copied where, how and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from sync_pipelines.model.association import associations_name
from sync_pipelines.model.filter import DELETE, KEEP, MARK, Filter, History
from sync_pipelines.model.mapping import CustomSchema
from sync_pipelines.model.provider import ASSOCIATIONS
from sync_pipelines.model.record_log import OFF
from sync_pipelines.model.schema_change import EVOLVE

FULL_REFRESH = "full refresh"
INCREMENTAL = "incremental"

UPSERT = "upsert"
"""Rows follow their records; one whose record is deleted is marked, never removed."""
MIRROR = "mirror"
"""Rows follow their records, also when they go."""
APPEND = "append"
"""Rows of new records are added, and never touched again."""

MINIMUM_INTERVAL = timedelta(seconds=60)
"""A shorter period is accepted (the printed example has one) and run at this pace."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a sync is due: every so often, or by cron in a time zone, or (neither) only when asked.

    `spread`: how far apart the customers of a sync are laid, so that they do not all come at once. None: over the whole
    interval of `every`, over a minute (or a tenth of the period, if that is less) of a cron line, whose time means
    something.
    """

    every: timedelta | None = None
    cron: str | None = None
    timezone: str = "UTC"
    spread: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class SyncObject:
    """One object of a sync. `strategy` None: the sync's. `table` None: named by the object.

    `schema_policy`: what a run does when the account's fields change (see model.schema_change). `associated`: of an
    object of associations, to which objects (empty: to all that there usually are).
    `freshness`: this object's objective; None: the sync's.
    `filter` None: every record. `leaving`: what becomes of the row of a record that leaves the filter. `history` None:
    all records that exist.
    """

    object: str
    common_schema: bool = True
    raw_fields: bool = True
    custom_schema: CustomSchema | None = None
    strategy: str | None = None
    table: str | None = None
    schema_policy: str = EVOLVE
    associated: tuple[str, ...] = ()
    formula_refresh: Schedule | None = None
    """When formula and roll-up fields are read apart from the records' changes; None: never."""

    @property
    def is_associations(self) -> bool:
        """Whether its records are the links of another object's records."""
        return self.object.endswith(ASSOCIATIONS)

    filter: Filter | None = None
    leaving: str = MARK
    history: History | None = None
    freshness: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Override:
    """What is otherwise for one customer of a sync. None: as for everybody.

    `objects` names some of the sync's objects. `schema` is the namespace in the destination. `filters`: by object,
    instead of the sync's own; None there: every record. `freshness`: the objective for all of this customer's objects.
    """

    schedule: Schedule | None = None
    objects: tuple[str, ...] | None = None
    schema: str | None = None
    filters: Mapping[str, Filter | None] = field(default_factory=dict)
    freshness: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Provider, destination, objects, schedule, strategy and mode, under one name.

    `full_refresh_every`: every so many runs an incremental sync reads everything once (None: never again by itself).
    `delete_brake`: a full read that would delete more than this share of a customer's rows fails instead.
    `overlap` None: the provider's. `metadata_prefix` names the metadata columns; `_supaglue_` gives the printed table.
    """

    name: str
    provider: str
    destination: str
    objects: tuple[SyncObject, ...]
    schedule: Schedule = field(default_factory=Schedule)
    strategy: str = INCREMENTAL
    direction: str = "inbound"
    mode: str = UPSERT
    full_refresh_every: int | None = None
    delete_brake: float = 0.5
    overlap: timedelta | None = None
    metadata_prefix: str = "_sync_"
    bulk_above: int = 2000
    customers: tuple[str, ...] = ()
    """Only these customers; empty means all that are connected."""
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """By customer."""
    freshness: timedelta | None = None
    """The objective: no customer's last successful sync of an object is older than this."""
    record_log: str = OFF
    """Whether what runs do to single records is remembered (see model.record_log)."""
    log_values: bool = True
    """Whether that holds old and new values."""

    def covers(self, customer: str) -> bool:
        """Whether it is for this customer at all, once it is connected."""
        return not self.customers or customer in self.customers

    def leavers_of(self, declared: SyncObject) -> str:
        """What becomes of rows whose records do not fit the filter: DELETE, MARK, or KEEP where nothing does."""
        if declared.filter is None or self.mode == APPEND:
            return KEEP
        return DELETE if self.mode == MIRROR and declared.leaving == MARK else declared.leaving

    def schedule_of(self, customer: str) -> Schedule:
        own = self.overrides.get(customer)
        return own.schedule if own is not None and own.schedule is not None else self.schedule

    def freshness_of(self, customer: str, declared: SyncObject) -> timedelta | None:
        """How old an object's last success may be: the customer's objective, else the object's, else the sync's.

        A customer whose own schedule is to run only when asked has its own objective or none.
        """
        own = self.overrides.get(customer)
        if own is not None and (own.freshness is not None or own.schedule == Schedule()):
            return own.freshness
        return declared.freshness or self.freshness

    def objectives_of(self, declared: SyncObject) -> tuple[timedelta, ...]:
        """Every objective that somebody has for an object, the shortest first."""
        own = [self.freshness_of(each, declared) for each in self.overrides if declared in self.objects_of(each)]
        every = {*own, declared.freshness or self.freshness}
        return tuple(sorted(each for each in every if each is not None))

    def objects_of(self, customer: str) -> tuple[SyncObject, ...]:
        """The objects that are synced for this customer."""
        own = self.overrides.get(customer)
        if own is None or own.objects is None:
            return self.objects
        chosen = {*own.objects, *map(associations_name, own.objects)}
        return tuple(each for each in self.objects if each.object in chosen)

    def object_of(self, customer: str, declared: SyncObject) -> SyncObject:
        """An object of the sync as it is for this customer."""
        own = self.overrides.get(customer)
        if own is None or declared.object not in own.filters:
            return declared
        return replace(declared, filter=own.filters[declared.object])
