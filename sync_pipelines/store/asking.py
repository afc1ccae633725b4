"""Somebody asks for a run: what is due at once for it, and that it was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection as Database
from sqlalchemy import text

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.store.requests import note_request

_ASK = text(
    """
    WITH asked AS (
        SELECT sync, connection_id FROM due
        WHERE sync = :sync AND (CAST(:customers AS text[]) IS NULL OR customer_id = ANY(:customers))
        ORDER BY connection_id
        FOR UPDATE
    )
    UPDATE due
    SET asked_at = COALESCE(LEAST(asked_at, :now), :now),
        asked_objects = CASE
            WHEN asked_at IS NULL THEN CAST(:objects AS text[])
            WHEN asked_objects IS NULL OR CAST(:objects AS text[]) IS NULL THEN NULL
            ELSE ARRAY(SELECT DISTINCT unnest(asked_objects || CAST(:objects AS text[])) ORDER BY 1)
        END,
        asked_full = asked_full OR :full
    FROM asked
    WHERE due.sync = asked.sync AND due.connection_id = asked.connection_id
    RETURNING due.customer_id
    """
)
"""Several requests before a run become one that does the work of all of them, or more."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of asking. `first` False: the key was used before, and nothing new was asked for."""

    id: int
    customers: tuple[str, ...]
    first: bool


def ask(  # noqa: PLR0913 - what is asked for, by whom, and when
    database: Database,
    sync: str,
    customers: Sequence[str] | None,
    objects: Sequence[str] | None,
    *,
    full: bool,
    actor: str,
    now: datetime,
    key: str | None = None,
) -> Asked:
    """See `Due.ask`. Runs in the caller's transaction."""
    wanted: dict[str, Any] = {
        "sync": sync,
        "customers": None if customers is None else list(customers),
        "objects": list(objects) if objects else None,
        "full": full,
    }
    id, first = note_request(database, wanted, actor=actor, key=key, now=now)
    if not first:
        return Asked(id=id, customers=tuple(customers or ()), first=False)
    asked = tuple(database.execute(_ASK, {**wanted, "now": now}).scalars())
    if missing := sorted(set(customers or ()) - set(asked)):
        raise ConfigurationError(
            f"The sync {sync} does not cover {', '.join(missing)}: connect them, or correct the names."
        )
    return Asked(id=id, customers=tuple(sorted(asked)), first=True)
