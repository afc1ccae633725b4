"""A filter against one account: its names found among the account's fields, and records judged by it.

Text is compared without regard to the case of letters. A value that does not fit its field's type is as none. A
negative condition (not equals, not in) also fits a record without a value. A bare day is compared with the day of a
date, and begins at midnight UTC for a time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from sync_pipelines.engine.casting import Misfit, to_boolean, to_date, to_numeric, to_text, to_timestamp
from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import NOT_PLAIN, Path, Values, at_path, extract_of
from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.model.common_model import Take
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.filter import (
    AFTER,
    BEFORE,
    CONTAINS,
    GREATER,
    GREATER_OR_EQUAL,
    IS_NOT_SET,
    IS_SET,
    LAST_ACTIVITY,
    LESS,
    LESS_OR_EQUAL,
    NEGATIVE,
    OF_ORDER,
    OF_TIMES,
    Ago,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    InList,
    Leaf,
    Test,
    Value,
    leaves,
)
from sync_pipelines.model.naming import column_name
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField

Mask: TypeAlias = Sequence[bool]
Masks: TypeAlias = Callable[[Sequence[bytes]], Mask]
"""For each of these records' texts whether it fits."""

ORDERED: Final = frozenset({"number", "integer", "timestamp", "date"})
TIMES: Final = frozenset({"timestamp", "date"})
_KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": to_numeric,
    "integer": to_numeric,
    "boolean": to_boolean,
    "timestamp": to_timestamp,
    "date": to_date,
}


def folded(text: str) -> str:
    """The form in which texts are compared."""
    return text.lower()


def resolve(
    filter: Filter, crm_object: CrmObject, schema: ObjectSchema, now: datetime, custom: Sequence[CustomColumn] = ()
) -> Filter:
    """The filter with Tests instead of Conditions, its relative times counted from `now`.

    A name is a field of the custom schema, which the customer has mapped, else a field of the account, whatever its
    case. ConfigurationError for a field that is not there, or that cannot be compared so.
    """
    if isinstance(filter, AllOf | AnyOf):
        parts = tuple(resolve(part, crm_object, schema, now, custom) for part in filter.parts)
        if len(parts) == 1:
            return parts[0]
        return AllOf(parts) if isinstance(filter, AllOf) else AnyOf(parts)
    if not isinstance(filter, Condition):
        return filter
    field = _field(filter.field, crm_object, schema, custom)
    kind = "text" if field.type == "json" else field.type
    if filter.operator in OF_ORDER and kind not in (TIMES if filter.operator in OF_TIMES else ORDERED):
        wanted = "dates and times" if filter.operator in OF_TIMES else "numbers, dates and times"
        raise ConfigurationError(
            f"The filter asks for {field.name} {filter.operator.replace('_', ' ')} ..., which is for {wanted}, but the "
            f"field is a {field.vendor_type or field.type}: use another operator or another field."
        )
    if filter.operator == CONTAINS and kind != "text":
        raise ConfigurationError(
            f"The filter asks whether {field.name} contains a text, but the field is a {field.vendor_type or kind}: "
            "use another operator."
        )
    return Test(field, filter.operator, tuple(_value(value, kind, field, now) for value in filter.values))


def source_of(name: str, custom: Sequence[CustomColumn]) -> str | None:
    """The field of the account that a customer has mapped onto a field of the custom schema of this name."""
    return next((item.rule.sources[0] for item in custom if item.column == column_name(name) and item.rule), None)


def _field(name: str, crm_object: CrmObject, schema: ObjectSchema, custom: Sequence[CustomColumn]) -> VendorField:
    wanted = name
    if name == LAST_ACTIVITY:
        rule = crm_object.common.get("last_activity_at")
        if not isinstance(rule, Take):
            raise ConfigurationError(
                f"Nothing says which field of {crm_object.name} tells the last activity: add `field:` to the "
                "`activity:` of the filter."
            )
        wanted = rule.field
    wanted = source_of(name, custom) or wanted
    for field in schema.fields:
        if field.name.casefold() == wanted.casefold():
            return field
    raise ConfigurationError(
        f"The filter of {crm_object.name} asks for the field {wanted}, which this account does not have or does not "
        "show: give the permission, or write another field (for one customer in `overrides`)."
    )


def _value(value: Value, kind: str, field: VendorField, now: datetime) -> Value:
    if isinstance(value, Ago):
        value = now - value.length
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).replace(
            microsecond=value.microsecond // 1000 * 1000
        )
    if kind == "text":
        return folded(value.isoformat() if isinstance(value, date) else to_text(value))
    if kind == "date" and isinstance(value, date):
        return value.astimezone(UTC).date() if isinstance(value, datetime) else value
    if kind == "timestamp" and isinstance(value, date):
        return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        found: Value | None = _KINDS[kind](Decimal(str(value)) if isinstance(value, float) else value)
    except Misfit as misfit:
        raise ConfigurationError(f"The filter compares {field.name} with {value!r}, which {misfit}.") from misfit
    if found is None:
        raise ConfigurationError(f"The filter compares {field.name} with nothing: use is_set or is_not_set.")
    return found


def masks(filter: Filter, shape: RecordShape, members: Mapping[str, Collection[str]]) -> Masks:
    """A function that judges records by a resolved filter. `members`: the ids in each list that it names.

    A text that is no record fits: whoever reads its key refuses it.
    """
    places: dict[Path, int] = {}
    for leaf in leaves(filter):
        places.setdefault(_path(leaf, shape), len(places))
    paths = tuple(places)
    extract = extract_of(paths)
    judge = _judge(filter, shape, places, members)

    def mask(texts: Sequence[bytes]) -> Mask:
        if not texts:
            return []
        if extract is not None:
            try:
                return judge(list(zip(*map(extract, texts), strict=True)))
            except NOT_PLAIN:
                pass  # one of them; all are read with care below
        rows = [_with_care(text, paths) for text in texts]
        found = judge(list(zip(*(row or (None,) * len(paths) for row in rows), strict=True)))
        return [row is None or fits for row, fits in zip(rows, found, strict=True)]

    return mask


def _path(leaf: Leaf, shape: RecordShape) -> Path:
    return (*shape.fields, leaf.field.name) if isinstance(leaf, Test) else shape.id


def _with_care(text: bytes, paths: tuple[Path, ...]) -> Values | None:
    try:
        record, _, _ = decode_record(text)
    except NotARecord:
        return None
    return tuple(at_path(record, path) for path in paths)


def _judge(
    filter: Filter, shape: RecordShape, places: Mapping[Path, int], members: Mapping[str, Collection[str]]
) -> Callable[[Sequence[Sequence[Any]]], Mask]:
    """Columns of values -> whether each row fits."""
    if isinstance(filter, AllOf | AnyOf):
        judges = [_judge(part, shape, places, members) for part in filter.parts]
        together = all if isinstance(filter, AllOf) else any
        return lambda columns: [together(row) for row in zip(*(judge(columns) for judge in judges), strict=True)]
    place = places[_path(filter, shape)]
    if isinstance(filter, InList):
        ids = members.get(filter.list, frozenset())
        return lambda columns: [to_text(value) in ids for value in columns[place]]
    assert isinstance(filter, Test)
    fits = _fitting(filter)
    return lambda columns: [fits(value) for value in columns[place]]


def _fitting(test: Test) -> Callable[[Any], bool]:
    if test.operator == IS_SET:
        return _has_value
    if test.operator == IS_NOT_SET:
        return lambda value: not _has_value(value)
    kind, negative = _kind_of(test.field), test.operator in NEGATIVE
    wanted = frozenset(test.values)
    if test.operator == CONTAINS:
        part = str(test.values[0])
        return lambda value: _has_value(value) and part in folded(to_text(value))
    if test.operator in OF_ORDER:
        compare = _ORDERS[test.operator]
        bound = test.values[0]

        def in_order(value: Any) -> bool:
            found = kind(value)
            return found is not None and compare(found, bound)

        return in_order

    def among(value: Any) -> bool:
        found = kind(value)
        return (found is not None and found in wanted) is not negative

    return among


_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    GREATER: lambda value, bound: value > bound,
    AFTER: lambda value, bound: value > bound,
    GREATER_OR_EQUAL: lambda value, bound: value >= bound,
    LESS: lambda value, bound: value < bound,
    BEFORE: lambda value, bound: value < bound,
    LESS_OR_EQUAL: lambda value, bound: value <= bound,
}


def _has_value(value: Any) -> bool:
    return value is not None and value != ""


def _kind_of(field: VendorField) -> Callable[[Any], Any]:
    """A value as its field's type, None where there is none or it does not fit."""
    cast = _KINDS.get(field.type)
    if cast is None:
        return lambda value: None if value is None else folded(to_text(value))

    def of_kind(value: Any) -> Any:
        if value is None or value == "":
            return None
        try:
            return cast(value)
        except Misfit:
            return None

    return of_kind
