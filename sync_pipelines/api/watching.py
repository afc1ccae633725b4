"""What was asked for, how everything is, and who changed what."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime

from sync_pipelines.api.access import LogsReader, SyncsReader, TheProject
from sync_pipelines.api.known_syncs import own_customer
from sync_pipelines.api.paging import Cursor, Limit, Listed, page, position
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import AuditShape, EventStandingShape, RequestShape, SyncHealthShape
from sync_pipelines.api.words import CustomerId, Text

router = APIRouter(tags=["watching"])


@router.get("/requests", responses=answers(404))
def list_requests(  # noqa: PLR0913 - each is a filter
    project: TheProject,
    caller: SyncsReader,
    sync: Annotated[Text | None, Query()] = None,
    customer_id: Annotated[CustomerId | None, Query(description="For it, be it among others or among all")] = None,
    status: Annotated[Literal["waiting", "running", "done"] | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="Asked for at this time or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Asked for before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[RequestShape]:
    """Work that was asked for, newest first. A token for one customer sees what was asked for that one alone."""
    key = position(cursor, int)
    found = project.store.requests.page(
        sync=sync,
        customer_id=own_customer(caller, customer_id),
        alone=caller.customer_id,
        status=status,
        since=since,
        until=until,
        before=None if key is None else int(key[0]),
        limit=limit + 1,
    )
    shown, following = page(found, limit, lambda each: (each.id,))
    return Listed(items=[RequestShape.model_validate(each) for each in shown], next_cursor=following)


@router.get("/requests/{id}", responses=answers(404))
def get_request(id: Annotated[int, Path(ge=1, lt=2**63)], project: TheProject, caller: SyncsReader) -> RequestShape:
    """How far something is that was asked for."""
    found = project.store.requests.get(id)
    if found is None or (caller.customer_id is not None and found.customers != (caller.customer_id,)):
        raise not_found(f"There is no request {id} (any more).")
    return RequestShape.model_validate(found)


@router.get("/health", responses=answers())
def health(project: TheProject, caller: SyncsReader) -> Listed[SyncHealthShape]:
    """How every sync is. A token for one customer finds its own under /syncs/{id}/connections."""
    caller.of_all()
    return Listed(items=[SyncHealthShape.model_validate(each) for each in project.store.health.syncs()])


@router.get("/health/events", responses=answers())
def events_health(project: TheProject, caller: SyncsReader) -> Listed[EventStandingShape]:
    """What vendors told by themselves and what became of it, by provider."""
    caller.of_all()
    found = project.store.vendor_events.standing()
    return Listed(items=[EventStandingShape.model_validate(each) for each in found])


@router.get("/logs/audit", responses=answers())
def list_audit(  # noqa: PLR0913 - each is a filter
    project: TheProject,
    caller: LogsReader,
    subject: Annotated[Text | None, Query(description="Such as `sync crm` or `connection acme/salesforce`")] = None,
    actor: Annotated[Text | None, Query()] = None,
    action: Annotated[Text | None, Query()] = None,
    customer_id: Annotated[CustomerId | None, Query(description="About it, be it among others")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[AuditShape]:
    """Who changed what, newest first."""
    caller.of_all()
    key = position(cursor, int)
    before = None if key is None else int(key[0])
    audit = project.store.audit
    found = audit.list(subject, limit + 1, actor=actor, action=action, customer_id=customer_id, before=before)
    shown, following = page(found, limit, lambda each: (each.id,))
    return Listed(items=[AuditShape.model_validate(each) for each in shown], next_cursor=following)
