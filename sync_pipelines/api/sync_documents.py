"""Syncs made, changed and deleted by API, and the versions that they had."""

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Body, Header, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.json_schema import models_json_schema

from sync_pipelines.api.access import Caller, SyncsReader, SyncsWriter, TheProject
from sync_pipelines.api.known_syncs import SyncId, seen_sync
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position
from sync_pipelines.api.problems import answers
from sync_pipelines.api.sync_shapes import OneSyncShape, SyncVersionShape, etag, one_of, shape_of, shape_of_stored
from sync_pipelines.api.words import Key, Text
from sync_pipelines.config.by_api import INBOUND
from sync_pipelines.config.documents import DESTINATION_DOCUMENTS, ProviderDocument, SyncDocument
from sync_pipelines.config.outbound import OutboundSyncDocument
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSync
from sync_pipelines.sync_changes import change_sync, delete_sync, make_sync, roll_back_sync, sync_versions

router = APIRouter(prefix="/syncs", tags=["syncs"])

_INBOUND: Final = {
    "name": "cases",
    "provider": "salesforce",
    "destination": "warehouse",
    "schedule": {"type": "interval", "interval_minutes": 15},
    "objects": [
        {
            "object": "Case",
            "custom_schema": {"version": 1, "fields": [{"name": "urgency"}, {"name": "hours", "type": "numeric"}]},
        }
    ],
}
_OUTBOUND: Final = {
    "name": "Active Customers to Salesforce",
    "model_id": "mod_abc123",
    "destination_id": "dst_xyz789",
    "mode": "upsert",
    "schedule": {"type": "interval", "interval_minutes": 60},
    "field_mappings": [
        {"source": "email", "destination": "Email"},
        {"source": "lifetime_value", "destination": "LTV__c"},
    ],
}
REFERENCES: Final = "#/components/schemas/{model}"
_EITHER: Final = [{"$ref": REFERENCES.format(model=each.__name__)} for each in (SyncDocument, OutboundSyncDocument)]
SENT: Final = {"requestBody": {"content": {"application/json": {"schema": {"anyOf": _EITHER}}}}}
"""What the description says of a document that is sent: our own checks say more than the framework's would."""

Document = Annotated[
    dict[str, JsonValue],
    Body(
        openapi_examples={
            "inbound": {"summary": "A customer's CRM into your tables", "value": _INBOUND},
            "outbound": {"summary": "A model's rows into a CRM", "value": _OUTBOUND},
        }
    ),
]
IfMatch = Annotated[Text | None, Header(description="The ETag that was read: refused when the sync has moved on")]


class Deleted(BaseModel):
    id: str = Field(examples=["contacts"])
    kept: str = Field(description="What stays, for a person")


class SyncRollback(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, lt=2**31, description="The older one, as the list of versions has it", examples=[2])
    reason: Text = Field("", description="Why, for a person: the list of versions shows it")


def described_documents() -> dict[str, Any]:
    """Schemas of the documents that may be sent, by their names in the description."""
    models = (SyncDocument, OutboundSyncDocument, ProviderDocument, *DESTINATION_DOCUMENTS.values())
    named, schema = models_json_schema([(each, "validation") for each in models], ref_template=REFERENCES)
    schemas: dict[str, Any] = schema["$defs"]
    assert {each.__name__ for each in models} <= schemas.keys(), named
    return schemas


@router.post("", status_code=201, responses=answers(409), openapi_extra=SENT)
def create_sync(
    project: TheProject,
    caller: SyncsWriter,
    response: Response,
    wanted: Document,
    idempotency_key: Annotated[Key | None, Header(description="Repeating a call with it makes nothing new")] = None,
) -> OneSyncShape:
    """Make a sync. An inbound one is what a file would hold, and begins by itself; an outbound one (a model's rows into
    a CRM) is checked and stored, and does not run yet."""
    caller.of_all()
    key = None if idempotency_key is None else f"{caller.token.id}:{idempotency_key}"
    made, first = make_sync(project, wanted, actor=caller.actor, key=key)
    if not first:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/api/v1/syncs/{quote(made.name, safe='')}"
    return _answer(project, made, caller, response)


@router.put("/{id}", responses=answers(404, 409, 412), openapi_extra=SENT)
def put_sync(
    id: SyncId,
    project: TheProject,
    caller: SyncsWriter,
    response: Response,
    wanted: Document,
    if_match: IfMatch = None,
) -> OneSyncShape:
    """Change a sync that was made by API: its whole document. A run that is at work ends with the old one."""
    caller.of_all()
    seen_sync(project, id, caller)
    made = change_sync(project, id, wanted, actor=caller.actor, expected=expected_tag(if_match))
    return _answer(project, made, caller, response)


@router.get("/{id}/versions", responses=answers(404, 409))
def list_sync_versions(
    id: SyncId, project: TheProject, caller: SyncsReader, limit: Limit = 50, cursor: Cursor = None
) -> Listed[SyncVersionShape]:
    """The documents that a sync made by API had, newest first, the present one too."""
    caller.of_all()
    seen_sync(project, id, caller)
    key = position(cursor, int)
    found = sync_versions(project, id, before=None if key is None else int(key[0]), limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.version,))
    return Listed(items=[SyncVersionShape.model_validate(each) for each in shown], next_cursor=following)


@router.post("/{id}/rollback", responses=answers(404, 409, 412))
def roll_back_to(
    id: SyncId,
    project: TheProject,
    caller: SyncsWriter,
    response: Response,
    wanted: SyncRollback,
    if_match: IfMatch = None,
) -> OneSyncShape:
    """Go back to an older document, as a new version: checked and carried out as if it were sent today."""
    caller.of_all()
    seen_sync(project, id, caller)
    expected = expected_tag(if_match)
    made = roll_back_sync(
        project, id, wanted.version, actor=caller.actor, expected=expected, reason=wanted.reason.strip()
    )
    return _answer(project, made, caller, response)


@router.delete("/{id}", responses=answers(404, 409, 412))
def remove_sync(id: SyncId, project: TheProject, caller: SyncsWriter, if_match: IfMatch = None) -> Deleted:
    """Forget a sync that was made by API, and what is due of it. 409 while a run is at work on it."""
    caller.of_all()
    seen_sync(project, id, caller)
    gone = delete_sync(project, id, actor=caller.actor, expected=expected_tag(if_match))
    kept = "Its rows stay in the destination, and so do its runs in the history and the customers' mappings."
    return Deleted(id=gone.name, kept=kept if gone.direction == INBOUND else "")


def _answer(project: Project, made: ApiSync, caller: Caller, response: Response) -> OneSyncShape:
    response.headers["ETag"] = etag(made)
    sync = project.configuration.syncs.get(made.name)
    if sync is None:
        return one_of(project, shape_of_stored(made, project.configuration.set_aside.get(made.name, "")), made)
    return one_of(project, shape_of(project, sync, project.store.lifecycle.state(made.name), caller), made)


def expected_tag(if_match: str | None) -> str | None:
    """The tag that a caller has read; None where any will do."""
    return None if if_match in (None, "*") else if_match.strip('"')
