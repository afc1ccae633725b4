"""How many records HubSpot has: the search's total, which goes on counting where its pages end at 10,000."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from sync_pipelines.model.errors import ProtocolError
from sync_pipelines.model.filter import Filter
from sync_pipelines.model.flow import Flow, Get, Post, Response
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.providers.hubspot.conditions import Groups, groups_of
from sync_pipelines.providers.hubspot.describing import OWNERS, OwnersPage, Paging, next_after
from sync_pipelines.providers.hubspot.paths import Paths

NO_SUCH_LIST: Final[frozenset[int]] = frozenset({400})
"""The answer for archived records of an object that has no archived list."""


class _Found(msgspec.Struct):
    total: int


class _Archived(msgspec.Struct):
    archivedAt: datetime | None = None


class _ArchivedPage(msgspec.Struct):
    results: list[_Archived]
    paging: Paging | None = None


def count(paths: Paths, crm_object: CrmObject, where: Filter | None = None) -> Flow:
    """How many records exist now and fit, archived ones not counted; by the search index, so seconds late."""
    if crm_object.name == OWNERS:
        return len((yield from _listed(paths.owners, OwnersPage, archived=False)))
    return (yield from _total(paths, crm_object, [()] if where is None else groups_of(where)))


def changed(paths: Paths, crm_object: CrmObject, since: datetime) -> Flow:
    """How many records were created, changed or archived since; None for owners. Purged ones leave no trace."""
    if crm_object.cursor_field is None:
        return None
    path = paths.of(paths.records, crm_object.name)
    archived = yield from _listed(path, _ArchivedPage, archived=True)
    recent = sum(record.archivedAt is not None and record.archivedAt >= since for record in archived)
    return recent + (yield from _total(paths, crm_object, [(filter_on(crm_object.cursor_field, "GTE", since),)]))


def filter_on(name: str, operator: str, value: str | datetime) -> dict[str, str]:
    """One filter of a search; times go as milliseconds."""
    written = str(int(value.timestamp() * 1000)) if isinstance(value, datetime) else value
    return {"propertyName": name, "operator": operator, "value": written}


def _total(paths: Paths, crm_object: CrmObject, groups: Groups) -> Flow:
    written: list[Mapping[str, Any]] = [{"filters": list(filters)} for filters in groups if filters]
    body = {"filterGroups": written, "sorts": [], "properties": [], "limit": 1, "after": "0"}
    response = yield Post(paths.of(paths.records, crm_object.name) + "/search", body, family="search")
    return response.decode(_Found).total


def _listed(path: str, shape: type[Any], *, archived: bool) -> Flow:
    """Every record of one of the two lists; none where there is no such list."""
    found: list[Any] = []
    after = ""
    while True:
        params = {"limit": "100", "archived": str(archived).lower()} | ({"after": after} if after else {})
        accepted = NO_SUCH_LIST if archived and not after else frozenset()
        response: Response = yield Get(path, params=params, accept=accepted)
        if response.status in NO_SUCH_LIST:
            return found
        page: Any = response.decode(shape)
        found += page.results
        following = next_after(page.paging)
        if following is None:
            return found
        if following == after:
            raise ProtocolError("HubSpot sent the same page token twice; run the sync again.")
        after = following
