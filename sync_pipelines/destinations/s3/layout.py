"""Columns of an object's files, their types in Arrow, and what a table may not be called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import pyarrow as pa

from sync_pipelines.destinations.s3.names import CUSTOMER, DATE
from sync_pipelines.model import destination
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import DestinationBusy, DestinationError
from sync_pipelines.model.former import TAKEN_IN

OWN_PREFIX: Final = "_sync_"
NUMBER: Final = pa.decimal128(38, 18)
"""38 digits are what every reader of Parquet knows; half of them behind the point, as rates and shares need them."""

ARROW_TYPES: Final[Mapping[str, pa.DataType]] = {
    "text": pa.string(),
    "numeric": NUMBER,
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "jsonb": pa.string(),
}

METADATA: Final[Mapping[str, str]] = {**destination.METADATA, "version": "bigint", "removed": "boolean"}
"""Columns before those of the table. `version`: of several rows of one record the highest is the record's latest state.
`removed`: this record is gone; a row that says so has no other values."""

SHOWN: Final = tuple(destination.METADATA)
"""What a sample shows of them: the same as in Postgres."""


@dataclass(frozen=True)
class Layout:
    """A model Table with `others`: columns that its files have and the table, as it is declared now, does not."""

    table: Table
    others: tuple[Column, ...] = ()

    @classmethod
    def of(cls, table: Table, known: Mapping[str, str], prefix: str | None) -> "Layout":
        """Over files that have the columns `known` ({name: type}) already.

        DestinationError where both do not fit. That types fit is seen to before (see `former`); DestinationBusy where
        somebody else has changed one since.
        """
        _check_names(table)
        if prefix is not None and prefix != table.metadata_prefix:
            raise DestinationError(
                f"The files of {table.name} were written with the metadata_prefix {prefix}, and "
                f"{table.metadata_prefix} is asked for now: keep it, or give the object another table, or the "
                "destination another prefix."
            )
        columns = []
        for column in table.columns:
            kind = known.get(column.name, column.type)
            if not is_taken_in(kind, column.type):
                raise DestinationBusy(
                    f"Another run has made the column {column.name} of {table.name} {kind} meanwhile, and "
                    f"{column.type} was to be written; the sync is tried again by itself."
                )
            columns.append(Column(column.name, "numeric" if kind != column.type else kind, column.description))
        declared = {column.name for column in columns}
        others = tuple(Column(name, kind) for name, kind in known.items() if name not in declared)
        return cls(replace(table, columns=tuple(columns)), others)

    def meta(self, name: str) -> str:
        """A metadata column's full name."""
        return f"{self.table.metadata_prefix}{name}"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Of the files, in their order."""
        own = (Column(self.meta(name), kind) for name, kind in METADATA.items())
        return (*own, *self.table.columns, *self.others)

    @cached_property
    def types(self) -> Mapping[str, str]:
        """{column: type} without metadata, to be remembered."""
        return {column.name: column.type for column in (*self.table.columns, *self.others)}

    @cached_property
    def schema(self) -> pa.Schema:
        return schema_of(self.columns)

    def called_by(self, names: Mapping[str, str]) -> tuple[Column, ...]:
        """The columns as a file has them that calls some otherwise ({its name: ours}); without those it lacks."""
        own = {now: was for was, now in names.items()}
        return tuple(
            replace(column, name=own.get(column.name, column.name))
            for column in self.columns
            if column.name in own or column.name not in names
        )

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each column stands in a row of the files."""
        return {column.name: place for place, column in enumerate(self.columns)}


def is_taken_in(there: str, wanted: str) -> bool:
    """Whether values of the type `wanted` can go on in a column of the type `there`, be it made a wider one."""
    return there == wanted or (there, wanted) in TAKEN_IN or (wanted, there) in TAKEN_IN


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Of files with these columns."""
    return pa.schema([pa.field(column.name, ARROW_TYPES[column.type]) for column in columns])


def _check_names(table: Table) -> None:
    if table.name.startswith(OWN_PREFIX):
        raise DestinationError(
            f"The table name {table.name} begins with {OWN_PREFIX}, which is reserved: choose another one."
        )
    names = [CUSTOMER, DATE, *(f"{table.metadata_prefix}{name}" for name in METADATA)]
    names += [column.name for column in table.columns]
    folded = [name.casefold() for name in names]
    if doubled := sorted({name for name in folded if folded.count(name) > 1}):
        raise DestinationError(
            f"The table {table.name} would have two columns named {', '.join(doubled)}: rename the field in the custom "
            "schema."
        )
