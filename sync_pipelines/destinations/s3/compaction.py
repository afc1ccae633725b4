"""Fewer, fuller files: small ones and those of mostly old rows are written anew, and the old ones go after a while."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sync_pipelines.destinations.s3.keys import Keys
from sync_pipelines.destinations.s3.layout import Layout
from sync_pipelines.destinations.s3.manifest import Chain, File, Head, Manifest, Replaced, new_commit
from sync_pipelines.destinations.s3.storage import Overtaken
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Compacted, Table

MANY: Final = 16
"""So many small files make the next run merge them."""

SMALL: Final = 8 * 1024 * 1024
LARGE: Final = 32 * 1024 * 1024
"""Bytes. A file below SMALL is merged with others, until they have LARGE together."""

MOST_WASTE: Final = 10_000
"""So many rows that do not count are left alone, however few do."""

ORPHANS_STAY: Final = timedelta(hours=1)
"""Files that no manifest names may belong to a commit that is under way."""

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""When files count as replaced that nobody shall go on reading: they call a column otherwise than the new ones."""

MOST_TRIES: Final = 5


@dataclass(frozen=True)
class Compaction:
    """Of one place. `grace`: how long readers may go on with files that were replaced."""

    chain: Chain
    stored: Stored
    grace: timedelta

    def is_due(self, manifest: Manifest, now: datetime) -> bool:
        """Whether it is worth the while; asks nobody."""
        return _is_scattered(manifest) or any(old.since <= now - self.grace for old in manifest.replaced)

    def run(self, *, everything: bool = False) -> Compacted:
        """Merge what is due (`everything`: all that can be), remove what no reader needs any more.

        Others may write at the same time; who is overtaken begins anew, and gives up at last: the next one does it.
        """
        done, overtaken = Compacted(), 0
        while overtaken < MOST_TRIES and (head := self.chain.read()) is not None:
            self.chain.publish(head)
            try:
                with self.chain.reading(head):
                    step = self._step(head, everything=everything)
            except Overtaken:
                overtaken += 1
                continue
            done += step
            if not step.merged:
                break
        return done

    def _step(self, head: Head, *, everything: bool) -> Compacted:
        """Merge up to one large file's worth."""
        now, before = datetime.now(UTC), head.manifest
        coming = msgspec.structs.replace(
            before, version=before.version + 1, commit=new_commit(), written_at=now, staged=None
        )
        merged = self._to_merge(before, everything=everything)
        if merged:
            layout = layout_of(before)
            rows = self._rows(before, merged, layout)
            if merged[0].names:
                # Other values than in the old files, so that they have to be the newer ones while both are there.
                rows = (_of_version(table, layout, coming.version) for table in rows)
            made = self.stored.make(rows, layout, coming)
            kept = tuple(file for file in before.files if file not in merged)
            replaced = tuple(_replaced(file, LONG_AGO if file.names else now) for file in merged)
            coming = msgspec.structs.replace(
                coming,
                files=(*kept, made.file) if made else kept,
                staged=made.staged if made else None,
                replaced=(*before.replaced, *replaced),
            )
        # Only what was replaced by an earlier manifest: the files of this one are not to be seen yet.
        outdated = [replaced for replaced in before.replaced if replaced.since <= now - self.grace]
        if outdated:
            self.chain.storage.remove(key for replaced in outdated for key in (replaced.key, replaced.keys))
            rest = tuple(replaced for replaced in coming.replaced if replaced not in outdated)
            coming = msgspec.structs.replace(coming, replaced=rest)
        if merged or outdated:
            self.chain.publish(self.chain.follow(head, coming))
        removed = len(outdated) + self._remove_orphans(coming, now)
        return Compacted(merged=len(merged), removed=removed)

    def _to_merge(self, manifest: Manifest, *, everything: bool) -> list[File]:
        if renamed := [file for file in manifest.files if file.names]:
            return _worth(renamed)
        if not everything and not _is_scattered(manifest):
            return []
        counting = {version: len(rows) for version, rows in self.stored.keys(manifest).by_file().items()}
        chosen: list[File] = []
        worth = 0
        for file in manifest.files:
            counts = counting.get(file.version, 0)
            if file.size < SMALL or 2 * counts < file.rows:
                chosen.append(file)
                worth += file.size * counts // max(1, file.rows)
                if worth >= LARGE:
                    break
        oldest = _oldest(manifest)
        wasted = any(
            counting.get(file.version, 0) + file.gone < file.rows or (file.gone and file.version == oldest)
            for file in chosen
        )
        return chosen if len(chosen) > 1 or wasted else []

    def _rows(self, manifest: Manifest, merged: list[File], layout: Layout) -> Iterator[pa.Table]:
        keys = self.stored.keys(manifest)
        counting = keys.by_file()
        oldest = _oldest(manifest)
        for file in merged:
            if rows := counting.get(file.version):
                yield from self.stored.read(file, layout, rows)
            if file.gone:
                for table in self.stored.read(file, layout):
                    yield _still_needed(table, layout, keys, oldest)

    def _remove_orphans(self, manifest: Manifest, now: datetime) -> int:
        """Files of commits that did not come about."""
        named = {manifest.staged, *(file.keys for file in manifest.files), *(old.keys for old in manifest.replaced)}
        named |= {seen.key for position in manifest.positions for seen in (*position.seen, *position.amended)}
        before = now - max(self.grace, ORPHANS_STAY)
        found = self.chain.storage.list(self.chain.place.own_folder)
        orphans = [each.key for each in found if each.key not in named and each.written < before]
        self.chain.storage.remove(orphans)
        return len(orphans)


def layout_of(manifest: Manifest) -> Layout:
    """All columns that the files of a place have."""
    columns = tuple(Column(name, kind) for name, kind in manifest.columns.items())
    table = Table(name=manifest.place.table, columns=columns, metadata_prefix=manifest.metadata_prefix)
    return Layout.of(table, manifest.columns, manifest.metadata_prefix)


def _worth(files: Iterable[File]) -> list[File]:
    """The first of these, as many as are worth one large file."""
    chosen, worth = [], 0
    for file in files:
        chosen.append(file)
        worth += file.size
        if worth >= LARGE:
            break
    return chosen


def _replaced(file: File, since: datetime) -> Replaced:
    return Replaced(key=file.key, keys=file.keys, version=file.version, since=since)


def _of_version(table: pa.Table, layout: Layout, version: int) -> pa.Table:
    name = layout.meta("version")
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(place), pa.array([version] * table.num_rows, pa.int64()))


def _oldest(manifest: Manifest) -> int:
    """Version of the oldest data file that is there, be it replaced."""
    return min((*(file.version for file in manifest.files), *(old.version for old in manifest.replaced)), default=0)


def _still_needed(table: pa.Table, layout: Layout, keys: Keys, oldest: int) -> pa.Table:
    """Rows that say that a record is gone, as long as an older file may still show it, and unless it is back."""
    gone = table.filter(pc.fill_null(table[layout.meta("removed")], False))
    older = pc.greater(gone[layout.meta("version")], oldest)
    back = pc.is_in(gone["id"], value_set=keys.table["id"].combine_chunks())
    return gone.filter(pc.and_(older, pc.invert(back)))


def _is_scattered(manifest: Manifest) -> bool:
    """Whether there are many small files, or more rows that do not count than rows that do."""
    waste = sum(file.rows - file.gone for file in manifest.files) - manifest.records
    many = sum(file.size < SMALL for file in manifest.files) >= MANY
    return many or waste > max(MOST_WASTE, manifest.records)
