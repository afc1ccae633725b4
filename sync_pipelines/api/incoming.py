"""What vendors send by themselves. No token of ours: each vendor proves in its own way that it is the one.

A delivery is stored and answered; `sync-pipelines live` applies it.
"""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from sync_pipelines.api.access import project_of, slow_down
from sync_pipelines.api.problems import Refused, not_found
from sync_pipelines.incoming import connection_at
from sync_pipelines.model.webhook import Delivery, NotADelivery, VendorEvent, Webhooks
from sync_pipelines.project import Project

router = APIRouter(prefix="/webhooks", include_in_schema=False)
_REFUSED: Final = "that no vendor can have sent"


@router.post("/{provider}")
async def receive_signed(provider: str, request: Request) -> Response:
    """For vendors that sign what they send."""
    project, body = project_of(request), await request.body()
    return await run_in_threadpool(_signed, project, provider, request, _delivery(project, request, body))


@router.post("/{provider}/{address}")
async def receive_at_address(provider: str, address: str, request: Request) -> Response:
    """For vendors that do not: a connection's own address."""
    project, body = project_of(request), await request.body()
    return await run_in_threadpool(_addressed, project, provider, address, request, body)


def _signed(project: Project, provider: str, request: Request, delivery: Delivery) -> Response:
    # Another process may have been told of the provider, or of another secret of the app.
    project.together.refresh()
    webhooks = _webhooks(project, provider, request)
    if webhooks.refusal is None:
        slow_down(request, _REFUSED)
        raise not_found("This vendor does not sign: every connection has an address of its own.")
    secret = project.configuration.providers[provider].client.client_secret
    reason = webhooks.refusal(delivery, secret, datetime.now(UTC))
    if reason is not None:
        _count(request, provider)
        raise Refused(401, reason)
    project.store.vendor_events.receive(provider, _told(webhooks, delivery.body))
    return _received(webhooks)


def _addressed(project: Project, provider: str, address: str, request: Request, body: bytes) -> Response:
    project.together.refresh()
    webhooks = _webhooks(project, provider, request)
    connection = connection_at(project, provider, address) if webhooks.refusal is None else None
    if connection is None:
        _count(request, provider)
        raise not_found("There is no such address.")
    events = _told(webhooks, body)
    if connection.account_id is not None and any(event.account_id != connection.account_id for event in events):
        _count(request, provider)
        raise Refused(403, "This address belongs to another account of the vendor.")
    project.store.vendor_events.receive(provider, events, connection.id)
    return _received(webhooks)


def _count(request: Request, provider: str) -> None:
    """Of a delivery that is not the vendor's."""
    request.app.state.refusals.add(provider)
    slow_down(request, _REFUSED)


def _webhooks(project: Project, provider: str, request: Request) -> Webhooks:
    found = project.providers.get(provider)
    if found is None or found.webhooks is None:
        slow_down(request, _REFUSED)
        raise not_found("There is no such provider, or it tells nothing by itself.")
    return found.webhooks


def _told(webhooks: Webhooks, body: bytes) -> list[VendorEvent]:
    try:
        return list(webhooks.events(body))
    except NotADelivery as problem:
        raise Refused(422, str(problem)) from problem


def _received(webhooks: Webhooks) -> Response:
    return Response(webhooks.answer, 200, media_type=webhooks.answer_type)


def _delivery(project: Project, request: Request, body: bytes) -> Delivery:
    """With the URL that the vendor knows: behind a proxy it is not the one that arrives here."""
    scope = request.scope
    root = project.settings.public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"
    query = scope["query_string"].decode("ascii", "replace")
    target = scope.get("raw_path", b"").decode("ascii", "replace") + (f"?{query}" if query else "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Delivery(method=request.method, url=root + target, headers=headers, body=body)
