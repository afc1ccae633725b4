"""Bulk API 2.0 queries: a job, its CSV results page by page, the same JSON as REST would give."""

import csv
import functools
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from sync_pipelines.model.errors import SkipObject, VendorError
from sync_pipelines.model.flow import Flow, Get, Notice, Page, PageToken, Pause, Post, Response
from sync_pipelines.model.provider import CrmObject, VendorField
from sync_pipelines.providers.salesforce.answers import error_of, invalid_field
from sync_pipelines.providers.salesforce.describing import without_refused
from sync_pipelines.providers.salesforce.soql import Query, long_id

RUNNING: Final = frozenset({"UploadComplete", "InProgress"})
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 30.0
LONGEST_JOB: Final = 3 * 3600.0
"""Seconds. The vendor itself gives up a job after 15 tries of 10 minutes."""
CELLS_PER_PAGE: Final = 500_000
"""10,000 rows of 50 fields: a page of a few megabytes, however wide the object is."""
MOST_ROWS: Final = 10_000
FEWEST_ROWS: Final = 200
"""Of a page: fewer would cost more calls than they save memory."""
ENCODED_TOGETHER: Final = 500
"""Rows. A page's cells as Python objects would take several times the memory of their texts."""
COMPLETE: Final = "JobComplete"
LAST: Final = "null"
"""The locator behind the last page."""
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")

# A rich text area holds up to 131,072 characters, exactly where the csv module would stop.
csv.field_size_limit(max(csv.field_size_limit(), 16 * 1024 * 1024))


class Job(msgspec.Struct, rename={"error": "errorMessage"}):
    id: str
    state: str
    error: str | None = None


def read_bulk(root: str, crm_object: CrmObject, query: Query, resume: PageToken) -> Flow:
    """True when everything was read; False when Bulk cannot do it (a Notice said why) and REST should.

    A job that vanished (results are kept for 7 days) is started once more from the beginning.
    """
    for job, locator in ((resume.get("job"), resume.get("locator")), (None, None)):
        if locator == LAST:
            return True
        if job is None:
            job = yield from _finished_job(root, crm_object, query)
            if job is None:
                return False
        outcome = yield from _read_results(root, query, job, locator)
        if outcome:
            return True
    yield _falls_back("its results vanished twice")
    return False


def _falls_back(reason: str) -> Notice:
    return Notice(
        message=f"Salesforce's Bulk API could not be used ({reason}); read by REST.", error_type="vendor_error"
    )


def _finished_job(root: str, crm_object: CrmObject, query: Query) -> Flow:
    """The id of a job that has completed, None (and a Notice) when Bulk refuses or fails."""
    job = yield from _created_job(root, crm_object, query)
    seconds, waited = FIRST_PAUSE, 0.0
    while job is not None and job.state in RUNNING:
        if waited > LONGEST_JOB:
            raise VendorError(f"Salesforce's Bulk job {job.id} has not ended for hours; it will be tried again.")
        yield Pause(seconds)
        waited += seconds
        seconds = min(seconds * 1.5, LONGEST_PAUSE)
        job = (yield Get(f"{root}/jobs/query/{job.id}", family="bulk")).decode(Job)
    if job is None:
        return None
    if job.state != COMPLETE:
        yield _falls_back(f"job {job.state}: {job.error or 'no reason given'}")
        return None
    return job.id


def _created_job(root: str, crm_object: CrmObject, query: Query) -> Flow:
    """The job, None (and a Notice) when Bulk refuses the query."""
    while True:
        order = {
            "operation": "queryAll",
            "query": query.statement(ordered=False),
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        try:
            response = yield Post(f"{root}/jobs/query", order, family="bulk", accept=frozenset({400}))
        except SkipObject as refusal:
            yield _falls_back(refusal.detail or "no permission")
            return None
        if response.status != 400:
            return response.decode(Job)
        code, message = error_of(response)
        if code != "INVALID_FIELD":
            yield _falls_back(code or "refused")
            return None
        query = yield from without_refused(root, crm_object, query, invalid_field(message))


def _read_results(root: str, query: Query, job: str, locator: str | None) -> Flow:
    """True when read to the end, False when the job or the locator is gone."""
    rows = max(FEWEST_ROWS, min(MOST_ROWS, CELLS_PER_PAGE // len(query.fields)))
    while locator != LAST:
        params = {"maxRecords": str(rows)} | ({"locator": locator} if locator else {})
        response: Response = yield Get(
            f"{root}/jobs/query/{job}/results",
            params=params,
            headers={"accept": "text/csv"},
            family="bulk",
            accept=frozenset({400, 404}),
        )
        if response.status in (400, 404):
            return False
        records = records_from_csv(response, query.fields)
        locator = response.headers.get("sforce-locator", LAST)
        if records or locator != LAST:
            yield Page(records=records, resume={"job": job, "locator": locator})
    return True


def records_from_csv(response: Response, fields: Sequence[VendorField]) -> list[bytes]:
    """One JSON text per row, typed by describe. VendorError when rows are missing or of another width."""
    # NUL bytes stay: REST gives them as \u0000, and a record must be the same however it was read.
    lines = io.TextIOWrapper(io.BytesIO(response.body), encoding="utf-8", errors="replace", newline="")
    try:
        records = _records(lines, fields)
    except (csv.Error, ValueError) as problem:
        raise VendorError(
            "Salesforce's CSV is broken or cut off; it will be tried again.", detail=str(problem)
        ) from None
    told = response.headers.get("sforce-numberofrecords", "")
    if told.isdigit() and int(told) != len(records):
        raise VendorError(
            "Salesforce's CSV holds fewer rows than it tells; it will be tried again.",
            detail=f"{len(records)} of {told}",
        )
    return records


Cast = Callable[[str], Any]


def _records(lines: Iterator[str], fields: Sequence[VendorField]) -> list[bytes]:
    names = tuple(next(csv.reader(lines, strict=True), ()))
    known = {field.name.casefold(): field for field in fields}
    casts = ((at, _cast(known.get(name.casefold()))) for at, name in enumerate(names))
    typed = [(at, cast) for at, cast in casts if cast is not None]
    record, width = _struct_of(names), len(names)
    texts: list[bytes] = []
    waiting: list[msgspec.Struct] = []
    for row in _rows(lines, width):
        if len(row) != width:
            raise ValueError(f"row {len(texts) + len(waiting) + 1} has {len(row)} columns of {width}")
        for at, cast in typed:
            if row[at]:
                row[at] = cast(row[at])
        waiting.append(record(*row))
        if len(waiting) == ENCODED_TOGETHER:
            texts += _encoded(waiting)
            waiting.clear()
    return texts + _encoded(waiting)


def _rows(lines: Iterator[str], width: int) -> Iterator[list[Any]]:
    """The cells of every row. Rows without a quote or an end of line inside of a cell, nearly all, are split in place,
    which costs a tenth of the csv module's way."""
    marks = 2 * width
    for line in lines:
        row = line.rstrip("\r\n")
        # So many quotes and separators leave none for the inside of a cell.
        if row.count('"') == marks and row[:1] == '"' and row[-1:] == '"':
            cells = row[1:-1].split('","')
            if len(cells) == width:
                yield cells
                continue
        # The reader takes further lines where a cell goes on in them.
        found = next(csv.reader(itertools.chain((line,), lines), strict=True), None)
        if found:
            yield found


def _encoded(records: Sequence[msgspec.Struct]) -> list[bytes]:
    # Empty is null. In JSON :"" can only be a key's colon before an empty text, for a quote inside a text is escaped.
    return msgspec.json.Encoder().encode_lines(records).replace(b':""', b":null").splitlines()


@functools.lru_cache(maxsize=64)
def _struct_of(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A struct is encoded several times faster than a dictionary is built and encoded."""
    slots = [f"c{at}" for at in range(len(names))]
    return msgspec.defstruct(
        "Row", [(slot, Any) for slot in slots], rename=dict(zip(slots, names, strict=True)), gc=False
    )


def _cast(field: VendorField | None) -> Cast | None:
    """How a cell becomes what REST says; None for texts. What does not look like its type stays a text."""
    if field is None:
        return None
    if field.type == "boolean":
        return lambda cell: {"true": True, "false": False}.get(cell.lower(), cell)
    if field.type in ("number", "integer"):
        return lambda cell: msgspec.Raw(cell.encode()) if _NUMBER.fullmatch(cell) else cell
    if field.type == "timestamp":
        return lambda cell: cell[:-1] + "+0000" if cell.endswith("Z") else cell
    if field.name in ("Id", "MasterRecordId"):
        return long_id
    return None
