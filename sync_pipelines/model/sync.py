"""A sync: the standing order that says what is copied where, how and when."""

from dataclasses import dataclass, field
from datetime import timedelta

from sync_pipelines.model.mapping import CustomSchema

FULL_REFRESH = "full refresh"
INCREMENTAL = "incremental"

UPSERT = "upsert"
MIRROR = "mirror"

MINIMUM_INTERVAL = timedelta(seconds=60)
"""A shorter period is accepted (the printed example has one) and run at this pace."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a sync is due: every so often, or by cron in a time zone, or (neither) only when asked."""

    every: timedelta | None = None
    cron: str | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class SyncObject:
    """One object of a sync. `strategy` None: the sync's. `table` None: named by the object."""

    object: str
    common_schema: bool = True
    raw_fields: bool = True
    custom_schema: CustomSchema | None = None
    strategy: str | None = None
    table: str | None = None


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
