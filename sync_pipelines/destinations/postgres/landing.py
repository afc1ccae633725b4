"""One scope's open place in one table. Each call is one transaction that begins with the checkpoint's fence."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg

from sync_pipelines.destinations.amendments import Loaded, refuse_amended
from sync_pipelines.destinations.postgres.checkpoints import Checkpoints, Stored, scope_parameters
from sync_pipelines.destinations.postgres.encoding import bigint_array, copy_types, encoded, moment, text_array
from sync_pipelines.destinations.postgres.failures import told_as_ours
from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Lent, Pool
from sync_pipelines.destinations.postgres.record_changes import Gathering
from sync_pipelines.destinations.postgres.remapping import (
    Remapping,
    outdated_records,
    remapping_of,
    staged_columns,
    stored_records,
)
from sync_pipelines.destinations.postgres.statements import statements_of
from sync_pipelines.destinations.postgres.statistics import refresh_statistics
from sync_pipelines.model.brake import refuse_above
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Batch, Observer, Row, Scope, StoredRecord
from sync_pipelines.model.errors import DestinationBusy
from sync_pipelines.model.record_log import RecordLog
from sync_pipelines.model.run import Counts

MOST_STAGING_TABLES = 4
"""Kept in one session. Each is emptied at every commit, so more of them would cost more than they save."""

BLOCK_ROWS = 50
"""So many rows are mapped and sent at a time."""

CHUNKS_BY_KEY = 4
"""So many chunks are compared key by key after one whose keys were scattered over the customer's rows."""

# Which plans are allowed, as statistics may be missing: then nested loops over two sides never end, and a table of
# millions of rows is taken for empty and read as a whole.
_BY_WALKS = b"""
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_seqscan', 'off', true)
"""
_BY_PLACE = b"""
SELECT set_config('enable_nestloop', 'on', true), set_config('enable_hashjoin', 'off', true),
  set_config('enable_mergejoin', 'off', true)
"""
_HEAD_TYPES = ["text", "text", "text", "bytea", "text"]


@dataclass(frozen=True)
class Opening:
    """What a landing is opened with."""

    place: Place
    pool: Pool
    layout: Layout
    scope: Scope
    run_id: str
    observe: Observer


@dataclass(frozen=True)
class _Compared:
    """Places of rows that are not there yet, and of those that differ, both ordered by id; misfits in all others."""

    new: list[int]
    changed: list[int]
    misfits: int


class PostgresLanding:
    """See model.destination.Landing. Used by one thread at a time."""

    checkpoint: Checkpoint | None
    remade: Mapping[str, int]

    def __init__(self, opening: Opening, checkpoints: Checkpoints, stored: Stored) -> None:
        self._opening = opening
        self.remade = dict(opening.layout.remade)
        self._checkpoints = checkpoints
        self._observe = opening.observe
        self._scope = scope_parameters(opening.scope)
        self._sql = statements_of(opening.layout)
        self._only_adds = opening.layout.table.append
        self._scope_has_rows = False
        self._scattered = 0
        self._created = 0
        self._gathering = Gathering()
        self._keep(stored)

    def log_changes(self, log: RecordLog) -> None:
        self._gathering.log = log

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
        _check_ids(batch)
        ids = batch.ids
        seen: Sequence[str] = [*ids, *passed] if passed else ids
        if self._only_adds:
            seen, merged, removed, gone, regrouped = (), (), (), (), ()
        moves_only = not (ids or merged or removed or gone or regrouped)
        if moves_only and self._checkpoints.only_moves(self._stored, checkpoint):
            return self._pass_on(checkpoint)
        with self._transaction() as lent:
            moved = self._checkpoints.move_on(lent.connection, self._stored, checkpoint, len(seen))
            self._observe("load.fenced")
            told = Loaded(batch, removed, regrouped, gone)
            told = told.without(self._checkpoints.amended(lent.connection, self._stored))
            counts = self._store(lent, told, merged)
            self._observe("load.upserted")
            if moved.kept is not None and seen:
                self._checkpoints.remember(lent.connection, moved, seen)
            moved = self._checkpoints.forget_others(lent.connection, self._stored, moved)
            self._observe("load.checkpointed")
        self._keep(moved)
        self._created += counts.created
        self._observe("load.committed")
        return counts

    def amend(
        self,
        batch: Batch,
        *,
        merged: Sequence[tuple[str, str]] = (),
        removed: Sequence[str] = (),
        regrouped: Sequence[str] = (),
        gone: Sequence[str] = (),
    ) -> Counts:
        _check_ids(batch)
        if self._only_adds:
            merged, removed, gone, regrouped = (), (), (), ()
        losers = [loser for loser, _ in merged]
        with self._transaction() as lent:
            self._checkpoints.hold_still(lent.connection, self._stored)
            self._observe("amend.held")
            counts = self._store(lent, Loaded(batch, removed, regrouped, gone), merged)
            self._checkpoints.note(lent.connection, [*batch.ids, *losers, *removed, *regrouped, *gone])
            self._observe("amend.noted")
        self._observe("amend.committed")
        return counts

    def _store(self, lent: Lent, told: Loaded, merged: Sequence[tuple[str, str]]) -> Counts:
        counts = self._write(lent, told.batch) if told.batch.ids else Counts()
        removals = self._remove(lent, told.removed) + self._regroup(lent, told.regrouped, told.batch.ids)
        deleted = removals + self._mark_gone(lent, told.gone)
        return counts + Counts(updated=self._mark_merged(lent, merged), deleted=deleted, unchanged=told.left)

    def _pass_on(self, checkpoint: Checkpoint) -> Counts:
        """Nothing but the position changes, which is most of what many connections do: one statement."""
        with told_as_ours(self._opening.place), self._opening.pool.lend(self._opening.place) as lent:
            moved = self._checkpoints.pass_on(lent.connection, self._stored, checkpoint)
        for step in ("fenced", "upserted", "checkpointed"):
            self._observe(f"load.{step}")
        self._keep(moved)
        self._observe("load.committed")
        return Counts()

    def delete_unseen(self, checkpoint: Checkpoint, *, hard: bool, brake: float) -> int:
        reading = self._stored.kept
        if reading is None or self._only_adds:
            raise ValueError(
                "only a full read whose checkpoint is stored tells of deletes, and not if rows are only added"
            )
        with self._transaction() as lent:
            moved = self._checkpoints.move_on(lent.connection, self._stored, checkpoint, 0)
            self._all_ids_are_kept(lent, reading)
            values = self._values(reading=reading)
            lent.connection.execute(_BY_WALKS)
            unseen = self._count(lent, self._sql.count_unseen, values)
            if unseen:
                refuse_above(brake, self._opening.scope, unseen, self._count(lent, self._sql.count_alive, values))
            deleted = self._delete(lent, values, hard=hard) if unseen or hard else 0
            self._observe("delete.marked")
            moved = self._checkpoints.forget_others(lent.connection, self._stored, moved)
            self._observe("delete.checkpointed")
        self._keep(moved)
        self._observe("delete.committed")
        return deleted

    def stored(self, after: str | None, limit: int) -> list[StoredRecord]:
        with told_as_ours(self._opening.place), self._opening.pool.lend(self._opening.place) as lent:
            return stored_records(lent.connection, self._opening.layout, self._scope, after, limit)

    def outdated(self, patches: Mapping[str, bytes]) -> list[StoredRecord]:
        with told_as_ours(self._opening.place), self._opening.pool.lend(self._opening.place) as lent:
            return outdated_records(lent.connection, self._opening.layout, self._scope, patches)

    def remap(
        self, batch: Batch, columns: Sequence[str], checkpoint: Checkpoint, *, dropped: Sequence[str] = ()
    ) -> Counts:
        made = remapping_of(self._opening.layout, tuple(columns))
        updated = 0
        with self._transaction() as lent:
            moved = self._checkpoints.move_on(lent.connection, self._stored, checkpoint, 0)
            self._observe("remap.fenced")
            if batch.ids:
                self._not_amended(lent, batch)
                self._stage_columns(lent, batch, made)
                lent.connection.execute(_BY_PLACE)
                values = self._values(names=[*columns, *dropped])
                updated = lent.connection.execute(made.remap, values).rowcount
            self._observe("remap.updated")
            moved = self._checkpoints.forget_others(lent.connection, self._stored, moved)
        self._keep(moved)
        self._observe("remap.committed")
        return Counts(updated=updated, unchanged=len(batch.ids) - updated)

    def _not_amended(self, lent: Lent, batch: Batch) -> None:
        refuse_amended(batch, self._checkpoints.amended(lent.connection, self._stored), self._opening.scope)

    def _stage_columns(self, lent: Lent, batch: Batch, made: Remapping) -> None:
        _make_staging(lent, made.staging, made.make_staging)
        with lent.connection.cursor() as cursor, cursor.copy(made.copy_staging) as copy:
            copy.set_types(copy_types(made.types))
            for start in range(0, len(batch.ids), BLOCK_ROWS):
                ids = batch.ids[start : start + BLOCK_ROWS]
                block = batch.columns(range(start, start + len(ids)))
                for record in encoded(staged_columns(ids, block, with_hash=made.sets_hash), made.types):
                    copy.write_row(record)

    def sample(self, limit: int) -> tuple[list[str], list[Row]]:
        with told_as_ours(self._opening.place), self._opening.pool.lend(self._opening.place) as lent:
            cursor = lent.connection.execute(self._sql.sample, self._scope | {"limit": limit})
            return [column.name for column in cursor.description or ()], cursor.fetchall()

    def refresh_statistics(self) -> None:
        """After a big first load: without statistics the planner takes the table for empty."""
        opening = self._opening
        refresh_statistics(opening.pool, opening.place, opening.layout, self._sql.analyze, created=self._created)

    def _keep(self, stored: Stored) -> None:
        self._stored = stored
        self.checkpoint = stored.checkpoint

    @contextmanager
    def _transaction(self) -> Iterator[Lent]:
        place = self._opening.place
        with told_as_ours(place), self._opening.pool.lend(place) as lent:
            staging = list(lent.staging)
            self._gathering.begin()
            try:
                with lent.connection.transaction():
                    yield lent
                self._gathering.commit()
            except BaseException:
                lent.staging = staging  # what was made or dropped in it was rolled back too
                raise

    def _values(self, **more: Any) -> Mapping[str, Any]:
        return self._scope | {"run_id": self._opening.run_id, "now": datetime.now(UTC)} | more

    def _write(self, lent: Lent, batch: Batch) -> Counts:
        found = self._compare(lent, batch)
        self._observe("load.keys_sent")
        if found.new:
            self._copy_new(lent, batch, found.new)
            self._gathering.created([batch.ids[place] for place in found.new])
        if found.changed:
            self._stage(lent, batch, found.changed)
        self._observe("load.staged")
        created, updated = self._upsert(lent) if found.changed else (0, 0)
        created += len(found.new)
        unchanged = len(batch.ids) - created - updated
        return Counts(created=created, updated=updated, unchanged=unchanged, invalid=found.misfits)

    def _compare(self, lent: Lent, batch: Batch) -> _Compared:
        if not self._scope_has_rows:
            empty = lent.connection.execute(self._sql.is_empty, self._scope).fetchone()
            if empty == (True,):
                return _Compared(sorted(range(len(batch.ids)), key=batch.ids.__getitem__), [], 0)
            self._scope_has_rows = True
        keys = self._scope | {"ids": text_array(batch.ids), "hashes": bigint_array(batch.hashes)}
        found = self._found_by_range(lent, keys, len(batch.ids))
        if found is None:
            found = lent.connection.execute(self._sql.compare_by_key, keys).fetchall()
        return _Compared(
            new=[place for place, missing, _ in found if missing],
            changed=[place for place, missing, misfits in found if not missing and misfits is None],
            misfits=sum(misfits or 0 for _, _, misfits in found),
        )

    def _found_by_range(self, lent: Lent, keys: Mapping[str, Any], amount: int) -> list[tuple[Any, ...]] | None:
        """None where too many other rows lie between the keys."""
        if self._scattered > 0:
            self._scattered -= 1
            return None
        most = 2 * amount + 1
        lent.connection.execute(_BY_WALKS)
        found = lent.connection.execute(self._sql.compare_by_range, {**keys, "most": most}).fetchall()
        if found.pop()[2] == most:
            self._scattered = CHUNKS_BY_KEY
            return None
        return found

    def _copy_new(self, lent: Lent, batch: Batch, places: Sequence[int]) -> None:
        # Into the table itself: the fence keeps other writers of the scope out, and staging would cost a fifth more.
        # Binary COPY would take a whole number for a numeric and store rubbish, so the types are looked at once more;
        # the comparison has locked the table, so they stay.
        if lent.connection.execute(self._sql.same_types, self._sql.expected).fetchone() != (True,):
            raise DestinationBusy(
                f"The columns of {self._opening.layout.physical} in {self._opening.place} were changed during the "
                "sync; it is tried again by itself."
            )
        scope = self._opening.scope
        owner = (scope.application_id, scope.customer_id, scope.provider)
        head = (*owner, moment(datetime.now(UTC)), self._opening.run_id)
        with lent.connection.cursor() as cursor, cursor.copy(self._sql.copy_new) as copy:
            copy.set_types([*_HEAD_TYPES, *copy_types(self._sql.types)])
            self._send(copy, batch, places, head)

    def _stage(self, lent: Lent, batch: Batch, places: Sequence[int]) -> None:
        _make_staging(lent, self._sql.staging, self._sql.make_staging)
        with lent.connection.cursor() as cursor, cursor.copy(self._sql.copy_staging) as copy:
            copy.set_types(copy_types(self._sql.types))
            self._send(copy, batch, places)

    def _send(self, copy: psycopg.Copy, batch: Batch, places: Sequence[int], head: tuple[Any, ...] = ()) -> None:
        """Block by block: the server works on one while the next is made, and only one is in memory."""
        for start in range(0, len(places), BLOCK_ROWS):
            for record in encoded(batch.columns(places[start : start + BLOCK_ROWS]), self._sql.types, head):
                copy.write_row(record)

    def _upsert(self, lent: Lent) -> tuple[int, int]:
        lent.connection.execute(_BY_PLACE)
        lent.connection.execute(self._sql.refresh, self._scope)
        self._gathering.staged(lent.connection, self._opening.layout, self._scope)
        # A person may have removed rows since the comparison, so some of the changed ones may be new again.
        written, created = lent.connection.execute(self._sql.upsert, self._values()).fetchone() or (0, 0)
        self._gathering.upserted(written)
        return created, written - created

    def _mark_merged(self, lent: Lent, merged: Sequence[tuple[str, str]]) -> int:
        survivors = {loser: survivor for loser, survivor in merged if loser != survivor}
        if not survivors:
            return 0
        values = self._values(losers=text_array(list(survivors)), survivors=msgspec.json.encode(survivors).decode())
        return self._gathering.gone(lent.connection, self._sql.merge, values, "It was merged into another record.")

    def _remove(self, lent: Lent, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        return self._gathering.gone(lent.connection, self._sql.remove, self._scope | {"ids": text_array(ids)})

    def _regroup(self, lent: Lent, groups: Sequence[str], ids: Sequence[str]) -> int:
        if not groups:
            return 0
        values = self._scope | {"groups": text_array(groups), "ids": text_array(ids)}
        return self._gathering.gone(lent.connection, self._sql.regroup, values)

    def _mark_gone(self, lent: Lent, ids: Sequence[str]) -> int:
        if not ids:
            return 0
        return self._gathering.gone(lent.connection, self._sql.mark_gone, self._values(ids=text_array(ids)))

    def _all_ids_are_kept(self, lent: Lent, reading: str) -> None:
        if self._checkpoints.kept_ids(lent.connection, reading) != self._stored.seen:
            raise DestinationBusy(
                f"{self._opening.place} crashed during the full read of {self._opening.scope.object} and lost which "
                "records had been seen. Nothing was deleted; the next run reads everything again by itself."
            )

    def _count(self, lent: Lent, statement: bytes, values: Mapping[str, Any]) -> int:
        row = lent.connection.execute(statement, values).fetchone()
        return int(row[0]) if row else 0

    def _delete(self, lent: Lent, values: Mapping[str, Any], *, hard: bool) -> int:
        if not hard:
            return self._gathering.gone(lent.connection, self._sql.mark_unseen, values)
        removed = self._gathering.gone(lent.connection, self._sql.remove_unseen, values)
        return removed + self._gathering.gone(lent.connection, self._sql.remove_deleted, values)


def _check_ids(batch: Batch) -> None:
    if len(set(batch.ids)) != len(batch.ids):
        raise ValueError("an id comes twice in one load")


def _make_staging(lent: Lent, name: str, statement: bytes) -> None:
    if name in lent.staging:
        return
    if len(lent.staging) >= MOST_STAGING_TABLES:
        lent.connection.execute(f"DROP TABLE pg_temp.{lent.staging.pop(0)}".encode())
    lent.connection.execute(statement)
    lent.staging.append(name)
