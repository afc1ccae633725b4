"""HubSpot's associations as records: ids of the records by list or search, their links by the associations API.

A change of a link alone does not move the record's time of change, so an incremental read finds the links of changed
records, and a full read all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from sync_pipelines.model.association import Association, association_page
from sync_pipelines.model.errors import ProtocolError
from sync_pipelines.model.flow import Flow, Get, Notice, PageToken, Post, Response
from sync_pipelines.model.provider import CrmObject, ReadPlan
from sync_pipelines.providers.hubspot.counting import NO_SUCH_LIST
from sync_pipelines.providers.hubspot.describing import Paging, next_after
from sync_pipelines.providers.hubspot.paths import Paths
from sync_pipelines.providers.hubspot.reading import LIST_PAGE, read_batch, search_body
from sync_pipelines.providers.hubspot.records import BATCH, RecordsPage

USUAL: Final = ("contacts", "companies", "deals", "tickets")
"""What `associations: true` means. Every portal has these."""
AT_ONCE: Final = 1_000
"""Records that one call of the associations API takes."""
_NONE_FOUND: Final = "crm.associations.NO_ASSOCIATIONS_FOUND"
_ARCHIVED: Final[PageToken] = {"archived": True}


class _From(msgspec.Struct):
    id: str | int


class _Type(msgspec.Struct, rename={"type_id": "typeId"}):
    type_id: int
    category: str = "HUBSPOT_DEFINED"
    label: str | None = None


class _To(msgspec.Struct, rename={"id": "toObjectId", "types": "associationTypes"}):
    id: str | int
    types: list[_Type] = []


class _Linked(msgspec.Struct, rename={"origin": "from"}):
    origin: _From
    to: list[_To]
    paging: Paging | None = None


class _Refused(msgspec.Struct, rename={"sub_category": "subCategory"}):
    sub_category: str | None = None
    message: str = ""
    context: dict[str, list[str]] = {}


class _LinkedPage(msgspec.Struct):
    results: list[_Linked]
    errors: list[_Refused] = []


class _Gone(msgspec.Struct, rename={"archived_at": "archivedAt"}):
    id: str | int | None = None
    archived_at: datetime | None = None


class _GonePage(msgspec.Struct):
    results: list[_Gone]
    paging: Paging | None = None


def read_associations(paths: Paths, plan: ReadPlan) -> Flow:
    """Full: the links of all live records. Incremental: of those that changed, and none of those that were archived."""
    parent = plan.object.associations_of
    assert parent is not None
    targets = plan.associated or USUAL
    full = plan.since is None or plan.object.cursor_field is None
    at = plan.resume or ({} if full else _ARCHIVED)
    if at.get("archived"):
        yield from _archived(paths, parent, plan, at.get("after"))
        at = {}
    if full:
        yield from _listed(paths, parent, targets, at.get("after"))
    else:
        yield from _searched(paths, parent, targets, plan, at.get("last_id"))


def read_associations_of(paths: Paths, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    """The links of these records; those that were archived, or are not there, have none any more."""
    parent = plan.object.associations_of
    assert parent is not None
    wanted = [one for one in ids if one.isascii() and one.isdigit()]
    for at in range(0, len(wanted), BATCH):
        batch = wanted[at : at + BATCH]
        live = yield from read_batch(paths.of(paths.records, parent.name), ("hs_object_id",), batch, archived=False)
        yield from _links(paths, parent, plan.associated or USUAL, [one for one in batch if one in live], None)
        gone: dict[str, list[Association]] = {one: [] for one in batch if one not in live}
        if gone:
            yield association_page(gone)


def _archived(paths: Paths, parent: CrmObject, plan: ReadPlan, after: str | None) -> Flow:
    """Records that were archived lately have no links any more."""
    while True:
        params = {"limit": str(LIST_PAGE), "archived": "true", "properties": "hs_object_id"}
        accepted = frozenset[int]() if after else NO_SUCH_LIST
        params |= {"after": after} if after else {}
        response: Response = yield Get(paths.of(paths.records, parent.name), params=params, accept=accepted)
        if response.status in NO_SUCH_LIST:
            return
        page = response.decode(_GonePage)
        following = _following(page.paging, after)
        gone = [str(one.id) for one in page.results if one.id and _is_late(one.archived_at, plan.since)]
        if gone:
            resume = {"archived": True, "after": following} if following else {"archived": False}
            yield association_page({one: [] for one in gone}, resume=resume)
        if following is None:
            return
        after = following


def _is_late(archived_at: datetime | None, since: datetime | None) -> bool:
    return archived_at is None or since is None or archived_at >= since


def _listed(paths: Paths, parent: CrmObject, targets: Sequence[str], after: str | None) -> Flow:
    ids: list[str] = []
    while True:
        params = {"limit": str(LIST_PAGE), "archived": "false", "properties": "hs_object_id"}
        params |= {"after": after} if after else {}
        page: RecordsPage = (yield Get(paths.of(paths.records, parent.name), params=params)).decode(RecordsPage)
        ids += [str(record.id) for record in page.results if record.id]
        after = _following(page.paging, after)
        if len(ids) + LIST_PAGE > AT_ONCE or after is None:
            yield from _links(paths, parent, targets, ids, {"after": after} if after else None)
            ids = []
        if after is None:
            return


def _searched(paths: Paths, parent: CrmObject, targets: Sequence[str], plan: ReadPlan, last_id: str | None) -> Flow:
    ids: list[str] = []
    path = paths.of(paths.records, parent.name) + "/search"
    while True:
        page: RecordsPage = (yield Post(path, search_body(plan, last_id, ()), family="search")).decode(RecordsPage)
        found = [str(record.id) for record in page.results if record.id]
        more = next_after(page.paging) is not None
        if more and not found:
            raise ProtocolError("HubSpot's search found records without ids; it cannot be read on.")
        ids += found
        last_id = ids[-1] if ids else last_id
        if len(ids) + len(found) > AT_ONCE or not more:
            yield from _links(paths, parent, targets, ids, {"last_id": last_id} if more else None)
            ids = []
        if not more:
            return


def _following(paging: Paging | None, before: str | None) -> str | None:
    following = next_after(paging)
    if following is not None and following == before:
        raise ProtocolError("HubSpot sent the same page token twice; run the sync again.")
    return following


def _links(
    paths: Paths, parent: CrmObject, targets: Sequence[str], ids: Sequence[str], resume: PageToken | None
) -> Flow:
    """A page with all links of these records, and of no others."""
    if not ids:
        return
    found: dict[str, list[Association]] = {one: [] for one in ids}
    untold: set[str] = set()
    for target in targets:
        untold |= yield from _to(paths, parent.name, target, found)
    for one in untold:
        found.pop(one, None)
    if untold:
        yield Notice(message=f"HubSpot did not tell the associations of {len(untold)} {parent.name}; left as they are.")
    yield association_page(found, resume=resume)


def _to(paths: Paths, name: str, target: str, found: dict[str, list[Association]]) -> Flow:
    """Add the links to one object. The ids of records of which the vendor refused to tell them."""
    untold: set[str] = set()
    asked: set[tuple[str, str]] = set()
    waiting: list[dict[str, Any]] = [{"id": one} for one in found]
    while waiting:
        batch, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        page: _LinkedPage = (yield Post(paths.of(paths.associations, name, target), {"inputs": batch})).decode(
            _LinkedPage
        )
        for refusal in page.errors:
            if refusal.sub_category != _NONE_FOUND:
                untold.update(refusal.context.get("fromObjectId", ()))
        for result in page.results:
            one, after = str(result.origin.id), next_after(result.paging)
            found.setdefault(one, []).extend(_associations(name, one, target, result.to))
            if after is not None and (one, after) in asked:
                raise ProtocolError("HubSpot sent the same page token of associations twice; run the sync again.")
            if after is not None:
                asked.add((one, after))
                waiting.append({"id": one, "after": after})
    return untold


def _associations(name: str, one: str, target: str, links: Sequence[_To]) -> Iterator[Association]:
    for link in links:
        for kind in link.types:
            yield Association(
                id=f"{one}:{target}:{link.id}:{kind.category}:{kind.type_id}",
                source_id=one,
                from_object=name,
                from_id=one,
                to_object=target,
                to_id=str(link.id),
                category=kind.category,
                type_id=str(kind.type_id),
                label=kind.label,
            )
