"""What is known of every stored row without reading it: id, hash, when it changed, where it lies.

A file of keys belongs to each data file. Laid over each other in the order of their versions they give the newest row
of every id, as columns of Arrow: about 60 bytes a row.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from sync_pipelines.destinations.s3.layout import Layout

MOST_CACHED_ROWS: Final = 2_000_000
"""Of all places together, in one process: about 120 MB. The longest unused ones are read anew when they are needed."""

MOST_CACHED_PLACES: Final = 1_000

_WRITTEN: Final = pa.schema(
    [
        ("id", pa.string()),
        ("hash", pa.int64()),
        ("modified", pa.timestamp("us", "UTC")),
        ("deleted", pa.bool_()),
        ("misfits", pa.int32()),
        ("removed", pa.bool_()),
    ]
)
_HELD: Final = pa.schema([*list(_WRITTEN)[:-1], ("file", pa.int64()), ("row", pa.int64())])


@dataclass(frozen=True, slots=True)
class Key:
    """A stored row. `file`: the version of its data file; `row`: its number in there."""

    hash: int | None
    modified: datetime | None
    deleted: bool
    misfits: int
    file: int
    row: int


class Keys:
    """The newest row of each id. Never changed: `after` gives a new one."""

    def __init__(self, table: pa.Table | None = None) -> None:
        self.table = table if table is not None else _HELD.empty_table()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def find(self, ids: Sequence[str]) -> dict[str, Key]:
        """Those of these ids that are stored."""
        if not len(self) or not ids:
            return {}
        places = pc.index_in(self.table["id"], value_set=pa.array(ids, pa.string()))
        found = self.table.take(pc.indices_nonzero(pc.is_valid(places)))
        names, *columns = (column.to_pylist() for column in found.columns)
        return {name: Key(*values) for name, *values in zip(names, *columns, strict=True)}

    def after(self, written: pa.Table, version: int) -> "Keys":
        """These keys when the rows of one data file were laid over them."""
        rows = pa.array(range(written.num_rows), pa.int64())
        files = pa.array([version] * written.num_rows, pa.int64())
        removed = written["removed"]
        arrays = [*(written[name] for name in _HELD.names[:-2]), files, rows]
        new = pa.table(arrays, schema=_HELD).filter(pc.invert(removed))
        kept = self.table
        if len(self):
            known = pc.is_in(kept["id"], value_set=written["id"].combine_chunks())
            if pc.any(known).as_py():
                kept = kept.filter(pc.invert(known))
        return Keys(_joined([kept, new]))

    def live(self) -> int:
        """How many records are not deleted."""
        return len(self) - (pc.sum(self.table["deleted"]).as_py() or 0)

    def changed_since(self, moment: datetime) -> int:
        """How many records, deleted ones too, changed at the vendor then or later."""
        since = pa.scalar(moment, _HELD.field("modified").type)
        return int(pc.sum(pc.greater_equal(self.table["modified"], since)).as_py() or 0)

    def filter(self, mask: pa.ChunkedArray) -> "Keys":
        return Keys(self.table.filter(mask))

    def unseen(self, seen: pa.Array) -> pa.ChunkedArray:
        """A mask: whose id is not among those seen."""
        return pc.invert(pc.is_in(self.table["id"], value_set=seen))

    def beginning(self, starts: Sequence[str]) -> list[str]:
        """Ids that begin with one of these."""
        wanted, lengths = set(starts), sorted({len(start) for start in starts})
        ids: list[str] = self.table["id"].to_pylist()
        return [id for id in ids if any(id[:length] in wanted for length in lengths)]

    def behind(self, id: str | None, amount: int) -> "Keys":
        """The first ones whose id comes after this one (None: of all), by the bytes of the ids."""
        table = self.table if id is None else self.table.filter(pc.greater(self.table["id"], id))
        return Keys(table.take(pc.select_k_unstable(table, max(1, amount), [("id", "ascending")])))

    def misfitting(self) -> "Keys":
        """Records that are not deleted and have values that did not fit."""
        return self.filter(pc.and_(pc.greater(self.table["misfits"], 0), pc.invert(self.table["deleted"])))

    def newest(self, amount: int) -> "Keys":
        """The last written, the newest first."""
        order = pc.select_k_unstable(self.table, max(1, amount), [("file", "descending"), ("id", "ascending")])
        return Keys(self.table.take(order))

    def by_file(self) -> dict[int, list[int]]:
        """Numbers of the rows that count, ascending, by the version of their file."""
        order = [("file", "ascending"), ("row", "ascending")]
        found = self.table.select(["file", "row"]).combine_chunks().sort_by(order)
        rows, start = found["row"].to_pylist(), 0
        result: dict[int, list[int]] = {}
        for entry in found["file"].value_counts().to_pylist():
            result[entry["values"]] = rows[start : start + entry["counts"]]
            start += entry["counts"]
        return result


def keys_of(table: pa.Table, layout: Layout) -> pa.Table:
    """What a file of keys says of these rows, in their order."""
    errors = table[layout.meta("errors")].to_pylist() if table[layout.meta("errors")].null_count < len(table) else []
    misfits = [len(msgspec.json.decode(text)) if text else 0 for text in errors] or [0] * len(table)
    return pa.table(
        [
            table["id"],
            table[layout.meta("hash")],
            table["last_modified_at"],
            pc.fill_null(table["is_deleted"], False),
            pa.array(misfits, pa.int32()),
            pc.fill_null(table[layout.meta("removed")], False),
        ],
        schema=_WRITTEN,
    )


def as_file(table: pa.Table) -> io.BytesIO:
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd")
    return file


def from_file(content: bytes) -> pa.Table:
    return parquet.read_table(io.BytesIO(content))


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables)
    # Many small pieces make every search slow.
    return whole.combine_chunks() if whole.num_columns and whole.column(0).num_chunks > 32 else whole


class KeysCache:
    """Keys by place, and by the files that they were made of. Safe for threads."""

    def __init__(self, most_rows: int = MOST_CACHED_ROWS) -> None:
        self._most_rows = most_rows
        self._kept: OrderedDict[Hashable, tuple[tuple[str, ...], Keys]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, place: Hashable) -> tuple[tuple[str, ...], Keys]:
        """Names of the files of keys that are in it, and what they give together; nothing where none is kept."""
        with self._lock:
            if place not in self._kept:
                return (), Keys()
            self._kept.move_to_end(place)
            return self._kept[place]

    def put(self, place: Hashable, files: tuple[str, ...], keys: Keys) -> None:
        with self._lock:
            self._kept[place] = (files, keys)
            self._kept.move_to_end(place)
            while len(self._kept) > 1 and (len(self._kept) > MOST_CACHED_PLACES or self._rows() > self._most_rows):
                self._kept.popitem(last=False)

    def _rows(self) -> int:
        return sum(len(keys) for _, keys in self._kept.values())
