"""From records' JSON texts to columns of the destination table, a block of records at a time.

A RecordMapper is compiled once for a connection's object: which values of a record are wanted, and for every column how
to make it of them. Columns are made one after the other for the whole block, which costs Python a fraction of going row
by row. A value that does not fit leaves its column null and is kept in the row's errors. So is one for which the rules
before it left too little of the work that a record may take (see transforms.bounds).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import msgspec

from sync_pipelines.engine.casting import CASTS, Cast, Misfit, to_text, to_timestamp
from sync_pipelines.engine.cleaning import CLEANED_REASON, NotARecord, decode_record, is_suspect, may_be_endless
from sync_pipelines.engine.extracting import NOT_PLAIN, Extract, Path, Values, at_path, extract_of
from sync_pipelines.engine.rules import Source, envelope_sources, ruled_source, source_of
from sync_pipelines.engine.transforms.bounds import (
    FREE_WORK,
    MOST_WORK_OF_RECORD,
    WORK_OF_MADE,
    allowance,
    largest,
    size_of,
    too_much,
)
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Columns
from sync_pipelines.model.errors import ConfigurationError, RejectRecord
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape
from sync_pipelines.model.secret import Secret

KEPT_TEXT: Final = 10_000
"""Characters of a misfit value that are kept beside its reason."""

ADDITIONAL: Final = "additional_fields"
"""The column of what a customer mapped beyond the custom schema."""

_NOTHINGS: Final = (None, "", b'""')
"""What a column holds where there is no value: of any type, of texts, of jsonb."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class CustomColumn:
    """How a custom schema field is made (None: this customer has not mapped it). `type`: of the column."""

    column: str
    rule: FieldRule | None
    required: bool = False
    type: str = "text"


@dataclass(frozen=True)
class Mapped:
    """A block of records after mapping. `misfits` counts the values that did not fit."""

    columns: Columns
    misfits: int


class ColumnPlan(NamedTuple):
    """One column: its source, the places of the source's paths among a record's values, and its cast.

    `twin`: the number of a column before it that has the same values, as the two of when a record was changed.
    """

    name: str
    source: Source
    places: tuple[int, ...]
    cast: Cast
    twin: int | None = None


class LaterMapper:
    """A RecordMapper that is compiled when the first record wants it: most reads of most connections bring none."""

    def __init__(self, make: Callable[[], "RecordMapper"]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> "RecordMapper":
        return self._make()

    def __call__(self, texts: Sequence[bytes], hashes: Sequence[int], *, carefully: bool = False) -> Mapped:
        return self._made(texts, hashes, carefully=carefully)

    def modified_at(self, text: bytes) -> Any:
        return self._made.modified_at(text)


def _compiled(name: str, rule: FieldRule, shape: RecordShape, known: frozenset[str], hash_key: Secret | None) -> Source:
    try:
        return ruled_source(rule, shape, known, hash_key)
    except ConfigurationError as problem:
        raise ConfigurationError(f"{name}: {problem}") from problem


class RecordMapper:
    """Compiled rules of one connection's object. `sources`: of each column, what it is made of."""

    def __init__(
        self,
        crm_object: CrmObject,
        schema: ObjectSchema,
        columns: Sequence[Column],
        *,
        common: bool,
        custom: Sequence[CustomColumn] = (),
        additional: Mapping[str, FieldRule] | None = None,
        hash_key: Secret | None = None,
    ) -> None:
        """`hash_key`: the key of the transform `hash`. ConfigurationError for a rule that cannot be compiled."""
        self._shape = shape = crm_object.shape
        sources = envelope_sources(shape)
        if common:
            sources |= {name: source_of(rule, shape, schema) for name, rule in crm_object.common.items()}
        known = frozenset(field.name for field in schema.fields)
        for item in custom:
            if item.rule is not None:
                sources[item.column] = _compiled(item.column, item.rule, shape, known, hash_key)
        self._paths: list[Path] = []
        made = {name: _compiled(name, rule, shape, known, hash_key) for name, rule in (additional or {}).items()}
        self.sources: dict[str, Sequence[Source]] = {name: [source] for name, source in sources.items()}
        self.sources |= {ADDITIONAL: list(made.values())} if made else {}
        self._additional = [self._plan_of(name, "jsonb", source) for name, source in made.items()]
        self._plan = _with_twins([self._planned(column, sources.get(column.name)) for column in columns])
        self._merged_into = self._place(shape.merged_into) if shape.merged_into else None
        required = {item.column: item.rule.told for item in custom if item.required and item.rule}
        self._required = [
            (number, column.name, required[column.name])
            for number, column in enumerate(columns)
            if column.name in required
        ]
        self._extract = extract_of(self._paths, ((*shape.fields, field.name) for field in schema.fields))

    def _planned(self, column: Column, source: Source | None) -> ColumnPlan | None:
        """None for raw_data, which is the text itself. A column that nobody fills stays null."""
        if column.name == "raw_data":
            return None
        return self._plan_of(column.name, column.type, source or Source((), _nothing))

    def _plan_of(self, name: str, kind: str, source: Source) -> ColumnPlan:
        return ColumnPlan(name, source, tuple(map(self._place, source.paths)), CASTS[kind])

    def _place(self, path: Path) -> int:
        if path not in self._paths:
            self._paths.append(path)
        return self._paths.index(path)

    def __call__(self, texts: Sequence[bytes], hashes: Sequence[int], *, carefully: bool = False) -> Mapped:
        """Columns of these records. `carefully` looks at every value of them, wanted or not.

        RejectRecord for a text that is no JSON object; the keys have refused such before.
        """
        errors: dict[int, dict[str, Any]] = {}
        stored = list(texts)
        values = self._values(stored, errors, carefully=carefully)
        given: list[Sequence[Any]] = list(zip(*values, strict=True)) if self._paths else []
        made: list[Sequence[Any]] = []
        left = [MOST_WORK_OF_RECORD] * len(stored)
        for plan in self._plan:
            twin = None if plan is None else plan.twin
            if plan is None:
                made.append(stored)
            elif self._additional and plan.name == ADDITIONAL:
                made.append(_together(self._additional, given, errors, left))
            elif twin is not None and not errors:
                made.append(made[twin])
            else:
                made.append(made_column(plan, given, errors, left))
        for number, column, source in self._required:
            _must_have(column, source, made[number], errors)
        merged_into: Sequence[Any] = [None] * len(stored)
        if self._merged_into is not None:
            merged_into = [to_text(value) if value else None for value in given[self._merged_into]]
        kept = [None] * len(stored) if not errors else [_kept_errors(errors.get(row)) for row in range(len(stored))]
        return Mapped((hashes, kept, merged_into, *made), sum(map(len, errors.values())))

    def modified_at(self, text: bytes) -> Any:
        """When the vendor says that the record was changed; None where it does not say."""
        if self._shape.modified is None:
            return None
        try:
            return to_timestamp(at_path(decode_record(text)[0], self._shape.modified))
        except Misfit:
            return None

    def _values(self, stored: list[bytes], errors: dict[int, dict[str, Any]], *, carefully: bool) -> Sequence[Values]:
        """The wanted values of every record. A text that had to be cleaned is replaced in `stored`."""
        extract = None if carefully else self._extract
        if extract is not None and not any(map(is_suspect, stored)) and not may_be_endless(b"\n".join(stored)):
            try:
                return [extract(text) for text in stored]
            except NOT_PLAIN:
                pass  # one of them; all are read one by one below
        return [self._values_of(extract, stored, row, errors) for row in range(len(stored))]

    def _values_of(
        self, extract: Extract | None, stored: list[bytes], row: int, errors: dict[int, dict[str, Any]]
    ) -> Values:
        if extract is not None and not is_suspect(stored[row]) and not may_be_endless(stored[row]):
            try:
                return extract(stored[row])
            except NOT_PLAIN:
                pass  # decoded with care below
        try:
            record, stored[row], cleaned = decode_record(stored[row])
        except NotARecord as problem:
            raise RejectRecord(f"The record {problem}.") from problem
        if cleaned:
            reason = f"The record {CLEANED_REASON}."
            errors.setdefault(row, {})["raw_data"] = {"field": "", "value": None, "reason": reason}
        return tuple(at_path(record, path) for path in self._paths)


def _with_twins(plans: list[ColumnPlan | None]) -> list[ColumnPlan | None]:
    first: dict[tuple[Any, ...], int] = {}
    found: list[ColumnPlan | None] = []
    for number, plan in enumerate(plans):
        if plan is not None and plan.places and plan.source == Source(plan.source.paths, told=plan.source.told):
            twin = first.setdefault((plan.places, plan.cast), number)
            found.append(plan if twin == number else plan._replace(twin=twin))
        else:
            found.append(plan)
    return found


def _nothing() -> None:
    return None


def made_column(
    plan: ColumnPlan, given: Sequence[Sequence[Any]], errors: dict[int, dict[str, Any]], left: list[int]
) -> Sequence[Any]:
    """A column of records, of their values at the plan's places in `given`.

    What does not fit is null there, and told in `errors` by row. `left`: the work that each record's rules may still
    take.
    """
    source, cast, rows = plan.source, plan.cast, len(left)
    taken: list[Sequence[Any]] = [given[place] for place in plan.places]
    if source.inner is not None:
        taken = [[at_path(value, way) for value in values] for values, way in zip(taken, source.inner, strict=True)]
    try:
        return cast.column(_raw(source, taken, rows))
    except Misfit:
        pass  # found one by one below, so that only theirs are null
    column: list[Any] = []
    for row, value in enumerate(_raw_each(source, taken, left)):
        try:
            if isinstance(value, Misfit):
                raise value
            column.append(None if value is None else cast.value(value))
        except Misfit as misfit:
            column.append(None)
            errors.setdefault(row, {})[plan.name] = _error(source, [values[row] for values in taken], value, misfit)
    return column


def _together(
    plans: Sequence[ColumnPlan], given: Sequence[Sequence[Any]], errors: dict[int, dict[str, Any]], left: list[int]
) -> Sequence[bytes]:
    """One JSON object of several values for each row. A value that does not fit is null in it; the others stay."""
    misfits: dict[int, dict[str, Any]] = {}
    keys = [_encode(plan.name) + b":" for plan in plans]
    columns = [_additional(plan, given, misfits, left) for plan in plans]
    for row, found in misfits.items():
        first, *_ = found.values()
        reasons = " ".join(f"{name}: {error['reason']}" for name, error in found.items())
        fields = ", ".join(error["field"] for error in found.values())
        errors.setdefault(row, {})[ADDITIONAL] = {**first, "field": fields, "reason": reasons}
    whole = [[b"null" if value is None else value for value in column] for column in columns]
    return [b"{" + b",".join(map(bytes.__add__, keys, values)) + b"}" for values in zip(*whole, strict=True)]


def _additional(
    plan: ColumnPlan, given: Sequence[Sequence[Any]], errors: dict[int, dict[str, Any]], left: list[int]
) -> Sequence[Any]:
    """One of them. A copy of the vendor's own value is work too: many may copy the same."""
    column = made_column(plan, given, errors, left)
    if plan.source.transforms is not None or WORK_OF_MADE * largest(column) <= FREE_WORK:
        return column
    kept: list[Any] = []
    for row, (value, work) in enumerate(zip(column, left, strict=True)):
        allowed, size = allowance(work), WORK_OF_MADE * size_of(value)
        left[row] -= max(0, min(size, allowed) - FREE_WORK)
        kept.append(value if size <= allowed else None)
        if size > allowed:
            values = [given[place][row] for place in plan.places]
            errors.setdefault(row, {})[plan.name] = _error(plan.source, values, values[0], too_much(allowed))
    return kept


def _raw(source: Source, taken: Sequence[Sequence[Any]], rows: int) -> Sequence[Any]:
    if source.transforms is not None:
        return source.transforms.column(taken)
    if source.make is None:
        return taken[0]
    if not taken:
        return [source.make()] * rows
    return list(map(source.make, *taken))


def _raw_each(source: Source, taken: Sequence[Sequence[Any]], left: list[int]) -> Sequence[Any]:
    """As `_raw`, with a Misfit in the place of a value that did not fit the transforms."""
    if source.transforms is not None:
        return source.transforms.each(taken, left)
    made: list[Any] = []
    for row in range(len(left)):
        try:
            values = [column[row] for column in taken]
            made.append(values[0] if source.make is None else source.make(*values))
        except Misfit as misfit:
            made.append(misfit)
    return made


def _error(source: Source, values: Sequence[Any], made: Any, misfit: Misfit) -> dict[str, Any]:
    """What is kept of a value that did not fit: the vendor's own, unless a transform is there to hide it."""
    if source.transforms is None:
        return {"field": source.told, "value": to_text(made)[:KEPT_TEXT], "reason": f"The value {misfit}."}
    if source.transforms.personal:
        return {"field": source.told, "value": None, "reason": "The value does not fit; it is personal and not shown."}
    vendors = values[0] if len(values) == 1 else list(values)
    value = None if vendors is None else _beginning(vendors)
    return {"field": source.told, "value": value, "reason": f"The value {misfit}."}


def _beginning(value: Any) -> str:
    """What is kept of a value's text, without making all of the text."""
    if type(value) is not list:
        return to_text(value[:KEPT_TEXT] if type(value) is str else value)[:KEPT_TEXT]
    parts, size = [], 0
    for each in value:
        parts.append(each[:KEPT_TEXT] if type(each) is str or type(each) is list else each)
        size += size_of(parts[-1], KEPT_TEXT)
        if size > KEPT_TEXT:
            break
    return to_text(parts)[:KEPT_TEXT]


def _must_have(column: str, source: str, values: Sequence[Any], errors: dict[int, dict[str, Any]]) -> None:
    if not any(nothing in values for nothing in _NOTHINGS):
        return
    for row, value in enumerate(values):
        if value in _NOTHINGS and column not in errors.get(row, ()):
            errors.setdefault(row, {})[column] = {
                "field": source,
                "value": None,
                "reason": "The field is required and has no value.",
            }


def _kept_errors(errors: dict[str, Any] | None) -> bytes | None:
    return _encode(errors) if errors else None
