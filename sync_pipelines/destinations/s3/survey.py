"""A bucket or folder looked at as a whole: by all customers' manifests, each of which is read once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any, Final

from sync_pipelines.config import S3DestinationConfig
from sync_pipelines.destinations.s3.layout import Layout
from sync_pipelines.destinations.s3.manifest import Head, Manifest, head_at, same_format
from sync_pipelines.destinations.s3.names import MANIFESTS
from sync_pipelines.destinations.s3.opening import storage_of
from sync_pipelines.destinations.s3.storage import Storage
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
        """Nothing: folders and columns of files come with the rows that are written."""

    def close(self) -> None:
        """Clients belong to the process."""

    def _look(self, schema: str, table: Table) -> TableLook:
        """A table is there as soon as one customer has files of it, and has all columns that any of them has."""
        manifests = self._of_table(schema, table.name)
        found = {name: kind for each in manifests for name, kind in each.columns.items()}
        wanted = {column.name: column.type for column in table.columns}
        return TableLook(
            name=table.name,
            found=found if manifests else None,
            added={name: kind for name, kind in wanted.items() if name not in found} if manifests else {},
            left=tuple(name for name in found if name not in wanted),
            problem=next(self._problems(manifests, table), None),
        )

    def _problems(self, manifests: Iterable[Manifest], table: Table) -> Iterator[str]:
        for each in manifests:
            try:
                same_format(each, self._config.format, self._config.name)
                Layout.of(table, each.columns, each.metadata_prefix)
            except DestinationError as problem:
                yield str(problem)

    def _of_table(self, schema: str, table: str) -> list[Manifest]:
        return [each for each in self._manifests(schema) if each.place.table == table]

    def _read(self, schema: str) -> list[Manifest]:
        storage: Storage = storage_of(replace(self._config, prefix=schema), "", self._client)

        def read(key: str) -> Head | None:
            return head_at(storage, key)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            heads = pool.map(read, [each.key for each in storage.list(MANIFESTS)])
            return [head.manifest for head in heads if head is not None]
