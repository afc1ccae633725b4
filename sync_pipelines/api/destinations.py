"""Destinations: those of files, and those made, changed and deleted by API. Where they are is not for customers, and
their secrets are for nobody."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Response

from sync_pipelines.api.access import Caller, ConfigurationWriter, SyncsReader, TheProject
from sync_pipelines.api.paging import Listed
from sync_pipelines.api.problems import answers
from sync_pipelines.api.shapes import DestinationShape, OneDestinationShape
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
from sync_pipelines.config.documents import DESTINATION_DOCUMENTS
from sync_pipelines.project import Project
from sync_pipelines.store import ApiSide

router = APIRouter(prefix="/destinations", tags=["configuration"])

_KIND: Final = "destinations"
_EITHER: Final = [{"$ref": REFERENCES.format(model=each.__name__)} for each in DESTINATION_DOCUMENTS.values()]
_SENT: Final = {"requestBody": {"content": {"application/json": {"schema": {"anyOf": _EITHER}}}}}
_DATABASE: Final = {
    "name": "warehouse",
    "type": "postgres",
    "credentials": {
        "host": "db.example",
        "database": "warehouse",
        "schema": "crm",
        "user": "sync",
        "password": "the user's password",
    },
    "connection_parameters": {"sslmode": "verify-full"},
}
_BUCKET: Final = {
    "name": "lake",
    "type": "s3",
    "credentials": {
        "bucket": "our-lake",
        "region": "eu-central-1",
        "prefix": "crm/${CUSTOMER_ID}",
        "access_key_id": "AKIA...",
        "secret_access_key": "the key's secret",
    },
}
Document = Annotated[
    Wanted,
    Body(
        openapi_examples={
            "postgres": {"summary": "A Postgres database", "value": _DATABASE},
            "s3": {"summary": "A bucket", "value": _BUCKET},
        }
    ),
]


@router.get("", responses=answers())
def list_destinations(project: TheProject, caller: SyncsReader) -> Listed[DestinationShape]:
    """Destinations by name."""
    caller.of_all()
    return Listed(items=[_shape(project, each) for each in stated(project, _KIND, caller)])


@router.post("", status_code=201, responses=answers(409), openapi_extra=_SENT)
def create_destination(
    project: TheProject,
    caller: ConfigurationWriter,
    response: Response,
    wanted: Document,
    idempotency_key: IdempotencyKey = None,
) -> OneDestinationShape:
    """Make a destination: what a file would hold, with its secrets, which are sealed and never shown again."""
    caller.of_all()
    return _answer(project, create(project, _KIND, wanted, caller, idempotency_key, response), caller, response)


@router.get("/{name}", responses=answers(404))
def get_destination(
    name: SideName, project: TheProject, caller: SyncsReader, response: Response
) -> OneDestinationShape:
    """One destination. Of one made by API the answer holds its document, and the ETag that goes into If-Match."""
    caller.of_all()
    made = seen(project, _KIND, name)
    shape = _shape(project, stated_of(project, _KIND, name, caller))
    return OneDestinationShape(**shape.model_dump(), **told(made, response))


@router.put("/{name}", responses=answers(404, 409, 412), openapi_extra=_SENT)
def put_destination(
    name: SideName,
    project: TheProject,
    caller: ConfigurationWriter,
    response: Response,
    wanted: Document,
    if_match: IfMatch = None,
) -> OneDestinationShape:
    """Change a destination that was made by API: its whole document. A secret that is left out, or `***`, stays."""
    caller.of_all()
    return _answer(project, put(project, _KIND, name, wanted, caller, if_match), caller, response)


@router.delete("/{name}", responses=answers(404, 409, 412))
def remove_destination(
    name: SideName, project: TheProject, caller: ConfigurationWriter, if_match: IfMatch = None
) -> DeletedSide:
    """Forget a destination that was made by API. 409 while a sync uses it."""
    caller.of_all()
    return remove(project, _KIND, name, caller, if_match, "What was written there stays there.")


def _answer(project: Project, made: ApiSide, caller: Caller, response: Response) -> OneDestinationShape:
    shape = _shape(project, stated_of(project, _KIND, made.name, caller))
    return OneDestinationShape(**shape.model_dump(), **told(made, response))


def _shape(project: Project, stated: dict[str, Any]) -> DestinationShape:
    config = project.configuration.destinations.get(stated["name"])
    written = {} if config else written_of(project, _KIND, stated["name"])
    return DestinationShape(**stated, type=config.type if config else written.get("type", ""))
