"""Why a value is there."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import Field

from sync_pipelines.api.access import LogsReader, TheProject
from sync_pipelines.api.known_syncs import SyncId, own_customer, running_sync
from sync_pipelines.api.problems import Refused, answers, not_found
from sync_pipelines.api.shapes import CountsShape, Shape
from sync_pipelines.api.words import CustomerId, ObjectName, Text
from sync_pipelines.explain import explain

router = APIRouter(tags=["logs"])
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class WrittenByShape(Shape):
    """The run that wrote the row last. `known` false: the store has forgotten it."""

    run_id: str | None
    at: datetime | None
    known: bool
    started_at: datetime | None
    finished_at: datetime | None
    status: str | None
    full: bool | None
    counts: CountsShape | None


class RowStateShape(Shape):
    state: str = Field(description="live, deleted, removed or missing", examples=["live"])
    reason: str = Field(description="A word for programs, such as left_filter or rejected", examples=["live"])
    message: str
    merged_into: str | None


class MappingVersionShape(Shape):
    version: int
    actor: str
    saved_at: datetime | None


class TracedValueShape(Shape):
    """A vendor's field. `hidden`: a transform is there to hide it, so it is not told."""

    field: str = Field(examples=["AnnualRevenue"])
    value: Any
    present: bool
    hidden: bool


class TracedStepShape(Shape):
    transform: str = Field(examples=["number_to_currency"])
    options: dict[str, Any]
    value: Any
    hidden: bool
    problem: str | None


class TracedRuleShape(Shape):
    name: str
    kind: str
    sources: list[TracedValueShape]
    steps: list[TracedStepShape]


class ExplainedRuleShape(Shape):
    by: str = Field(
        description="customer, developer, locked, same name, common model, record or nobody", examples=["customer"]
    )
    rule: TracedRuleShape


class MisfitShape(Shape):
    field: str
    value: str | None
    reason: str


class AgreementShape(Shape):
    result: str = Field(description="same, differs or unknown", examples=["same"])
    reason: str
    message: str


class LiveShape(Shape):
    """What the vendor says now."""

    asked_at: datetime
    there: bool
    values: list[TracedValueShape]
    made: Any
    problem: str | None


class ExplanationShape(Shape):
    """One cell, or the row where no column was named."""

    sync: str
    object: str
    provider: str
    customer_id: str
    table: str
    id: str
    column: str | None
    type: str | None
    row: RowStateShape
    written: WrittenByShape | None
    stored: Any = Field(description="What the column holds")
    misfit: MisfitShape | None = Field(description="What is kept of a value that did not fit")
    source: str | None = Field(description="Where the vendor's values come from: `stored record` or `vendor`")
    rules: list[ExplainedRuleShape]
    made: Any = Field(description="What the rules of now give")
    problem: str | None
    mapping: MappingVersionShape | None = Field(description="In effect now")
    written_with: MappingVersionShape | None = Field(description="In effect when the row was written")
    agreement: AgreementShape | None = Field(description="Whether the rules of now give what is stored, and why not")
    live: LiveShape | None
    notices: list[str]


@router.get("/syncs/{id}/explain", response_model=ExplanationShape, responses=answers(404, 409, 502))
def explain_cell(  # noqa: PLR0913 - each names a part of the cell
    id: SyncId,
    project: TheProject,
    caller: LogsReader,
    object: Annotated[ObjectName, Query(examples=["contact"])],
    record: Annotated[Text, Query(min_length=1, description="The record's id")],
    customer_id: Annotated[CustomerId | None, Query(description="A token for one customer may leave it out")] = None,
    column: Annotated[Text | None, Query(description="Or a field of the custom schema; left out: the row")] = None,
    live: Annotated[bool, Query(description="Ask the vendor what it says now, too")] = False,
) -> Response:
    """Why a cell holds what it holds: run, vendor's value, mapping, transforms; or why a record has no row.

    The vendor is asked with `live`, where the row keeps no record, and where there is no row.
    """
    sync = running_sync(project, id, caller)
    customer = own_customer(caller, customer_id)
    if customer is None:
        raise Refused(422, "Whose record is it? Send `customer_id`.")
    if project.store.connections.find(customer, sync.provider) is None:
        raise not_found(f"There is no customer {customer}.")
    found = explain(project, sync.name, object, customer, record, column, live=live)
    return Response(_encode(found), media_type="application/json")
