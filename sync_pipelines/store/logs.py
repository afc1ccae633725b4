"""What happened, newest first: runs, what they rejected, what they did to single records, and what people changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Engine,
    Select,
    String,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy import Connection as Database
from sqlalchemy.dialects.postgresql import JSONB

from sync_pipelines.model.run import SyncRun
from sync_pipelines.store.log_tables import record_changes
from sync_pipelines.store.storable import storable, storable_json
from sync_pipelines.store.tables import audit, runs

SUCCESS: Final = "success"
ERROR: Final = "error"
CONFLICT: Final = "conflict"
AUDIT: Final = "audit"
KINDS: Final = (SUCCESS, ERROR, CONFLICT, AUDIT)
"""`conflict` has no entries yet: it is for syncs in both directions."""

_ADD = text(
    """
    INSERT INTO record_changes
        (at, run_id, sync, object, provider, customer_id, record, operation, fields, message)
    SELECT at, run_id, sync, object, provider, customer_id, record, operation, fields, message
    FROM jsonb_to_recordset(:rows) AS told (at timestamptz, run_id text, sync text, object text, provider text,
        customer_id text, record text, operation text, fields jsonb, message text)
    """
).bindparams(bindparam("rows", type_=JSONB))


class LogPlace(NamedTuple):
    """Where an entry stands among all of them; later ones are greater."""

    at: datetime
    source: str
    id: int
    part: int


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """`operation`: of a run completed, failed, skipped or cancelled; of a record created, updated, deleted or rejected;
    of an audit what was done. `fields`: of an updated record by column [before, after]. `subject`, `actor`, `old` and
    `new` are those of an audit."""

    place: LogPlace
    kind: str
    operation: str
    customer_id: str | None
    sync: str | None
    object: str | None
    provider: str | None
    run_id: str | None
    record: str | None
    message: str
    counts: Mapping[str, int] | None = None
    fields: Mapping[str, Sequence[Any]] | None = None
    error_type: str | None = None
    actor: str | None = None
    subject: str | None = None
    old: Mapping[str, Any] | None = None
    new: Mapping[str, Any] | None = None

    @property
    def at(self) -> datetime:
        return self.place.at


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries; None: whatever it is. `since` and `until` bound their time, `until` not included."""

    kinds: Sequence[str] = KINDS
    customer_id: str | None = None
    sync: str | None = None
    object: str | None = None
    record: str | None = None
    operation: str | None = None
    run_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Logs:
    """Reads the entries."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def page(self, wanted: Wanted, *, before: LogPlace | None = None, limit: int = 100) -> list[LogEntry]:
        """Newest first, those that match everything. `before`: behind this one in that order."""
        parts = [_newest(each, wanted, before, limit) for each in _sources(wanted)]
        if not parts:
            return []
        together = union_all(*parts).subquery()
        query = select(together).order_by(*(together.c[name].desc() for name in LogPlace._fields)).limit(limit)
        with self._engine.connect() as database:
            return [_entry(row) for row in database.execute(query).mappings()]


def add_changes(database: Database, finished: Sequence[SyncRun]) -> None:
    """Remember what runs did to single records, in the transaction that is under way."""
    rows = list(_rows(finished))
    if rows:
        database.execute(_ADD, {"rows": rows})


def _rows(finished: Sequence[SyncRun]) -> Iterator[dict[str, Any]]:
    for run in finished:
        about = {name: getattr(run, name) for name in ("run_id", "sync", "object", "provider", "customer_id")}
        for change in run.changes:
            yield {
                **about,
                "at": run.finished_at.isoformat(),
                "record": storable(change.record, 1_000),
                "operation": change.operation,
                "fields": storable_json({name: list(pair) for name, pair in change.fields.items()}),
                "message": change.message,
            }


@dataclass(frozen=True)
class _Source:
    """Entries of one table. `keys`: what orders them, as the place has it."""

    query: Select[Any]
    keys: tuple[ColumnElement[Any], ...]


def _sources(wanted: Wanted) -> Iterator[_Source]:
    """Those tables that may hold what is wanted."""
    about_a_record = wanted.record is not None
    if {SUCCESS, ERROR} & set(wanted.kinds):
        if not about_a_record:
            yield _of_runs(wanted)
        if ERROR in wanted.kinds and not about_a_record:
            yield _of_rejections(wanted)
        if SUCCESS in wanted.kinds:
            yield _of_records(wanted)
    if AUDIT in wanted.kinds and not about_a_record and not wanted.run_id:
        yield _of_audit(wanted)


def _of_runs(wanted: Wanted) -> _Source:
    kind = case((runs.c.status == "error", ERROR), else_=SUCCESS)
    operation = case(
        (runs.c.status == "success", "completed"), (runs.c.status == "error", "failed"), else_=runs.c.status
    )
    counts = func.jsonb_build_object(*(part for name in _COUNTED for part in (literal(name, Text), runs.c[name])))
    query = _selected(
        "run",
        runs.c.finished_at,
        runs.c.id,
        kind=kind,
        operation=operation,
        message=runs.c.error_message,
        counts=counts,
        error_type=runs.c.error_type,
        **_about(runs),
    ).where(*_matching(runs, wanted), kind.in_(wanted.kinds), *_equal(operation, wanted.operation))
    return _Source(query, (runs.c.finished_at, literal("run"), runs.c.id, literal(0)))


def _of_rejections(wanted: Wanted) -> _Source:
    each = (
        func.jsonb_array_elements(runs.c.rejections)
        .table_valued("value", with_ordinality="number", name="rejection", joins_implicitly=True)
        .render_derived()
    )
    number = each.c.number
    query = (
        _selected(
            "run",
            runs.c.finished_at,
            runs.c.id,
            part=number,
            kind=literal(ERROR),
            operation=literal("rejected"),
            message=cast(each.c.value, JSONB)["reason"].astext,
            error_type=literal("field_validation"),
            **_about(runs),
        )
        .select_from(runs, each)
        .where(runs.c.rejected > 0, *_matching(runs, wanted), *_equal(literal("rejected"), wanted.operation))
    )
    return _Source(query, (runs.c.finished_at, literal("run"), runs.c.id, number))


def _of_records(wanted: Wanted) -> _Source:
    table = record_changes
    query = _selected(
        "record",
        table.c.at,
        table.c.id,
        kind=literal(SUCCESS),
        operation=table.c.operation,
        record=table.c.record,
        message=table.c.message,
        fields=table.c.fields,
        **_about(table),
    ).where(
        *_matching(table, wanted), *_equal(table.c.record, wanted.record), *_equal(table.c.operation, wanted.operation)
    )
    return _Source(query, (table.c.at, literal("record"), table.c.id, literal(0)))


def _of_audit(wanted: Wanted) -> _Source:
    """Subjects are such as `sync crm` and `mapping acme/salesforce/contact`. Whom it is about stands beside them; of
    several an entry names the one who was asked for."""
    kind = func.split_part(audit.c.subject, " ", 1)
    about = func.substr(audit.c.subject, func.strpos(audit.c.subject, " ") + 1)
    customers = audit.c.customers
    customer: ColumnElement[Any] = case((func.cardinality(customers) == 1, customers[1]))
    own = [] if wanted.customer_id is None else [customers.contains([wanted.customer_id])]
    if wanted.customer_id is not None:
        customer = literal(wanted.customer_id)
    sync = case((kind == "sync", about))
    provider = case((kind.in_(("connection", "mapping", "schema")), func.split_part(about, "/", 2)))
    named_object = case((kind.in_(("mapping", "schema")), func.split_part(about, "/", 3)))
    of_object = [] if wanted.object is None else [func.lower(named_object) == wanted.object.lower()]
    query = _selected(
        "audit",
        audit.c.at,
        audit.c.id,
        kind=literal(AUDIT),
        operation=audit.c.action,
        customer_id=customer,
        sync=sync,
        object=named_object,
        provider=provider,
        message=audit.c.subject,
        actor=audit.c.actor,
        subject=audit.c.subject,
        old=audit.c.old,
        new=audit.c.new,
    ).where(
        *own,
        *of_object,
        *_equal(sync, wanted.sync),
        *_equal(audit.c.action, wanted.operation),
        *_within(audit.c.at, wanted),
    )
    return _Source(query, (audit.c.at, literal("audit"), audit.c.id, literal(0)))


_COUNTED: Final = ("read", "created", "updated", "unchanged", "deleted", "rejected", "invalid", "skipped")
_TYPES: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("kind", "operation", "customer_id", "sync", "object", "provider", "run_id", "record"), Text),
    **dict.fromkeys(("message", "error_type", "actor", "subject"), Text),
    **dict.fromkeys(("counts", "fields", "old", "new"), JSONB),
}


def _selected(
    source: str, at: ColumnElement[Any], id: ColumnElement[Any], *, part: Any = None, **known: Any
) -> Select[Any]:
    """All columns of an entry, null where the source has none."""
    place = [at.label("at"), literal(source, String).label("source"), id.label("id")]
    place.append((literal(0) if part is None else part).label("part"))
    return select(*place, *(cast(known.get(name, null()), kind).label(name) for name, kind in _TYPES.items()))


def _about(table: Any) -> dict[str, ColumnElement[Any]]:
    return {name: table.c[name] for name in ("customer_id", "sync", "object", "provider", "run_id")}


def _matching(table: Any, wanted: Wanted) -> list[ColumnElement[bool]]:
    found = [
        table.c[name] == value
        for name in ("customer_id", "sync", "object", "run_id")
        if (value := getattr(wanted, name)) is not None
    ]
    return [*found, *_within(table.c.finished_at if table is runs else table.c.at, wanted)]


def _within(at: ColumnElement[Any], wanted: Wanted) -> list[ColumnElement[bool]]:
    bounds = [] if wanted.since is None else [at >= wanted.since]
    return bounds if wanted.until is None else [*bounds, at < wanted.until]


def _equal(column: ColumnElement[Any], value: str | None) -> list[ColumnElement[bool]]:
    return [] if value is None else [column == value]


def _newest(source: _Source, wanted: Wanted, before: LogPlace | None, limit: int) -> Any:
    query = source.query
    if before is not None:
        # The first condition is what the index of the time serves.
        query = query.where(source.keys[0] <= before.at, tuple_(*source.keys) < tuple_(*map(literal, before)))
    return query.order_by(*(key.desc() for key in (source.keys[0], source.keys[2], source.keys[3]))).limit(limit)


def _entry(row: Any) -> LogEntry:
    values = dict(row)
    place = LogPlace(*(values.pop(name) for name in LogPlace._fields))
    return LogEntry(place=place, **{**values, "message": values["message"] or ""})
