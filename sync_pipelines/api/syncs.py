"""Syncs: what is configured, what it did, and steering it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from sync_pipelines.api.access import Caller, SyncsReader, SyncsRunner, SyncsWriter, TheProject
from sync_pipelines.api.known_syncs import SyncId, covers, own_customer, running_sync, seen_sync, stored_sync
from sync_pipelines.api.paging import Cursor, Limit, Listed, moment, page, position
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import ConnectionHealthShape, OneRunShape, RequestShape, RunShape
from sync_pipelines.api.sync_shapes import OneSyncShape, SyncShape, etag, one_of, shape_of, shape_of_stored
from sync_pipelines.api.words import CustomerId, Key, ObjectName, Text
from sync_pipelines.covering import declared_for
from sync_pipelines.model.sync import Sync
from sync_pipelines.project import Project
from sync_pipelines.store.health import STATES, State

router = APIRouter(prefix="/syncs", tags=["syncs"])


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


class Resume(Customers):
    all: bool = Field(False, description="With all customers also those go on who were paused one by one")

    @model_validator(mode="after")
    def _all_or_some(self) -> "Resume":
        if self.all and self.customers is not None:
            raise ValueError("name customers, or say that all are meant")
        return self


class Steered(BaseModel):
    """The customers whose work was meant."""

    customers: list[str]


class Resumed(Steered):
    still_paused: list[str] = Field(
        description="Those of them whose work waits all the same: they, or the sync as a whole, are paused"
    )


class Reason(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text = ""


Direction = Annotated[Literal["inbound", "outbound"] | None, Query()]
StateOfSync = Annotated[Literal["created", "active", "paused", "error", "archived"] | None, Query()]


@router.get("", responses=answers())
def list_syncs(
    project: TheProject,
    caller: SyncsReader,
    provider: Annotated[Text | None, Query()] = None,
    object: Annotated[ObjectName | None, Query()] = None,
    state: StateOfSync = None,
    direction: Direction = None,
) -> Listed[SyncShape]:
    """All syncs, by name: those of the files and those made by API."""
    wanted = {"provider": provider, "state": state, "direction": direction}
    shown = [
        each
        for each in sorted(_shapes(project, caller), key=lambda each: each.name)
        if all(value is None or getattr(each, name) == value for name, value in wanted.items())
        and (object is None or object.casefold() in (one.object.casefold() for one in each.objects))
    ]
    return Listed(items=shown)


def _shapes(project: Project, caller: Caller) -> Iterator[SyncShape]:
    states = {each.sync: each for each in project.store.lifecycle.list()}
    stored = {each.name: each for each in project.store.api_syncs.list()}
    for sync in project.configuration.syncs.values():
        if covers(sync, caller):
            made = stored.get(sync.name) if sync.name in project.configuration.by_api else None
            shape = shape_of(project, sync, states.get(sync.name), caller)
            yield shape.model_copy(update={"version": made.version}) if made else shape
    if caller.customer_id is None:
        for made in stored.values():
            if made.name not in project.configuration.syncs:
                yield shape_of_stored(made, project.configuration.set_aside.get(made.name, ""))


@router.get("/{id}", responses=answers(404))
def get_sync(id: SyncId, project: TheProject, caller: SyncsReader, response: Response) -> OneSyncShape:
    """One sync. Of one made by API the answer holds its document, and the ETag that goes into If-Match."""
    made = stored_sync(project, id) if caller.customer_id is None else None
    if made is not None:
        response.headers["ETag"] = etag(made)
        if id not in project.configuration.syncs:
            return one_of(project, shape_of_stored(made, project.configuration.set_aside.get(id, "")), made)
    shape = shape_of(project, running_sync(project, id, caller), project.store.lifecycle.state(id), caller)
    return one_of(project, shape, made)


@router.post("/{id}/trigger", status_code=202, responses=answers(404, 409))
def trigger(
    id: SyncId,
    project: TheProject,
    caller: SyncsRunner,
    response: Response,
    wanted: Trigger | None = None,
    idempotency_key: Annotated[Key | None, Header(description="Repeating a call with it asks for nothing new")] = None,
) -> RequestShape:
    """Run it now, besides its schedule. The answer is the request; it begins within the sensor's interval, but for
    customers who are paused or whose connection is expired: it counts them."""
    wanted = wanted or Trigger()
    sync = running_sync(project, id, caller)
    customers = caller.only(wanted.customers)
    own = caller.customer_id
    objects = [
        (project.declared(sync.name, name) if own is None else declared_for(sync, own, name)).object
        for name in wanted.objects or ()
    ]
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


@router.post("/{id}/pause", responses=answers(404, 409))
def pause(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Pause | None = None) -> Steered:
    """Start nothing new of it, for these customers or for all. What is due keeps its place."""
    wanted = wanted or Pause()
    sync = _planned(project, id, caller)
    customers = caller.only(wanted.customers)
    done = project.store.lifecycle.pause(sync.name, customers, reason=wanted.reason, actor=caller.actor)
    return Steered(customers=list(done))


@router.post("/{id}/resume", responses=answers(404, 409))
def resume(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Resume | None = None) -> Resumed:
    """Go on. What became due meanwhile runs once. Customers who were paused by name stay so, unless they are named or
    `all` is set."""
    wanted = wanted or Resume()
    sync = _planned(project, id, caller)
    customers = caller.only(wanted.customers)
    done = project.store.lifecycle.resume(sync.name, customers, everyone=wanted.all, actor=caller.actor)
    return Resumed(customers=list(done.customers), still_paused=list(done.still_paused))


@router.post("/{id}/cancel", responses=answers(404, 409))
def cancel(id: SyncId, project: TheProject, caller: SyncsRunner, wanted: Customers | None = None) -> Steered:
    """Stop what runs at its next checkpoint; the answer names the customers whose work is being stopped."""
    sync = _planned(project, id, caller)
    customers = caller.only((wanted or Customers()).customers)
    return Steered(customers=list(project.store.lifecycle.cancel(sync.name, customers, actor=caller.actor)))


@router.post("/{id}/archive", responses=answers(404, 409))
def archive(id: SyncId, project: TheProject, caller: SyncsWriter, wanted: Reason | None = None) -> SyncShape:
    """Put it away: nothing of it starts until it is restored. Its rows, runs and mappings stay."""
    caller.of_all()
    sync = _planned(project, id, caller)
    project.store.lifecycle.archive(sync.name, reason=(wanted or Reason()).reason, actor=caller.actor)
    return shape_of(project, sync, project.store.lifecycle.state(sync.name), caller)


@router.post("/{id}/restore", responses=answers(404, 409))
def restore(id: SyncId, project: TheProject, caller: SyncsWriter) -> SyncShape:
    """Bring an archived one back; it is active again."""
    caller.of_all()
    sync = _planned(project, id, caller)
    project.store.lifecycle.restore(sync.name, actor=caller.actor)
    return shape_of(project, sync, project.store.lifecycle.state(sync.name), caller)


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
    sync = seen_sync(project, id, caller)
    key = position(cursor, str, int)
    found = project.store.runs.page(
        sync=sync,
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
    sync = seen_sync(project, id, caller)
    found = project.store.runs.get(run_id)
    if found is None or found.run.sync != sync or not caller.sees(found.run.customer_id):
        raise not_found(f"The sync {sync} has no run {run_id} (any more).")
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
    sync = seen_sync(project, id, caller)
    key = position(cursor, str)
    after = None if key is None else str(key[0])
    own = own_customer(caller, customer_id)
    found = project.store.health.page(sync, own, health or STATES, after=after, limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.customer_id,))
    return Listed(items=[ConnectionHealthShape.model_validate(each) for each in shown], next_cursor=following)


def _planned(project: Project, id: str, caller: Caller) -> Sync:
    sync = running_sync(project, id, caller)
    project.plan(sync.name)
    return sync
