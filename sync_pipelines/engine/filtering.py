"""A filter against one account: its names found among the account's fields, and records judged by it.

A name of the custom schema means what the customer's column holds. Where that is the vendor's own value, the vendor's
field is compared (a Test); where a rule makes something of it or the column has another type, the value is made first,
as for the table (a MappedTest).

Text is compared without regard to the case of letters. A value that does not fit its field's type is as none. A
negative condition (not equals, not in) also fits a record without a value. A bare day is compared with the day of a
date, and begins at midnight UTC for a time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from sync_pipelines.engine.casting import CASTS, Misfit, to_boolean, to_date, to_numeric, to_text, to_timestamp
from sync_pipelines.engine.cleaning import NotARecord, decode_record, is_suspect
from sync_pipelines.engine.extracting import NOT_PLAIN, Path, Values, at_path, extract_of
from sync_pipelines.engine.layout import AccountFields
from sync_pipelines.engine.mapping import ColumnPlan, CustomColumn, made_column
from sync_pipelines.engine.rules import makes_something, ruled_source
from sync_pipelines.engine.transforms.bounds import MOST_WORK_OF_RECORD
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
    MappedTest,
    Test,
    Value,
    leaves,
)
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.naming import column_name
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines.model.secret import Secret

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

_KIND_OF_COLUMN: Final = {
    "text": "text",
    "numeric": "number",
    "bigint": "integer",
    "boolean": "boolean",
    "timestamptz": "timestamp",
    "date": "date",
    "jsonb": "text",
}
LOSSLESS: Final = frozenset({"text", "jsonb"})
"""Columns of these types hold any vendor's value as it is."""
_SAME: Final[Mapping[str, frozenset[str]]] = {
    "numeric": frozenset({"number", "integer"}),
    "bigint": frozenset({"integer"}),
    "boolean": frozenset({"boolean"}),
    "timestamptz": frozenset({"timestamp"}),
    "date": frozenset({"date"}),
}
"""Column type -> types of vendors' fields of which it holds every value as it is."""


def folded(text: str) -> str:
    """The form in which texts are compared."""
    return text.lower()


def resolve(
    filter: Filter, crm_object: CrmObject, schema: ObjectSchema, now: datetime, custom: Sequence[CustomColumn] = ()
) -> Filter:
    """The filter with Tests and MappedTests instead of Conditions, its relative times counted from `now`.

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
    item = ruled_column(filter.field, custom)
    if item is not None and (mapped := _mapped(filter, *item, crm_object, schema, now)) is not None:
        return mapped
    field = _field(item[1].sources[0] if item else filter.field, crm_object, schema)
    kind = "text" if field.type == "json" else field.type
    _refuse_unfit(filter, field.name, kind, field.vendor_type or field.type)
    return Test(field, filter.operator, tuple(_value(value, kind, field.name, now) for value in filter.values))


def _mapped(
    filter: Condition, column: CustomColumn, rule: FieldRule, crm_object: CrmObject, schema: ObjectSchema, now: datetime
) -> MappedTest | None:
    """None where the column holds the vendor's value as it is."""
    account = AccountFields(schema)
    found = {source: account.find(source) for source in rule.sources}
    if missing := [source for source, field in found.items() if field is None]:
        raise _not_there(missing[0], crm_object)
    fields = tuple(dict.fromkeys(field for field in found.values() if field is not None))
    as_it_is = not makes_something(rule) and account.is_field(rule.sources[0])
    if as_it_is and (column.type in LOSSLESS or fields[0].type in _SAME[column.type]):
        return None
    kind = _KIND_OF_COLUMN[column.type]
    _refuse_unfit(filter, filter.field, kind, column.type)
    values = tuple(_value(value, kind, filter.field, now) for value in filter.values)
    return MappedTest(filter.field, column.type, account.spelled(rule), fields, filter.operator, values)


def _refuse_unfit(filter: Condition, name: str, kind: str, told_type: str) -> None:
    if filter.operator in OF_ORDER and kind not in (TIMES if filter.operator in OF_TIMES else ORDERED):
        wanted = "dates and times" if filter.operator in OF_TIMES else "numbers, dates and times"
        raise ConfigurationError(
            f"The filter asks for {name} {filter.operator.replace('_', ' ')} ..., which is for {wanted}, but the "
            f"field is a {told_type}: use another operator or another field."
        )
    if filter.operator == CONTAINS and kind != "text":
        raise ConfigurationError(
            f"The filter asks whether {name} contains a text, but the field is a {told_type}: use another operator."
        )


def ruled_column(name: str, custom: Sequence[CustomColumn]) -> tuple[CustomColumn, FieldRule] | None:
    """The column of the custom schema's field of this name, and its rule; None where there is none or no rule."""
    if name == LAST_ACTIVITY:
        return None
    return next(((item, item.rule) for item in custom if item.column == column_name(name) and item.rule), None)


def _field(name: str, crm_object: CrmObject, schema: ObjectSchema) -> VendorField:
    wanted = name
    if name == LAST_ACTIVITY:
        rule = crm_object.common.get("last_activity_at")
        if not isinstance(rule, Take):
            raise ConfigurationError(
                f"Nothing says which field of {crm_object.name} tells the last activity: add `field:` to the "
                "`activity:` of the filter."
            )
        wanted = rule.field
    for field in schema.fields:
        if field.name.casefold() == wanted.casefold():
            return field
    raise _not_there(wanted, crm_object)


def _not_there(wanted: str, crm_object: CrmObject) -> ConfigurationError:
    return ConfigurationError(
        f"The filter of {crm_object.name} asks for the field {wanted}, which this account does not have or does not "
        "show: give the permission, or write another field (for one customer in `overrides`)."
    )


def _value(value: Value, kind: str, name: str, now: datetime) -> Value:
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
        raise ConfigurationError(f"The filter compares {name} with {value!r}, which {misfit}.") from misfit
    if found is None:
        raise ConfigurationError(f"The filter compares {name} with nothing: use is_set or is_not_set.")
    return found


def masks(
    filter: Filter, shape: RecordShape, members: Mapping[str, Collection[str]], hash_key: Secret | None = None
) -> Masks:
    """A function that judges records by a resolved filter. `members`: the ids in each list that it names.

    A text that is no record fits: whoever reads its key refuses it. `hash_key`: of the transform `hash`.
    """
    maps = any(isinstance(leaf, MappedTest) for leaf in leaves(filter))
    judging = _Judging(shape, members, hash_key)
    judge, paths = judging.judge(filter), tuple(judging.places)
    extract = extract_of(paths)

    def mask(texts: Sequence[bytes]) -> Mask:
        if not texts:
            return []
        # What is mapped is made of cleaned records, as for the table.
        if extract is not None and not (maps and any(map(is_suspect, texts))):
            try:
                return judge(list(zip(*map(extract, texts), strict=True)))
            except NOT_PLAIN:
                pass  # one of them; all are read with care below
        rows = [_with_care(text, paths) for text in texts]
        found = judge(list(zip(*(row or (None,) * len(paths) for row in rows), strict=True)))
        return [row is None or fits for row, fits in zip(rows, found, strict=True)]

    return mask


def _with_care(text: bytes, paths: tuple[Path, ...]) -> Values | None:
    try:
        record, _, _ = decode_record(text)
    except NotARecord:
        return None
    return tuple(at_path(record, path) for path in paths)


class _Judging:
    """How one filter judges columns of values. `places`: of each path that it looks at, which column."""

    def __init__(self, shape: RecordShape, members: Mapping[str, Collection[str]], hash_key: Secret | None) -> None:
        self._shape = shape
        self._members = members
        self._hash_key = hash_key
        self.places: dict[Path, int] = {}

    def judge(self, filter: Filter) -> Callable[[Sequence[Sequence[Any]]], Mask]:
        """Columns of values -> whether each row fits."""
        if isinstance(filter, AllOf | AnyOf):
            judges = [self.judge(part) for part in filter.parts]
            together = all if isinstance(filter, AllOf) else any
            return lambda columns: [together(row) for row in zip(*(judge(columns) for judge in judges), strict=True)]
        return self._of_leaf(filter)

    def _of_leaf(self, leaf: Leaf) -> Callable[[Sequence[Sequence[Any]]], Mask]:
        if isinstance(leaf, MappedTest):
            make, decides = self.maker(leaf), _fitting(leaf.operator, leaf.values, _own_kind(leaf))
            return lambda columns: [decides(value) for value in make(columns)]
        if isinstance(leaf, InList):
            place, ids = self._place(self._shape.id), self._members.get(leaf.list, frozenset())
            return lambda columns: [to_text(value) in ids for value in columns[place]]
        assert isinstance(leaf, Test)
        at = self._place((*self._shape.fields, leaf.field.name))
        fits = _fitting(leaf.operator, leaf.values, _kind_of(leaf.field))
        return lambda columns: [fits(value) for value in columns[at]]

    def maker(self, leaf: MappedTest) -> Callable[[Sequence[Sequence[Any]]], Sequence[Any]]:
        """Columns of values -> what the mapped column holds. JSON is compared as its text."""
        known = frozenset(field.name for field in leaf.fields)
        source = ruled_source(leaf.rule, self._shape, known, self._hash_key)
        cast = CASTS["text" if leaf.type == "jsonb" else leaf.type]
        plan = ColumnPlan(leaf.name, source, tuple(map(self._place, source.paths)), cast)
        return lambda columns: made_column(plan, columns, {}, [MOST_WORK_OF_RECORD] * len(columns[0]))

    def _place(self, path: Path) -> int:
        return self.places.setdefault(path, len(self.places))


def compared(leaf: Test | MappedTest, shape: RecordShape, hash_key: Secret | None) -> Callable[[Any], Any]:
    """A function from a decoded record to the value that the condition looks at."""
    if isinstance(leaf, Test):
        return lambda record: at_path(record, (*shape.fields, leaf.field.name))
    judging = _Judging(shape, {}, hash_key)
    make = judging.maker(leaf)
    return lambda record: make([[at_path(record, path)] for path in judging.places])[0]


def _fitting(operator: str, values: Sequence[Value], kind: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """`kind`: a value in the form in which it is compared, None where it is none."""
    if operator == IS_SET:
        return _has_value
    if operator == IS_NOT_SET:
        return lambda value: not _has_value(value)
    if operator == CONTAINS:
        part = str(values[0])
        return lambda value: _has_value(value) and part in folded(to_text(value))
    if operator in OF_ORDER:
        compare, bound = _ORDERS[operator], values[0]

        def in_order(value: Any) -> bool:
            found = kind(value)
            return found is not None and compare(found, bound)

        return in_order
    negative, wanted = operator in NEGATIVE, frozenset(values)

    def among(value: Any) -> bool:
        found = kind(value)
        return (found is not None and found in wanted) is not negative

    return among


def _own_kind(leaf: MappedTest) -> Callable[[Any], Any]:
    """What a mapped column holds is of its type already."""
    if _KIND_OF_COLUMN[leaf.type] == "text":
        return lambda value: None if value is None else folded(value)
    return lambda value: value


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
