"""A bucket or folder looked at as a whole: by all customers' manifests, each of which is read once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any, Final

from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.destinations.s3.compaction import Compaction
from sync_pipelines.destinations.s3.formats import Format
from sync_pipelines.destinations.s3.former import made_ready, renames
from sync_pipelines.destinations.s3.layout import Layout
from sync_pipelines.destinations.s3.manifest import Chain, Head, Manifest, head_at, same_format
from sync_pipelines.destinations.s3.names import MANIFESTS
from sync_pipelines.destinations.s3.opening import storage_of
from sync_pipelines.destinations.s3.storage import Storage
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import DestinationError
from sync_pipelines.model.survey import Position, TableLook

AT_ONCE: Final = 32
"""Manifests that are read side by side: what one waits for is the network."""


class FilesSurvey:
    """See model.survey.Survey. A schema is a prefix; the bucket or folder is that of `config`."""

    def __init__(self, config: S3DestinationConfig, client: Callable[[], Any] | None) -> None:
        self._config = config
        self._client = client
        self._manifests = cache(self._read)

    def tables(self, wanted: Mapping[str, Sequence[Table]]) -> dict[str, list[TableLook]]:
        return {schema: [self._look(schema, table) for table in tables] for schema, tables in wanted.items()}

    def positions(self, schemas: Sequence[str], application_id: str, syncs: Sequence[str]) -> list[Position]:
        return [
            Position(
                schema=schema,
                sync=each.sync,
                object=each.object,
                customer_id=manifest.place.customer_id,
                checkpoint=each.checkpoint,
                remade=manifest.remade,
            )
            for schema in schemas
            for manifest in self._manifests(schema)
            if manifest.place.application_id == application_id
            for each in manifest.positions
            if each.sync in syncs
        ]

    def rows(
        self, schema: str, table: Table, application_id: str, *, deleted: bool = False
    ) -> dict[tuple[str, str], int]:
        return {
            (each.place.provider, each.place.customer_id): each.records - each.live if deleted else each.records
            for each in self._of_table(schema, table.name)
            if each.place.application_id == application_id
        }

    def make_ready(self, schema: str, table: Table) -> None:
        """Folders and columns come with the rows that are written; what is there is brought to its type."""
        storage, form = self._storage(schema), Format(self._config.format, self._config.compression)
        for each in self._of_table(schema, table.name):
            if renames(table, each.columns) or any(file.names for file in each.files):
                chain = Chain(storage, each.place)
                made_ready(chain, table, Compaction(chain, Stored(storage, each.place, form), self._config.grace))

    def close(self) -> None:
        """Clients belong to the process."""

    def _look(self, schema: str, table: Table) -> TableLook:
        """A table is there as soon as one customer has files of it, and has all columns that any of them has."""
        manifests = self._of_table(schema, table.name)
        found = {name: kind for each in manifests for name, kind in each.columns.items()}
        wanted = {column.name: column.type for column in table.columns}
        try:
            moves = self._moves(manifests, table)
        except DestinationError as problem:
            return TableLook(name=table.name, found=found, problem=str(problem))
        moved = {old: new for moving, _ in moves for old, new in moving.items()}
        types = {name: kind for _, known in moves for name, kind in known.items()}
        return TableLook(
            name=table.name,
            found=found if manifests else None,
            added={name: kind for name, kind in wanted.items() if name not in found} if manifests else {},
            retyped={name: (types[name], wanted[name]) for name in moved if name in wanted},
            renamed=moved,
            left=tuple(name for name in found if name not in wanted),
            statements=(f"write the files of {len(moves)} customer(s) anew",) if moves else (),
        )

    def _moves(self, manifests: Iterable[Manifest], table: Table) -> list[tuple[dict[str, str], Mapping[str, str]]]:
        """Of those that have a column of another type, what moves there, and the types that are there."""
        found = []
        for each in manifests:
            same_format(each, self._config.format, self._config.name)
            if moving := renames(table, each.columns):
                found.append((moving, each.columns))
            else:
                Layout.of(table, each.columns, each.metadata_prefix)
        return found

    def _storage(self, schema: str) -> Storage:
        return storage_of(replace(self._config, prefix=schema), "", self._client)

    def _of_table(self, schema: str, table: str) -> list[Manifest]:
        return [each for each in self._manifests(schema) if each.place.table == table]

    def _read(self, schema: str) -> list[Manifest]:
        storage = self._storage(schema)

        def read(key: str) -> Head | None:
            return head_at(storage, key)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            heads = pool.map(read, [each.key for each in storage.list(MANIFESTS)])
            return [head.manifest for head in heads if head is not None]
