"""Syncs: what is configured, what it did, and steering it."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_pipelines.api.access import Caller, SyncsReader, SyncsRunner, SyncsWriter, TheProject
from sync_pipelines.api.paging import Cursor, Limit, Listed, moment, page, position
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import (
    ConnectionHealthShape,
    ObjectShape,
    OneRunShape,
    RequestShape,
    RunShape,
    ScheduleShape,
    SyncShape,
)
from sync_pipelines.api.words import CustomerId, Key, ObjectName, Text
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.store import SyncState
from sync_pipelines.store.health import STATES, ConnectionHealth, State

router = APIRouter(prefix="/syncs", tags=["syncs"])
SyncId = Annotated[str, Path(description="The sync's name", max_length=200)]


class Customers(BaseModel):
    """Which customers of the sync are meant; all where none is named."""

    model_config = ConfigDict(extra="forbid")

    customers: list[CustomerId] | None = Field(None, min_length=1, max_length=1_000, examples=[["acme"]])


class Pause(Customers):
    reason: Text = ""


class Trigger(Customers):
    """What to run now: everything that is left out is as in a scheduled run."""

    objects: list[ObjectName] | None = Field(None, min_length=1, max_length=100, examples=[["contact"]])
    full: bool = Field(False, description="Read everything, not only what changed")


class Steered(BaseModel):
    """The customers whose work was meant."""

    customers: list[str]


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text = ""


@router.get("", responses=answers())
def list_syncs(project: TheProject, caller: SyncsReader) -> Listed[SyncShape]:
    """All syncs, by name."""
    states = {each.sync: each for each in project.store.lifecycle.list()}
    syncs = project.configuration.syncs
    covered = [syncs[name] for name in sorted(syncs) if _covers(syncs[name], caller)]
    return Listed(items=[_shape(project, sync, states.get(sync.name), caller) for sync in covered])


@router.get("/{id}", responses=answers(404))
def get_sync(id: SyncId, project: TheProject, caller: SyncsReader) -> SyncShape:
    """One sync."""
    return _shape(project, found_sync(project, id, caller), project.store.lifecycle.state(id), caller)


@router.post("/{id}/trigger", status_code=202, responses=answers(404, 409))
def trigger(
    id: SyncId,
    project: TheProject,
    caller: SyncsRunner,
    response: Response,
    wanted: Trigger | None = None,
    idempotency_key: Annotated[Key | None, Header(description="Repeating a call with it asks for nothing new")] = None,
) -> RequestShape:
    """Run it now, besides its schedule. The answer is the request; it begins within the sensor's interval."""
    wanted = wanted or Trigger()
    sync = found_sync(project, id, caller)
    customers = caller.only(wanted.customers)
    objects = [project.declared(sync.name, name).object for name in wanted.objects or ()]
    project.store.lifecycle.refuse_archived(sync.name)
    project.plan(sync.name)
    key = None if idempotency_key is None else f"{caller.token.id}:{idempotency_key}"
    asked = project.store.due.ask(sync.name, customers, objects or None, wanted.full, actor=caller.actor, key=key)
    if not asked.first:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/api/v1/requests/{asked.id}"
    found = project.store.requests.get(asked.id)
    assert found is not None
    return RequestShape.model_validate(found)


@router.post("/{id}/pause", responses=answers(404))
def pause(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Pause | None = None) -> Steered:
    """Start nothing new of it, for these customers or for all. What is due keeps its place."""
    wanted = wanted or Pause()
    sync = _planned(project, id, caller)
    customers = caller.only(wanted.customers)
    done = project.store.lifecycle.pause(sync.name, customers, reason=wanted.reason, actor=caller.actor)
    return Steered(customers=list(done))


@router.post("/{id}/resume", responses=answers(404))
def resume(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Customers | None = None) -> Steered:
    """Go on. What became due meanwhile runs once."""
    sync = _planned(project, id, caller)
    customers = caller.only((wanted or Customers()).customers)
    return Steered(customers=list(project.store.lifecycle.resume(sync.name, customers, actor=caller.actor)))


@router.post("/{id}/cancel", responses=answers(404))
def cancel(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Customers | None = None) -> Steered:
    """Stop what runs at its next checkpoint; the answer names the customers whose work is being stopped."""
    sync = _planned(project, id, caller)
    customers = caller.only((wanted or Customers()).customers)
    return Steered(customers=list(project.store.lifecycle.cancel(sync.name, customers, actor=caller.actor)))


@router.post("/{id}/archive", responses=answers(404))
def archive(id: SyncId, project: TheProject, caller: SyncsWriter, wanted: Reason | None = None) -> SyncShape:
    """Put it away: nothing of it starts until it is restored. Its rows, runs and mappings stay."""
    caller.of_all()
    sync = _planned(project, id, caller)
    project.store.lifecycle.archive(sync.name, reason=(wanted or Reason()).reason, actor=caller.actor)
    return _shape(project, sync, project.store.lifecycle.state(sync.name), caller)


@router.post("/{id}/restore", responses=answers(404))
def restore(id: SyncId, project: TheProject, caller: SyncsWriter) -> SyncShape:
    """Bring an archived one back; it is active again."""
    caller.of_all()
    sync = _planned(project, id, caller)
    project.store.lifecycle.restore(sync.name, actor=caller.actor)
    return _shape(project, sync, project.store.lifecycle.state(sync.name), caller)


@router.get("/{id}/runs", responses=answers(404))
def list_runs(  # noqa: PLR0913 - each is a filter
    id: SyncId,
    project: TheProject,
    caller: SyncsReader,
    customer_id: Annotated[CustomerId | None, Query()] = None,
    object: Annotated[ObjectName | None, Query()] = None,
    status: Annotated[str | None, Query(pattern="^(success|error|skipped|cancelled)$")] = None,
    execution_id: Annotated[Text | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="Ended at this time or later")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[RunShape]:
    """Its runs, newest first: one for each object and customer."""
    sync = found_sync(project, id, caller)
    key = position(cursor, str, int)
    found = project.store.runs.page(
        sync=sync.name,
        customer_id=own_customer(caller, customer_id),
        object=object,
        status=status,
        run_id=execution_id,
        since=since,
        before=None if key is None else (moment(key[0]), int(key[1])),
        limit=limit + 1,
    )
    shown, following = page(found, limit, lambda each: (each.run.finished_at.isoformat(), each.id))
    return Listed(items=[RunShape.of(each) for each in shown], next_cursor=following)


@router.get("/{id}/runs/{run_id}", responses=answers(404))
def get_run(
    id: SyncId, run_id: Annotated[int, Path(ge=1, lt=2**63)], project: TheProject, caller: SyncsReader
) -> OneRunShape:
    """One run, with the records that could not be written."""
    sync = found_sync(project, id, caller)
    found = project.store.runs.get(run_id)
    if found is None or found.run.sync != sync.name or not caller.sees(found.run.customer_id):
        raise not_found(f"The sync {sync.name} has no run {run_id} (any more).")
    return OneRunShape.of(found)


@router.get("/{id}/connections", responses=answers(404))
def list_sync_connections(
    id: SyncId,
    project: TheProject,
    caller: SyncsReader,
    customer_id: Annotated[CustomerId | None, Query()] = None,
    health: Annotated[list[State] | None, Query(max_length=4)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[ConnectionHealthShape]:
    """Its connections and how they are, by customer."""
    sync = found_sync(project, id, caller)
    key = position(cursor, str)
    after = None if key is None else str(key[0])
    own = own_customer(caller, customer_id)
    found = project.store.health.page(sync.name, own, health or STATES, after=after, limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.customer_id,))
    return Listed(items=[ConnectionHealthShape.model_validate(each) for each in shown], next_cursor=following)


def found_sync(project: Project, id: str, caller: Caller) -> Sync:
    """The sync of this name. Refused where there is none, or where it does not cover the caller's customer."""
    sync = project.configuration.syncs.get(id)
    if sync is None or not _covers(sync, caller):
        known = sorted(name for name, each in project.configuration.syncs.items() if _covers(each, caller))
        raise not_found(f"There is no sync named {id}. Known are: {', '.join(known) or 'none'}.")
    return sync


def _planned(project: Project, id: str, caller: Caller) -> Sync:
    sync = found_sync(project, id, caller)
    project.plan(sync.name)
    return sync


def _covers(sync: Sync, caller: Caller) -> bool:
    return caller.customer_id is None or not sync.customers or caller.customer_id in sync.customers


def own_customer(caller: Caller, customer_id: str | None) -> str | None:
    """The customer to look for: a bound caller finds nothing of others, and is not told that there is any."""
    if caller.customer_id is not None and customer_id not in (None, caller.customer_id):
        raise not_found(f"There is no customer {customer_id}.")
    return caller.customer_id or customer_id


def _shape(project: Project, sync: Sync, state: SyncState | None, caller: Caller) -> SyncShape:
    stands = state or SyncState(sync=sync.name, state="created", reason="", actor="configuration", since=None)
    if caller.customer_id is not None:
        stands = _as_seen_by(project.store.health.connections(sync.name, caller.customer_id), stands)
    return SyncShape(
        id=sync.name,
        name=sync.name,
        provider=sync.provider,
        destination=sync.destination,
        direction=sync.direction,
        mode=sync.mode,
        strategy=sync.strategy,
        schedule=ScheduleShape.of(sync.schedule_of(caller.customer_id) if caller.customer_id else sync.schedule),
        objects=[ObjectShape.of(each, sync) for each in _objects(sync, caller)],
        state=stands.state,
        reason=stands.reason,
        since=stands.since,
        connections=stands.connections,
        paused=stands.paused,
        in_error=stands.in_error,
    )


def _objects(sync: Sync, caller: Caller) -> list[SyncObject]:
    return list(sync.objects if caller.customer_id is None else sync.objects_of(caller.customer_id))


def _as_seen_by(own: list[ConnectionHealth], stands: SyncState) -> SyncState:
    """The state without what concerns other customers: their number, and the reason why they fail."""
    failing = bool(own) and own[0].error_type is not None and own[0].health == "error"
    state = stands.state if stands.state in ("paused", "archived") else own[0].sync_state if own else "created"
    return SyncState(
        sync=stands.sync,
        state=state,
        reason=own[0].reason if own else "",
        actor="",
        since=None,
        connections=len(own),
        paused=int(state == "paused"),
        in_error=int(failing),
    )
