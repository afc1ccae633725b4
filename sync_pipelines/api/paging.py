"""Lists in pages: each answer holds the cursor of the next one."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from sync_pipelines.api.problems import Refused

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="Most entries of one answer")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next_cursor` of the answer before")]


class Listed(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` for the next page; null on the last one")


def position(cursor: str | None, *types: type) -> list[str | int] | None:
    """The key that a cursor stands for, None where a list begins. Refused for what is no cursor of this list."""
    if cursor is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        key = None
    if not isinstance(key, list) or [type(part) for part in key] != list(types) or not all(map(_storable, key)):
        raise wrong_cursor()
    return key


def wrong_cursor() -> Refused:
    return Refused(422, "The cursor is none of this list: send `next_cursor` of the answer before as it is.")


def moment(part: str | int) -> datetime:
    """A part of a cursor that is a time. Refused where it is none."""
    try:
        found = datetime.fromisoformat(str(part))
    except ValueError as problem:
        raise wrong_cursor() from problem
    if found.tzinfo is None:
        raise wrong_cursor()
    return found


def _storable(part: str | int) -> bool:
    return "\x00" not in part if isinstance(part, str) else -(2**63) <= part < 2**63


def page(found: Sequence[T], limit: int, key: Callable[[T], Sequence[str | int]]) -> tuple[list[T], str | None]:
    """(what one page shows, the next cursor) of one entry more than the page may hold."""
    shown = list(found[:limit])
    if len(found) <= limit or not shown:
        return shown, None
    return shown, base64.urlsafe_b64encode(json.dumps(list(key(shown[-1]))).encode()).decode()
