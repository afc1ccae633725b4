"""Links to the connect page, which a product's backend makes for one of its customers."""

from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from sync_pipelines.api.access import ConnectionsWriter, TheProject, seen
from sync_pipelines.api.problems import Refused, answers, not_found
from sync_pipelines.api.words import Address, CustomerId, Text, Title
from sync_pipelines.connecting import place_of_account
from sync_pipelines.web import Site
from sync_pipelines.web.site import is_return_url

router = APIRouter(tags=["connections"])


class Wish(BaseModel):
    """For whom the link is, and to what."""

    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerId = Field(examples=["acme"])
    customer_title: Title | None = Field(
        None,
        description="What the page calls the customer, so that whoever opens somebody else's link notices; left out: "
        "its id",
        examples=["Acme Robotics Ltd"],
    )
    provider: Text = Field(examples=["salesforce"])
    environment: Literal["production", "sandbox"] | None = Field(
        None, description="Which kind of organisation; left out: as it is connected, else production"
    )
    login_url: Address | None = Field(
        None,
        description="The organisation's own login page, where the vendor has such",
        examples=["https://acme.my.salesforce.com"],
    )
    return_url: Address | None = Field(
        None, description="A page of yours that the connect page links back to", examples=["https://app.example/crm"]
    )


class LinkShape(BaseModel):
    """A link that one browser can open until `expires_at`. It is told this once."""

    url: str = Field(examples=["https://sync.example/connect/open/q3Jt..."])
    expires_at: datetime
    customer_id: str
    provider: str
    environment: str


@router.post("/connect-sessions", status_code=201, responses=answers(404))
def create_connect_session(wanted: Wish, request: Request, project: TheProject, caller: ConnectionsWriter) -> LinkShape:
    """A link to the connect page for one customer: send its browser there, or show it in a frame."""
    seen(caller, wanted.customer_id)
    if wanted.provider not in project.providers:
        known = ", ".join(sorted(project.providers)) or "none"
        raise not_found(f"There is no provider {wanted.provider}. Known are: {known}.")
    development = project.settings.environment == "development"
    if wanted.return_url is not None and not is_return_url(wanted.return_url, development=development):
        raise Refused(422, "The return_url must be a whole https URL of a page of yours.")
    environment, login_url = place_of_account(
        project, wanted.customer_id, wanted.provider, wanted.environment, wanted.login_url
    )
    site = Site.of(project.settings, str(request.base_url))
    session, token = project.store.connect_sessions.create(
        wanted.customer_id,
        wanted.provider,
        lives=timedelta(minutes=project.settings.connect_link_minutes),
        environment=environment,
        customer_title=wanted.customer_title,
        login_url=login_url,
        return_url=wanted.return_url,
        actor=caller.actor,
    )
    return LinkShape(
        url=site.url(f"open/{token.reveal()}"),
        expires_at=session.link_ends_at,
        customer_id=session.customer_id,
        provider=session.provider,
        environment=session.environment,
    )
