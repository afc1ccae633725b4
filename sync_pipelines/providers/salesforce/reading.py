"""Reading Salesforce: REST with a keyset key, Bulk API 2.0 above a threshold."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from sync_pipelines.model.errors import ExpiredToken, InvalidField, ProtocolError, VendorError
from sync_pipelines.model.flow import Flow, Get, Notice, Page, PageToken
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.providers.salesforce.bulk import read_bulk
from sync_pipelines.providers.salesforce.conditions import soql_of
from sync_pipelines.providers.salesforce.describing import QueryPage, count, describe, without_refused
from sync_pipelines.providers.salesforce.soql import CURSORS, LONGEST_PART, Query, by_ids, long_id, sayable

_PLAIN_HEAD: Final = re.compile(rb'\{"attributes":\{"type":"[^"\\]*","url":"[^"\\]*"\},(?="Id":"[0-9A-Za-z]{18}"[,}])')
IDS_AT_ONCE: Final = LONGEST_PART // (18 + len("%27%27%2C%20"))

RawFields = dict[str, msgspec.Raw]


def read(root: str, plan: ReadPlan) -> Flow:
    """Full: by Id. Incremental: by (SystemModstamp, Id). Deleted records come along in both, because of queryAll."""
    query = Query.of((yield from _with_cursor(root, plan)), _condition(plan))
    for field in plan.fields:
        if not sayable(field.name):
            yield Notice(
                message=f"The field {field.name!r} has a name that SOQL cannot say; left empty.", field=field.name
            )
    resume = plan.resume or {}
    bulk = "job" in resume
    if not resume and query.cursor is None and (plan.limit is None or plan.limit > plan.bulk_above):
        bulk = (yield from count(root, plan.object, plan.where)) > plan.bulk_above
    if bulk:
        if (yield from read_bulk(root, plan.object, query, resume)):
            return
        resume = {}
    bulk_above = None if bulk or resume else plan.bulk_above
    large = yield from _read_rest(root, plan, query, resume, bulk_above)
    if large is not None and not (yield from read_bulk(root, plan.object, large, {})):
        yield from _read_rest(root, plan, large, {}, None)


def _condition(plan: ReadPlan) -> str:
    """Of a read's WHERE. Deleted records come along whether they fit or not, where there can be any."""
    if plan.where is None:
        return ""
    condition = soql_of(plan.where)
    deletable = any(field.name == "IsDeleted" for field in plan.fields)
    return f"(IsDeleted = true OR {condition})" if deletable else condition


def find(root: str, plan: ReadPlan, id: str) -> Flow:
    """One record by its id, a deleted one too."""
    if not re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", id):
        return  # Salesforce would call the query wrong, not the id.
    query = Query.of(plan)
    page: QueryPage = (yield _query(root, by_ids(query, query.parts()[0], [id]), {})).decode(QueryPage)
    records = yield from _whole(root, query, [plain(record) for record in page.records])
    if records:
        yield Page(records=records)


def read_ids(root: str, plan: ReadPlan, ids: Sequence[str]) -> Flow:
    """Records by their ids, deleted ones too, as many at a time as a URL holds."""
    query = Query.of(plan)
    wanted = [one for one in ids if re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", one)]
    at = 0
    while at < len(wanted):
        batch = wanted[at : at + IDS_AT_ONCE]
        try:
            page: QueryPage = (yield _query(root, by_ids(query, query.parts()[0], batch), {})).decode(QueryPage)
            records = list(page.records)
            while not page.done:
                page = (yield Get(_next_of(page))).decode(QueryPage)
                records += page.records
        except InvalidField as refusal:
            query = yield from without_refused(root, plan.object, query, refusal)
            continue
        found = yield from _whole(root, query, [plain(record) for record in records])
        if found:
            yield Page(records=found)
        at += len(batch)


def _with_cursor(root: str, plan: ReadPlan) -> Flow:
    """The plan with the best cursor that the object has, which a plan of chosen fields may leave away."""
    names = {field.name for field in plan.fields}
    if plan.since is None or CURSORS[0] in names:
        return plan
    schema = yield from describe(root, plan.object)
    found = {field.name: field for field in schema.fields}
    cursor = next((found[name] for name in CURSORS if name in found), None)
    return plan if cursor is None or cursor.name in names else replace(plan, fields=(*plan.fields, cursor))


def _read_rest(root: str, plan: ReadPlan, query: Query, after: PageToken, bulk_above: int | None) -> Flow:
    """Read to the end; or, when the first answer tells of more than `bulk_above`, return the query for Bulk to read."""
    headers = {"sforce-query-options": f"batchSize={plan.page_size}"} if plan.page_size else {}
    resumed, done = bool(after), 0
    while True:
        before = after
        statement = query.statement(query.parts()[0], after=after)
        try:
            page: QueryPage = (yield _query(root, statement, headers)).decode(QueryPage)
            if bulk_above is not None and page.total > bulk_above:
                return query
            bulk_above, total = None, done + page.total
            while True:
                records = yield from _whole(root, query, [plain(record) for record in page.records])
                total -= len(page.records) - len(records)
                done += len(records)
                # The key is the vendor's page's own: a record that was left out is passed by all the same.
                after = _key_after(page.records, query, after)
                if records:
                    yield Page(records=records, resume=after, total=None if resumed else total)
                if page.done:
                    return None
                page = (yield Get(_next_of(page), headers=headers)).decode(QueryPage)
        except InvalidField as refusal:
            query = yield from without_refused(root, plan.object, query, refusal)
        except ExpiredToken as expired:
            if after == before:
                raise VendorError("Salesforce forgot the query before its second page; tried again.") from expired


def _query(root: str, statement: str, headers: dict[str, str]) -> Any:
    return Get(f"{root}/queryAll", params={"q": statement}, headers=headers)


def _next_of(page: QueryPage) -> str:
    if page.next is None:
        raise ProtocolError("Salesforce says that there are more records and does not say where; report it.")
    return page.next


def plain(record: msgspec.Raw) -> bytes:
    """A record's JSON without the vendor's envelope, its id in the long form."""
    text = bytes(record)
    head = _PLAIN_HEAD.match(text)
    if head:
        return b"{" + text[head.end() :]
    values = msgspec.json.decode(text, type=RawFields)
    values.pop("attributes", None)
    for name in ("Id", "MasterRecordId"):
        if name in values:
            known = long_id(msgspec.json.decode(values[name]))
            values[name] = msgspec.Raw(msgspec.json.encode(known))
    return msgspec.json.encode(values)


def _key_after(records: Sequence[msgspec.Raw], query: Query, before: PageToken) -> PageToken:
    """The key of the last record that has one; a record without an id is rejected later, not read around."""
    for text in reversed(records):
        record: dict[str, Any] = msgspec.json.decode(text)
        if all(record.get(name) for name in query.key):
            return query.token(record)
    return before


def _whole(root: str, query: Query, records: list[bytes]) -> Flow:
    """The records with the fields that their SELECT had no room for in a URL, joined by Id.

    A record that is purged between two parts would be half a record: it is left out, and a Notice says so.
    """
    parts = query.parts()[1:]
    if not parts or not records:
        return records
    values = [msgspec.json.decode(record, type=RawFields) for record in records]
    ids = [msgspec.json.decode(value["Id"]) for value in values if "Id" in value]
    vanished: set[str] = set()
    for part in parts:
        found: dict[str, RawFields] = {}
        for at in range(0, len(ids), IDS_AT_ONCE):
            found |= yield from _by_id(root, by_ids(query, part, ids[at : at + IDS_AT_ONCE]))
        for value in values:
            if "Id" in value:
                value.update(found.get(msgspec.json.decode(value["Id"]), {}))
        vanished.update(one for one in ids if one not in found)
    if vanished:
        yield Notice(
            message=f"{len(vanished)} records of {query.object} vanished while they were being read.",
            error_type="not_found",
        )
    kept = (value for value in values if "Id" not in value or msgspec.json.decode(value["Id"]) not in vanished)
    return [msgspec.json.encode(value) for value in kept]


def _by_id(root: str, statement: str) -> Flow:
    """{id: fields} of all that the statement finds."""
    found: dict[str, RawFields] = {}
    address: str | None = None
    page: QueryPage = (yield _query(root, statement, {})).decode(QueryPage)
    while True:
        for record in page.records:
            more = msgspec.json.decode(plain(record), type=RawFields)
            found[msgspec.json.decode(more["Id"])] = more
        if page.done:
            return found
        if page.next == address:
            raise ProtocolError("Salesforce sent the same page address twice; run the sync again.")
        address = page.next
        page = (yield Get(_next_of(page))).decode(QueryPage)
