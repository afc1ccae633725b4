"""What people decide about a sync: pause and resume, cancel, archive and restore."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection as Database
from sqlalchemy import Engine, func, select, text, true, update
from sqlalchemy.dialects.postgresql import insert

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.store.audit import note
from sync_pipelines.store.storable import storable
from sync_pipelines.store.tables import due, planned, sync_states

CREATED, ACTIVE, PAUSED, ARCHIVED, ERROR = "created", "active", "paused", "archived", "error"

_FROM: Final = {PAUSED: (CREATED, ACTIVE), ACTIVE: (PAUSED,), ARCHIVED: (CREATED, ACTIVE, PAUSED)}
"""From which states a sync may be brought to a state; archived ones come back by `restore` alone."""

_STATES = text(
    """
    SELECT planned.sync, COALESCE(sync_states.state, 'created') AS decided, COALESCE(sync_states.reason, '') AS reason,
           COALESCE(sync_states.actor, 'configuration') AS actor, sync_states.since, stands.*
    FROM planned
    LEFT JOIN sync_states USING (sync)
    CROSS JOIN LATERAL (
        SELECT count(*) AS connections, count(paused_at) AS paused, count(error_since) AS in_error,
               max(error_since) AS all_in_error_since,
               (array_agg(error_message ORDER BY error_since DESC NULLS LAST))[1] AS error_reason
        FROM due WHERE due.sync = planned.sync
    ) AS stands
    ORDER BY planned.sync
    """
)


@dataclass(frozen=True, kw_only=True)
class SyncState:
    """`state`: created (has never run), active, paused, archived, or error: active, but all its connections are in the
    error state. `paused` and `in_error` count connections, of all that it has. `reason` is for a person."""

    sync: str
    state: str
    reason: str
    actor: str
    since: datetime | None
    connections: int = 0
    paused: int = 0
    in_error: int = 0


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """`customers` were meant; `still_paused` are those of them who wait all the same, paused alone or with the sync."""

    customers: tuple[str, ...]
    still_paused: tuple[str, ...]


class Lifecycle:
    """Every change is audited with who made it. ConfigurationError, with what to do, where a state cannot follow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self) -> list[SyncState]:
        """The state of every sync that was ever planned and is still there, by name."""
        with self._engine.connect() as database:
            return [_state(dict(row)) for row in database.execute(_STATES).mappings()]

    def state(self, sync: str) -> SyncState:
        """A sync that Dagster has not looked at yet is `created`."""
        found = {each.sync: each for each in self.list()}
        return found.get(sync) or SyncState(sync=sync, state=CREATED, reason="", actor="configuration", since=None)

    def standing_still(self, connection_id: int) -> frozenset[str]:
        """Syncs that do nothing for this connection: archived or paused, as a whole or for its customer."""
        decided = select(sync_states.c.sync).where(sync_states.c.state.in_((PAUSED, ARCHIVED)))
        alone = select(due.c.sync).where(due.c.connection_id == connection_id, due.c.paused_at.is_not(None))
        with self._engine.connect() as database:
            return frozenset(database.execute(decided.union(alone)).scalars())

    def pause(
        self, sync: str, customers: Sequence[str] | None = None, *, reason: str = "", actor: str = "system"
    ) -> tuple[str, ...]:
        """Nothing new of it starts, for these customers or for all; what is due keeps its place. Who is paused now."""
        if customers is None:
            self._decide(sync, PAUSED, "pause", reason, actor)
            return self._customers(sync)
        return self._pause_customers(sync, customers, func.coalesce(due.c.paused_at, _now()), "pause", actor)

    def resume(
        self,
        sync: str,
        customers: Sequence[str] | None = None,
        *,
        everyone: bool = False,
        actor: str = "system",
    ) -> Resumed:
        """What became due meanwhile runs once. Without customers those stay paused who were paused one by one, unless
        `everyone` is meant."""
        alone = due.c.paused_at.is_not(None)
        if customers is None:
            if self.state(sync).state not in (CREATED, ACTIVE, ERROR):
                self._decide(sync, ACTIVE, "resume", "", actor)
            if everyone:
                self._pause_customers(sync, self._customers(sync, alone), None, "resume", actor)
            meant = self._customers(sync)
        else:
            meant = self._pause_customers(sync, customers, None, "resume", actor)
        waits = set(meant if self.state(sync).state in (PAUSED, ARCHIVED) else self._customers(sync, alone))
        return Resumed(customers=meant, still_paused=tuple(each for each in meant if each in waits))

    def archive(self, sync: str, *, reason: str = "", actor: str = "system") -> None:
        """No longer needed: nothing of it starts until it is restored. Its rows, runs and mappings stay."""
        self._decide(sync, ARCHIVED, "archive", reason, actor)

    def restore(self, sync: str, *, actor: str = "system") -> None:
        """An archived sync is active again."""
        with self._engine.begin() as database:
            before = _locked(database, sync)
            if before != ARCHIVED:
                raise ConfigurationError(f"The sync {sync} is not archived but {before}: there is nothing to restore.")
            _write(database, sync, ACTIVE, "restore", before, "", actor)

    def cancel(
        self, sync: str, customers: Sequence[str] | None = None, *, actor: str = "system", now: datetime | None = None
    ) -> tuple[str, ...]:
        """Ask whoever works on it to stop at the next checkpoint; the customers for which somebody does.

        The work comes back at its regular time. What is not claimed does not move.
        """
        of_them = true() if customers is None else due.c.customer_id == func.any(list(customers))
        # By the clock that also says when work was claimed, read when no claim of it is under way.
        change = update(due).where(due.c.sync == sync, of_them).values(cancel_at=now or func.clock_timestamp())
        with self._engine.begin() as database:
            rows = database.execute(change.returning(due.c.customer_id, due.c.claim_id)).all()
            _refuse_strangers(sync, customers, [customer for customer, _ in rows])
            stopped = sorted(customer for customer, claim in rows if claim is not None)
            new, whom = {"customers": stopped[:1_000]}, stopped if customers is None else customers
            note(database, actor=actor, action="cancel", subject=f"sync {sync}", new=new, customers=whom)
        return tuple(stopped)

    def cancelled(self, sync: str, since: datetime) -> frozenset[str]:
        """Customers of whose work somebody asked to stop after `since`, by the store's clock."""
        query = select(due.c.customer_id).where(due.c.sync == sync, due.c.cancel_at >= since)
        with self._engine.connect() as database:
            return frozenset(database.execute(query).scalars())

    def cancelled_of(self, claim: uuid.UUID) -> frozenset[str]:
        """Customers of a claim of whose work somebody asked to stop since it was claimed."""
        query = select(due.c.customer_id).where(due.c.claim_id == claim, due.c.cancel_at >= due.c.claimed_at)
        with self._engine.connect() as database:
            return frozenset(database.execute(query).scalars())

    def now(self) -> datetime:
        """The store's time, by which cancels are dated."""
        with self._engine.connect() as database:
            now: datetime = database.execute(select(func.clock_timestamp())).scalar_one()
        return now

    def refuse_archived(self, sync: str) -> None:
        """ConfigurationError when the sync is archived."""
        if self.state(sync).state == ARCHIVED:
            raise ConfigurationError(
                f"The sync {sync} is archived: bring it back with `sync-pipelines restore {sync}` first."
            )

    def _decide(self, sync: str, state: str, action: str, reason: str, actor: str) -> None:
        with self._engine.begin() as database:
            before = _locked(database, sync)
            if before == state:
                return
            if before == ARCHIVED:
                raise ConfigurationError(
                    f"The sync {sync} is archived: bring it back with `sync-pipelines restore {sync}` first."
                )
            if before not in _FROM[state]:
                raise ConfigurationError(f"The sync {sync} is {before}, so that it cannot become {state}.")
            _write(database, sync, state, action, before, reason, actor)

    def _pause_customers(
        self, sync: str, customers: Sequence[str], paused_at: Any, action: str, actor: str
    ) -> tuple[str, ...]:
        change = update(due).where(due.c.sync == sync, due.c.customer_id == func.any(list(customers)))
        with self._engine.begin() as database:
            rows = database.execute(change.values(paused_at=paused_at).returning(due.c.customer_id)).scalars().all()
            _refuse_strangers(sync, customers, rows)
            if rows:
                new = {"customers": sorted(rows)[:1_000]}
                note(database, actor=actor, action=action, subject=f"sync {sync}", new=new, customers=rows)
        return tuple(sorted(rows))

    def _customers(self, sync: str, where: Any = None) -> tuple[str, ...]:
        query = select(due.c.customer_id).where(due.c.sync == sync, true() if where is None else where)
        with self._engine.connect() as database:
            return tuple(database.execute(query.order_by(due.c.customer_id)).scalars())


def _state(row: dict[str, Any]) -> SyncState:
    error_since, error_reason = row.pop("all_in_error_since"), row.pop("error_reason")
    decided = row.pop("decided")
    broken = decided in (CREATED, ACTIVE) and 0 < row["connections"] == row["in_error"]
    if broken:
        row |= {"reason": error_reason or "", "since": error_since, "actor": "system"}
    return SyncState(state=ERROR if broken else decided, **row)


def _locked(database: Database, sync: str) -> str:
    """The state that was decided, kept from changing until the transaction ends."""
    known = database.execute(
        select(planned.c.sync).where(planned.c.sync == sync).with_for_update()
    ).scalar_one_or_none()
    if known is None:
        raise ConfigurationError(
            f"Nothing is planned of a sync {sync} yet: it begins when Dagster first looks at it, or with "
            f"`sync-pipelines trigger {sync}`."
        )
    found = database.execute(select(sync_states.c.state).where(sync_states.c.sync == sync)).scalar_one_or_none()
    return found or CREATED


def _write(database: Database, sync: str, state: str, action: str, before: str, reason: str, actor: str) -> None:
    values = {"state": state, "reason": storable(reason, 1_000), "actor": actor, "since": _now()}
    upsert = insert(sync_states).values(sync=sync, **values)
    database.execute(upsert.on_conflict_do_update(index_elements=["sync"], set_=values))
    new = {"state": state, **({"reason": values["reason"]} if reason else {})}
    note(database, actor=actor, action=action, subject=f"sync {sync}", old={"state": before}, new=new)


def _refuse_strangers(sync: str, customers: Sequence[str] | None, known: Sequence[str]) -> None:
    if missing := sorted(set(customers or ()) - set(known)):
        raise ConfigurationError(
            f"The sync {sync} does not cover {', '.join(missing)}: connect them, or correct the names."
        )


def _now() -> datetime:
    return datetime.now(UTC)
