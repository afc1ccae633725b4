"""Providers and destinations that were made by API: their documents, and their secrets, which are sealed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, RowMapping, Select, delete, insert, select, update

from sync_pipelines.config.masking import Secrets, masked, with_secrets
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.secret import MASK
from sync_pipelines.model.sync import Sync
from sync_pipelines.store.api_sync_tables import api_sides
from sync_pipelines.store.api_syncs import ApiSync, Changing, lock_api_syncs, tag_of
from sync_pipelines.store.audit import note
from sync_pipelines.store.requests import KeyUsed
from sync_pipelines.store.sealing import KeyRing


class SideMoved(ConfigurationError):
    """Somebody else changed the provider or destination meanwhile."""


class SideHeld(ConfigurationError):
    """Something else holds what was asked for: a name, or syncs that need it as it is."""


@dataclass(frozen=True, kw_only=True)
class ApiSide:
    """`kind`: providers or destinations. `document` has a mask for each secret. `version` counts from 1; `actor`: who
    saved it."""

    id: UUID
    kind: str
    name: str
    document: Mapping[str, Any]
    sealed: str | None = field(repr=False)
    key_id: str | None
    version: int
    actor: str
    created_at: datetime
    saved_at: datetime

    @property
    def tag(self) -> str:
        """Changes with every change, also where one of the same name was deleted and made anew."""
        return tag_of(self.version, self.created_at)

    @property
    def title(self) -> str:
        """What it is, and its name, as the audit has it."""
        return f"{self.kind.removesuffix('s')} {self.name}"


_COLUMNS: Final = [api_sides.c[name] for name in ApiSide.__dataclass_fields__]


class ApiSides:
    """Reads them, and gives the right to change them."""

    def __init__(self, engine: Engine, ring: KeyRing) -> None:
        self._engine, self._ring = engine, ring

    def list(self, kind: str | None = None) -> list[ApiSide]:
        """The oldest first."""
        with self._engine.connect() as database:
            return _read(database, kind)

    def get(self, kind: str, name: str) -> ApiSide | None:
        return next((each for each in self.list(kind) if each.name == name), None)

    def secrets(self, side: ApiSide) -> Secrets:
        """By their paths in the document. SetupError where no key opens them."""
        if side.sealed is None or side.key_id is None:
            return {}
        opened: dict[str, str] = json.loads(self._ring.open(side.sealed, key_id=side.key_id, about=_about(side.id)))
        return opened

    def opened(self, side: ApiSide) -> dict[str, Any]:
        """The whole document. SetupError where no key opens its secrets."""
        return with_secrets(side.document, self.secrets(side))

    @contextmanager
    def changing(self) -> Iterator["ChangingSides"]:
        """Waits until nobody else changes anything that was made by API; all that is done in the block is done
        together, or not at all."""
        with self._engine.begin() as database:
            lock_api_syncs(database)
            yield ChangingSides(database, self._ring)


class ChangingSides:
    """One change. What is there stays as it is until the change is done."""

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database, self._ring = database, ring
        self._of_syncs = Changing(database)
        self.existing: Sequence[ApiSide] = _read(database)
        """The oldest first."""

    @property
    def syncs(self) -> Sequence[ApiSync]:
        """Those that were made by API, the oldest first."""
        return self._of_syncs.existing

    def made_with(self, key: str, mark: str) -> ApiSide | None:
        """What an idempotency key made, None where it is free. KeyUsed where it stands for another document."""
        query = select(*_COLUMNS, api_sides.c.key_mark).where(api_sides.c.key == key)
        row = self._database.execute(query).mappings().one_or_none()
        if row is None:
            return None
        if row["key_mark"] != mark:
            raise KeyUsed(
                "This idempotency key made something else: use a new key for each new provider or destination, and the "
                "same one only to repeat a call that you have no answer to."
            )
        return _made(row)

    def add(
        self,
        kind: str,
        name: str,
        document: Mapping[str, Any],
        secrets: Secrets,
        *,
        actor: str,
        key: str | None,
        mark: str | None,
    ) -> ApiSide:
        """`document` may hold its secrets: masks are stored in their place, and `secrets` sealed."""
        id = uuid4()
        values = {"id": id, "kind": kind, "name": name, "document": _without(document, secrets), "version": 1}
        values |= {"actor": actor, "key": key, "key_mark": mark, **self._sealed(id, secrets)}
        made = _made(self._database.execute(insert(api_sides).values(values).returning(*_COLUMNS)).mappings().one())
        note(self._database, actor=actor, action="create", subject=made.title, new=_told(made))
        return made

    def replace(self, known: ApiSide, document: Mapping[str, Any], secrets: Secrets, *, actor: str) -> ApiSide:
        """The same name with another document and these secrets, none of those that it had."""
        values = {"document": _without(document, secrets), "version": known.version + 1, "actor": actor}
        values |= {"saved_at": datetime.now(UTC), **self._sealed(known.id, secrets)}
        change = update(api_sides).where(api_sides.c.id == known.id).values(values).returning(*_COLUMNS)
        saved = _made(self._database.execute(change).mappings().one())
        note(self._database, actor=actor, action="update", subject=saved.title, old=_told(known), new=_told(saved))
        return saved

    def remove(self, known: ApiSide, *, actor: str) -> None:
        self._database.execute(delete(api_sides).where(api_sides.c.id == known.id))
        note(self._database, actor=actor, action="delete", subject=known.title, old=_told(known))

    def plan(self, sync: Sync, mark: str) -> None:
        """Bring what is planned of a sync in line with what it reads and writes now."""
        self._of_syncs.plan(sync, mark)

    def _sealed(self, id: UUID, secrets: Secrets) -> dict[str, str | None]:
        if not secrets:
            return {"sealed": None, "key_id": None}
        text = json.dumps(dict(secrets))
        return {"sealed": self._ring.seal(text, about=_about(id)), "key_id": self._ring.sealing_key}


def _without(document: Mapping[str, Any], secrets: Secrets) -> dict[str, Any]:
    return with_secrets(masked(document), dict.fromkeys(secrets, MASK))


def _about(id: object) -> str:
    return f"side {id}"


def _read(database: Database, kind: str | None = None) -> list[ApiSide]:
    query: Select[Any] = select(*_COLUMNS).order_by(api_sides.c.created_at, api_sides.c.name)
    query = query if kind is None else query.where(api_sides.c.kind == kind)
    return [_made(row) for row in database.execute(query).mappings()]


def _made(row: RowMapping) -> ApiSide:
    return ApiSide(**{column.name: row[column.name] for column in _COLUMNS})


def _told(side: ApiSide) -> dict[str, Any]:
    return {"version": side.version, "document": side.document}
