"""The document of an outbound sync, as the API takes it: a model's rows into a CRM. Running it comes later."""

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

from sync_pipelines.config.document import Choice, Document, Identifier, refusing
from sync_pipelines.config.documents import Mode
from sync_pipelines.config.schedules import ScheduleDocument
from sync_pipelines.config.texts import Name


def _field(written: str) -> str:
    if not 1 <= len(written) <= 200 or not written.isprintable() or written != written.strip():
        raise refusing("must have 1 to 200 printable characters and no blank at either end")
    return written


def _each_destination_once(
    mappings: "tuple[FieldMappingDocument, ...]",
) -> "tuple[FieldMappingDocument, ...]":
    # Vendors take the names of fields whatever their case.
    counted = Counter(each.destination.casefold() for each in mappings)
    for each in mappings:
        if counted[each.destination.casefold()] > 1:
            raise refusing(f'has the destination "{each.destination}" more than once: map each destination field once')
    return mappings


FieldName = Annotated[str, AfterValidator(_field)]
Reference = Annotated[Identifier, AfterValidator(_field)]


class FieldMappingDocument(Document):
    """A column of the model, and the vendor's field that it fills."""

    source: FieldName
    destination: FieldName


class OutboundSyncDocument(Document):
    """A model's rows, kept up in a CRM."""

    name: Name
    direction: Annotated[str, Choice({"outbound": "outbound"})] = "outbound"
    model_id: Reference
    destination_id: Reference
    mode: Mode = "upsert"
    schedule: ScheduleDocument = Field(ScheduleDocument(preset="manual"), description="Left out: only when asked")
    field_mappings: Annotated[
        tuple[FieldMappingDocument, ...], Field(min_length=1, max_length=1_000), AfterValidator(_each_destination_once)
    ]
