"""Who asked for which run, and how far it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

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
    for has not begun, or not ended. `status`: waiting while any waits, then running, then done. Of those that wait,
    `paused` do so until the sync or they alone are resumed or restored, `expired` until they connect again; the others
    begin by themselves."""

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
    status: str


_LIST: Final = """
    SELECT asked.id, asked.asked_at, asked.actor, asked.sync, asked.customers, asked.objects, asked."full",
           stands.*, status
    FROM requests AS asked
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
    CROSS JOIN LATERAL (
        SELECT CASE WHEN stands.waiting > 0 THEN 'waiting' WHEN stands.running > 0 THEN 'running' ELSE 'done' END
            AS status
    ) AS word
    WHERE {conditions}
    ORDER BY asked.id DESC LIMIT :limit
    """

_OPEN_SINCE: Final = """
    asked.asked_at >= (SELECT least(min(asked_at), min(claimed_due_at) FILTER (WHERE claim_id IS NOT NULL)) FROM due)
    """
"""Nothing older waits or runs, so that what is done long since need not be counted to find that out."""

_CONDITIONS: Final = {
    "id": "asked.id = :id",
    "before": "asked.id < :before",
    "sync": "asked.sync = :sync",
    "alone": "asked.customers = ARRAY[CAST(:alone AS text)]",
    "customer_id": """(asked.customers @> ARRAY[CAST(:customer_id AS text)] OR asked.customers IS NULL AND EXISTS (
        SELECT FROM due WHERE due.sync = asked.sync AND due.customer_id = :customer_id))""",
    "status": f"status = :status AND (:status = 'done' OR {_OPEN_SINCE})",
    "since": "asked.asked_at >= :since",
    "until": "asked.asked_at < :until",
}


class Requests:
    """Reads them, newest first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(  # noqa: PLR0913 - each is a filter
        self,
        *,
        sync: str | None = None,
        customer_id: str | None = None,
        alone: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[Request]:
        """Those that match everything given. `customer_id`: for this customer, be it among others or among all.
        `alone`: for this one and no other. `since` and `until` bound when it was asked for, `until` not included.
        `before`: older than the one of this id."""
        return self._read(
            limit,
            **{"sync": sync, "customer_id": customer_id, "alone": alone, "status": status},
            **{"since": since, "until": until, "before": before},
        )

    def get(self, id: int) -> Request | None:
        found = self._read(1, id=id)
        return found[0] if found else None

    def _read(self, limit: int, **wanted: Any) -> list[Request]:
        given = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(_CONDITIONS[name] for name in given) or "true"
        query = text(_LIST.format(conditions=conditions))
        with self._engine.connect() as database:
            return [_request(row) for row in database.execute(query, {**given, "limit": limit}).mappings()]


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
