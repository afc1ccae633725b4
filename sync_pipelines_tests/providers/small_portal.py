"""A HubSpot portal in a dictionary: lists, search, batch reads, associations, owners."""

import json

import httpx

OPERATORS = {
    "GTE": lambda one, other: one >= other,
    "LT": lambda one, other: one < other,
    "GT": lambda one, other: one > other,
}
TIME = "2026-05-01T07:00:00.000Z"
CAP = 10_000


def contact(number, modified=1000, **properties):
    """`modified` in epoch milliseconds."""
    values = {"hs_object_id": str(number), "email": f"{number}@example.org", "lastmodifieddate": str(modified)}
    return {"id": str(number), "properties": values | properties, "createdAt": TIME, "updatedAt": TIME}


class SmallPortal:
    """`companies`: {contact id: [(company id, primary)]}. Lists and associations come in pages of `page`."""

    def __init__(self, live, archived=(), *, companies=None, properties=None, page=2, shown_companies=2):
        self.live = sorted(live, key=lambda record: int(record["id"]))
        self.archived = [{**record, "archivedAt": TIME} for record in archived]
        self.companies = companies or {}
        self.properties = properties or ["hs_object_id", "email", "lastmodifieddate"]
        self.page = page
        self.shown_companies = shown_companies
        self.faults = []
        self.requests = []

    def __call__(self, request):
        path = request.url.path
        body = json.loads(request.content) if request.content else None
        self.requests.append((request.method, path, dict(request.url.params), body, str(request.url)))
        for fault in self.faults:
            answer = fault(request)
            if answer is not None:
                return answer
        if "/properties/" in path:
            return ok({"results": [{"name": name, "type": "string", "label": name} for name in self.properties]})
        if "/pipelines/" in path:
            stage = {"id": "s1", "label": "Won", "displayOrder": 0, "metadata": {}}
            return ok({"results": [{"id": "default", "label": "Sales", "stages": [stage]}]})
        if "/associations/" in path:
            return self.associations(body)
        if path.endswith("/search"):
            return self.search(body)
        if path.endswith("/batch/read"):
            return self.batch(body, request.url.params["archived"] == "true")
        return self.list(request.url.params)

    def shown(self, record, archived, names):
        found = {name: record["properties"].get(name) for name in names}
        seen = {**record, "properties": found, "archived": archived, "url": "https://app/x", "objectWriteTraceId": "t"}
        return seen

    def list(self, params):
        archived = params["archived"] == "true"
        records = self.archived if archived else self.live
        names = params["properties"].split(",")
        size = min(int(params["limit"]), self.page)
        found = [record for record in records if int(record["id"]) > int(params.get("after", 0))]
        results = [self.shown(record, archived, names) for record in found[:size]]
        if params.get("associations") == "companies":
            for result in results:
                self.link(result)
        body = {"results": results}
        if len(found) > size:
            body["paging"] = {"next": {"after": results[-1]["id"], "link": "x"}}
        return ok(body)

    def link(self, result):
        links = self.companies.get(result["id"], [])
        if not links:
            return
        told = []
        for company, primary in links[: self.shown_companies]:
            if primary:
                told.append({"id": company, "type": "contact_to_company"})
            told.append({"id": company, "type": "contact_to_company_unlabeled"})
        result["associations"] = {"companies": {"results": told}}
        if len(links) > self.shown_companies:
            result["associations"]["companies"]["paging"] = {"next": {"after": "more"}}

    def search(self, body):
        assert set(body) == {"after", "filterGroups", "limit", "properties", "sorts"}
        assert body["sorts"] in (["hs_object_id"], [])
        found = self.live
        for wanted in body["filterGroups"][0]["filters"] if body["filterGroups"] else []:
            name, value = wanted["propertyName"], int(wanted["value"])
            keep = OPERATORS[wanted["operator"]]
            found = [record for record in found if keep(int(record["properties"][name]), value)]
        size, offset = min(body["limit"], self.page), int(body["after"])
        if offset + size > CAP:
            return httpx.Response(400, json={"status": "error", "category": "VALIDATION_ERROR"})
        results = [self.shown(record, False, body["properties"]) for record in found[offset : offset + size]]
        answer = {"total": len(found), "results": results}
        if len(found) > offset + size:
            answer["paging"] = {"next": {"after": str(offset + size)}}
        return ok(answer)

    def batch(self, body, archived):
        assert body["propertiesWithHistory"] == []
        assert len(body["inputs"]) <= 100
        wanted = {one["id"] for one in body["inputs"]}
        records = self.archived if archived else self.live
        found = [self.shown(record, archived, body["properties"]) for record in records if record["id"] in wanted]
        return ok({"status": "COMPLETE", "results": found[::-1]})

    def associations(self, body):
        assert len(body["inputs"]) <= 100
        results = []
        for one in body["inputs"]:
            links = self.companies.get(one["id"], [])
            start = int(one.get("after", 0))
            shown = links[start : start + 2]
            if not shown:
                continue
            to = [{"toObjectId": int(company), "associationTypes": kinds(primary)} for company, primary in shown]
            result = {"from": {"id": one["id"]}, "to": to}
            if start + 2 < len(links):
                result["paging"] = {"next": {"after": str(start + 2)}}
            results.append(result)
        return httpx.Response(207 if len(results) < len(body["inputs"]) else 200, json={"results": results})


def kinds(primary):
    unlabeled = {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None}
    own = {"category": "USER_DEFINED", "typeId": 1, "label": "mine"}
    if not primary:
        return [unlabeled, own]
    return [unlabeled, {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"}]


def ok(body):
    return httpx.Response(200, json=body)
