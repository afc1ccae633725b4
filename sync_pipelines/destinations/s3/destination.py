"""A bucket or folder as a Destination: check, open, count, compact, close."""

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from sync_pipelines.destinations.s3.compaction import Compaction
from sync_pipelines.destinations.s3.erasing import records_of_customer
from sync_pipelines.destinations.s3.failed import FailedValues
from sync_pipelines.destinations.s3.finding import find_row
from sync_pipelines.destinations.s3.formats import Format
from sync_pipelines.destinations.s3.former import made_ready
from sync_pipelines.destinations.s3.landing import FilesLanding, Opening
from sync_pipelines.destinations.s3.manifest import Chain, same_format
from sync_pipelines.destinations.s3.names import Place
from sync_pipelines.destinations.s3.storage import Storage
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.destination import Compacted, Found, Landing, Observer, Scope, Table
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.failed_value import FailedCount, FailedPlace, FailedValue

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Manifests that are read side by side: what one waits for is the network."""


class S3Destination:
    """One customer's place among the files. Safe for threads."""

    def __init__(self, name: str, storage: Storage, form: Format, grace: timedelta) -> None:
        self.name = name
        self.where: Hashable = storage.where
        self._storage = storage
        self._form = form
        self._grace = grace

    def check(self) -> None:
        self._storage.ready()

    @contextmanager
    def open(self, scope: Scope, table: Table, run_id: str, observe: Observer) -> Iterator[Landing]:
        chain = Chain(self._storage, Place.of(scope, table.name))
        stored = Stored(self._storage, chain.place, self._form)
        compaction = Compaction(chain, stored, self._grace)
        landing = FilesLanding(
            Opening(
                chain=chain,
                stored=stored,
                scope=scope,
                table=table,
                format=self._form.name,
                run_id=run_id,
                observe=observe,
            ),
            made_ready(chain, table, compaction),
        )
        same_format(landing.head.manifest, self._form.name, self.name)
        observe("destination.table_ready")
        observe("destination.opened")
        yield landing
        self._compact_if_due(compaction, landing)

    def stocks(self, scopes: Sequence[Scope], table: Table, lately: timedelta) -> list[Stock]:
        if not scopes:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(scopes))) as pool:
            return list(pool.map(lambda scope: self._stock(scope, table, lately), scopes))

    def failed(
        self, scopes: Sequence[Scope], table: Table, *, after: FailedPlace | None = None, limit: int = 100
    ) -> list[FailedValue]:
        return FailedValues(self._storage, self._form, scopes, table.name).page(after, limit)

    def failed_counts(self, scopes: Sequence[Scope], table: Table) -> list[FailedCount]:
        return FailedValues(self._storage, self._form, scopes, table.name).counts()

    def find(self, scope: Scope, table: Table, id: str) -> Found:
        chain = Chain(self._storage, Place.of(scope, table.name))
        return find_row(chain, Stored(self._storage, chain.place, self._form), scope, table, id)

    def compact(self, scope: Scope, table: Table) -> Compacted:
        """See model.destination.Compacts."""
        chain = Chain(self._storage, Place.of(scope, table.name))
        compaction = Compaction(chain, Stored(self._storage, chain.place, self._form), self._grace)
        made_ready(chain, table, compaction)
        return compaction.run(everything=True)

    def of_customer(
        self, application_id: str, customer_id: str, provider: str | None = None, *, remove: bool = False
    ) -> Mapping[str, int]:
        return records_of_customer(self._storage, application_id, customer_id, provider, remove=remove)

    def close(self) -> None:
        """Clients belong to the process: others go on with them."""

    def _stock(self, scope: Scope, table: Table, lately: timedelta) -> Stock:
        chain = Chain(self._storage, Place.of(scope, table.name))
        head = chain.read()
        if head is None:
            return Stock(live=0)
        manifest = head.manifest
        position, marked = manifest.position(scope), manifest.records - manifest.live
        until = position.checkpoint.read_until if position else None
        if until is None:
            return Stock(live=manifest.live, marked=marked)
        keys = Stored(self._storage, chain.place, self._form).keys(manifest)
        recent = keys.changed_since(until - lately)
        return Stock(live=manifest.live, marked=marked, lately=recent, read_until=until)

    def _compact_if_due(self, compaction: Compaction, landing: FilesLanding) -> None:
        if not compaction.is_due(landing.head.manifest, datetime.now(UTC)):
            return
        try:
            compaction.run()
        except SyncError as problem:
            # Everything is stored; the next run compacts.
            log.warning("%s was not compacted: %s", landing.head.manifest.place.table, problem)
