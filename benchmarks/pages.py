"""The records as the vendors' bytes, written once and then only cut: any page is one slice of a file."""

import mmap
import os
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.fields import VENDORS
from benchmarks.records import RECORDS, csv_line, is_changed

BASE, ONE_PERCENT, ALL = "base", "one_percent", "all_changed"
STATES: Final = (BASE, ONE_PERCENT, ALL)
ALL_CHANGED_UP_TO: Final = 200_000
"""Larger sizes have no file in which every record has changed: it would double the disk for one extra number."""
_VERSION: Final = "2"
_FLUSH: Final = 8 * 1024 * 1024


def text_of(vendor: str, record: dict[str, Any]) -> bytes:
    """One record with its separator: a comma in JSON, the end of the line in CSV."""
    return csv_line(record).encode() if vendor == "bulk" else msgspec.json.encode(record) + b","


def write_pages(folder: Path, size: int) -> None:
    """Make the folder's files unless they are there. Memory stays bounded by 8 bytes a record."""
    mark = folder / "made"
    if mark.exists() and mark.read_text() == _VERSION:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for vendor in VENDORS:
        _write(folder, vendor, BASE, ((n, 0) for n in range(size)))
        _write(folder, vendor, ONE_PERCENT, ((n, 1) for n in range(size) if is_changed(n)))
        if size <= ALL_CHANGED_UP_TO:
            _write(folder, vendor, ALL, ((n, 1) for n in range(size)))
    mark.write_text(_VERSION)


def _write(folder: Path, vendor: str, state: str, wanted: Iterator[tuple[int, int]]) -> None:
    make = RECORDS[vendor]
    offsets = array("Q", [0])
    written, waiting = 0, bytearray()
    with (folder / f"{vendor}.{state}").open("wb") as file:
        for n, version in wanted:
            waiting += text_of(vendor, make(n, version))
            offsets.append(written + len(waiting))
            if len(waiting) > _FLUSH:
                written += file.write(waiting)
                waiting.clear()
        file.write(waiting)
    with (folder / f"{vendor}.{state}.offsets").open("wb") as file:
        offsets.tofile(file)


class Shelf:
    """One vendor's records in one file, by place."""

    def __init__(self, folder: Path, vendor: str, state: str) -> None:
        offsets = folder / f"{vendor}.{state}.offsets"
        self.offsets = array("Q")
        if offsets.exists():
            with offsets.open("rb") as file:
                self.offsets.fromfile(file, offsets.stat().st_size // 8)
        with (folder / f"{vendor}.{state}").open("rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0
            self._bytes = memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __len__(self) -> int:
        return max(0, len(self.offsets) - 1)

    def cut(self, start: int, end: int) -> memoryview:
        """Records `start` to `end`, each with its separator behind it."""
        end = min(end, len(self))
        return self._bytes[self.offsets[start] : self.offsets[end]] if start < end else memoryview(b"")


class Library:
    """All records of one vendor in the state that is served at the moment."""

    def __init__(self, folder: Path, vendor: str) -> None:
        self._base = Shelf(folder, vendor, BASE)
        self._changed = Shelf(folder, vendor, ONE_PERCENT)
        self._places = [n for n in range(len(self._base)) if is_changed(n)]
        self._all = Shelf(folder, vendor, ALL) if (folder / f"{vendor}.{ALL}").exists() else None
        self.state = BASE

    def __len__(self) -> int:
        return len(self._base)

    def show(self, state: str) -> None:
        """Serve this state from now on. ValueError for one that has no file at this size."""
        if state not in STATES or (state == ALL and self._all is None):
            raise ValueError(f"no pages of the state {state}")
        self.state = state

    def records(self, start: int, end: int) -> list[memoryview]:
        """Slices that together are the records `start` to `end`, as they are in this state."""
        end = min(end, len(self))
        if self.state == ALL and self._all is not None:
            return [self._all.cut(start, end)]
        if self.state == BASE:
            return [self._base.cut(start, end)]
        return list(self._with_changes(start, end))

    def _with_changes(self, start: int, end: int) -> Iterator[memoryview]:
        changed = [place for place in range(start, end) if is_changed(place)]
        for before, place in pairwise([start - 1, *changed]):
            yield self._base.cut(before + 1, place)
            yield self._changed.cut(place // 100, place // 100 + 1)
        yield self._base.cut((changed[-1] + 1) if changed else start, end)

    def changes(self, start: int, end: int) -> list[memoryview]:
        """Only what changed against the base: places `start` to `end` of that list."""
        if self.state == BASE:
            return []
        return [self._all.cut(start, end)] if self.state == ALL and self._all else [self._changed.cut(start, end)]

    def changed_from(self, record: int) -> int:
        """How many changed records come before record number `record`."""
        return min(record, len(self)) if self.state == ALL else sum(1 for place in self._places if place < record)

    @property
    def amount_changed(self) -> int:
        return {BASE: 0, ONE_PERCENT: len(self._changed), ALL: len(self)}[self.state]
