"""Hooks of Zapier: subscribing, unsubscribing and examples, as its REST hooks want them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from sync_pipelines.api.access import TheProject, WebhooksReader, WebhooksWriter
from sync_pipelines.api.problems import answers
from sync_pipelines.api.webhooks import EventType, OnceKey, Url, found_endpoint, key_of, owner, tell_made
from sync_pipelines.api.words import CustomerId
from sync_pipelines.notify.bodies import flat_body_of
from sync_pipelines.notify.samples import sample
from sync_pipelines.notify.subscribing import subscribe_once
from sync_pipelines.store.endpoints import ZAPIER

router = APIRouter(prefix="/hooks", tags=["hooks"])


class NewHook(BaseModel):
    """`customer_id`: only this customer's events; left out: everybody's, or those of the token's customer."""

    model_config = ConfigDict(extra="forbid")

    target_url: Url = Field(examples=["https://hooks.zapier.com/hooks/standard/1/abc"])
    event: EventType
    customer_id: CustomerId | None = None


class HookShape(BaseModel):
    id: UUID = Field(description="Unsubscribe with it")
    event: str
    customer_id: str | None
    created_at: datetime


@router.post("", status_code=201, responses=answers(409))
def subscribe_hook(
    wanted: NewHook, project: TheProject, caller: WebhooksWriter, response: Response, idempotency_key: OnceKey = None
) -> HookShape:
    """POST every such event to `target_url`, as flat JSON with an `id`. An answer with status 410 unsubscribes."""
    made, _, first = subscribe_once(
        project,
        key_of(caller, idempotency_key),
        wanted.target_url,
        [wanted.event],
        kind=ZAPIER,
        customer_id=owner(caller, wanted.customer_id),
        actor=caller.actor,
    )
    tell_made(response, made, first=first)
    return HookShape(id=made.id, event=wanted.event, customer_id=made.customer_id, created_at=made.created_at)


@router.delete("/{id}", status_code=204, responses=answers(404))
def unsubscribe_hook(
    id: Annotated[UUID, Path(description="As subscribing answered it")], project: TheProject, caller: WebhooksWriter
) -> None:
    """Send nothing there any more."""
    found_endpoint(project, id, caller, kind=ZAPIER)
    project.store.endpoints.delete(id, actor=caller.actor)


@router.get("/samples", responses=answers())
def list_samples(
    project: TheProject, caller: WebhooksReader, event: Annotated[EventType, Query()]
) -> list[dict[str, Any]]:
    """The newest events of a type as hooks get them, newest first; an example where there is none."""
    found = project.store.deliveries.recent_events(event, caller.customer_id)
    return [flat_body_of(each) for each in found or [sample(event, caller.customer_id)]]
