"""What the calls about providers and about destinations share."""

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Header, Path, Response
from pydantic import BaseModel, Field, JsonValue

from sync_pipelines.api.access import Caller
from sync_pipelines.api.problems import not_found
from sync_pipelines.api.sync_documents import IfMatch, expected_tag
from sync_pipelines.api.words import Key, SyncName
from sync_pipelines.project import Project
from sync_pipelines.side_changes import change_side, delete_side, make_side
from sync_pipelines.store import ApiSide

SideName = Annotated[SyncName, Path(description="Its name", examples=["warehouse"])]
IdempotencyKey = Annotated[Key | None, Header(description="Repeating a call with it makes nothing new")]
Wanted = dict[str, JsonValue]


class DeletedSide(BaseModel):
    name: str = Field(examples=["warehouse"])
    kept: str = Field(description="What stays, for a person")


def stated(project: Project, kind: str, caller: Caller) -> Iterator[dict[str, Any]]:
    """What every shape says, of all that are declared, and for who may see all also of those set aside, by name.
    One that is set aside because a file has its name is not told twice."""
    names = set(getattr(project.configuration, kind))
    if caller.customer_id is None:
        names |= {name for of_kind, name in project.configuration.sides_aside if of_kind == kind}
    for name in sorted(names):
        yield stated_of(project, kind, name, caller)


def stated_of(project: Project, kind: str, name: str, caller: Caller) -> dict[str, Any]:
    documents = project.together.documents
    file = None if documents is None else documents.file_of(name, kind)
    return {
        "name": name,
        "origin": "file" if name in getattr(project.in_files, kind) else "api",
        "file": file if caller.customer_id is None else None,
        "problem": project.configuration.sides_aside.get((kind, name)) if caller.customer_id is None else None,
    }


def written_of(project: Project, kind: str, name: str) -> dict[str, Any]:
    """The stored document of one, which has a mask for each secret."""
    made = project.store.api_sides.get(kind, name)
    return {} if made is None else dict(made.document)


def create(project: Project, kind: str, wanted: Wanted, caller: Caller, key: str | None, response: Response) -> ApiSide:
    own_key = None if key is None else f"{caller.token.id}:{key}"
    made, first = make_side(project, kind, wanted, actor=caller.actor, key=own_key)
    if not first:
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = f"/api/v1/{kind}/{quote(made.name, safe='')}"
    return made


def put(project: Project, kind: str, name: str, wanted: Wanted, caller: Caller, if_match: IfMatch) -> ApiSide:
    seen(project, kind, name)
    return change_side(project, kind, name, wanted, actor=caller.actor, expected=expected_tag(if_match))


def remove(project: Project, kind: str, name: str, caller: Caller, if_match: IfMatch, kept: str) -> DeletedSide:
    seen(project, kind, name)
    delete_side(project, kind, name, actor=caller.actor, expected=expected_tag(if_match))
    return DeletedSide(name=name, kept=kept)


def seen(project: Project, kind: str, name: str) -> ApiSide | None:
    """The stored one, None where a file declares this name. Refused with 404 where there is neither."""
    made = project.store.api_sides.get(kind, name)
    if name in getattr(project.in_files, kind):
        return None
    if made is None:
        known = {*getattr(project.configuration, kind), *(each.name for each in project.store.api_sides.list(kind))}
        noun = kind.removesuffix("s")
        raise not_found(f"There is no {noun} named {name}. Known are: {', '.join(sorted(known)) or 'none'}.")
    return made


def told(made: ApiSide | None, response: Response) -> dict[str, Any]:
    """What a shape of one alone says besides, with the ETag in the answer."""
    if made is None:
        return {}
    response.headers["ETag"] = f'"{made.tag}"'
    return {"version": made.version, "document": made.document}
