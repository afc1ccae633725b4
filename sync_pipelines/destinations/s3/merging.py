"""What one load makes of the rows that are stored: the same rules as in Postgres, row by row of those that differ."""

import json
import operator
from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sync_pipelines.destinations.s3.content import comparison, same_json
from sync_pipelines.destinations.s3.keys import Key
from sync_pipelines.destinations.s3.layout import METADATA, Layout
from sync_pipelines.destinations.s3.manifest import Manifest
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.destinations.s3.values import FileRow, taken
from sync_pipelines.model.destination import ROW_HEAD, Batch, Observer
from sync_pipelines.model.record_log import CREATED, DELETED, UNLOGGED, UPDATED, RecordChange, RecordLog
from sync_pipelines.model.run import Counts

_HASH, _ERRORS, _MERGED, _VERSION = (
    list(METADATA).index(name) for name in ("hash", "errors", "merged_into", "version")
)
"""Where they stand in a row."""


class Merging:
    """Over the files of `before`, for the manifest that is to come. Ask for `rows` when all is told."""

    def __init__(
        self,
        stored: Stored,
        before: Manifest,
        layout: Layout,
        coming: Manifest,
        observe: Observer,
        log: RecordLog | None = None,
    ) -> None:
        """`log`: of this merging alone; what it is told counts when the manifest does."""
        self._stored = stored
        self._before = before
        self._layout = layout
        self._observe = observe
        place, now = coming.place, coming.written_at
        self._head = (place.application_id, place.customer_id, place.provider, now, coming.run_id)
        self._version = coming.version
        self._id, self._deleted, self._modified = (
            layout.places[name] for name in ("id", "is_deleted", "last_modified_at")
        )
        self._written: dict[str, FileRow] = {}
        self._log = log

    @property
    def rows(self) -> list[FileRow]:
        """To be written, ordered by id."""
        return [self._written[id] for id in sorted(self._written)]

    def upsert(self, batch: Batch) -> Counts:
        if not batch.ids:
            return Counts()
        found = self._find(batch.ids)
        new = [place for place, id in enumerate(batch.ids) if id not in found]
        pairs = enumerate(zip(batch.ids, batch.hashes, strict=True))
        changed = [place for place, (id, hash) in pairs if id in found and found[id].hash != hash]
        if self._layout.table.append:
            changed = []
        misfits = sum(found[id].misfits for place, id in enumerate(batch.ids) if id in found) - sum(
            found[batch.ids[place]].misfits for place in changed
        )
        self._observe("load.keys_sent")
        misfits += self._add(batch, new)
        updated, more = self._change(batch, changed, found) if changed else (0, 0)
        misfits += more
        self._observe("load.staged")
        unchanged = len(batch.ids) - len(new) - updated
        return Counts(created=len(new), updated=updated, unchanged=unchanged, invalid=misfits)

    def remap(self, batch: Batch, columns: Sequence[str], dropped: Sequence[str]) -> int:
        """Set these columns of rows that are there; how many differed."""
        if not batch.ids:
            return 0
        places = [self._layout.places[name] for name in columns]
        kinds = [self._layout.columns[place] for place in places]
        made, _ = taken(batch.columns(range(len(batch.ids))), kinds)
        current = self._current(batch.ids)
        same = [same_json if kind.type == "jsonb" else operator.eq for kind in kinds]
        named = {*columns, *dropped}
        hashed = "raw_data" in columns
        for id, hash, errors, *values in zip(batch.ids, made[0], made[1], *made[ROW_HEAD:], strict=True):
            if (old := current.get(id)) is None:
                continue
            kept = _errors(old[_ERRORS], named, errors)
            equal = (equals(old[place], value) for equals, place, value in zip(same, places, values, strict=True))
            if not all(equal) or not same_json(old[_ERRORS], kept):
                changes = dict(zip(places, values, strict=True)) | {_ERRORS: kept}
                if hashed:
                    changes[_HASH] = hash
                self._written[id] = self._with(old, changes, self._head)
        return len(self._written)

    def mark_merged(self, merged: Sequence[tuple[str, str]]) -> int:
        """Losers of a merge are deleted and say who survived; how many did not say it yet."""
        survivors = {loser: survivor for loser, survivor in merged if loser != survivor}
        current = self._current(list(survivors))
        marked = 0
        for loser, row in current.items():
            deleted, survivor = row[self._deleted] is True, survivors[loser]
            if deleted and row[_MERGED] == survivor:
                continue
            changes = {self._deleted: True, _MERGED: survivor, _HASH: row[_HASH] if deleted else None}
            self._written[loser] = self._with(row, changes, self._head)
            self._tell(DELETED, [loser], "It was merged into another record.")
            marked += 1
        return marked

    def remove(self, ids: Sequence[str]) -> int:
        """Records that are gone for good; how many were there."""
        wanted = list(dict.fromkeys(ids))
        there = self._find(wanted).keys() | self._written.keys()
        for id in wanted:
            if id in there:
                self._written[id] = self.gone(id)
        self._tell(DELETED, [id for id in wanted if id in there])
        return sum(id in there for id in wanted)

    def regroup(self, groups: Sequence[str], told: Sequence[str]) -> int:
        """Remove what these groups no longer tell; how many rows that were."""
        name = self._layout.table.grouped_by
        if not groups or name is None:
            return 0
        place, wanted, kept = self._layout.places[name], set(groups), set(told)
        # Ids begin with their group and a colon, so few rows have to be read for their group itself.
        near = self._stored.keys(self._before).beginning([f"{group}:" for group in groups])
        rows = self._current([id for id in near if id not in kept])
        return self.remove([id for id, row in rows.items() if row[place] in wanted])

    def mark_gone(self, ids: Sequence[str]) -> int:
        """Rows of records that are not wanted any more become deleted ones; how many were not yet."""
        living = {id: row for id, row in self._current(ids).items() if row[self._deleted] is not True}
        for id, row in living.items():
            self._written[id] = self._with(row, {self._deleted: True, _HASH: None}, self._head)
        self._tell(DELETED, list(living))
        return len(living)

    def gone(self, id: str) -> FileRow:
        """A row that says that its record is there no more."""
        nothing = (None,) * (len(self._layout.columns) - len(METADATA))
        blank = (*self._head, None, None, None, self._version, True, *nothing)
        return self._with(blank, {self._id: id, self._deleted: True})

    def _add(self, batch: Batch, places: Sequence[int]) -> int:
        if not places:
            return 0
        columns, misfits = taken(batch.columns(places), self._layout.table.columns)
        for row in self._made(columns):
            self._written[row[self._id]] = row
        self._tell(CREATED, [batch.ids[place] for place in places])
        return misfits

    def _change(self, batch: Batch, places: Sequence[int], found: dict[str, Key]) -> tuple[int, int]:
        """How many rows were updated, and misfits of our own in them."""
        columns, misfits = taken(batch.columns(places), self._layout.table.columns)
        wanted = {batch.ids[place]: found[batch.ids[place]] for place in places}
        before = self._stored.rows(self._before, wanted, self._layout)
        same = comparison(self._layout)
        updated = 0
        for row in self._made(columns):
            id = row[self._id]
            old = before[id]
            new = self._over(old, row)
            if same(old, new):
                # Another spelling, or another mapping that makes the same values: it learns the hash and nothing else.
                self._written[id] = self._with(old, {_HASH: row[_HASH]})
            elif not _newer(old[self._modified], row[self._modified]):
                self._written[id] = new
                if self._log is not None:
                    fields = self._differing(old, new) if self._log.room else {}
                    self._log.add([RecordChange(record=id, operation=UPDATED, fields=fields)])
                updated += 1
        return updated, misfits

    def _tell(self, operation: str, ids: Sequence[str], message: str = "") -> None:
        if self._log is not None:
            self._log.add_ids(operation, ids, message)

    def _differing(self, old: FileRow, new: FileRow) -> dict[str, tuple[Any, Any]]:
        """Columns whose values differ, as JSON has them."""
        found = {}
        for column in self._layout.table.columns:
            one, other = (_told(column.type, row[self._layout.places[column.name]]) for row in (old, new))
            if one != other and column.name not in UNLOGGED:
                found[column.name] = (one, other)
        return found

    def _over(self, old: FileRow, row: FileRow) -> FileRow:
        """A row's next version: what this table does not know of it stays."""
        others = len(self._layout.others)
        whole = (*row[: len(row) - others], *old[len(old) - others :]) if others else row
        if row[self._deleted] and row[_MERGED] is None:
            # Where the survivor names its losers, the loser's own record does not say it: its next version keeps it.
            return self._with(whole, {_MERGED: old[_MERGED]})
        return whole

    def _made(self, columns: Sequence[Sequence[Any]]) -> list[FileRow]:
        head, behind = columns[:ROW_HEAD], columns[ROW_HEAD:]
        tail = (self._version, False)
        others = (None,) * len(self._layout.others)
        return [
            (*self._head, *first, *tail, *values, *others)
            for first, values in zip(zip(*head, strict=True), zip(*behind, strict=True), strict=True)
        ]

    def _find(self, ids: Sequence[str]) -> dict[str, Key]:
        return self._stored.keys(self._before).find(ids)

    def _current(self, ids: Sequence[str]) -> dict[str, FileRow]:
        """The rows of these ids, as this load has left them so far."""
        found = {id: key for id, key in self._find(ids).items() if id not in self._written}
        rows = self._stored.rows(self._before, found, self._layout) if found else {}
        return rows | {id: self._written[id] for id in ids if id in self._written}

    def _with(self, row: FileRow, changes: dict[int, Any], head: tuple[Any, ...] = ()) -> FileRow:
        """A copy with other values, as a row of the manifest that is to come."""
        copy = [*head, *row[len(head) :]]
        for place, value in changes.items():
            copy[place] = value
        copy[_VERSION] = self._version
        return tuple(copy)


def _errors(old: str | None, named: Collection[str], new: str | None) -> str | None:
    """A row's errors when those of the named columns are replaced by new ones."""
    kept = {name: entry for name, entry in json.loads(old or "{}").items() if name not in named}
    merged = kept | json.loads(new or "{}")
    return json.dumps(merged, ensure_ascii=False) if merged else None


def _told(kind: str, value: Any) -> Any:
    if kind == "jsonb" and value is not None:
        return json.loads(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.normalize() if isinstance(value, Decimal) else value


def _newer(stored: datetime | None, coming: datetime | None) -> bool:
    return stored is not None and coming is not None and stored > coming
