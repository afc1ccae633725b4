"""What one place holds: its keys, and the rows behind them."""

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

import pyarrow as pa
import pyarrow.compute as pc

from sync_pipelines.destinations.s3 import formats
from sync_pipelines.destinations.s3.keys import Key, Keys, KeysCache, as_file, from_file, keys_of
from sync_pipelines.destinations.s3.layout import Layout
from sync_pipelines.destinations.s3.manifest import File, Manifest, Position, Seen
from sync_pipelines.destinations.s3.names import Place
from sync_pipelines.destinations.s3.storage import FileGone, Storage
from sync_pipelines.destinations.s3.values import FileRow, rows_of

IN_MEMORY: Final = 32 * 1024 * 1024
"""A file that is being made and is larger than this goes on on the disk."""

_cache = KeysCache()


@dataclass(frozen=True)
class Made:
    """A data file under its staged name, not committed yet. `written`: keys of its rows."""

    staged: str
    file: File
    written: pa.Table


class Stored:
    """Reads and writes files of one place. Nothing here changes what counts."""

    def __init__(self, storage: Storage, place: Place, form: formats.Format) -> None:
        self._storage = storage
        self._place = place
        self._form = form
        self._cached_as = (storage.where, place)

    def keys(self, manifest: Manifest) -> Keys:
        """Of all rows that count. Only what this process has not met yet is read."""
        names = tuple(file.keys for file in manifest.files)
        known, keys = _cache.get(self._cached_as)
        if known != names[: len(known)]:
            known, keys = (), Keys()
        for file in manifest.files[len(known) :]:
            keys = keys.after(from_file(self._content(file.keys)), file.version)
        if known != names:
            self.remember(manifest, keys)
        return keys

    def remember(self, manifest: Manifest, keys: Keys) -> None:
        """These keys are what the manifest's files give."""
        _cache.put(self._cached_as, tuple(file.keys for file in manifest.files), keys)

    def tables(self, manifest: Manifest, keys: Keys, layout: Layout) -> Iterator[pa.Table]:
        """The rows of these keys, part by part."""
        files = {file.version: file for file in manifest.files}
        for version, rows in keys.by_file().items():
            yield from self.read(files[version], layout, rows)

    def read(self, file: File, layout: Layout, rows: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Rows of a data file by their numbers (ascending; None: all), part by part."""
        return formats.read(file, self._content(file.key), layout, rows)

    def rows(self, manifest: Manifest, found: dict[str, Key], layout: Layout) -> dict[str, FileRow]:
        """The rows of these keys, by id."""
        files = {file.version: file for file in manifest.files}
        wanted: dict[int, list[tuple[int, str]]] = {}
        for id, key in found.items():
            wanted.setdefault(key.file, []).append((key.row, id))
        result: dict[str, FileRow] = {}
        for version, places in wanted.items():
            places.sort()
            tables = self.read(files[version], layout, [row for row, _ in places])
            rows = (row for table in tables for row in rows_of(table))
            result.update(zip((id for _, id in places), rows, strict=True))
        return result

    def removal(self, manifest: Manifest, id: str, layout: Layout) -> FileRow | None:
        """The row that says that this record is gone for good, where compaction has left one."""
        for file in reversed(manifest.files):
            if not file.gone:
                continue
            keys = from_file(self._content(file.keys))
            places = pc.indices_nonzero(pc.and_(pc.equal(keys["id"], id), keys["removed"])).to_pylist()
            if places:
                return next(row for table in self.read(file, layout, places) for row in rows_of(table))
        return None

    def seen(self, position: Position) -> pa.Array:
        """Ids that the full read under way has brought, and those that were amended."""
        files = (*position.seen, *position.amended)
        pieces = [from_file(self._content(seen.key))["id"].combine_chunks() for seen in files]
        return pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())

    def amended(self, files: Sequence[Seen]) -> set[str]:
        """What these files note."""
        return {id for file in files for id in from_file(self._content(file.key))["id"].to_pylist()}

    def make(self, tables: Iterable[pa.Table], layout: Layout, manifest: Manifest) -> Made | None:
        """Write a data file and its keys for the manifest that is to come; None where there is no row."""
        keys: list[pa.Table] = []
        gone = 0

        def noted() -> Iterator[pa.Table]:
            nonlocal gone
            for table in tables:
                if table.num_rows:
                    keys.append(keys_of(table, layout))
                    gone += sum(filter(None, keys[-1]["removed"].to_pylist()))
                    yield table

        assert manifest.written_at is not None
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as spooled:
            file: IO[bytes] = spooled
            self._form.write(file, layout, noted())
            if not keys:
                return None
            size = file.seek(0, io.SEEK_END)
            staged = self._place.own("rows", manifest.version, f"{manifest.commit}.{self._form.suffix}")
            self._storage.put(staged, file)
        written = pa.concat_tables(keys)
        name = self._place.own("keys", manifest.version, f"{manifest.commit}.parquet")
        self._storage.put(name, as_file(written))
        final = self._place.rows(manifest.written_at.date(), manifest.version, self._form.suffix)
        described = File(key=final, keys=name, version=manifest.version, rows=written.num_rows, gone=gone, size=size)
        return Made(staged, described, written)

    def make_seen(self, ids: list[str], manifest: Manifest) -> str:
        """Write a file of ids that a full read has brought; its name."""
        name = self._place.own("seen", manifest.version, f"{manifest.commit}.parquet")
        self._storage.put(name, as_file(pa.table({"id": pa.array(ids, pa.string())})))
        return name

    def _content(self, key: str) -> bytes:
        found = self._storage.get(key)
        if found is None:
            raise FileGone(
                f"The file {key} is not there, although the manifest {self._place.manifest} names it. If the sync "
                "does not mend that by itself, somebody removed files: move the manifest and "
                f"{self._place.rows_folder} away, then everything is read and written anew."
            )
        return found[0]
