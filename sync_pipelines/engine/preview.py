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
from sync_pipelines.engine.layout import ADDITIONAL_COLUMN, FieldPlan, is_common
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
    value does not fit; the column is null then. `parts`: the additional fields one by one, in their column.
    """

    column: str
    type: str
    sources: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    before: Mapping[str, Any]
    after: Any
    problem: str | None = None
    parts: tuple["PreviewField", ...] = ()


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
    # Alone, each tells its own problem.
    alone = {
        name: RecordMapper(
            crm_object, schema, (ADDITIONAL_COLUMN,), common=False, additional={name: rule}, hash_key=hash_key
        )
        for name, rule in plan.additional.items()
    }
    return [_record(text, mapper, alone, crm_object.shape, table, plan) for text in records]


def _record(
    text: bytes,
    mapper: RecordMapper,
    alone: Mapping[str, RecordMapper],
    shape: RecordShape,
    table: Table,
    plan: FieldPlan,
) -> PreviewRecord:
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
                parts=_parts(text, record, alone, shape, plan) if column.name == ADDITIONAL_COLUMN.name else (),
            )
        )
    found = at_path(record, shape.id)
    whole = errors.get(RAW, {}).get("reason")
    return PreviewRecord(id=None if found is None else str(found), fields=tuple(fields), problem=whole or _no_id(found))


def _parts(
    text: bytes, record: Mapping[str, Any], alone: Mapping[str, RecordMapper], shape: RecordShape, plan: FieldPlan
) -> tuple[PreviewField, ...]:
    parts = []
    for name, mapper in alone.items():
        made = mapper([text], [0], carefully=True).columns
        found = msgspec.json.decode(made[1][0] or b"{}").get(ADDITIONAL_COLUMN.name)
        errors = {ADDITIONAL_COLUMN.name: {"reason": found["reason"].removeprefix(f"{name}: ")}} if found else {}
        sources = mapper.sources[ADDITIONAL_COLUMN.name]
        parts.append(
            PreviewField(
                column=name,
                type=ADDITIONAL_COLUMN.type,
                sources=_named(sources, shape),
                transforms=tuple(step.name for step in plan.additional[name].transforms),
                before=_before(record, sources, shape),
                after=_decode(made[ROW_HEAD][0])[name],
                problem=_problem(ADDITIONAL_COLUMN, sources, errors, shape, plan),
            )
        )
    return tuple(parts)


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
