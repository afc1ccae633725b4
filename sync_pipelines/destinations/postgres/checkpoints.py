"""The checkpoint in the destination, and the ids seen by a full read: both move in the transaction of the data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg import sql

from sync_pipelines.destinations.postgres.encoding import text_array
from sync_pipelines.destinations.postgres.layout import CHECKPOINTS, SEEN
from sync_pipelines.destinations.postgres.names import in_query
from sync_pipelines.destinations.postgres.pool import Connection
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Scope
from sync_pipelines.model.errors import DestinationBusy, LeaseLost

OFTEN = 5
"""A connection that has run the same one of these statements so often gets it prepared: planning costs more than all
else of it. Not sooner, as schemas of single customers are met a few times only."""

_OURS = sql.SQL(
    "application_id = %(application_id)s AND provider_name = %(provider)s AND customer_id = %(customer_id)s "
    "AND sync = %(sync)s AND object = %(object)s"
)
_READ = """
SELECT state::text, version, seen,
  (SELECT coalesce(sum(amount), 0)::bigint FROM {seen} WHERE {ours} AND reading = state #>> ARRAY['reading', 'id']),
  (SELECT max(version) FROM {seen} WHERE {ours} AND reading = 'amended')
FROM {checkpoints} WHERE {ours}
"""
_FIRST = """
INSERT INTO {checkpoints}
  (application_id, provider_name, customer_id, sync, object, state, version, seen, run_id, updated_at)
VALUES (%(application_id)s, %(provider)s, %(customer_id)s, %(sync)s, %(object)s,
  %(state)s::jsonb, 1, %(amount)s, %(run_id)s, %(now)s)
ON CONFLICT DO NOTHING
"""
_NEXT = """
UPDATE {checkpoints} SET state = %(state)s::jsonb, version = version + 1, seen = %(amount)s, run_id = %(run_id)s,
  updated_at = %(now)s
WHERE {ours} AND version = %(version)s
"""
_LATER = "RETURNING set_config('synchronous_commit', 'off', true)"
"""The server confirms before this commit is on its disk. If it crashes then, an older position is read again."""
_REMEMBER = """
INSERT INTO {seen} (application_id, provider_name, customer_id, sync, object, reading, version, amount, ids)
VALUES (%(application_id)s, %(provider)s, %(customer_id)s, %(sync)s, %(object)s,
  %(reading)s, %(version)s, %(amount)s, %(ids)s::text[])
"""
_COUNT = "SELECT coalesce(sum(amount), 0)::bigint FROM {seen} WHERE {ours} AND reading = %(reading)s"
_FORGET = "DELETE FROM {seen} WHERE {ours} AND reading IS DISTINCT FROM %(reading)s AND reading <> 'amended'"
_IDS = "(SELECT unnest(ids) AS id FROM {seen} WHERE {ours} AND reading IN (%(reading)s, 'amended'))"
# What was amended lies beside the ids of a full read, which is the one that must not miss it. No read has such an id.
_HOLD = "SELECT state::text FROM {checkpoints} WHERE {ours} FOR UPDATE"
_NOTE = """
INSERT INTO {seen} (application_id, provider_name, customer_id, sync, object, reading, version, amount, ids)
SELECT %(application_id)s, %(provider)s, %(customer_id)s, %(sync)s, %(object)s, 'amended',
  (SELECT coalesce(max(version), 0) + 1 FROM {seen} WHERE {ours} AND reading = 'amended'), 0, %(ids)s::text[]
"""
_NOTED = "SELECT ids FROM {seen} WHERE {ours} AND reading = 'amended' AND version > %(noted)s"
_FORGET_NOTES = "DELETE FROM {seen} WHERE {ours} AND reading = 'amended' AND version <= %(noted)s"
_ALL_NOTES = 2**62


@dataclass(frozen=True)
class Stored:
    """A scope's position. `kept`: the full read whose ids are remembered; `seen`: how many it has brought so far.

    `noted`: the newest note of something amended that was there when the landing was opened; 0: what there is is newer.
    """

    checkpoint: Checkpoint | None = None
    seen: int = 0
    kept: str | None = None
    noted: int = 0

    @property
    def version(self) -> int:
        return self.checkpoint.version if self.checkpoint else 0


def scope_parameters(scope: Scope) -> dict[str, Any]:
    """For the placeholders in the statements here, and in those of a table."""
    return {
        "application_id": scope.application_id,
        "provider": scope.provider,
        "customer_id": scope.customer_id,
        "sync": scope.sync,
        "object": scope.object,
    }


def ids_of_reading(schema: str) -> sql.Composed:
    """A subquery for statements of a table; `scope_parameters` and `reading` fill it."""
    return sql.SQL(_IDS).format(seen=in_query(schema, SEEN), ours=_OURS)


@lru_cache(maxsize=2_000)
def _rendered(schema: str, statement: str) -> bytes:
    names = {"checkpoints": in_query(schema, CHECKPOINTS), "seen": in_query(schema, SEEN), "ours": _OURS}
    return sql.SQL(statement).format(**names).as_bytes(None)


class Checkpoints:
    """One scope's statements. All but `read` and `pass_on` belong into the caller's transaction."""

    def __init__(self, schema: str, scope: Scope, run_id: str) -> None:
        self._schema = schema
        self._parameters = scope_parameters(scope) | {"run_id": run_id}
        self._scope = scope

    def read(self, connection: Connection) -> Stored:
        """The stored position; its full read begins anew where a crash of the server lost ids that it had seen."""
        row: tuple[Any, ...] | None = self._execute(connection, _READ).fetchone()
        if row is None:
            return Stored()
        state, version, seen, kept, noted = row
        checkpoint = replace(msgspec.json.decode(state, type=Checkpoint), version=version)
        reading = checkpoint.reading
        if reading is not None and reading.full and kept != seen:
            # Under a new id, and not forgotten: a full read that was forced or that a new mapping asked for is due.
            return Stored(replace(checkpoint, reading=reading.anew()), 0, reading.id, noted or 0)
        return Stored(checkpoint, seen, reading.id if reading is not None and reading.full else None, noted or 0)

    def move_on(self, connection: Connection, stored: Stored, checkpoint: Checkpoint, new_ids: int) -> Stored:
        """Store a checkpoint over `stored`. It is the fence, so it comes before data: LeaseLost if we are behind."""
        return self._move(connection, _NEXT if stored.checkpoint else _FIRST, stored, checkpoint, new_ids)

    def only_moves(self, stored: Stored, checkpoint: Checkpoint) -> bool:
        """Whether a position is replaced by one without a read, and no ids are to be forgotten."""
        idle = stored.kept is None and stored.noted == 0
        return stored.checkpoint is not None and idle and checkpoint.reading is None

    def pass_on(self, connection: Connection, stored: Stored, checkpoint: Checkpoint) -> Stored:
        """`move_on` without any data and outside of a transaction, for a checkpoint that `only_moves`."""
        return self._move(connection, _NEXT + _LATER, stored, checkpoint, 0)

    def _move(
        self, connection: Connection, statement: str, stored: Stored, checkpoint: Checkpoint, new_ids: int
    ) -> Stored:
        reading = checkpoint.reading
        kept = reading.id if reading is not None and reading.full else None
        seen = (stored.seen if kept == stored.kept else 0) + new_ids if kept else 0
        state = msgspec.json.encode(checkpoint).decode()
        values = {"state": state, "version": stored.version, "amount": seen, "now": datetime.now(UTC)}
        if self._execute(connection, statement, values).rowcount != 1:
            raise LeaseLost(
                f"Another run has stored progress for {self._scope.object} of customer {self._scope.customer_id} in "
                f"the sync {self._scope.sync} meanwhile. This one stopped and wrote nothing; there is nothing to do."
            )
        return Stored(replace(checkpoint, version=stored.version + 1), seen, kept, stored.noted)

    def remember(self, connection: Connection, moved: Stored, ids: Sequence[str]) -> None:
        """Keep ids as seen in the full read of `moved`."""
        values = {"reading": moved.kept, "version": moved.version, "amount": len(ids), "ids": text_array(ids)}
        self._execute(connection, _REMEMBER, values)

    def kept_ids(self, connection: Connection, reading: str) -> int:
        """How many ids of a read are there."""
        row: tuple[Any, ...] | None = self._execute(connection, _COUNT, {"reading": reading}).fetchone()
        return int(row[0]) if row else 0

    def forget_others(self, connection: Connection, stored: Stored, moved: Stored) -> Stored:
        """Drop the ids of reads that `moved` no longer goes on with, and notes of before; `moved` with what is left."""
        others = stored.kept != moved.kept or stored.checkpoint is None
        if others:
            self._execute(connection, _FORGET, {"reading": moved.kept})
        over = moved.checkpoint is not None and moved.checkpoint.reading is None
        if over or (others and moved.noted):
            # A read that begins now meets what was amended before; one that is over has no old page left.
            self._execute(connection, _FORGET_NOTES, {"noted": _ALL_NOTES if over else moved.noted})
            return replace(moved, noted=0)
        return moved

    def hold_still(self, connection: Connection, stored: Stored) -> None:
        """Keep the position where it is until the transaction ends. DestinationBusy where rows are made otherwise by
        now than at `stored`."""
        row: tuple[Any, ...] | None = self._execute(connection, _HOLD).fetchone()
        now = None if row is None else msgspec.json.decode(row[0], type=Checkpoint)
        if now is None or stored.checkpoint is None or now.rules != stored.checkpoint.rules:
            raise DestinationBusy(
                f"The rows of {self._scope.object} of customer {self._scope.customer_id} are about to be made anew; "
                "what changed meanwhile comes with that, or behind it."
            )

    def note(self, connection: Connection, ids: Sequence[str]) -> None:
        """Remember rows, or what they are told by, as amended."""
        self._execute(connection, _NOTE, {"ids": text_array(ids)})

    def amended(self, connection: Connection, stored: Stored) -> set[str]:
        """What was amended since the landing was opened."""
        rows = self._execute(connection, _NOTED, {"noted": stored.noted}).fetchall()
        return {id for (ids,) in rows for id in ids}

    def _execute(self, connection: Connection, statement: str, values: dict[str, Any] | None = None) -> Any:
        connection.prepare_threshold = OFTEN
        try:
            return connection.execute(_rendered(self._schema, statement), self._parameters | (values or {}))
        finally:
            # Other statements have plans that depend on their values and on settings of the moment.
            connection.prepare_threshold = None
