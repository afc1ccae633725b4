"""What a mapping makes of sample records, field by field: before, after, and what does not fit.

Pure: records and a compiled mapper in, values out. Who reads the records, and who shows the result, is elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sync_pipelines.engine.casting import json_number
from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import Path, at_path
from sync_pipelines.engine.layout import FieldPlan, is_common
from sync_pipelines.engine.mapping import RecordMapper
from sync_pipelines.engine.rules import Source
from sync_pipelines.engine.verdicts import Verdict
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ROW_HEAD, Table
from sync_pipelines.model.errors import RejectRecord
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject

RAW = "raw_data"
_decode = msgspec.json.Decoder(float_hook=json_number).decode


@dataclass(frozen=True, kw_only=True)
class PreviewField:
    """One column of one record.

    `sources`: the vendor's fields. `transforms`: their names, in order. `before`: the vendor's values by field, as JSON
    values; a field that the record does not have is left out. `after`: what the column will hold. `problem`: why the
    value does not fit; the column is null then.
    """

    column: str
    type: str
    sources: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    before: Mapping[str, Any]
    after: Any
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class PreviewRecord:
    """One record, its fields in the order of the table. `problem`: what is wrong with the record as a whole; one that
    cannot be stored has no fields. `verdict`: of the sync's filter and history; None where they let all records pass.
    """

    id: str | None
    fields: tuple[PreviewField, ...] = ()
    problem: str | None = None
    verdict: Verdict | None = None


def preview_records(
    records: Sequence[bytes],
    *,
    declared: SyncObject,
    crm_object: CrmObject,
    schema: ObjectSchema,
    table: Table,
    plan: FieldPlan,
    hash_key: Secret | None = None,
) -> list[PreviewRecord]:
    """What the table would hold of these records, made by a sync's own mapper. Never raises for a value.

    `hash_key`: of the transform `hash`. ConfigurationError for a rule that cannot be compiled.
    """
    mapper = RecordMapper(
        crm_object,
        schema,
        table.columns,
        common=is_common(crm_object, declared),
        custom=plan.custom,
        additional=plan.additional,
        hash_key=hash_key,
    )
    return [_record(text, mapper, crm_object.shape, table, plan) for text in records]


def _record(text: bytes, mapper: RecordMapper, shape: RecordShape, table: Table, plan: FieldPlan) -> PreviewRecord:
    try:
        record, _, _ = decode_record(text)
        mapped = mapper([text], [0], carefully=True)
    except (NotARecord, RejectRecord) as problem:
        return PreviewRecord(id=None, problem=f"It cannot be stored: {problem}")
    errors = msgspec.json.decode(mapped.columns[1][0] or b"{}")
    values = [column[0] for column in mapped.columns[ROW_HEAD:]]
    custom = {item.column: item for item in plan.custom}
    fields = []
    for column, value in zip(table.columns, values, strict=True):
        if column.name == RAW:
            continue
        rule = custom[column.name].rule if column.name in custom else None
        fields.append(
            PreviewField(
                column=column.name,
                type=column.type,
                sources=_named(mapper.sources.get(column.name, ()), shape),
                transforms=tuple(step.name for step in rule.transforms) if rule else (),
                before=_before(record, mapper.sources.get(column.name, ()), shape),
                after=_shown(column, value),
                problem=_problem(column, mapper.sources.get(column.name, ()), errors, shape, plan),
            )
        )
    found = at_path(record, shape.id)
    whole = errors.get(RAW, {}).get("reason")
    return PreviewRecord(id=None if found is None else str(found), fields=tuple(fields), problem=whole or _no_id(found))


def _no_id(found: Any) -> str | None:
    return None if found not in (None, "") else "It has no id, so a sync rejects it."


def paths_of(sources: Sequence[Source]) -> Iterator[Path]:
    """All the way into a field's value, where a source leads there."""
    for source in sources:
        inner = source.inner or ((),) * len(source.paths)
        yield from (path + further for path, further in zip(source.paths, inner, strict=True))


def _named(sources: Sequence[Source], shape: RecordShape) -> tuple[str, ...]:
    return tuple(dict.fromkeys(field_name(path, shape) for path in paths_of(sources)))


def _before(record: Mapping[str, Any], sources: Sequence[Source], shape: RecordShape) -> dict[str, Any]:
    paths = paths_of(sources)
    return {field_name(path, shape): at_path(record, path) for path in paths if holds(record, path)}


def holds(record: Any, path: Path) -> bool:
    """Whether the record has anything there, be it null."""
    way = at_path(record, path[:-1])
    return type(way) is dict and path[-1] in way


def field_name(path: Path, shape: RecordShape) -> str:
    """The vendor's name of the field at a path, as a mapping names it."""
    depth = len(shape.fields)
    return ".".join(path[depth:] if path[:depth] == shape.fields and len(path) > depth else path)


def _shown(column: Column, value: Any) -> Any:
    """JSON columns hold encoded texts; a person and an API want the value."""
    return _decode(value) if column.type == "jsonb" and isinstance(value, bytes) else value


def _problem(
    column: Column, sources: Sequence[Source], errors: Mapping[str, Any], shape: RecordShape, plan: FieldPlan
) -> str | None:
    if column.name in errors:
        return str(errors[column.name]["reason"])
    gone = {name.casefold() for name in plan.missing}
    lost = [name for name in _named(sources, shape) if name.casefold() in gone]
    return f"The account has no readable field {', '.join(lost)}." if lost else None
