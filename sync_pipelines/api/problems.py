"""Errors as problem details (RFC 9457): what is wrong, and what to do."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from sync_pipelines.config import ConfigurationProblems
from sync_pipelines.importing import AtWork
from sync_pipelines.logs import without_known
from sync_pipelines.model.errors import Abort, ConfigurationError, Reauthorize, SetupError, SkipObject, SyncError
from sync_pipelines.store.api_sides import SideHeld, SideMoved
from sync_pipelines.store.api_syncs import SyncHeld, SyncMoved
from sync_pipelines.store.connections import AnotherAccount
from sync_pipelines.store.mappings import MappingMoved
from sync_pipelines.store.requests import KeyUsed

log = logging.getLogger(__name__)

_HELD: Final = (AnotherAccount, AtWork, KeyUsed, SideHeld, SyncHeld)
_MOVED: Final = (MappingMoved, SideMoved, SyncMoved)
OF_EVERY_CALL: Final = (401, 403, 408, 413, 422, 429, 503)
MEDIA_TYPE: Final = "application/problem+json"


class Part(BaseModel):
    """One part of a request that is wrong."""

    at: str = Field(description="Where, such as `body.customers.0` or `query.limit`")
    message: str


class Problem(BaseModel):
    """What is wrong, and what to do."""

    type: str = Field("about:blank", description="Always `about:blank`: the status says what kind of problem it is")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no sync named contacts. Known are: crm."])
    error_type: str | None = Field(
        None, description="Where the vendor or the destination is the reason: the name of the error, as in runs"
    )
    parts: list[Part] | None = Field(None, description="What exactly is wrong in the request")


class Refused(Exception):
    """A call that is answered with a problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def not_found(detail: str) -> Refused:
    return Refused(404, detail)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of problems: these, and those that every call may be answered with."""
    every = {*statuses, *OF_EVERY_CALL}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(every)
    }


def register(app: FastAPI) -> None:
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(SyncError, _sync_error)
    app.add_exception_handler(DBAPIError, _store_away)


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem.model_dump(exclude_none=True), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def problem(status: int, detail: str, **more: Any) -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, **more)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return answer(problem(error.status, error.detail), error.headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The values themselves are not repeated: one may be a secret in the wrong place."""
    assert isinstance(error, RequestValidationError)
    parts = [Part(at=".".join(map(str, each["loc"])), message=each["msg"]) for each in error.errors()]
    told = "; ".join(f"{part.at}: {part.message}" for part in parts[:5])
    return answer(problem(422, f"The request is not as it should be. {told}.", parts=parts[:50]))


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    details = {
        400: "The body cannot be read: it is not JSON in UTF-8, or is nested too deeply.",
        404: "There is no such page: the paths are in /api/v1/openapi.json.",
        405: "This path does not take this method; the Allow header says which it takes.",
    }
    # The framework's 400 is a body that it could not read: to a caller as wrong as any other wrong request.
    status = 422 if error.status_code == 400 else error.status_code
    return answer(problem(status, details.get(error.status_code, str(error.detail))), error.headers)


def _sync_error(request: Request, error: Exception) -> JSONResponse:
    """Wrong requests of the caller are 409 or 422, 404 what an account does not have or show, and 409 what only its
    customer can mend; what a vendor or a destination did is 502 or 503, and 503 what whoever runs this has to set."""
    assert isinstance(error, SyncError)
    if isinstance(error, ConfigurationProblems):
        parts = [Part(at=f"body.{each.field}".rstrip("."), message=each.message) for each in error.problems]
        first = "; ".join(f"{part.at}: {part.message}" for part in parts[:5])
        told = f"The {_noun_of(error)} is not as it should be. {first}."
        return answer(problem(422, told, parts=parts[:50]))
    told = without_known(str(error))
    if isinstance(error, Reauthorize):
        told = f"{told} POST /api/v1/connect-sessions gives it a link to do so."
        return answer(problem(409, told, error_type=error.error_type))
    if isinstance(error, SkipObject):
        return answer(problem(404, told, error_type=error.error_type))
    if isinstance(error, SetupError):
        log.error("A call was refused for how this is set up: %s %s", told, error.detail)
        told = f"This server is not set up for that, and whoever runs it has to mend it: {told}"
        return answer(problem(503, told, error_type=error.error_type))
    if isinstance(error, ConfigurationError):
        status = 409 if isinstance(error, _HELD) else 412 if isinstance(error, _MOVED) else 422
        return answer(problem(status, told, error_type=error.error_type))
    return answer(problem(502 if isinstance(error, Abort) else 503, told, error_type=error.error_type))


def _noun_of(error: ConfigurationProblems) -> str:
    """What was sent: its place begins with it (see `ApiDocument.place`)."""
    first = error.problems[0].file.partition(" ")[0]
    return first if first in ("provider", "destination") else "sync"


def _store_away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    log.error("The store failed: %s", type(error.orig).__name__)
    text = "The store does not answer. Nothing was changed; try again in a moment."
    return answer(problem(503, text), {"Retry-After": "5"})
