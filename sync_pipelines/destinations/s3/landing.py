"""One scope's open place in one table. Each call makes its files first, and then the manifest that counts them."""

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sync_pipelines.destinations.amendments import Loaded, refuse_amended
from sync_pipelines.destinations.s3.content import holds_json
from sync_pipelines.destinations.s3.layout import SHOWN, Layout
from sync_pipelines.destinations.s3.manifest import Chain, Head, Manifest, Position, Seen, new_commit
from sync_pipelines.destinations.s3.merging import Merging
from sync_pipelines.destinations.s3.storage import Overtaken
from sync_pipelines.destinations.s3.stored import Stored
from sync_pipelines.destinations.s3.values import FileRow, rows_of, table_of
from sync_pipelines.model.brake import refuse_above
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Batch, Observer, Row, Scope, StoredRecord, Table
from sync_pipelines.model.errors import DestinationBusy, DestinationError, LeaseLost
from sync_pipelines.model.record_log import DELETED, RecordLog
from sync_pipelines.model.run import Counts

MOST_TRIES: Final = 40
"""So often work is begun anew because another sync of the same rows, or a compaction, was quicker."""

LONGEST_PAUSE: Final = 0.5
"""Seconds. Who was overtaken waits a random while before that, so that those who race do not meet again and again."""

VIEWED_PREFIX: Final = "_supaglue_"
VIEWED: Final = ("application_id", "customer_id", "provider_name", "emitted_at")
"""Metadata columns that people see with this prefix: those of the managed-syncs product."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Opening:
    """What a landing is opened with."""

    chain: Chain
    stored: Stored
    scope: Scope
    table: Table
    format: str
    run_id: str
    observe: Observer


@dataclass(frozen=True)
class Change(Generic[Result]):
    """What is to become the next manifest: rows to write, ids that a full read brought, and what to tell the caller."""

    result: Result
    tables: Iterable[pa.Table] = ()
    ids: Sequence[str] = ()


class FilesLanding:
    """See model.destination.Landing. Used by one thread at a time."""

    checkpoint: Checkpoint | None
    remade: Mapping[str, int]

    def __init__(self, opening: Opening, head: Head | None) -> None:
        self._opening = opening
        self._chain = opening.chain
        self._stored = opening.stored
        self._observe = opening.observe
        self._log: RecordLog | None = None
        self._telling: RecordLog | None = None
        self._refresh(head)
        self._opened_at = len(self._position.amended) if self._position else 0

    def log_changes(self, log: RecordLog) -> None:
        self._log = log

    @property
    def head(self) -> Head:
        return self._head

    def load(
        self,
        batch: Batch,
        checkpoint: Checkpoint,
        *,
        merged: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
        regrouped: Sequence[str] = (),
        gone: Sequence[str] = (),
        passed: Sequence[str] = (),
    ) -> Counts:
        if len(set(batch.ids)) != len(batch.ids):
            raise ValueError("an id comes twice in one load")

        seen: Sequence[str] = [*batch.ids, *passed]
        if self._layout.table.append:
            seen, merged, removed, regrouped, gone = (), (), (), (), ()

        def change(manifest: Manifest) -> Change[Counts]:
            if not any((batch.ids, merged, removed, regrouped, gone)):
                return Change(Counts(), ids=seen)
            told = Loaded(batch, removed, regrouped, gone).without(self._amended_since())
            return self._stored_change(manifest, told, merged, seen)

        self._observe("load.fenced")
        return self._through(change, self._moving(checkpoint), ("load.upserted", "load.checkpointed"), "load.committed")

    def amend(
        self,
        batch: Batch,
        *,
        merged: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
        regrouped: Sequence[str] = (),
        gone: Sequence[str] = (),
    ) -> Counts:
        if len(set(batch.ids)) != len(batch.ids):
            raise ValueError("an id comes twice in one load")
        if self._layout.table.append:
            merged, removed, regrouped, gone = (), (), (), ()
        told = Loaded(batch, removed, regrouped, gone)
        noted = [*batch.ids, *(loser for loser, _ in merged), *removed, *regrouped, *gone]
        rules = self.checkpoint.rules if self.checkpoint else None

        def change(manifest: Manifest) -> Change[Counts]:
            if self.checkpoint is None or self.checkpoint.rules != rules:
                scope = self._opening.scope
                raise DestinationBusy(
                    f"The rows of {scope.object} of customer {scope.customer_id} are about to be made anew; what "
                    "changed meanwhile comes with that, or behind it."
                )
            return self._stored_change(manifest, told, merged, noted)

        self._observe("amend.held")
        return self._through(change, self._noting, ("amend.noted",), "amend.committed")

    def _stored_change(
        self, manifest: Manifest, told: Loaded, merged: Sequence[tuple[str, str]], ids: Sequence[str]
    ) -> Change[Counts]:
        work = self._merging(manifest)
        counts = work.upsert(told.batch)
        counts += Counts(updated=work.mark_merged(merged), deleted=work.remove(told.removed), unchanged=told.left)
        counts += Counts(deleted=work.regroup(told.regrouped, told.batch.ids) + work.mark_gone(told.gone))
        return Change(counts, self._tables(work.rows), ids)

    def _amended_since(self) -> set[str]:
        """What was amended since this was opened."""
        return self._stored.amended(self._position.amended[self._opened_at :]) if self._position else set()

    def stored(self, after: str | None, limit: int) -> list[StoredRecord]:
        layout, manifest = self._layout, self._head.manifest
        places = [layout.places[name] for name in ("id", "is_deleted", "raw_data")]
        page = self._stored.keys(manifest).behind(after, limit)
        rows = (row for table in self._stored.tables(manifest, page, layout) for row in rows_of(table.select(places)))
        return [
            StoredRecord(id, deleted is True, None if raw is None else raw.encode())
            for id, deleted, raw in sorted(rows, key=lambda row: row[0])
        ]

    def outdated(self, patches: Mapping[str, bytes]) -> list[StoredRecord]:
        keys = self._stored.keys(self._head.manifest).find(list(patches))
        living = {id: key for id, key in keys.items() if not key.deleted}
        raw = self._layout.places["raw_data"]
        rows = self._stored.rows(self._head.manifest, living, self._layout)
        texts = {id: row[raw] for id, row in rows.items() if row[raw] is not None}
        return [
            StoredRecord(id, False, text.encode())
            for id, text in texts.items()
            if not holds_json(text, patches[id].decode())
        ]

    def remap(
        self, batch: Batch, columns: Sequence[str], checkpoint: Checkpoint, *, dropped: Sequence[str] = ()
    ) -> Counts:
        def change(manifest: Manifest) -> Change[Counts]:
            refuse_amended(batch, self._amended_since(), self._opening.scope)
            work = self._merging(manifest)
            updated = work.remap(batch, columns, dropped)
            return Change(Counts(updated=updated, unchanged=len(batch.ids) - updated), self._tables(work.rows))

        self._observe("remap.fenced")
        return self._through(change, self._moving(checkpoint), ("remap.updated",), "remap.committed")

    def delete_unseen(self, checkpoint: Checkpoint, *, hard: bool, brake: float) -> int:
        if self._position is None or self._position.kept is None or self._layout.table.append:
            raise ValueError(
                "only a full read whose checkpoint is stored tells of deletes, and not if rows are only added"
            )

        def change(manifest: Manifest) -> Change[int]:
            assert self._position is not None
            keys = self._stored.keys(self._head.manifest)
            unseen = keys.unseen(self._stored.seen(self._position))
            alive = pc.invert(keys.table["deleted"])
            lost = keys.filter(pc.and_(unseen, alive))
            refuse_above(brake, self._opening.scope, len(lost), keys.live())
            gone = keys.filter(pc.or_(unseen, keys.table["deleted"])) if hard else lost
            if self._telling is not None:
                self._telling.add_ids(DELETED, gone.table["id"].to_pylist())
            if not hard:
                tables = self._stored.tables(self._head.manifest, lost, self._layout)
                return Change(len(lost), (self._marked_deleted(table, manifest) for table in tables))
            work = self._merging(manifest)
            return Change(len(gone), self._tables([work.gone(id) for id in gone.table["id"].to_pylist()]))

        steps = ("delete.marked", "delete.checkpointed")
        return self._through(change, self._moving(checkpoint), steps, "delete.committed")

    def sample(self, limit: int) -> tuple[list[str], list[Row]]:
        layout, manifest = self._layout, self._head.manifest
        shown = VIEWED if layout.table.metadata_prefix == VIEWED_PREFIX else SHOWN
        columns = [*(layout.meta(name) for name in shown), *layout.types]
        newest = self._stored.keys(manifest).newest(limit)
        rows = [row for table in self._stored.tables(manifest, newest, layout) for row in rows_of(table)]
        emitted, id = layout.places[layout.meta("emitted_at")], layout.places["id"]
        rows.sort(key=lambda row: row[id])
        rows.sort(key=lambda row: row[emitted], reverse=True)
        readers: list[Callable[[Any], Any]] = []
        for name in columns:
            kind = layout.columns[layout.places[name]].type
            readers.append(_document if kind == "jsonb" else lambda value: value)
        places = [layout.places[name] for name in columns]
        found = [tuple(read(row[place]) for read, place in zip(readers, places, strict=True)) for row in rows[:limit]]
        return columns, found

    def _refresh(self, head: Head | None = None) -> None:
        """Take the newest manifest as it is; `head` if it was just read."""
        opening = self._opening
        found = head or self._chain.read() or self._left_behind()
        if found is None:
            first = Manifest(
                place=self._chain.place, metadata_prefix=opening.table.metadata_prefix, format=opening.format
            )
            found = Head(first)
        self._take(found)
        self._chain.publish(found)

    def _take(self, head: Head) -> None:
        self._head = head
        known = head.manifest
        self._layout = Layout.of(self._opening.table, known.columns, known.metadata_prefix if head.tag else None)
        names = [column.name for column in self._layout.table.columns]
        self.remade = {name: known.remade[name] for name in names if name in known.remade}
        self._position = known.position(self._opening.scope)
        self.checkpoint = self._position.checkpoint if self._position else None

    def _through(
        self,
        change: Callable[[Manifest], Change[Result]],
        moved: Callable[[Manifest, Sequence[str]], Position],
        before: Sequence[str],
        after: str,
    ) -> Result:
        """Commit what `change` makes of the newest manifest; anew while others who do not concern us are quicker."""
        for number in range(MOST_TRIES):
            self._telling = None if self._log is None else self._log.apart()
            now = self._head.manifest
            manifest = msgspec.structs.replace(
                now,
                version=now.version + 1,
                commit=new_commit(),
                run_id=self._opening.run_id,
                written_at=datetime.now(UTC),
                columns=self._layout.types,
            )
            try:
                with self._chain.reading(self._head):
                    made = change(manifest)
                    self._commit(made, moved(manifest, made.ids), manifest, before)
            except Overtaken:
                time.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.01 * 2**number)))  # noqa: S311
                self._catch_up(may_have_moved=moved == self._noting)
            else:
                if self._log is not None and self._telling is not None:
                    self._log.join(self._telling)
                self._observe(after)
                self._chain.publish(self._head)
                return made.result
        raise DestinationBusy(
            f"Others write {self._chain.place.table} of customer {self._opening.scope.customer_id} all the time; the "
            "sync is tried again by itself."
        )

    def _commit(self, change: Change[Any], position: Position, manifest: Manifest, steps: Sequence[str]) -> None:
        before, was = self._head.manifest, self._position
        made = self._stored.make(change.tables, self._layout, manifest) if change.tables else None
        manifest = msgspec.structs.replace(manifest, positions=before.with_position(position), staged=None)
        keys = None
        if made is not None:
            keys = self._stored.keys(before).after(made.written, made.file.version)
            manifest = msgspec.structs.replace(
                manifest,
                files=(*before.files, made.file),
                staged=made.staged,
                records=len(keys),
                live=keys.live(),
            )
        for step in steps:
            self._observe(step)
        self._take(self._chain.follow(self._head, manifest))
        if keys is not None:
            self._stored.remember(manifest, keys)
        if was is not None and was.kept != position.kept:
            self._chain.storage.remove(seen.key for seen in was.seen)
        if was is not None and len(position.amended) < len(was.amended):
            self._opened_at = 0
            self._chain.storage.remove(noted.key for noted in was.amended if noted not in position.amended)

    def _merging(self, coming: Manifest) -> Merging:
        return Merging(self._stored, self._head.manifest, self._layout, coming, self._observe, self._telling)

    def _tables(self, rows: Sequence[FileRow]) -> Sequence[pa.Table]:
        return [table_of(self._layout.columns, self._layout.schema, rows)] if rows else ()

    def _left_behind(self) -> Head | None:
        """Versions begin at 1 in a new place: what an older chain left there would be newer than all that comes."""
        place = self._chain.place
        for found in self._chain.storage.list(place.rows_folder):
            if place.digest not in found.key:
                continue
            if head := self._chain.read():
                return head  # somebody has just begun
            raise DestinationError(
                f"{found.key} is there, but not the manifest {place.manifest} that it belongs to: restore that, or "
                "move the files away; then everything is read and written anew."
            )
        return None

    def _moving(self, checkpoint: Checkpoint) -> Callable[[Manifest, Sequence[str]], Position]:
        return lambda manifest, ids: self._moved(manifest, checkpoint, ids)

    def _noting(self, manifest: Manifest, ids: Sequence[str]) -> Position:
        """Our position as it is, with ids that are amended."""
        assert self._position is not None
        noted = Seen(key=self._stored.make_seen(list(ids), manifest), amount=len(ids))
        return msgspec.structs.replace(self._position, amended=(*self._position.amended, noted))

    def _moved(self, manifest: Manifest, checkpoint: Checkpoint, ids: Sequence[str]) -> Position:
        """Our position when the checkpoint is stored, with the ids seen by its full read."""
        was, scope = self._position, self._opening.scope
        reading = checkpoint.reading
        kept = reading.id if reading is not None and reading.full else None
        seen = was.seen if was is not None and kept is not None and was.kept == kept else ()
        if kept is not None and ids:
            seen = (*seen, Seen(key=self._stored.make_seen(list(ids), manifest), amount=len(ids)))
        amended = was.amended if was is not None and reading is not None else ()
        if was is not None and was.kept != kept:
            amended = amended[self._opened_at :]  # a read that begins now meets what was amended before
        version = (was.checkpoint.version if was else 0) + 1
        return Position(
            sync=scope.sync,
            object=scope.object,
            checkpoint=replace(checkpoint, version=version),
            kept=kept,
            seen=seen,
            amended=amended,
        )

    def _catch_up(self, *, may_have_moved: bool) -> None:
        """Somebody else has stored something. LeaseLost where it was progress of this scope that we did not expect."""
        ours = self.checkpoint
        self._refresh()
        if self.checkpoint != ours and not may_have_moved:
            scope = self._opening.scope
            raise LeaseLost(
                f"Another run has stored progress for {scope.object} of customer {scope.customer_id} in the sync "
                f"{scope.sync} meanwhile. This one stopped and wrote nothing; there is nothing to do."
            )

    def _marked_deleted(self, table: pa.Table, manifest: Manifest) -> pa.Table:
        changes = {
            "is_deleted": True,
            self._layout.meta("hash"): None,
            self._layout.meta("emitted_at"): manifest.written_at,
            self._layout.meta("run_id"): manifest.run_id,
            self._layout.meta("version"): manifest.version,
        }
        for name, value in changes.items():
            field = table.schema.field(name)
            values = pa.array([value] * table.num_rows, field.type)
            table = table.set_column(table.schema.get_field_index(name), field, values)
        return table


def _document(text: str | None) -> Any:
    return None if text is None else json.loads(text)
