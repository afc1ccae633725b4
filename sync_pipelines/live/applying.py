"""Applies the events of one object of a connection: asks the vendor for the records that they name, and loads these."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.exc import DBAPIError

from sync_pipelines.engine.changes import LeftToTheRun, NotNow, Place, apply_changes
from sync_pipelines.engine.inbound import Work
from sync_pipelines.engine.side_by_side import Session
from sync_pipelines.engine.tally import Tally
from sync_pipelines.http_client.keeping import KeptSessions
from sync_pipelines.live.targets import targets_of
from sync_pipelines.logs import bound
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.destination import Observer
from sync_pipelines.model.errors import Reauthorize, SkipObject, SyncError, Wait
from sync_pipelines.model.provider import ObjectSchema
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.spending import Spending
from sync_pipelines.store.live_runs import run_id_at
from sync_pipelines.store.vendor_events import Group, StoredEvent, pause_after

log = logging.getLogger(__name__)

AT_ONCE: Final = 500
"""Events that are applied together."""
GIVEN_UP_AFTER: Final = timedelta(hours=1)
"""An event that could not be applied for so long is left to the poll, and kept for people to look at."""
APPLYING: Final = "events"
"""The lease of a run's work with this behind it: held while events are applied, and by whoever wants nobody to."""
FIELDS_FOR_SECONDS: Final = 300.0
"""So long the fields of an account are taken for what they were: asking costs several calls."""


@dataclass(frozen=True, kw_only=True)
class Later:
    """Why changes wait, and until when (None: a pause that grows)."""

    reason: str
    until: datetime | None = None


class Applying:
    """Used by several threads. `observe` is told of each step."""

    def __init__(self, project: Project, sessions: KeptSessions, observe: Observer) -> None:
        self._project = project
        self._store = project.store
        self._sessions = sessions
        self._observe = observe
        self._fields: dict[tuple[int, str], tuple[float, ObjectSchema]] = {}

    def apply(self, group: Group) -> float:
        """Apply what waits of a group; for how many seconds it is best left alone then."""
        with self._store.leases.hold("vendor events", str(group.connection_id), group.object) as ours:
            while ours:
                events = self._store.vendor_events.waiting(group.connection_id, group.object, AT_ONCE)
                pause = self._apply(group, events) if events else 0.0
                if pause or len(events) < AT_ONCE:
                    return pause
        return 0.0

    def _apply(self, group: Group, events: Sequence[StoredEvent]) -> float:
        connection = self._store.connections.by_id(group.connection_id)
        if connection is None:
            return 0.0
        runs: list[SyncRun] = []
        try:
            later = self._apply_to_all(connection, group.object, [each.record_id for each in events], runs)
        except DBAPIError:
            raise  # the store is away, and with it all that could be said of the events
        except Exception:
            log.exception("Changes of %s of %s could not be applied", group.object, connection.customer_id)
            later = Later(reason="An unexpected error; its trace is in the log of the live process.")
        self._observe("live.applied")
        if later is None:
            self._store.vendor_events.applied([each.id for each in events], runs)
            self._observe("live.forgotten")
            return 0.0
        return self._put_off(events, later, runs)

    def _put_off(self, events: Sequence[StoredEvent], later: Later, runs: Sequence[SyncRun]) -> float:
        now = datetime.now(UTC)
        until = later.until or now + pause_after(max(each.tries for each in events))
        old = [each.id for each in events if now - each.received_at > GIVEN_UP_AFTER]
        young = [each.id for each in events if now - each.received_at <= GIVEN_UP_AFTER]
        self._store.vendor_events.put_off(young, later.reason, until=until, runs=runs)
        if old:
            self._store.vendor_events.put_off(old, later.reason, until=None)
        return max(0.0, (until - now).total_seconds())

    def _apply_to_all(self, connection: Connection, name: str, ids: Sequence[str], runs: list[SyncRun]) -> Later | None:
        """To every sync that copies the object. None where nothing is left to do; `runs` gets what was done."""
        targets = targets_of(self._project, connection, name)
        if not targets or connection.status == "expired":
            return None  # a reconnect makes everything due
        hold = self._store.budgets.holds([connection], self._project.budget_terms).get(connection.id)
        if hold is not None:
            return Later(reason=hold.reason, until=hold.until)
        waiting: Later | None = None
        about = {"customer_id": connection.customer_id, "provider": connection.provider}
        for sync, declared in targets:
            with bound(sync=sync.name, object=declared.object, **about):
                later = self._apply_to(sync, declared, connection, list(dict.fromkeys(ids)), runs)
            waiting = waiting or later
        return waiting

    def _apply_to(
        self, sync: Sync, declared: SyncObject, connection: Connection, ids: Sequence[str], runs: list[SyncRun]
    ) -> Later | None:
        customer, run_id = connection.customer_id, run_id_at(datetime.now(UTC))
        (work,) = self._project.work(sync.name, [(declared.object, customer)], {customer: connection}, run_id=run_id)
        name = (work.application_id, sync.name, customer, declared.object, APPLYING)
        with self._store.leases.hold(*name) as ours:
            if not ours:
                return Later(reason="The customer is being erased or disconnected.")
            return self._apply_work(work, ids, runs)

    def _apply_work(self, work: Work, ids: Sequence[str], runs: list[SyncRun]) -> Later | None:
        begun, tally = datetime.now(UTC), Tally()
        connection, declared, customer = work.connection, work.declared, work.connection.customer_id
        session = self._sessions.lend(connection)
        try:
            self._project.refuse_unapplied(work.sync.name)
            self._with_fields(work, ids, session, tally)
            runs.append(_run(work, begun, tally, session))
            return None
        except LeftToTheRun as reason:
            log.info("Changes of %s of %s are left to the next run: %s", declared.object, customer, reason)
            return None
        except (Reauthorize, SkipObject) as problem:
            log.warning("Changes of %s of %s are left to the next run: %s", declared.object, customer, problem)
            return None
        except NotNow as reason:
            return Later(reason=str(reason))
        except SyncError as problem:
            log.warning("Changes of %s of %s wait: %s %s", declared.object, customer, problem, problem.detail)
            self._fields.pop((connection.id, work.crm_object.name), None)
            return Later(reason=str(problem), until=problem.until if isinstance(problem, Wait) else None)
        finally:
            self._spend(work, _run(work, begun, tally, session))
            self._sessions.take_back(session)

    def _with_fields(self, work: Work, ids: Sequence[str], session: Session, tally: Tally) -> None:
        """With the fields of the account as they were lately; where rows do not fit them, as they are now."""
        key = (work.connection.id, work.crm_object.name)
        known = self._fields.get(key)
        if known is not None and time.monotonic() - known[0] < FIELDS_FOR_SECONDS:
            try:
                apply_changes(work, ids, session, self._place(work, known[1]), tally)
            except NotNow:
                self._fields.pop(key, None)
            else:
                return
        schema: ObjectSchema = session.ask(work.provider.describe(work.crm_object))
        self._fields[key] = (time.monotonic(), schema)
        apply_changes(work, ids, session, self._place(work, schema), tally)

    def _place(self, work: Work, schema: ObjectSchema) -> Place:
        memories = self._store.schemas.remembered(work.sync.name, {work.declared.object}, [work.connection.id])
        return Place(
            destination=self._project.destination(work.sync, work.connection.customer_id),
            schema=schema,
            memory=memories.get((work.declared.object, work.connection.id)),
            observe=self._observe,
        )

    def _spend(self, work: Work, run: SyncRun) -> None:
        spending = Spending(self._store.budgets, [work], self._project.budget_terms)
        spending.take([run])
        spending.record()


def _run(work: Work, begun: datetime, tally: Tally, session: Session) -> SyncRun:
    quota = session.quota
    return SyncRun(
        run_id=work.run_id,
        sync=work.sync.name,
        object=work.declared.object,
        provider=work.provider.name,
        customer_id=work.connection.customer_id,
        started_at=begun,
        finished_at=datetime.now(UTC),
        status="success",
        counts=tally.counts,
        notices=tuple(tally.notices),
        rejections=tuple(tally.rejections),
        changes=tuple(tally.log.changes) if tally.log is not None else (),
        vendor_calls=session.calls,
        quota={"used": quota[0], "allowed": quota[1]} if quota else {},
        account_id=work.connection.account_id,
        hold=session.hold,
    )
