"""HubSpot: the members of a list, page by page."""

from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.hubspot_errors import invalid, refused

PAGE = 100
LARGEST_PAGE = 250


def memberships(call: Call) -> Answer:
    name = call.parts["list"]
    if name not in call.own.lists:
        raise refused(call, 404, f"List does not exist with ID {name}.", "OBJECT_NOT_FOUND")
    limit, after = call.first("limit") or str(PAGE), call.first("after") or "0"
    if not limit.isdigit() or not 1 <= int(limit) <= LARGEST_PAGE:
        raise invalid(call, f"limit must be from 1 to {LARGEST_PAGE}, not {limit}")
    if not after.isdigit():
        raise invalid(call, f"after is no page token: {after}")
    members = sorted(call.own.lists[name], key=int)
    start, end = int(after), int(after) + int(limit)
    joined = iso(call.world.clock.now())
    body = {
        "results": [{"recordId": one, "membershipTimestamp": joined} for one in members[start:end]],
        "total": len(members),
    }
    if end < len(members):
        link = f"https://api.hubapi.com/crm/v3/lists/{name}/memberships?after={end}"
        body["paging"] = {"next": {"after": str(end), "link": link}}
    return as_json(body)


ROUTES = (
    Route("GET", "/hubspot/crm/v3/lists/{list}/memberships", memberships),
    Route("GET", "/hubspot/crm/lists/2026-03/{list}/memberships", memberships),
)
