"""The application: its routes, what every answer carries, and what it refuses before any route."""

from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from sync_pipelines.api import (
    connect_sessions,
    connections,
    custom_schemas,
    destinations,
    erasures,
    explaining,
    hooks,
    incoming,
    logs,
    mappings,
    previews,
    problems,
    providers,
    sync_documents,
    syncs,
    watching,
    webhooks,
)
from sync_pipelines.api.guards import ALIVE, Guards
from sync_pipelines.api.pace import Pace, place_of
from sync_pipelines.api.refusals import Refusals
from sync_pipelines.api.waiting import USUAL, Patience
from sync_pipelines.project import Project
from sync_pipelines.web import create_pages
from sync_pipelines.web.site import PATH

PREFIX: Final = "/api/v1"
DESCRIPTION: Final = """\
Syncs, connections and what became of them. Calls need `Authorization: Bearer TOKEN` with a token made by
`sync-pipelines token new`; a token has scopes, and may be bound to one customer, of whom alone it then sees anything.
Errors are problem details (`application/problem+json`) that say what to do. Lists come in pages.
"""


def create_app(project: Project, patience: Patience = USUAL) -> FastAPI:
    """The API of an opened project. The store must be there when it is called, not when it is made."""
    app = FastAPI(
        title="sync_pipelines",
        version=version("sync-pipelines"),
        description=DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.project = project
    settings = project.settings
    app.state.pace = Pace(settings.api_calls_per_second, settings.api_burst)
    app.state.strangers = strangers = Pace(settings.api_strangers_per_second, settings.api_stranger_burst)
    app.state.refusals = Refusals(project)
    problems.register(app)
    nouns = APIRouter(prefix=PREFIX)
    of_syncs = (syncs, sync_documents, providers, destinations, watching, logs, explaining)
    of_mappings = (mappings, previews, custom_schemas)
    for noun in (*of_syncs, *of_mappings, connections, connect_sessions, erasures, webhooks, hooks):
        nouns.include_router(noun.router)
    app.include_router(nouns)
    app.include_router(_alive(project))
    app.include_router(incoming.router)
    app.mount(PATH, create_pages(project, lambda address: strangers.wait(place_of(address))))
    app.add_middleware(Guards, patience=patience)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _alive(project: Project) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get(ALIVE)
    async def healthz() -> Response:
        """For whoever restarts the process: it answers, without waiting for a thread."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz")
    def readyz() -> Response:
        """For whoever sends calls here: the store answers and has the tables of this version."""
        project.store.check_current()
        return JSONResponse({"status": "ok"})

    return router


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once. Its own model of a wrong request is replaced by what we answer; a body that
    does not come in time is an answer of calls that read one."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, servers=[{"url": "/"}]
        )
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas |= _schemas_of_problems() | sync_documents.described_documents()
        for operation in (each for methods in document["paths"].values() for each in methods.values()):
            if "requestBody" not in operation:
                del operation["responses"]["408"]
        app.openapi_schema = document
    return app.openapi_schema


def _schemas_of_problems() -> dict[str, Any]:
    schema = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    inner: dict[str, Any] = schema.pop("$defs", {})
    return {**inner, "Problem": schema}
