"""Endpoints: where events are sent, what became of it, and sending again."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_pipelines.api.access import Caller, TheProject, WebhooksReader, WebhooksWriter
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position, wrong_cursor
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import Shape
from sync_pipelines.api.words import CustomerId, Key, Text
from sync_pipelines.notify.samples import sample
from sync_pipelines.notify.subscribing import change, subscribe_once
from sync_pipelines.project import Project
from sync_pipelines.store.deliveries import Delivery
from sync_pipelines.store.endpoints import Endpoint, NoEndpoint

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

EndpointId = Annotated[UUID, Path(description="The endpoint's id")]
DeliveryId = Annotated[int, Path(ge=1, lt=2**63)]
EventType = Literal[
    "sync.completed",
    "sync.error",
    "sync.conflict",
    "connection.connected",
    "connection.expired",
    "mapping.changed",
    "webhook.disabled",
]
Url = Annotated[Text, Field(min_length=1, description="https; its host must be at a public address")]
OnceKey = Annotated[Key | None, Header(description="Repeating a call with it makes nothing new")]
Events = Annotated[list[EventType], Field(min_length=1, max_length=20, examples=[["sync.completed", "sync.error"]])]


class NewEndpoint(BaseModel):
    """`customer_id`: only this customer's events; left out: everybody's, or those of the token's customer."""

    model_config = ConfigDict(extra="forbid")

    url: Url = Field(examples=["https://example.com/hooks"])
    events: Events
    kind: Literal["webhook", "slack"] = Field(
        "webhook", description="slack: the URL is one of Slack's incoming webhooks"
    )
    customer_id: CustomerId | None = Field(None, examples=["acme"])
    description: Text = ""


class EndpointChange(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    url: Url | None = None
    events: Events | None = None
    description: Text | None = None
    enabled: bool | None = Field(None, description="true: begin anew, and send what waited")


class EndpointShape(Shape):
    id: UUID
    customer_id: str | None = Field(description="Whose events it gets; null: everybody's")
    kind: Literal["webhook", "slack", "zapier"]
    url: str = Field(validation_alias="shown_url", description="Without what is secret in it")
    description: str
    events: list[str]
    enabled: bool
    disabled_reason: str
    failures: int = Field(description="Failed attempts in a row")
    failing_since: datetime | None
    delivered_at: datetime | None = Field(description="When it last took something")
    former_secret_until: datetime | None = Field(
        validation_alias="former_until", description="Until when the secret before this one signs too"
    )
    created_at: datetime
    updated_at: datetime


class MadeEndpoint(EndpointShape):
    secret: str | None = Field(None, description="For verifying; told this once. null where nothing is signed")


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overlap_hours: int = Field(24, ge=0, le=168, description="How long the secrets before sign as well, at most")


class NewSecret(BaseModel):
    secret: str = Field(description="Told this once")
    former_secret_until: datetime | None


class Trial(BaseModel):
    model_config = ConfigDict(extra="forbid")

    event: EventType = "sync.completed"


class AttemptShape(BaseModel):
    at: datetime
    seconds: float
    status: int | None = Field(description="Of the answer; null: there was none, and `error` says why")
    answer: str = Field(description="How it begins")
    error: str


class DeliveryShape(Shape):
    """One event for one endpoint. `message_id` is the webhook-id, the same in every attempt."""

    id: int
    message_id: str = Field(examples=["msg_6b1f0c1e6f7a4c0e9a530d8a5c1c2f10"])
    event: str
    customer_id: str | None
    at: datetime = Field(description="When it happened")
    status: Literal["waiting", "delivered", "failed"]
    next_attempt_at: datetime | None
    ended_at: datetime | None
    attempts: list[AttemptShape] = Field(description="The last ones, oldest first")

    @classmethod
    def of(cls, found: Delivery) -> "DeliveryShape":
        return cls(
            id=found.id,
            message_id=f"msg_{found.event_id.hex}",
            event=found.type,
            customer_id=found.customer_id,
            at=found.at,
            status=found.status,
            next_attempt_at=found.due_at if found.status == "waiting" else None,
            ended_at=found.ended_at,
            attempts=[AttemptShape.model_validate(each) for each in found.log],
        )


class Replay(BaseModel):
    """Events of this time or later: those that were given up, with `all` also those that were delivered."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime
    all: bool = False


class Replayed(BaseModel):
    deliveries: int


@router.get("", responses=answers())
def list_webhooks(
    project: TheProject,
    caller: WebhooksReader,
    customer_id: Annotated[CustomerId | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[EndpointShape]:
    """Endpoints in the order in which they were made. A token for one customer sees that one's alone."""
    if customer_id is not None and not caller.sees(customer_id):
        raise not_found(f"There is no customer {customer_id}.")
    key = position(cursor, str, str)
    after = None if key is None else _place(str(key[0]), str(key[1]))
    own = caller.customer_id or customer_id
    found = project.store.endpoints.page(customer_id=own, after=after, limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.created_at.isoformat(), str(each.id)))
    return Listed(items=[EndpointShape.model_validate(each) for each in shown], next_cursor=following)


@router.post("", status_code=201, responses=answers(409))
def create_webhook(
    wanted: NewEndpoint,
    project: TheProject,
    caller: WebhooksWriter,
    response: Response,
    idempotency_key: OnceKey = None,
) -> MadeEndpoint:
    """Send these events there from now on. The answer holds the secret to verify them with: it is told this once."""
    customer = owner(caller, wanted.customer_id)
    made, secret, first = subscribe_once(
        project,
        key_of(caller, idempotency_key),
        wanted.url,
        wanted.events,
        kind=wanted.kind,
        customer_id=customer,
        description=wanted.description,
        actor=caller.actor,
    )
    tell_made(response, made, first=first)
    shown = MadeEndpoint.model_validate(made)
    return shown.model_copy(update={"secret": secret.reveal() if secret else None})


@router.get("/{id}", responses=answers(404))
def get_webhook(id: EndpointId, project: TheProject, caller: WebhooksReader) -> EndpointShape:
    """One endpoint."""
    return EndpointShape.model_validate(found_endpoint(project, id, caller))


@router.patch("/{id}", responses=answers(404))
def update_webhook(
    id: EndpointId, wanted: EndpointChange, project: TheProject, caller: WebhooksWriter
) -> EndpointShape:
    """Change it, disable it, or enable it again."""
    found_endpoint(project, id, caller)
    return EndpointShape.model_validate(change(project, id, **wanted.model_dump(), actor=caller.actor))


@router.delete("/{id}", status_code=204, responses=answers(404))
def delete_webhook(id: EndpointId, project: TheProject, caller: WebhooksWriter) -> None:
    """Send nothing there any more; what waits for it and its log go too."""
    found_endpoint(project, id, caller)
    project.store.endpoints.delete(id, actor=caller.actor)


@router.post("/{id}/rotate", responses=answers(404))
def rotate_webhook(
    id: EndpointId, project: TheProject, caller: WebhooksWriter, wanted: Rotation | None = None
) -> NewSecret:
    """A new secret, told this once. For some hours those before sign as well, so that nothing fails meanwhile."""
    found_endpoint(project, id, caller)
    overlap = timedelta(hours=(wanted or Rotation()).overlap_hours)
    secret = project.store.endpoints.rotate(id, overlap, actor=caller.actor)
    return NewSecret(secret=secret.reveal(), former_secret_until=project.store.endpoints.get(id).former_until)


@router.post("/{id}/test", status_code=202, responses=answers(404))
def try_webhook(
    id: EndpointId, project: TheProject, caller: WebhooksWriter, wanted: Trial | None = None
) -> DeliveryShape:
    """Send it an example of an event, which says `test: true`. What becomes of it is in its deliveries."""
    endpoint = found_endpoint(project, id, caller)
    event = sample((wanted or Trial()).event, endpoint.customer_id)
    return _delivery(project, endpoint, project.store.deliveries.add(endpoint, event))


@router.get("/{id}/deliveries", responses=answers(404))
def list_deliveries(  # noqa: PLR0913 - each is a filter
    id: EndpointId,
    project: TheProject,
    caller: WebhooksReader,
    status: Annotated[Literal["waiting", "delivered", "failed"] | None, Query()] = None,
    event: Annotated[EventType | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="Of events of this time or later")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[DeliveryShape]:
    """What was sent to it and what it answered, newest first."""
    endpoint = found_endpoint(project, id, caller)
    key = position(cursor, int)
    found = project.store.deliveries.page(
        endpoint_id=endpoint.id,
        status=status,
        type=event,
        since=since,
        before=None if key is None else int(key[0]),
        limit=limit + 1,
    )
    shown, following = page(found, limit, lambda each: (each.id,))
    return Listed(items=[DeliveryShape.of(each) for each in shown], next_cursor=following)


@router.post("/{id}/deliveries/{delivery_id}/replay", status_code=202, responses=answers(404))
def replay_delivery(
    id: EndpointId, delivery_id: DeliveryId, project: TheProject, caller: WebhooksWriter
) -> DeliveryShape:
    """Send it again, whatever became of it, with the same webhook-id."""
    endpoint = found_endpoint(project, id, caller)
    _delivery(project, endpoint, delivery_id)
    project.store.deliveries.replay(delivery_id)
    return _delivery(project, endpoint, delivery_id)


@router.post("/{id}/replay", status_code=202, responses=answers(404))
def replay_since(id: EndpointId, wanted: Replay, project: TheProject, caller: WebhooksWriter) -> Replayed:
    """Send again what it missed since a time, such as while its server was broken."""
    endpoint = found_endpoint(project, id, caller)
    return Replayed(deliveries=project.store.deliveries.replay_since(endpoint.id, wanted.since, all=wanted.all))


def owner(caller: Caller, customer_id: str | None) -> str | None:
    """Whose events a new endpoint gets: those of a bound caller's customer alone."""
    named = caller.only(None if customer_id is None else [customer_id])
    return None if named is None else named[0]


def key_of(caller: Caller, key: str | None) -> str | None:
    """Keys belong to their token."""
    return None if key is None else f"{caller.token.id}:{key}"


def tell_made(response: Response, made: Endpoint, *, first: bool) -> None:
    response.headers["Location"] = f"/api/v1/webhooks/{made.id}"
    if not first:
        response.headers["Idempotent-Replayed"] = "true"


def found_endpoint(project: Project, id: UUID, caller: Caller, **wanted: Any) -> Endpoint:
    """404 where there is none that the caller may see, or it is not as `wanted`."""
    try:
        endpoint = project.store.endpoints.get(id)
    except NoEndpoint:
        endpoint = None
    bound = caller.customer_id
    if endpoint is None or (bound is not None and endpoint.customer_id != bound):
        raise not_found(f"There is no endpoint {id}.")
    if any(getattr(endpoint, name) != value for name, value in wanted.items()):
        raise not_found(f"There is no endpoint {id}.")
    return endpoint


def _delivery(project: Project, endpoint: Endpoint, id: int) -> DeliveryShape:
    found = project.store.deliveries.get(id)
    if found is None or found.endpoint_id != endpoint.id:
        raise not_found(f"The endpoint {endpoint.id} has no delivery {id} (any more).")
    return DeliveryShape.of(found)


def _place(moment: str, id: str) -> tuple[datetime, UUID]:
    try:
        place = datetime.fromisoformat(moment), UUID(id)
    except ValueError as problem:
        raise wrong_cursor() from problem
    if place[0].tzinfo is None:
        raise wrong_cursor()
    return place
