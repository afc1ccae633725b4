"""JSON Schemas of the documents, so that an editor can complete and check them while they are written."""

from typing import Annotated, Any

from pydantic import Discriminator, TypeAdapter

from sync_pipelines.config.documents import (
    PostgresDestinationDocument,
    ProviderDocument,
    SyncDocument,
)
from sync_pipelines.config.s3_document import S3DestinationDocument

_Destination = Annotated[PostgresDestinationDocument | S3DestinationDocument, Discriminator("type")]
_MODELS: dict[str, TypeAdapter[Any]] = {
    "providers": TypeAdapter(ProviderDocument),
    "destinations": TypeAdapter(_Destination),
    "syncs": TypeAdapter(SyncDocument),
}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of one document of a folder: `providers`, `destinations` or `syncs`."""
    return _MODELS[kind].json_schema(mode="validation")
