"""JSON Schemas of the documents, so that an editor can complete and check them while they are written."""

from typing import Any

from pydantic import BaseModel

from sync_pipelines.config.documents import PostgresDestinationDocument, ProviderDocument, SyncDocument

_MODELS: dict[str, type[BaseModel]] = {
    "providers": ProviderDocument,
    "destinations": PostgresDestinationDocument,
    "syncs": SyncDocument,
}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of one document of a folder: `providers`, `destinations` or `syncs`."""
    return _MODELS[kind].model_json_schema(mode="validation")
