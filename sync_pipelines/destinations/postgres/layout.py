"""How an object's table looks in Postgres: names, types and order of its columns."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sync_pipelines.destinations.postgres.names import checked
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import METADATA, Table
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.naming import LONGEST_NAME

CHECKPOINTS = "_sync_checkpoints"
SEEN = "_sync_seen"
VIEWED_PREFIX = "_supaglue_"
"""With this prefix people get a view with exactly the columns of the managed-syncs product."""
OWN_PREFIX = "_sync_"

SQL_TYPES = {
    "text": "text",
    "numeric": "numeric",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamptz": "timestamp with time zone",
    "date": "date",
    "jsonb": "jsonb",
}
"""Our column types as format_type() spells them."""

KEY = ("application_id", "provider_name", "customer_id")
"""Metadata columns that say whose row it is; with `id` they are the primary key."""

VISIBLE = ("application_id", "customer_id", "provider_name", "emitted_at")


@dataclass(frozen=True)
class Layout:
    """A model Table in one schema. `physical` holds the rows; `named` is what people query.

    `remade`: see model.destination.Landing.
    """

    schema: str
    table: Table
    remade: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        checked(self.table.name, "table")
        if self.table.name.startswith(OWN_PREFIX):
            raise DestinationError(
                f"The table name {self.table.name} begins with {OWN_PREFIX}, which is reserved: choose another one."
            )
        names = [column.name for column in self.columns]
        for name in names:
            checked(name, "column")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise DestinationError(
                f"The table {self.table.name} would have two columns named {', '.join(doubled)}: rename the field in "
                "the custom schema."
            )

    def with_types(self, existing: Mapping[str, str]) -> "Layout":
        """The same columns with the types of a table that takes them, by format_type()'s names."""
        ours = {name: kind for kind, name in SQL_TYPES.items()}
        columns = tuple(replace(column, type=ours[existing[column.name]]) for column in self.table.columns)
        return self if columns == self.table.columns else replace(self, table=replace(self.table, columns=columns))

    @property
    def has_view(self) -> bool:
        return self.table.metadata_prefix == VIEWED_PREFIX

    @property
    def named(self) -> str:
        return self.table.name

    @cached_property
    def physical(self) -> str:
        if not self.has_view:
            return self.named
        name = f"{OWN_PREFIX}{self.named}"
        if len(name.encode()) <= LONGEST_NAME:
            return name
        digest = hashlib.blake2s(self.named.encode(), digest_size=4).hexdigest()
        return f"{OWN_PREFIX}{self.named.encode()[:46].decode(errors='ignore')}_{digest}"

    def meta(self, name: str) -> str:
        """A metadata column's full name."""
        return f"{self.table.metadata_prefix}{name}"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the physical table, in their order."""
        return (*(Column(self.meta(name), kind) for name, kind in METADATA.items()), *self.table.columns)

    @cached_property
    def viewed(self) -> tuple[str, ...]:
        """Names of the view's columns, in their order."""
        return (*(self.meta(name) for name in VISIBLE), *(column.name for column in self.table.columns))

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Names of the primary key's columns, in their order."""
        return (*(self.meta(name) for name in KEY), "id")
