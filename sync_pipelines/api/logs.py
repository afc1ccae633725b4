"""What happened: runs, rejected records, changes of single records, and what people changed."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from sync_pipelines.api.access import Caller, LogsReader, TheProject
from sync_pipelines.api.known_syncs import own_customer
from sync_pipelines.api.paging import Cursor, Limit, Listed, moment, page, position
from sync_pipelines.api.problems import answers
from sync_pipelines.api.shapes import CountsShape, Shape
from sync_pipelines.api.words import CustomerId, ObjectName, Text
from sync_pipelines.store.logs import AUDIT, KINDS, LogEntry, LogPlace, Wanted

router = APIRouter(tags=["logs"])
Kind = Literal["success", "error", "conflict", "audit"]


class FieldChangeShape(Shape):
    """One column of a record that was updated. `***`: the value is not to be told."""

    field: str = Field(examples=["tier"])
    old: Any
    new: Any


class LogEntryShape(Shape):
    id: str = Field(examples=["record-17-0"])
    at: datetime
    kind: Kind
    operation: str = Field(
        description="Of a run completed, failed, skipped or cancelled; of a record created, updated, deleted or "
        "rejected; of an audit what was done",
        examples=["updated"],
    )
    customer_id: str | None
    sync: str | None
    object: str | None
    provider: str | None
    run_id: str | None = Field(description="Shared by all objects and customers of one execution")
    record: str | None = Field(description="The record's id")
    changes: list[FieldChangeShape]
    message: str
    error_type: str | None
    counts: CountsShape | None = Field(description="Of a run")
    actor: str | None = Field(description="Of an audit")
    subject: str | None
    old: dict[str, Any] | None
    new: dict[str, Any] | None

    @classmethod
    def of(cls, entry: LogEntry, caller: Caller) -> "LogEntryShape":
        """What was and is of a sync is not told to a caller for one customer: it names others too."""
        place = entry.place
        plain = {name: getattr(entry, name) for name in cls.model_fields if name not in ("id", "changes", "counts")}
        if entry.kind == AUDIT and entry.sync is not None and caller.customer_id is not None:
            plain |= {"old": None, "new": None}
        return cls(
            id=f"{place.source}-{place.id}-{place.part}",
            changes=[
                FieldChangeShape(field=name, old=old, new=new) for name, (old, new) in (entry.fields or {}).items()
            ],
            counts=None if entry.counts is None else CountsShape(**entry.counts),
            **plain,
        )


@router.get("/logs", responses=answers(404))
def list_logs(  # noqa: PLR0913 - each is a filter
    project: TheProject,
    caller: LogsReader,
    kind: Annotated[list[Kind] | None, Query(max_length=4)] = None,
    customer_id: Annotated[CustomerId | None, Query()] = None,
    sync: Annotated[Text | None, Query()] = None,
    object: Annotated[ObjectName | None, Query()] = None,
    record: Annotated[Text | None, Query(description="The record's id")] = None,
    operation: Annotated[Text | None, Query()] = None,
    run_id: Annotated[Text | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="At this time or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Before this time")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Listed[LogEntryShape]:
    """What happened, newest first. A token for one customer sees what concerns that one alone."""
    key = position(cursor, str, str, int, int)
    wanted = Wanted(
        kinds=kind or KINDS,
        customer_id=own_customer(caller, customer_id),
        sync=sync,
        object=object,
        record=record,
        operation=operation,
        run_id=run_id,
        since=since,
        until=until,
    )
    before = None if key is None else LogPlace(moment(key[0]), str(key[1]), int(key[2]), int(key[3]))
    found = project.store.logs.page(wanted, before=before, limit=limit + 1)
    shown, following = page(found, limit, lambda each: (each.at.isoformat(), *each.place[1:]))
    return Listed(items=[LogEntryShape.of(each, caller) for each in shown], next_cursor=following)
