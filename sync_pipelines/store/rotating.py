"""Everything that is sealed, in one place: which keys it needs, and how it is sealed anew with the newest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Engine, Table, bindparam, func, select, update

from sync_pipelines.model.errors import SetupError
from sync_pipelines.store.api_sync_tables import api_sides
from sync_pipelines.store.audit import note
from sync_pipelines.store.connect_tables import connect_sessions
from sync_pipelines.store.outbox_tables import endpoints
from sync_pipelines.store.sealing import KeyRing
from sync_pipelines.store.tables import credentials

AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A sealed column of a table. `about`: what each text is sealed for, before its row's id."""

    id: Column[Any]
    text: Column[Any]
    key: Column[Any]
    about: str

    @property
    def table(self) -> Table:
        table = self.text.table
        assert isinstance(table, Table)
        return table


SEALED: Final = (
    Sealed(id=credentials.c.connection_id, text=credentials.c.sealed, key=credentials.c.key_id, about="connection"),
    Sealed(id=endpoints.c.id, text=endpoints.c.sealed, key=endpoints.c.key_id, about="endpoint"),
    Sealed(
        id=connect_sessions.c.id,
        text=connect_sessions.c.pending,
        key=connect_sessions.c.pending_key_id,
        about="connect session",
    ),
    Sealed(id=api_sides.c.id, text=api_sides.c.sealed, key=api_sides.c.key_id, about="side"),
)


@dataclass(frozen=True)
class KeyUse:
    """A key by its name, whether it is in the ring, and how many rows of which table it seals."""

    key: str
    known: bool
    rows: Mapping[str, int]


def rotate(engine: Engine, ring: KeyRing, progress: Callable[[str, int], None] | None = None) -> int:
    """Seal everything with the first key that is not sealed with it yet; how many texts that were.

    In batches, each a transaction: stopped and called again, it goes on with what is left. `progress` is told a table
    and how many of its rows are done. SetupError for a text that no key of the ring opens.
    """
    return sum(_rotate(engine, ring, each, progress) for each in SEALED)


def keys_in_use(engine: Engine) -> Mapping[str, Mapping[str, int]]:
    """By the name of a key, how many rows of which table it seals."""
    found: dict[str, dict[str, int]] = {}
    with engine.connect() as database:
        for each in SEALED:
            query = select(each.key, func.count()).where(each.key.is_not(None)).group_by(each.key)
            for key, count in database.execute(query):
                found.setdefault(key, {})[each.table.name] = count
    return found


def _rotate(engine: Engine, ring: KeyRing, what: Sealed, progress: Callable[[str, int], None] | None) -> int:
    done = 0
    stale = select(what.id, what.text, what.key).where(what.key.is_not(None), what.key != ring.sealing_key)
    stale = stale.order_by(what.id).limit(AT_ONCE).with_for_update()
    new = {what.text.name: bindparam("new_text"), what.key.name: ring.sealing_key}
    change = update(what.table).where(what.id == bindparam("row")).values(new)
    while True:
        with engine.begin() as database:
            rows = database.execute(stale).all()
            if not rows:
                return done
            changes = [{"row": id, "new_text": _anew(ring, text, key, f"{what.about} {id}")} for id, text, key in rows]
            database.execute(change, changes)
            note(database, actor="system", action="reseal", subject=what.table.name, new={"rows": len(rows)})
        done += len(rows)
        if progress is not None:
            progress(what.table.name, done)


def _anew(ring: KeyRing, text: str, key: str, about: str) -> str:
    try:
        return ring.seal(ring.open(text, key_id=key, about=about), about=about)
    except SetupError as problem:
        # Nobody named this row: whoever mends it must know which it is.
        raise SetupError(f"{about}: {problem}", detail=problem.detail) from problem
