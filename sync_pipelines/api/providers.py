"""Providers: those of files, and those made, changed and deleted by API. Their secrets are never shown."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response

from sync_pipelines.api.access import Caller, ConfigurationWriter, SyncsReader, TheProject
from sync_pipelines.api.paging import Listed
from sync_pipelines.api.problems import answers
from sync_pipelines.api.shapes import OneProviderShape, ProviderShape
from sync_pipelines.api.sides import (
    DeletedSide,
    IdempotencyKey,
    SideName,
    Wanted,
    create,
    put,
    remove,
    seen,
    stated,
    stated_of,
    told,
    written_of,
)
from sync_pipelines.api.sync_documents import REFERENCES, IfMatch
from sync_pipelines.config.documents import ProviderDocument
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSide

router = APIRouter(prefix="/providers", tags=["configuration"])

_KIND: Final = "providers"
_SENT: Final = {
    "requestBody": {
        "content": {"application/json": {"schema": {"$ref": REFERENCES.format(model=ProviderDocument.__name__)}}}
    }
}
_EXAMPLE: Final = {
    "provider_name": "salesforce",
    "oauth": {"client_id": "3MVG9...", "client_secret": "the app's secret", "scopes": ["api", "refresh_token"]},
}
Document = Annotated[Wanted, Body(openapi_examples={"oauth": {"summary": "An app of yours", "value": _EXAMPLE}})]


@router.get("", responses=answers())
def list_providers(project: TheProject, caller: SyncsReader) -> Listed[ProviderShape]:
    """Providers by name, with the objects that each can read."""
    return Listed(items=[_shape(project, each) for each in stated(project, _KIND, caller)])


@router.post("", status_code=201, responses=answers(409), openapi_extra=_SENT)
def create_provider(
    project: TheProject,
    caller: ConfigurationWriter,
    response: Response,
    wanted: Document,
    idempotency_key: IdempotencyKey = None,
) -> OneProviderShape:
    """Make a provider: what a file would hold, with its secrets, which are sealed and never shown again."""
    caller.of_all()
    return _answer(project, create(project, _KIND, wanted, caller, idempotency_key, response), caller, response)


@router.get("/{name}", responses=answers(404))
def get_provider(name: SideName, project: TheProject, caller: SyncsReader, response: Response) -> OneProviderShape:
    """One provider. Of one made by API the answer holds its document, and the ETag that goes into If-Match."""
    caller.of_all()
    made = seen(project, _KIND, name)
    shape = _shape(project, stated_of(project, _KIND, name, caller))
    return OneProviderShape(**shape.model_dump(), **told(made, response))


@router.put("/{name}", responses=answers(404, 409, 412), openapi_extra=_SENT)
def put_provider(
    name: SideName,
    project: TheProject,
    caller: ConfigurationWriter,
    response: Response,
    wanted: Document,
    if_match: IfMatch = None,
) -> OneProviderShape:
    """Change a provider that was made by API: its whole document. A secret that is left out, or `***`, stays."""
    caller.of_all()
    return _answer(project, put(project, _KIND, name, wanted, caller, if_match), caller, response)


@router.delete("/{name}", responses=answers(404, 409, 412))
def remove_provider(
    name: SideName, project: TheProject, caller: ConfigurationWriter, if_match: IfMatch = None
) -> DeletedSide:
    """Forget a provider that was made by API. 409 while a sync uses it."""
    caller.of_all()
    kept = "Connections of customers to it stay, and cannot be used until there is a provider of this name again."
    return remove(project, _KIND, name, caller, if_match, kept)


def _answer(project: Project, made: ApiSide, caller: Caller, response: Response) -> OneProviderShape:
    shape = _shape(project, stated_of(project, _KIND, made.name, caller))
    return OneProviderShape(**shape.model_dump(), **told(made, response))


def _shape(project: Project, stated: dict[str, Any]) -> ProviderShape:
    config = project.configuration.providers.get(stated["name"])
    if config is None:
        written = written_of(project, _KIND, stated["name"])
        usual = {"auth_type": "oauth2", "category": "crm", "provider_name": ""}
        return ProviderShape(**stated, **{key: written.get(key) or value for key, value in usual.items()}, objects=[])
    return ProviderShape(
        **stated,
        provider_name=config.provider_name,
        auth_type=config.auth_type,
        category=config.category,
        objects=sorted(each.name for each in project.providers[config.name].objects),
    )
