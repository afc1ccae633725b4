"""How one column's value is made of a record, step by step.

Pure: a record's text and rules in, values out. What a transform such as `hash` or `mask` is there to hide is not told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from sync_pipelines.engine.casting import Misfit, json_number
from sync_pipelines.engine.cleaning import decode_record
from sync_pipelines.engine.extracting import at_path
from sync_pipelines.engine.layout import RAW_COLUMN, FieldPlan, is_common
from sync_pipelines.engine.mapping import ADDITIONAL, RecordMapper
from sync_pipelines.engine.preview import field_name, holds, paths_of
from sync_pipelines.engine.rules import Source, ruled_source
from sync_pipelines.engine.transforms.compiled import kind_named
from sync_pipelines.model.common_model import Label
from sync_pipelines.model.destination import Table
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject

_decode: Final = msgspec.json.Decoder(float_hook=json_number).decode


@dataclass(frozen=True, kw_only=True)
class TracedValue:
    """A vendor's field and its value in the record. `present`: the record has it at all. `hidden`: not to be told."""

    field: str
    value: Any = None
    present: bool = True
    hidden: bool = False


@dataclass(frozen=True, kw_only=True)
class TracedStep:
    """A transform and what it gave. `problem`: why the value did not fit it; nothing follows then."""

    transform: str
    options: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    hidden: bool = False
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class TracedRule:
    """`name`: of the column, or of one of the additional fields. `kind`: mapped, common model or record."""

    name: str
    kind: str
    sources: tuple[TracedValue, ...] = ()
    steps: tuple[TracedStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trace:
    """`value`: what the column holds by these rules, jsonb decoded. `problem`: why it holds nothing."""

    rules: tuple[TracedRule, ...]
    value: Any = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tracer:
    """An object of a sync, as one account describes it, under one mapping."""

    declared: SyncObject
    crm_object: CrmObject
    schema: ObjectSchema
    table: Table
    plan: FieldPlan
    hash_key: Secret | None = None

    def trace(self, text: bytes, column: str) -> Trace:
        """RejectRecord or NotARecord for a text that no row is made of."""
        record = decode_record(text)[0]
        mapper = RecordMapper(
            self.crm_object,
            self.schema,
            self.table.columns,
            common=is_common(self.crm_object, self.declared),
            custom=self.plan.custom,
            additional=self.plan.additional,
            hash_key=self.hash_key,
        )
        made = mapper([text], [0], carefully=True)
        errors = _decode(made.columns[1][0] or b"{}")
        value = made.columns[self.table.position(column)][0]
        kind = next(each.type for each in self.table.columns if each.name == column)
        return Trace(
            rules=tuple(self._rules(record, column, mapper.sources.get(column, ()))),
            value=_decode(value) if kind == "jsonb" and value is not None else value,
            problem=errors.get(column, {}).get("reason"),
        )

    def rules_of(self, column: str) -> dict[str, FieldRule]:
        """The mapped rules of a column, by name: one, or those of the additional fields."""
        if column == ADDITIONAL:
            return dict(self.plan.additional)
        return {item.column: item.rule for item in self.plan.custom if item.column == column and item.rule}

    def needs_labels(self, column: str) -> bool:
        """Whether the account must be asked for what its ids are called."""
        return is_common(self.crm_object, self.declared) and isinstance(self.crm_object.common.get(column), Label)

    def is_personal(self, column: str) -> bool:
        """Whether a transform is there to hide what the column is made of."""
        return any(_hidden_steps(rule) for rule in self.rules_of(column).values())

    def _rules(self, record: Any, column: str, sources: Sequence[Source]) -> "list[TracedRule]":
        shape = self.crm_object.shape
        mapped = self.rules_of(column)
        if mapped:
            known = frozenset(each.name for each in self.schema.fields)
            return [
                _traced(name, rule, ruled_source(rule, shape, known, self.hash_key), record, shape)
                for name, rule in mapped.items()
            ]
        common = is_common(self.crm_object, self.declared) and column in self.crm_object.common
        kind = "common model" if common else "record"
        if column == RAW_COLUMN.name or not sources:
            return [TracedRule(name=column, kind="record" if column == RAW_COLUMN.name else "nobody")]
        return [TracedRule(name=column, kind=kind, sources=_values(record, sources, shape, hidden=False))]


def _traced(name: str, rule: FieldRule, source: Source, record: Any, shape: RecordShape) -> TracedRule:
    hidden = _hidden_steps(rule)
    return TracedRule(
        name=name,
        kind="mapped",
        sources=_values(record, [source], shape, hidden=hidden > 0),
        steps=tuple(_steps(rule, source, record, hidden)),
    )


def _hidden_steps(rule: FieldRule) -> int:
    """How many of the first steps must not be told: all before the last one that hides, and that one is told."""
    personal = [number for number, step in enumerate(rule.transforms, 1) if kind_named(step.name).personal]
    return personal[-1] if personal else 0


def _values(record: Any, sources: Sequence[Source], shape: RecordShape, *, hidden: bool) -> tuple[TracedValue, ...]:
    return tuple(
        TracedValue(
            field=field_name(path, shape),
            value=None if hidden else at_path(record, path),
            present=holds(record, path),
            hidden=hidden,
        )
        for path in dict.fromkeys(paths_of(sources))
    )


def _steps(rule: FieldRule, source: Source, record: Any, hidden: int) -> "list[TracedStep]":
    if source.transforms is None:
        return []
    values = tuple(at_path(record, path) for path in paths_of([source]))
    done: list[TracedStep] = []
    for number, (transform, step) in enumerate(zip(rule.transforms, source.transforms.steps, strict=True), 1):
        secret = number < hidden
        try:
            values = (step.value(*values),)
        except Misfit as misfit:
            told = "The value does not fit; it is personal and not shown." if hidden else f"The value {misfit}."
            done.append(TracedStep(transform=transform.name, options=transform.options, hidden=secret, problem=told))
            break
        value = None if secret else values[0]
        done.append(TracedStep(transform=transform.name, options=transform.options, value=value, hidden=secret))
    return done
