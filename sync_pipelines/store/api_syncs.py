"""Syncs that were made by API: their documents, as they were sent, and those that they had before."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Engine, RowMapping, Select, delete, func, insert, literal, select, text, update
from sqlalchemy import Connection as Database
from sqlalchemy.dialects.postgresql import aggregate_order_by

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync
from sync_pipelines.store.api_sync_tables import api_sides, api_sync_versions, api_syncs
from sync_pipelines.store.audit import note
from sync_pipelines.store.planning import plan
from sync_pipelines.store.requests import KeyUsed
from sync_pipelines.store.tables import completeness, due, planned, progress, schemas, sync_states

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('sync_pipelines syncs made by API', 0))")
_COLUMNS: Final = [
    api_syncs.c[name] for name in ("name", "direction", "document", "version", "actor", "created_at", "saved_at")
]


class SyncMoved(ConfigurationError):
    """Somebody else changed the sync meanwhile."""


class SyncHeld(ConfigurationError):
    """Something else holds what was asked for: a name, or work that is under way."""


def tag_of(version: int, created_at: datetime) -> str:
    """Of a document that is made, changed, deleted and made anew by API."""
    return f"{version}-{created_at.timestamp():.6f}"


@dataclass(frozen=True, kw_only=True)
class ApiSync:
    """`direction`: inbound or outbound. `version` counts from 1; `actor`: who saved it."""

    name: str
    direction: str
    document: Mapping[str, Any]
    version: int
    actor: str
    created_at: datetime
    saved_at: datetime

    @property
    def tag(self) -> str:
        """Changes with every change, also where a sync of the same name was deleted and made anew."""
        return tag_of(self.version, self.created_at)


@dataclass(frozen=True, kw_only=True)
class SyncVersion:
    """What a sync's document was from `saved_at` on. `restored`: the older version that it was made equal to, None
    where somebody sent it; `reason`: why, for a person."""

    version: int
    document: Mapping[str, Any]
    actor: str
    reason: str
    restored: int | None
    saved_at: datetime


_OF_VERSIONS: Final = [api_sync_versions.c[name] for name in SyncVersion.__dataclass_fields__]


class ApiSyncs:
    """Reads them, and gives the right to change them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mark(self) -> str:
        """A text that changes when an inbound sync, a provider or a destination is made, changed or deleted by API."""
        inbound = api_syncs.c.direction == "inbound"
        syncs = _told_of(api_syncs.c.name, api_syncs.c.version, api_syncs.c.created_at).where(inbound)
        sides = _told_of(api_sides.c.id, api_sides.c.version)
        query = select(func.md5(func.concat_ws(";", syncs.scalar_subquery(), sides.scalar_subquery())))
        with self._engine.connect() as database:
            found: str = database.execute(query).scalar_one()
            return found

    def list(self, direction: str | None = None) -> list[ApiSync]:
        """The oldest first."""
        with self._engine.connect() as database:
            return _read(database, _oldest_first(direction))

    def get(self, name: str) -> ApiSync | None:
        with self._engine.connect() as database:
            found = _read(database, select(*_COLUMNS).where(api_syncs.c.name == name))
        return found[0] if found else None

    def versions(self, name: str, *, before: int | None = None, limit: int = 100) -> Sequence[SyncVersion]:
        """Newest first, the present one too. `before`: older than this version."""
        query = _versions_of(name).limit(limit)
        if before is not None:
            query = query.where(api_sync_versions.c.version < before)
        with self._engine.connect() as database:
            return [SyncVersion(**row) for row in database.execute(query).mappings()]

    @contextmanager
    def changing(self) -> Iterator["Changing"]:
        """Waits until nobody else changes any; all that is done in the block is done together, or not at all."""
        with self._engine.begin() as database:
            lock_api_syncs(database)
            yield Changing(database)


class Changing:
    """One change. What is there stays as it is until the change is done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.existing: Sequence[ApiSync] = _read(database, _oldest_first())
        """The oldest first."""

    def made_with(self, key: str, mark: str) -> ApiSync | None:
        """What an idempotency key made, None where it is free. KeyUsed where it stands for another document."""
        query = select(*_COLUMNS, api_syncs.c.key_mark).where(api_syncs.c.key == key)
        row = self._database.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["key_mark"] != mark:
            raise KeyUsed(
                "This idempotency key made another sync: use a new key for each new sync, and the same one only to "
                "repeat a call that you have no answer to."
            )
        return _made(row)

    def add(
        self, name: str, direction: str, document: Mapping[str, Any], *, actor: str, key: str | None, mark: str | None
    ) -> ApiSync:
        values = {"name": name, "direction": direction, "document": document, "version": 1, "actor": actor}
        made = insert(api_syncs).values(**values, key=key, key_mark=mark).returning(*_COLUMNS)
        added = _made(self._database.execute(made).mappings().one())
        self._keep(added)
        # A file may have declared a sync of this name once.
        self._database.execute(delete(sync_states).where(sync_states.c.sync == name))
        subject, whom = f"sync {name}", _named(document)
        note(self._database, actor=actor, action="create", subject=subject, new=_told(added), customers=whom)
        return added

    def replace(
        self,
        known: ApiSync,
        document: Mapping[str, Any],
        *,
        actor: str,
        restored: int | None = None,
        reason: str = "",
    ) -> ApiSync:
        """A new version; the same one where the document is the same. `restored`: the older one that has it."""
        if known.document == document:
            return known
        values = {
            "document": document,
            "version": known.version + 1,
            "actor": actor,
            "saved_at": func.clock_timestamp(),
        }
        change = update(api_syncs).where(api_syncs.c.name == known.name).values(**values).returning(*_COLUMNS)
        saved = _made(self._database.execute(change).mappings().one())
        self._keep(saved, restored=restored, reason=reason)
        subject, whom = f"sync {known.name}", _named(known.document) | _named(document)
        old, new = _told(known), _told(saved)
        action = "update"
        if restored is not None:
            action, new = "roll back", {**new, "restored": restored}
        note(self._database, actor=actor, action=action, subject=subject, old=old, new=new, customers=whom)
        return saved

    def version(self, name: str, version: int) -> SyncVersion:
        """One that is kept. ConfigurationError, which names those that are, where it is not."""
        query = _versions_of(name).where(api_sync_versions.c.version == version)
        row = self._database.execute(query).mappings().one_or_none()
        if row is None:
            kept = select(api_sync_versions.c.version).where(api_sync_versions.c.sync == name)
            newest_first = self._database.execute(kept.order_by(api_sync_versions.c.version.desc())).scalars()
            known = ", ".join(map(str, newest_first))
            raise ConfigurationError(f"The sync {name} has no version {version}. There are: {known}.")
        return SyncVersion(**row)

    def plan(self, sync: Sync, mark: str) -> None:
        """Bring what is planned of an inbound sync in line with it."""
        plan(self._database, [sync], None, datetime.now(UTC), whole=False, marks={sync.name: mark})

    def remove(self, known: ApiSync, *, actor: str) -> None:
        self._database.execute(delete(api_syncs).where(api_syncs.c.name == known.name))
        subject, whom = f"sync {known.name}", _named(known.document)
        note(self._database, actor=actor, action="delete", subject=subject, old=_told(known), customers=whom)

    def forget(self, sync: str, *, silent_after: timedelta) -> None:
        """Nothing of it is due any more, nor known of where it stands. Its runs stay in the history.

        SyncHeld while a run has work of it, unless that run gave no sign of life for so long.
        """
        lines = select(due.c.customer_id, due.c.claim_id, due.c.heartbeat_at).where(due.c.sync == sync)
        since = datetime.now(UTC) - silent_after
        rows = self._database.execute(lines.with_for_update()).all()
        if busy := sorted(row.customer_id for row in rows if row.claim_id is not None and row.heartbeat_at >= since):
            raise SyncHeld(
                f"A run is at work on the sync {sync}, for {', '.join(busy[:5])}{' and others' if busy[5:] else ''}: "
                "pause and cancel it, and delete it when the run has ended."
            )
        for table in (planned, sync_states, progress, completeness, schemas):
            self._database.execute(delete(table).where(table.c.sync == sync))

    def _keep(self, saved: ApiSync, *, restored: int | None = None, reason: str = "") -> None:
        same = {name: getattr(saved, name) for name in ("version", "document", "actor", "saved_at")}
        values = {**same, "sync": saved.name, "restored": restored, "reason": reason}
        self._database.execute(insert(api_sync_versions).values(**values))


def lock_api_syncs(database: Database) -> None:
    """Wait until nobody else changes any; nobody does until the transaction ends."""
    database.execute(_LOCK)


def _told_of(first: Column[Any], *others: Column[Any]) -> Select[Any]:
    """One text of all rows, in the order of their first column."""
    each = func.concat_ws(":", first, *others)
    return select(func.coalesce(func.string_agg(each, aggregate_order_by(literal(","), first)), ""))


def _oldest_first(direction: str | None = None) -> Select[Any]:
    query = select(*_COLUMNS).order_by(api_syncs.c.created_at, api_syncs.c.name)
    return query if direction is None else query.where(api_syncs.c.direction == direction)


def _versions_of(name: str) -> Select[Any]:
    newest_first = api_sync_versions.c.version.desc()
    return select(*_OF_VERSIONS).where(api_sync_versions.c.sync == name).order_by(newest_first)


def _read(database: Database, query: Select[Any]) -> list[ApiSync]:
    return [_made(row) for row in database.execute(query).mappings()]


def _made(row: RowMapping) -> ApiSync:
    return ApiSync(**{column.name: row[column.name] for column in _COLUMNS})


def _named(document: Mapping[str, Any]) -> set[str]:
    """The customers that a sync's document names."""
    return {*(document.get("customers") or ()), *(document.get("overrides") or ())}


def _told(sync: ApiSync) -> dict[str, Any]:
    return {"version": sync.version, "direction": sync.direction, "document": sync.document}
