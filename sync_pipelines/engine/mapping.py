"""From one record's JSON text to one row of the destination table.

A RecordMapper is compiled once for a connection's object: which vendor fields are wanted, and for every column a way to
get its value out of a decoded record. A value that does not fit leaves its column null and is kept in the row's errors;
only a record without an id is refused as a whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import xxhash

from sync_pipelines.engine.casting import CASTS, Misfit, to_text
from sync_pipelines.engine.cleaning import CLEANED_REASON, NotARecord, decode_record
from sync_pipelines.model.common_model import Addresses, At, Column, Compute, Emails, FirstOf, Label, Phones, Rule, Take
from sync_pipelines.model.destination import Row
from sync_pipelines.model.errors import RejectRecord
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape

Getter: TypeAlias = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
"""(whole record, its fields) -> raw value."""

KEPT_TEXT: Final = 10_000
"""Characters of a misfit value that are kept beside its reason."""
LONGEST_ID: Final = 1_000
"""A longer id is no id of any vendor and would not fit the key's index."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_sorted = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


@dataclass(frozen=True)
class CustomColumn:
    """Where a custom schema field comes from: vendor field `source` (None: this customer has not mapped it)."""

    column: str
    source: str | None
    required: bool = False


@dataclass(frozen=True)
class Mapped:
    """One record after mapping. `losers` were merged into this record; `misfits` counts its values that did not fit."""

    row: Row
    id: str
    losers: tuple[str, ...]
    misfits: int


def rule_fields(rule: Rule) -> tuple[str, ...]:
    """The vendor fields that a rule reads."""
    match rule:
        case Take(name) | Label(name, _):
            return (name,)
        case Emails(pairs) | Phones(pairs):
            return tuple(name for _, name in pairs)
        case Addresses(groups):
            return tuple(name for _, parts in groups for name in parts.values())
        case Compute(names, _):
            return names
        case At() | FirstOf():
            return ()


def at_path(record: Any, path: Sequence[str]) -> Any:
    """The value at a path of nested objects; None where something on the way is missing."""
    for step in path:
        if type(record) is not dict:
            return None
        record = record.get(step)
    return record


class RecordMapper:
    """Compiled rules of one connection's object. Call it with a record's JSON text."""

    def __init__(
        self,
        crm_object: CrmObject,
        schema: ObjectSchema,
        columns: Sequence[Column],
        *,
        common: bool,
        custom: Sequence[CustomColumn] = (),
        additional: Mapping[str, str] | None = None,
    ) -> None:
        self._shape = crm_object.shape
        self._volatile = crm_object.volatile
        self._columns = columns
        self._required = [(item.column, item.source) for item in custom if item.required and item.source]
        self._raw_at = next((at for at, column in enumerate(columns) if column.name == "raw_data"), None)
        rules = dict(crm_object.common) if common else {}
        self._plan = self._compile(rules, schema, custom, additional)

    def _compile(
        self,
        rules: Mapping[str, Rule],
        schema: ObjectSchema,
        custom: Sequence[CustomColumn],
        additional: Mapping[str, str] | None,
    ) -> list[tuple[str, Getter, Callable[[Any], Any], str]]:
        getters: dict[str, tuple[Getter, str]] = envelope_getters(self._shape)
        for name, rule in rules.items():
            getters[name] = (compile_rule(rule, schema), ", ".join(rule_fields(rule)))
        for item in custom:
            if item.source is not None:
                getters[item.column] = (_field(item.source), item.source)
        if additional:
            getters["additional_fields"] = (_additional(additional), ", ".join(additional.values()))
        never: tuple[Getter, str] = (_nothing, "")
        plan = []
        for column in self._columns:
            getter, source = getters.get(column.name, never)
            if column.name == "raw_data":
                getter, source = never
            plan.append((column.name, getter, CASTS[column.type], source))
        return plan

    def __call__(self, text: bytes) -> Mapped:
        """Map one record. RejectRecord when it is no JSON object or has no id."""
        try:
            record, stored, cleaned = decode_record(text)
        except NotARecord as problem:
            raise RejectRecord(f"The record {problem}.") from problem
        identity = self._identity(record)
        fields = at_path(record, self._shape.fields)
        if type(fields) is not dict:
            fields = {}
        values: list[Any] = []
        errors: dict[str, Any] = {}
        for name, get, cast, source in self._plan:
            try:
                value = get(record, fields)
                values.append(None if value is None else cast(value))
            except Misfit as misfit:
                values.append(None)
                errors[name] = {"field": source, "value": _kept(get, record, fields), "reason": f"The value {misfit}."}
        for column, source in self._required:
            if fields.get(source) in (None, "") and column not in errors:
                errors[column] = {"field": source, "value": None, "reason": "The field is required and has no value."}
        if cleaned:
            errors["raw_data"] = {"field": "", "value": None, "reason": f"The record {CLEANED_REASON}."}
        merged_into = at_path(record, self._shape.merged_into) if self._shape.merged_into else None
        kept_errors = _encode(errors) if errors else None
        digest = self._hash(record, fields, values, kept_errors, merged_into)
        if self._raw_at is not None:
            values[self._raw_at] = stored
        row = (digest, kept_errors, to_text(merged_into) if merged_into else None, *values)
        return Mapped(row, identity, self._losers(record, identity), len(errors))

    def _identity(self, record: Mapping[str, Any]) -> str:
        value = at_path(record, self._shape.id)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise RejectRecord(f"The record has no id at {'.'.join(self._shape.id)}.")
        identity = str(value)
        if len(identity) > LONGEST_ID:
            raise RejectRecord(f"The record's id is longer than {LONGEST_ID} characters.")
        return identity

    def _losers(self, record: Mapping[str, Any], identity: str) -> tuple[str, ...]:
        if self._shape.merged_ids is None:
            return ()
        value = at_path(record, self._shape.merged_ids)
        if not value:
            return ()
        names = value if isinstance(value, list) else to_text(value).split(";")
        return tuple(name for name in (to_text(item).strip() for item in names) if name and name != identity)

    def _hash(
        self,
        record: Mapping[str, Any],
        fields: Mapping[str, Any],
        values: list[Any],
        errors: bytes | None,
        merged_into: Any,
    ) -> int:
        """Of all that would be stored, whatever the order of keys; fields that change on every read stay out."""
        whole: Any = None
        if self._raw_at is not None:
            whole = record
            if not self._volatile.isdisjoint(fields):
                kept = {name: value for name, value in fields.items() if name not in self._volatile}
                whole = _with_fields(record, self._shape.fields, kept)
        digest = xxhash.xxh3_64_intdigest(_encode_sorted((values, whole, errors, merged_into)))
        return digest - 2**64 if digest >= 2**63 else digest


def envelope_getters(shape: RecordShape) -> dict[str, tuple[Getter, str]]:
    """Columns that come from the record's shape whatever its object."""
    getters: dict[str, tuple[Getter, str]] = {
        "id": (_at(shape.id), ".".join(shape.id)),
        "is_deleted": (_deleted(shape.deleted), ".".join(shape.deleted or ())),
    }
    for column, path in (
        ("created_at", shape.created),
        ("updated_at", shape.modified),
        ("last_modified_at", shape.modified),
    ):
        if path is not None:
            getters[column] = (_at(path), ".".join(path))
    return getters


def compile_rule(rule: Rule, schema: ObjectSchema) -> Getter:
    """A getter for a rule of the common model."""
    match rule:
        case Take(name):
            return _field(name)
        case Label(name, lookup):
            return _label(name, schema.lookups.get(lookup, {}))
        case At(path):
            return _at(path)
        case FirstOf(path):
            return _first(path)
        case Emails(pairs):
            return _typed_list(pairs, "email_address", "email_address_type", split=True)
        case Phones(pairs):
            return _typed_list(pairs, "phone_number", "phone_number_type", split=False)
        case Addresses(groups):
            return _addresses(groups)
        case Compute(names, function):
            return lambda record, fields: function(*(fields.get(name) for name in names))


def _nothing(record: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    return None


def _field(name: str) -> Getter:
    return lambda record, fields: fields.get(name)


def _at(path: tuple[str, ...]) -> Getter:
    if len(path) == 1:
        name = path[0]
        return lambda record, fields: record.get(name)
    return lambda record, fields: at_path(record, path)


def _deleted(path: tuple[str, ...] | None) -> Getter:
    if path is None:
        return lambda record, fields: False
    return lambda record, fields: at_path(record, path) or False


def _first(path: tuple[str, ...]) -> Getter:
    def get(record: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
        found = at_path(record, path)
        return found[0] if isinstance(found, list) and found else None

    return get


def _label(name: str, labels: Mapping[str, str]) -> Getter:
    def get(record: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
        value = fields.get(name)
        return labels.get(value, value) if isinstance(value, str) else value

    return get


def _additional(names: Mapping[str, str]) -> Getter:
    def get(record: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
        return {name: fields.get(source) for name, source in names.items()}

    return get


def _typed_list(pairs: Sequence[tuple[str, str]], value_key: str, type_key: str, *, split: bool) -> Getter:
    def get(record: Mapping[str, Any], fields: Mapping[str, Any]) -> list[dict[str, str]]:
        items: list[dict[str, str]] = []
        seen: set[str] = set()
        for kind, name in pairs:
            value = fields.get(name)
            if not value:
                continue
            text = to_text(value)
            for part in text.split(";") if split else (text,):
                part = part.strip()
                if part and part not in seen:
                    seen.add(part)
                    items.append({value_key: part, type_key: kind})
        return items

    return get


def _addresses(groups: Sequence[tuple[str, Mapping[str, str]]]) -> Getter:
    parts = ("street_1", "street_2", "city", "state", "postal_code", "country")

    def get(record: Mapping[str, Any], fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        items = []
        for kind, names in groups:
            address: dict[str, Any] = {part: fields.get(names[part]) if part in names else None for part in parts}
            if any(address.values()):
                address["address_type"] = kind
                items.append(address)
        return items

    return get


def _with_fields(record: Mapping[str, Any], path: tuple[str, ...], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not path:
        return fields
    return {**record, path[0]: _with_fields(record.get(path[0], {}), path[1:], fields)}


def _kept(get: Getter, record: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    return to_text(get(record, fields))[:KEPT_TEXT]


def newer(candidate: Row, known: Row, modified_at: int) -> bool:
    """Whether `candidate` should replace `known`, two versions of one record met in one read."""
    one, other = candidate[modified_at], known[modified_at]
    return one is None or other is None or one >= other
