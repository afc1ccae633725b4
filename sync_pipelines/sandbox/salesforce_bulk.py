"""Salesforce Bulk API 2.0: query jobs and their CSV results."""

import itertools
import re
from array import array
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from sync_pipelines.sandbox.clock import salesforce_iso
from sync_pipelines.sandbox.cutting import slicer
from sync_pipelines.sandbox.exchange import Answer, Call, Route, as_json
from sync_pipelines.sandbox.ids import checksum
from sync_pipelines.sandbox.salesforce_describe import VERSIONED
from sync_pipelines.sandbox.salesforce_errors import not_found, refused
from sync_pipelines.sandbox.salesforce_query import chosen_fields, parse_for, sql_for
from sync_pipelines.sandbox.schema import FieldSpec
from sync_pipelines.sandbox.storage import Row

JOBS = VERSIONED + "/jobs/query"
CHUNK = 1000
USUAL_RESULTS = 100_000
"""Records in one answer when maxRecords is not given."""
_DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "BACKQUOTE": "`", "CARET": "^"}
_QUOTE, _BACKSLASH, _EMPTY = ord('"'), ord("\\"), b'""'
_ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass
class Job:
    """A query job. It moves one state further with each look at it, after `wait` looks."""

    id: str
    owner: str
    operation: str
    query: str
    object: str
    fields: tuple[FieldSpec, ...]
    delimiter: str
    line_ending: str
    created: int
    keys: "array[int]"
    state: str = "UploadComplete"
    wait: int = 0
    error: str = ""


def create(call: Call) -> Answer:
    wish = _wish(call)
    if call.fault("bulk_limit"):
        raise refused(400, "Exceeded limit of DailyBulkV2QueryJobs", "LIMIT_EXCEEDED")
    text = str(wish.get("query", ""))
    parsed, spec = parse_for(call, text)
    if parsed.count or parsed.offset:
        raise refused(400, "Aggregate queries and OFFSET are not supported in Bulk Query", "API_ERROR")
    fields = chosen_fields(spec, parsed, text)
    for field in fields:
        if field.parts:
            raise refused(400, "Selecting compound data not supported in Bulk Query", "API_ERROR")
        if field.type == "base64":
            raise refused(400, "Selecting base64 data not supported in Bulk Query", "API_ERROR")
    operation = str(wish.get("operation", ""))
    sql = sql_for(call, spec, parsed, text, operation == "queryAll")
    sessions = call.world.sessions
    number = sessions["jobs"] = sessions.get("jobs", 0) + 1
    fifteen = f"750{call.own.id[3:5]}{number:010d}"
    slow = call.fault("slow_job", spec.name)
    job = Job(
        id=fifteen + checksum(fifteen),
        owner=call.own.customer.id,
        operation=operation,
        query=text,
        object=spec.name,
        fields=fields,
        delimiter=str(wish.get("columnDelimiter", "COMMA")),
        line_ending=str(wish.get("lineEnding", "LF")),
        created=call.world.clock.now(),
        keys=call.world.storage.keys(call.own.tables[spec.name], sql.rest, sql.parameters),
        wait=0 if slow is None else int(slow.options.get("polls", 3)),
    )
    sessions[job.id] = job
    return as_json(_shown(call, job))


def _wish(call: Call) -> dict[str, Any]:
    try:
        wish = call.json()
    except msgspec.DecodeError as problem:
        raise refused(400, f"Unexpected character: {problem}", "JSON_PARSER_ERROR") from problem
    if not isinstance(wish, dict) or wish.get("operation") not in ("query", "queryAll"):
        raise refused(400, "operation must be query or queryAll", "INVALIDJOB")
    if wish.get("contentType", "CSV") != "CSV":
        raise refused(400, "contentType must be CSV", "INVALIDJOB")
    if wish.get("columnDelimiter", "COMMA") not in _DELIMITERS or wish.get("lineEnding", "LF") not in ("LF", "CRLF"):
        raise refused(400, "columnDelimiter or lineEnding is not known", "INVALIDJOB")
    return wish


def look(call: Call) -> Answer:
    job = _job(call)
    if job.state in ("UploadComplete", "InProgress"):
        _move_on(call, job)
    return as_json(_shown(call, job))


def _move_on(call: Call, job: Job) -> None:
    if job.wait:
        job.wait -= 1
        job.state = "InProgress"
    elif job.state == "UploadComplete":
        job.state = "InProgress"
    elif call.fault("bulk_job_fails", job.object):
        job.state, job.error = "Failed", "InternalServerError: the job was retried 15 times and gave up"
    else:
        job.state = "JobComplete"


def jobs(call: Call) -> Answer:
    found = [job for job in call.world.sessions.values() if isinstance(job, Job) and job.owner == call.own.customer.id]
    kept = ("id", "operation", "object", "state", "createdDate", "apiVersion", "jobType", "contentType")
    shown = [{name: value for name, value in _shown(call, job).items() if name in kept} for job in found]
    return as_json({"done": True, "nextRecordsUrl": None, "records": shown})


def abort(call: Call) -> Answer:
    job = _job(call)
    if call.json().get("state") != "Aborted":
        raise refused(400, "Only the state Aborted can be set on a query job", "INVALIDJOBSTATE")
    if job.state in _ENDED:
        raise refused(400, f"Aborting already {job.state} Job not allowed", "INVALIDJOBSTATE")
    job.state = "Aborted"
    return as_json(_shown(call, job))


def delete(call: Call) -> Answer:
    job = _job(call)
    if job.state not in _ENDED:
        raise refused(400, f"Can't delete a job that is {job.state}", "INVALIDJOBSTATE")
    del call.world.sessions[job.id]
    return Answer(204, content_type=None)


def results(call: Call) -> Answer:
    job = _job(call)
    if job.state != "JobComplete":
        raise refused(400, f"Results are not there: the job is {job.state}", "INVALIDJOBSTATE")
    start = _place(call.first("locator"))
    asked = call.first("maxRecords")
    if asked and (not asked.isdigit() or int(asked) < 1):
        raise refused(400, "maxRecords must be a positive number", "INVALID_ARGUMENT")
    if start > len(job.keys) or call.fault("expired_locator", job.object):
        raise refused(400, "invalid query locator", "INVALID_QUERY_LOCATOR")
    end = min(start + (int(asked) if asked else USUAL_RESULTS), len(job.keys))
    shown_end = start if end < len(job.keys) and call.fault("repeated_page_token", job.object) else end
    headers = {
        "Sforce-Locator": "null" if end >= len(job.keys) else urlsafe_b64encode(str(shown_end).encode()).decode(),
        "Sforce-NumberOfRecords": str(end - start),
    }
    return Answer(200, _csv(call, job, start, end), headers, "text/csv;charset=UTF-8")


def _place(locator: str) -> int:
    if not locator:
        return 0
    try:
        return int(urlsafe_b64decode(locator.encode()))
    except ValueError:
        raise refused(400, "invalid query locator", "INVALID_QUERY_LOCATOR") from None


def _csv(call: Call, job: Job, start: int, end: int) -> Iterator[bytes]:
    """The header and the records, in chunks so that a result of any size fits into memory."""
    delimiter, ending = _DELIMITERS[job.delimiter].encode(), b"\n" if job.line_ending == "LF" else b"\r\n"
    yield delimiter.join(_quoted(field.name) for field in job.fields) + ending
    names = tuple(field.name for field in job.fields)
    moments = tuple(place for place, field in enumerate(job.fields) if field.type == "datetime")
    cut = slicer(names)
    spec = call.own.objects[job.object]
    duplicate = bool(call.fault("duplicate_id", job.object))
    without_id = names.index("Id") if "Id" in names and call.fault("record_without_id", job.object) else None
    scar = call.fault("surrogates", spec.name)
    scarred = names.index(str(scar.options.get("field"))) if scar and scar.options.get("field") in names else None
    first = True
    for place in range(start, end, CHUNK):
        rows = _rows(call, job.keys[place : min(place + CHUNK, end)].tolist())
        lines = [_line(cut(row.body), moments) for row in rows]
        if scarred is not None:
            for line in lines:
                line[scarred] = b'"\xef\xbf\xbd\x00' + line[scarred][1:]
        if first and without_id is not None:
            lines[0][without_id] = _EMPTY
        if first and duplicate:
            lines.append(lines[0])
        first = False
        yield b"".join(itertools.chain.from_iterable((delimiter.join(line), ending) for line in lines))


def _rows(call: Call, keys: list[int]) -> list[Row]:
    """All of them, as a job's result stands still: a record that was purged since is in it too."""
    rows = call.world.storage.many(keys)
    if len(rows) == len(keys):
        return rows
    found = {row.key: row for row in rows}
    return [row for key in keys if (row := found.get(key) or call.world.purged.get(key)) is not None]


def _line(values: tuple[Any, ...], moments: tuple[int, ...]) -> list[bytes]:
    """Every value quoted; null is empty; datetimes end in Z."""
    cells = []
    for raw in values:
        text = bytes(raw)
        if text[0] == _QUOTE:
            cells.append(_quoted(msgspec.json.decode(text)) if _BACKSLASH in text else text)
        else:
            cells.append(_EMPTY if text == b"null" else b'"' + text + b'"')
    for place in moments:
        cells[place] = cells[place].replace(b"+0000", b"Z")
    return cells


def _quoted(text: str) -> bytes:
    return b'"' + text.replace('"', '""').encode() + b'"'


def _job(call: Call) -> Job:
    found = call.world.sessions.get(call.parts["job"])
    if not isinstance(found, Job) or found.owner != call.own.customer.id:
        raise not_found()
    return found


def _shown(call: Call, job: Job) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": f"005{call.own.id[3:5]}0000000001AAA",
        "createdDate": salesforce_iso(job.created),
        "systemModstamp": salesforce_iso(job.created),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(re.sub(r"[^\d.]", "", call.parts["version"]) or 0),
        "lineEnding": job.line_ending,
        "columnDelimiter": job.delimiter,
    }
    if call.method != "POST":
        shown |= {"jobType": "V2Query", "retries": 0, "totalProcessingTime": 250}
        if job.state == "JobComplete":
            shown["numberRecordsProcessed"] = len(job.keys)
        if job.error:
            shown["errorMessage"] = job.error
    return shown


ROUTES = (
    Route("POST", JOBS, create),
    Route("GET", JOBS, jobs),
    Route("GET", JOBS + "/{job}", look),
    Route("PATCH", JOBS + "/{job}", abort),
    Route("DELETE", JOBS + "/{job}", delete),
    Route("GET", JOBS + "/{job}/results", results),
)
