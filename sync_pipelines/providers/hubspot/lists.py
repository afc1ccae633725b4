"""Members of a HubSpot list."""

from typing import Final
from urllib.parse import quote

import msgspec

from sync_pipelines.model.errors import ConfigurationError, ProtocolError
from sync_pipelines.model.flow import Flow, Get, Response
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.providers.hubspot.describing import Paging, next_after
from sync_pipelines.providers.hubspot.paths import Paths

PAGE: Final = 250


class _Member(msgspec.Struct):
    recordId: str | int


class _Members(msgspec.Struct):
    results: list[_Member]
    paging: Paging | None = None


def members(paths: Paths, crm_object: CrmObject, list: str) -> Flow:
    """The ids of the records in a list, which holds records of one object."""
    path = f"{paths.lists}/{quote(list, safe='')}/memberships"
    found: set[str] = set()
    after = ""
    while True:
        params = {"limit": str(PAGE)} | ({"after": after} if after else {})
        response: Response = yield Get(path, params=params, accept=frozenset({400, 404}))
        if response.status in (400, 404):
            raise ConfigurationError(
                f"HubSpot has no list {list} for {crm_object.name}: write the number that the list's address ends with."
            )
        page = response.decode(_Members)
        found |= {str(member.recordId) for member in page.results}
        following = next_after(page.paging)
        if following is None:
            return frozenset(found)
        if following == after:
            raise ProtocolError("HubSpot sent the same page token of a list twice; run the sync again.")
        after = following
