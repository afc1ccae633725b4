"""Reading HubSpot: lists for everything, search for what changed, the archived list for what was deleted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from sync_pipelines.model.errors import ProtocolError
from sync_pipelines.model.flow import Flow, Get, Notice, Page, PageToken, Post, Response
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.providers.hubspot.conditions import Groups, groups_of
from sync_pipelines.providers.hubspot.counting import filter_on
from sync_pipelines.providers.hubspot.describing import OWNERS, OwnersPage, next_after
from sync_pipelines.providers.hubspot.paths import Paths
from sync_pipelines.providers.hubspot.records import (
    BATCH,
    COMPANIES,
    PRIMARY_TYPES,
    Record,
    RecordsPage,
    canonical,
    companies_of,
    listed_companies,
)

LIST_PAGE: Final = 100
SEARCH_PAGE: Final = 200
LONGEST_URL: Final = 8_000
LIVE: Final[PageToken] = {"archived": False}


def read(paths: Paths, plan: ReadPlan) -> Flow:
    """All archived records first, which search never shows; then live ones: all by the list, changed ones and those
    that fit a filter by search.

    In this order the row of a merged record is there when its survivor names it, and a record that is restored
    meanwhile is met twice, not never. A limited read shows what records look like, so it leaves archived ones away.
    """
    at = plan.resume or ({"archived": True} if plan.limit is None else LIVE)
    room = plan.limit
    if at.get("archived"):
        room = yield from _read_list(paths, plan, archived=True, after=at.get("after"), room=room)
        at = LIVE
    if room is not None and room <= 0:
        return
    everything = plan.where is None and (plan.since is None or plan.object.cursor_field is None)
    if plan.object.name == OWNERS or everything:
        yield from _read_list(paths, plan, archived=False, after=at.get("after"), room=room)
    else:
        yield from _read_search(paths, plan, last_id=at.get("last_id"), room=room)


def find(paths: Paths, plan: ReadPlan, id: str) -> Flow:
    """One live record by its id: by batch/read, which takes as many properties as there are."""
    if plan.object.name == OWNERS:
        response: Response = yield Get(f"{paths.owners}/{quote(id, safe='')}", accept=frozenset({404}))
        if response.status == 200:
            yield Page(records=[response.body])
        return
    path = paths.of(paths.records, plan.object.name)
    names = [known.name for known in plan.fields]
    records = yield from read_batch(path, names, [id], archived=False)
    with_companies = plan.object.name in PRIMARY_TYPES and bool(records)
    companies = (yield from companies_of(paths, plan.object.name, list(records))) if with_companies else None
    if records:
        yield Page(records=[canonical(record, companies) for record in records.values()])


def read_ids(paths: Paths, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    """Live ones by batch/read, then those among the rest that are archived. Of the loser of a merge the vendor may give
    the survivor, under the survivor's id."""
    if plan.object.name == OWNERS:
        for one in ids:
            yield from find(paths, plan, one)
        return
    wanted = [one for one in ids if one.isascii() and one.isdigit()]  # the vendor refuses a whole batch for another one
    path, names = paths.of(paths.records, plan.object.name), [known.name for known in plan.fields]
    for at in range(0, len(wanted), BATCH):
        batch = wanted[at : at + BATCH]
        live = yield from read_batch(path, names, batch, archived=False)
        if live:
            with_companies = plan.object.name in PRIMARY_TYPES
            companies = (yield from companies_of(paths, plan.object.name, list(live))) if with_companies else None
            yield Page(records=[canonical(record, companies) for record in live.values()])
        rest = [one for one in batch if one not in live]
        archived = (yield from read_batch(path, names, rest, archived=True)) if rest else {}
        if archived:
            yield Page(records=[canonical(record, None) for record in archived.values()])


def _read_list(paths: Paths, plan: ReadPlan, *, archived: bool, after: str | None, room: int | None) -> Flow:
    """One of the two lists from `after` on. Returns how many more records may be read, None for no end."""
    owners = plan.object.name == OWNERS
    names = [known.name for known in plan.fields]
    # Commas, as the reference writes lists: a parameter for each name would fill the URL half as far.
    properties = ",".join(names)
    wide = len(quote(properties, safe="")) > LONGEST_URL or any("," in name for name in names)
    while room is None or room > 0:
        params = {"limit": str(min(plan.page_size or LIST_PAGE, LIST_PAGE)), "archived": str(archived).lower()}
        if after:
            params["after"] = after
        if owners:
            found = yield from _owners_page(paths, params)
        else:
            params["properties"] = "hs_object_id" if wide else properties
            found = yield from _listed_page(paths, plan, params, names if wide else (), archived=archived)
        if found is None:
            yield Notice(
                message=f"HubSpot does not list archived {plan.object.name}: deletions show at the next full read.",
                error_type="not_found",
            )
            return room
        records, after = found
        room = None if room is None else room - len(records)
        resume: PageToken | None = {"archived": archived, "after": after}
        if after is None:
            resume = LIVE if archived else None
        if records or after is not None:
            yield Page(records=records, resume=resume)
        if after is None:
            return room
    return room


def _owners_page(paths: Paths, params: Mapping[str, str]) -> Flow:
    page: OwnersPage = (yield Get(paths.owners, params=params)).decode(OwnersPage)
    return [bytes(record) for record in page.results], next_after(page.paging)


def _listed_page(
    paths: Paths, plan: ReadPlan, params: Mapping[str, str], wide: Sequence[str], *, archived: bool
) -> Flow:
    """(records, token of the next page); None for an object that has no archived list.

    `wide`: names of properties that no URL could ask for.
    """
    path = paths.of(paths.records, plan.object.name)
    asked = dict(params)
    with_companies = plan.object.name in PRIMARY_TYPES and not archived
    if with_companies:
        asked["associations"] = COMPANIES
    first_archived = archived and "after" not in params
    response: Response = yield Get(path, params=asked, accept=frozenset({400}) if first_archived else frozenset())
    if response.status == 400:
        return None
    page = response.decode(RecordsPage)
    companies: dict[str, list[str]] | None = None
    if with_companies:
        companies, cut = listed_companies(plan.object.name, page.results)
        if cut:
            companies |= yield from companies_of(paths, plan.object.name, cut)
    records: Sequence[Record] = page.results
    if wide:
        records = yield from _with_all_properties(path, wide, records, archived)
    return [canonical(record, companies) for record in records], next_after(page.paging)


def _with_all_properties(path: str, names: Sequence[str], records: Sequence[Record], archived: bool) -> Flow:
    """The same records with the properties that no URL could ask for, by batch/read, which takes them in its body.

    A record that is archived or purged in between is left out: it is no live record any more.
    """
    found: dict[str, Record] = {}
    ids = [str(record.id) for record in records if record.id]
    for at in range(0, len(ids), BATCH):
        found |= yield from read_batch(path, names, ids[at : at + BATCH], archived=archived)
    whole = []
    for record in records:
        if str(record.id) in found:
            record.properties = found[str(record.id)].properties
        if str(record.id) in found or not record.id:
            whole.append(record)
    if len(whole) < len(records):
        yield Notice(
            message=f"{len(records) - len(whole)} records were archived or purged while they were being read.",
            error_type="not_found",
        )
    return whole


def read_batch(path: str, names: Sequence[str], ids: Sequence[str], *, archived: bool) -> Flow:
    """{id: record} of those that are there."""
    body = {"inputs": [{"id": one} for one in ids], "properties": names, "propertiesWithHistory": []}
    response = yield Post(f"{path}/batch/read", body, params={"archived": str(archived).lower()})
    return {str(record.id): record for record in response.decode(RecordsPage).results}


def _read_search(paths: Paths, plan: ReadPlan, *, last_id: str | None, room: int | None) -> Flow:
    """Changed or fitting records by ascending id, every page a search of its own from the last id on.

    Never by `after`: it is an offset into a result that loses records as they change, so the rest would move up and be
    passed by; and the vendor refuses it beyond 10,000. Never by time either: batch jobs give more than that one time.
    """
    path = paths.of(paths.records, plan.object.name) + "/search"
    with_companies = plan.object.name in PRIMARY_TYPES
    while room is None or room > 0:
        names = [known.name for known in plan.fields]
        response = yield Post(path, search_body(plan, last_id, names), family="search")
        page: RecordsPage = response.decode(RecordsPage)
        ids = [str(record.id) for record in page.results if record.id]
        companies = (yield from companies_of(paths, plan.object.name, ids)) if with_companies else None
        records = [canonical(record, companies) for record in page.results]
        more = next_after(page.paging) is not None
        if more and not ids:
            raise ProtocolError("HubSpot's search found records without ids; it cannot be read on.")
        if ids:
            last_id = ids[-1]
            yield Page(records=records, resume={"last_id": last_id})
        elif records:
            yield Page(records=records)
        room = None if room is None else room - len(records)
        if not more:
            break
    return room


def search_body(plan: ReadPlan, last_id: str | None, names: Sequence[str]) -> dict[str, Any]:
    """All five keys and sorts as texts: what the specification demands, although the API takes less."""
    filters = []
    if plan.since and plan.object.cursor_field:
        filters.append(filter_on(str(plan.object.cursor_field), "GTE", plan.since))
    if plan.until and plan.object.cursor_field:
        filters.append(filter_on(str(plan.object.cursor_field), "LT", plan.until))
    if last_id:
        filters.append(filter_on("hs_object_id", "GT", last_id))
    groups: Groups = [()] if plan.where is None else groups_of(plan.where)
    return {
        "filterGroups": [{"filters": [*group, *filters]} for group in groups if group or filters],
        "sorts": ["hs_object_id"],
        "properties": list(names),
        "limit": min(plan.page_size or SEARCH_PAGE, SEARCH_PAGE),
        "after": "0",
    }
