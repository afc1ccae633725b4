"""Sample records of an account before and after mapping; nothing is written."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sync_pipelines.api.access import MappingsReader, TheProject
from sync_pipelines.api.connections import TheCustomer, TheProvider, connection_of
from sync_pipelines.api.mappings import TheObject
from sync_pipelines.api.problems import Refused, answers
from sync_pipelines.api.shapes import Shape
from sync_pipelines.api.words import SyncName, Text
from sync_pipelines.covering import syncs_covering
from sync_pipelines.previewing import MOST_RECORDS, preview, sync_with
from sync_pipelines.project import Project

router = APIRouter(tags=["mappings"])
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""Numbers as they are, however many digits."""


class Sample(BaseModel):
    """Which records, and by which rules."""

    model_config = ConfigDict(extra="forbid")

    sync: SyncName | None = Field(None, description="Needed where several syncs have the object", examples=["crm"])
    limit: int = Field(3, ge=1, le=MOST_RECORDS, description="So many records of one page")
    record: Annotated[Text, Field(min_length=1)] | None = Field(None, description="Just the record of this id")
    fields: dict[str, JsonValue] | None = Field(
        None,
        max_length=1_000,
        description="Rules to try, laid over the saved ones and not saved; null takes one away",
        examples=[{"tier": {"source": "Tier__c", "transform": {"name": "custom", "expression": "upper(value)"}}}],
    )


class VerdictShape(Shape):
    """Whether the sync's filter and history choose the record, and which conditions it does not meet."""

    kept: bool
    unmet: list[str]


class PreviewFieldShape(Shape):
    """One column of one record."""

    column: str = Field(examples=["tier"])
    type: str
    sources: list[str] = Field(description="The vendor's fields", examples=[["Tier__c"]])
    transforms: list[str]
    before: dict[str, Any] = Field(description="The vendor's values; a field that the record does not have is left out")
    after: Any = Field(description="What the column will hold")
    problem: str | None = Field(description="Why the value does not fit; the column is null then")
    parts: list["PreviewFieldShape"] = Field(description="The additional fields one by one, in the column of them all")


class PreviewRecordShape(Shape):
    """`problem`: what is wrong with the record as a whole; one that cannot be stored has no fields."""

    id: str | None
    fields: list[PreviewFieldShape]
    problem: str | None
    verdict: VerdictShape | None = Field(description="Null where the sync chooses all records")


class PreviewShape(Shape):
    """Sample records as the sync would store them. `version`: of the saved mapping, 0 where there is none."""

    sync: str
    object: str
    provider: str
    customer_id: str
    table: str
    version: int
    records: list[PreviewRecordShape]
    saved: list[PreviewRecordShape] | None = Field(description="By the saved rules, where others were tried")
    missing: list[str] = Field(description="Mapped fields that the account does not have or does not show")
    notices: list[str]
    calls: int = Field(description="Vendor calls, which count on the account's budget")


@router.post(
    "/connections/{customer_id}/{provider}/objects/{object}/preview",
    response_model=PreviewShape,
    responses=answers(404, 409, 502),
)
def preview_object(
    customer_id: TheCustomer,
    provider: TheProvider,
    object: TheObject,
    project: TheProject,
    caller: MappingsReader,
    wanted: Sample | None = None,
) -> Response:
    """Read a few records of the account and map them as a sync would. Asks the vendor; what runs goes on."""
    wanted = wanted or Sample()
    connection_of(project, caller, customer_id, provider)
    sync = _sync(project, customer_id, provider, object, wanted.sync)
    found = preview(project, sync, object, customer_id, limit=wanted.limit, record=wanted.record, changes=wanted.fields)
    return Response(_encode(found), media_type="application/json")


def _sync(project: Project, customer_id: str, provider: str, object_name: str, named: str | None) -> str:
    if named is None:
        return sync_with(project, customer_id, provider, object_name)
    if named not in (each.name for each in syncs_covering(project, customer_id, provider)):
        raise Refused(422, f"There is no sync {named} of {provider} for {customer_id}.")
    return named
