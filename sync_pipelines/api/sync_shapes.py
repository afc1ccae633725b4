"""What the API answers of a sync, wherever it was made."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue

from sync_pipelines.api.access import Caller
from sync_pipelines.api.shapes import ObjectShape, ScheduleShape, Shape
from sync_pipelines.config.by_api import OUTBOUND, ApiDocument
from sync_pipelines.config.outbound import OutboundSyncDocument
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSync, SyncState
from sync_pipelines.store.health import ConnectionHealth

LATER = "Running outbound syncs comes with a later version: this one is stored and checked, and nothing of it runs."


class FieldMappingShape(Shape):
    source: str = Field(examples=["email"])
    destination: str = Field(examples=["Email"])


class SyncShape(Shape):
    """A sync as it is configured, and the state it is in. `id` is its name."""

    id: str = Field(examples=["crm"])
    name: str = Field(examples=["crm"])
    direction: Literal["inbound", "outbound"]
    origin: Literal["file", "api"] = Field(description="Where it is declared, and where it can be changed")
    file: str | None = Field(None, description="Below the configuration's folder", examples=["syncs/crm.yaml"])
    version: int | None = Field(None, description="Of one made by API: how often it was saved")
    provider: str | None = Field(description="Null for an outbound one", examples=["salesforce"])
    destination: str = Field(description="An outbound one's `destination_id`", examples=["warehouse"])
    model_id: str | None = Field(None, description="Of an outbound one", examples=["mod_abc123"])
    destination_id: str | None = Field(None, description="Of an outbound one", examples=["dst_xyz789"])
    field_mappings: list[FieldMappingShape] = Field(default_factory=list, description="Of an outbound one")
    mode: str = Field(examples=["upsert"])
    strategy: str | None = Field(description="Null for an outbound one", examples=["incremental"])
    schedule: ScheduleShape
    objects: list[ObjectShape]
    state: str = Field(description="created, active, paused, error or archived", examples=["active"])
    reason: str = Field(description="Why it is in that state, for a person")
    since: datetime | None
    connections: int = Field(description="How many connections it has, of those that the caller may see")
    paused: int = Field(description="How many of them are paused")
    in_error: int = Field(description="How many of them are in the error state")


class OneSyncShape(SyncShape):
    """A sync; of one made by API with its document, as it was sent."""

    document: dict[str, JsonValue] | None = Field(None, description="Null where a file declares it")
    notices: list[str] = Field(default_factory=list, description="What works, though perhaps not as meant")


class SyncVersionShape(Shape):
    """What the document of a sync made by API was from a time on."""

    version: int = Field(examples=[3])
    saved_at: datetime
    actor: str = Field(examples=["api:my-backend"])
    restored: int | None = Field(description="The older version that it was made equal to; null where it was sent")
    reason: str = Field(description="Why somebody went back, for a person")
    document: dict[str, JsonValue] = Field(description="As it was sent, without customers that were erased since")


def shape_of(project: Project, sync: Sync, state: SyncState | None, caller: Caller) -> SyncShape:
    """A sync that runs here. `state` None: nothing of it was planned yet."""
    stands = state or SyncState(sync=sync.name, state="created", reason="", actor="configuration", since=None)
    if caller.customer_id is not None:
        stands = _as_seen_by(project.store.health.connections(sync.name, caller.customer_id), stands)
    return SyncShape(
        id=sync.name,
        name=sync.name,
        direction="inbound",
        origin="api" if sync.name in project.configuration.by_api else "file",
        file=_file(project, sync.name) if caller.customer_id is None else None,
        provider=sync.provider,
        destination=sync.destination,
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


def shape_of_stored(made: ApiSync, reason: str = "") -> SyncShape:
    """A sync that is stored and does not run here: outbound, or (`reason`) set aside."""
    document: dict[str, Any] = dict(made.document)
    values: dict[str, Any] = {"direction": made.direction, "origin": "api", "version": made.version}
    if made.direction == OUTBOUND:
        outbound = OutboundSyncDocument.model_validate(document)
        values |= {
            "destination": outbound.destination_id,
            "model_id": outbound.model_id,
            "destination_id": outbound.destination_id,
            "field_mappings": [FieldMappingShape.model_validate(each) for each in outbound.field_mappings],
            "mode": outbound.mode,
            "schedule": ScheduleShape.of(outbound.schedule.schedule()),
        }
    else:
        written = {name: document.get(name) for name in ("provider", "destination", "mode")}
        values |= {name: value for name, value in written.items() if isinstance(value, str)}
    return SyncShape(
        **{
            **{"provider": None, "destination": "", "mode": "upsert", "schedule": ScheduleShape(type="manual")},
            **values,
            "id": made.name,
            "name": made.name,
            "strategy": None,
            "objects": [],
            "state": "error" if reason else "created",
            "reason": reason,
            "since": made.saved_at,
            **dict.fromkeys(("connections", "paused", "in_error"), 0),
        }
    )


def one_of(project: Project, shape: SyncShape, made: ApiSync | None) -> OneSyncShape:
    """With the document that was sent, and what is to be said of it."""
    if made is None:
        aside = project.configuration.set_aside.get(shape.name)
        return OneSyncShape(**shape.model_dump(), notices=[aside] if aside else [])
    values = {**shape.model_dump(), "version": made.version, "document": made.document}
    return OneSyncShape(**values, notices=_notices(project, made))


def etag(made: ApiSync) -> str:
    return f'"{made.tag}"'


def _notices(project: Project, made: ApiSync) -> list[str]:
    documents = project.together.documents
    if made.direction != OUTBOUND or documents is None:
        place = ApiDocument(name=made.name, value={}).place
        return [each for each in project.configuration.warnings if each.startswith(place)]
    references = {"model_id": "No model", "destination_id": "No provider and no destination"}
    given = {name: str(made.document[name]) for name in references}
    written = [str(each.document.get("id")) for each in project.store.api_sides.list()]
    by_api = {*written, *project.configuration.providers, *project.configuration.destinations}
    unknown = [
        f"{what} with the id {given[name]} is configured here: it is kept as a reference."
        for name, what in references.items()
        if name == "model_id" or not (documents.knows(given[name]) or given[name] in by_api)
    ]
    return [LATER, *unknown]


def _file(project: Project, sync: str) -> str | None:
    documents = project.together.documents
    return None if documents is None or sync in project.configuration.by_api else documents.file_of(sync)


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
