"""Who asked for which run, and how far it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, select, text
from sqlalchemy.dialects.postgresql import insert

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.store.tables import requests


class KeyUsed(ConfigurationError):
    """An idempotency key came again with another request."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """`customers` and `objects` None: all. `waiting` and `running` count the customers for whom the work that was asked
    for has not begun, or not ended; a request of which both are 0 is done. Of those that wait, `paused` do so until the
    sync or they alone are resumed or restored, `expired` until they connect again; the others begin by themselves."""

    id: int
    asked_at: datetime
    actor: str
    sync: str
    customers: tuple[str, ...] | None
    objects: tuple[str, ...] | None
    full: bool
    waiting: int
    running: int
    paused: int
    expired: int


_LIST = text(
    """
    SELECT asked.id, asked.asked_at, asked.actor, asked.sync, asked.customers, asked.objects, asked."full",
           stands.*
    FROM (
        SELECT * FROM requests
        WHERE (CAST(:id AS bigint) IS NULL OR id = :id) AND (CAST(:before AS bigint) IS NULL OR id < :before)
          AND (CAST(:sync AS text) IS NULL OR sync = :sync)
          AND (CAST(:customer AS text) IS NULL OR customers = ARRAY[CAST(:customer AS text)])
        ORDER BY id DESC LIMIT :limit
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE waits) AS waiting,
               count(*) FILTER (WHERE works AND waits IS NOT TRUE) AS running,
               count(*) FILTER (WHERE waits AND rests) AS paused,
               count(*) FILTER (WHERE waits AND NOT rests AND connections.status = 'expired') AS expired
        FROM (
            SELECT due.connection_id, due.asked_at <= asked.asked_at AS waits,
                   due.claim_id IS NOT NULL AND due.claimed_due_at <= asked.asked_at AS works,
                   due.paused_at IS NOT NULL OR still.sync IS NOT NULL AS rests
            FROM due
            LEFT JOIN sync_states AS still ON still.sync = due.sync AND still.state IN ('paused', 'archived')
            WHERE due.sync = asked.sync AND (asked.customers IS NULL OR due.customer_id = ANY(asked.customers))
              AND (due.asked_at <= asked.asked_at OR due.claim_id IS NOT NULL)
        ) AS work
        JOIN connections ON connections.id = work.connection_id
    ) AS stands
    ORDER BY asked.id DESC
    """
)


class Requests:
    """Reads them, newest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(
        self, *, sync: str | None = None, customer_id: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[Request]:
        """`customer_id`: those for this customer alone. `before`: older than the one of this id."""
        return self._read(id=None, sync=sync, customer=customer_id, before=before, limit=limit)

    def get(self, id: int) -> Request | None:
        found = self._read(id=id, sync=None, customer=None, before=None, limit=1)
        return found[0] if found else None

    def _read(self, **values: Any) -> list[Request]:
        with self._engine.connect() as database:
            return [_request(row) for row in database.execute(_LIST, values).mappings()]


def note_request(
    database: Database, wanted: Mapping[str, Any], *, actor: str, key: str | None, now: datetime
) -> tuple[int, bool]:
    """Write a request down: (its id, whether it is new). KeyUsed when its key stands for something else.

    Who repeats a key while the first is still under way waits for it.
    """
    mark = hashlib.sha256(msgspec.json.encode(wanted, order="sorted")).hexdigest() if key is not None else None
    values = {**wanted, "asked_at": now, "actor": actor, "key": key, "key_mark": mark}
    add = insert(requests).values(values).on_conflict_do_nothing(index_elements=["key"]).returning(requests.c.id)
    id = database.execute(add).scalar_one_or_none()
    if id is not None:
        return id, True
    known = database.execute(select(requests.c.id, requests.c.key_mark).where(requests.c.key == key)).one()
    if known.key_mark != mark:
        raise KeyUsed(
            "This idempotency key was used for another request: use a new key for each new request, and the same one "
            "only to repeat a request that you have no answer to."
        )
    return known.id, False


def _request(row: RowMapping) -> Request:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return Request(**values)
