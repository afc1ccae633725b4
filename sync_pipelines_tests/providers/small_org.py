"""A Salesforce org in a dictionary: just the queries that our provider writes, read with its own few patterns."""

import csv
import io
import json
import re

import httpx

ROOT = "/services/data/v67.0"
KEYSET = re.compile(r"\(\((\w+) = (\S+) AND Id > '(\w+)'\) OR \w+ > \S+\)")


def sf_id(number, prefix="003"):
    return f"{prefix}{number:012d}AAA"


def rest_time(second):
    return f"2026-05-01T07:{second // 60:02d}:{second % 60:02d}.000+0000"


def literal(time):
    return time.replace("+0000", "Z")


class SmallOrg:
    """`records` are lists of fields as REST gives them. Faults are functions of (request) that may give an answer."""

    def __init__(self, records, *, types=None, page=2, bulk_page=3):
        self.records = sorted(records, key=lambda record: record["Id"])
        self.types = dict(types) if types else {name: "string" for record in records for name in record}
        self.page = page
        self.bulk_page = bulk_page
        self.faults = []
        self.statements = []
        self.addresses = []
        self.jobs = {}
        self.locators = {}

    def __call__(self, request):
        path = request.url.path
        self.addresses.append(str(request.url))
        for fault in self.faults:
            answer = fault(request)
            if answer is not None:
                return answer
        if path.endswith("/describe"):
            fields = [{"name": name, "type": kind, "label": name} for name, kind in self.types.items()]
            return httpx.Response(200, json={"fields": fields, "queryable": True})
        if path in (f"{ROOT}/query", f"{ROOT}/queryAll"):
            return self.query(request.url.params["q"])
        if path.startswith(f"{ROOT}/query/"):
            return self.more(path.rpartition("/")[2])
        if path.startswith(f"{ROOT}/jobs/query"):
            return self.job(request, path)
        raise AssertionError(path)

    def select(self, statement):
        """(names, records) of a SELECT."""
        self.statements.append(statement)
        names = re.match(r"SELECT (.+?) FROM", statement)[1].split(", ")
        found = self.records
        for name, operator, value in re.findall(r"(?:WHERE|AND) (\w+) (>=|<) (\S+)", statement):
            keep = {">=": lambda one, other: one >= other, "<": lambda one, other: one < other}[operator]
            found = [record for record in found if keep(literal(record[name]), value)]
        order = re.search(r"ORDER BY (.+?)(?: LIMIT|$)", statement)
        if order:
            found = sorted(found, key=lambda record: [record[name] for name in order[1].split(", ")])
        keyset = KEYSET.search(statement)
        if keyset:
            after = (keyset[2], keyset[3])
            found = [record for record in found if (literal(record[keyset[1]]), record["Id"]) > after]
        elif re.search(r"WHERE Id > '", statement):
            after_id = re.search(r"Id > '(\w+)'", statement)[1]
            found = [record for record in found if record["Id"] > after_id]
        among = re.search(r"Id IN \((.+)\)", statement)
        if among:
            found = [record for record in found if f"'{record['Id']}'" in among[1]]
        limit = re.search(r"LIMIT (\d+)", statement)
        return names, found[: int(limit[1])] if limit else found

    def query(self, statement):
        if "COUNT()" in statement:
            return httpx.Response(200, json={"totalSize": len(self.records), "done": True, "records": []})
        names, found = self.select(statement)
        unknown = [name for name in names if name not in self.types]
        if unknown:
            return refused(
                400, "INVALID_FIELD", f"\nERROR at Row:1\nNo such column '{unknown[0]}' on entity 'Contact'."
            )
        locator = f"01g{len(self.locators)}"
        self.locators[locator] = (names, found)
        return self.page_of(locator, 0)

    def more(self, name):
        locator, _, offset = name.partition("-")
        return self.page_of(locator, int(offset))

    def page_of(self, locator, offset):
        names, found = self.locators[locator]
        rows = [
            {"attributes": {"type": "Contact", "url": f"{ROOT}/sobjects/Contact/{record['Id']}"}}
            | {name: record[name] for name in names}
            for record in found[offset : offset + self.page]
        ]
        following = offset + self.page
        body = {"totalSize": len(found), "done": following >= len(found), "records": rows}
        if not body["done"]:
            body["nextRecordsUrl"] = f"{ROOT}/query/{locator}-{following}"
        return httpx.Response(200, json=body)

    def job(self, request, path):
        if request.method == "POST":
            order = json.loads(request.content)
            job = f"750{len(self.jobs)}"
            self.jobs[job] = {"polls": 0, "result": self.select(order["query"]), "operation": order["operation"]}
            return httpx.Response(200, json={"id": job, "state": "UploadComplete"})
        job = path.split("/")[6]
        if path.endswith("/results"):
            return self.results(job, int(request.url.params.get("locator", "0")), request.url.params["maxRecords"])
        self.jobs[job]["polls"] += 1
        state = "JobComplete" if self.jobs[job]["polls"] > 2 else "InProgress"
        return httpx.Response(200, json={"id": job, "state": state})

    def results(self, job, offset, most):
        names, found = self.jobs[job]["result"]
        shown = found[offset : offset + min(self.bulk_page, int(most))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(names)
        writer.writerows([[self.cell(record[name], name) for name in names] for record in shown])
        following = offset + len(shown)
        headers = {
            "content-type": "text/csv; charset=UTF-8",
            "Sforce-Locator": "null" if following >= len(found) else str(following),
            "Sforce-NumberOfRecords": str(len(shown)),
        }
        return httpx.Response(200, content=text.getvalue().encode(), headers=headers)

    def cell(self, value, name):
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        return literal(value) if self.types[name] == "datetime" else str(value)


def refused(status, code, message=""):
    return httpx.Response(status, json=[{"errorCode": code, "message": message}])


def once(answer, wanted):
    """A fault that answers the first request that is wanted."""
    left = [answer]
    return lambda request: left.pop() if left and wanted(request) else None
