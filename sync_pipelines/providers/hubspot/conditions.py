"""Conditions of a filter as the filter groups of HubSpot's search.

Values are compared without case, but for enumerations, and IN and NOT_IN on texts take small letters (guide "Search the
CRM", March 2026, with its limits). Whether NEQ and NOT_IN show records without a value the guide does not say, so that
is asked for beside them. Left out, and so applied before load: substrings, as CONTAINS_TOKEN looks for whole words;
negative conditions on enumerations, which may hold several values; types other than those below, whose values the
index keeps in another form; and what would make more groups or filters than a search takes.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from typing import Any, Final, TypeAlias

import msgspec

from sync_pipelines.model.filter import (
    AFTER,
    BEFORE,
    CONTAINS,
    EQUALS,
    GREATER,
    GREATER_OR_EQUAL,
    IS_NOT_SET,
    IS_SET,
    LESS,
    LESS_OR_EQUAL,
    NEGATIVE,
    NOT_EQUALS,
    OF_ORDER,
    AllOf,
    AnyOf,
    Filter,
    Leaf,
    Test,
    Value,
    all_of,
    weakened,
)
from sync_pipelines.model.provider import CrmObject, VendorField
from sync_pipelines.providers.hubspot.describing import OWNERS

Filters: TypeAlias = tuple[Mapping[str, Any], ...]
Groups: TypeAlias = Sequence[Filters]
"""One of these groups has to fit, and every filter in it."""

SEARCHED: Final = frozenset({"string", "enumeration", "number", "bool", "date", "datetime"})
MOST_GROUPS: Final = 5
MOST_IN_GROUP: Final = 6
MOST_FILTERS: Final = 18
LONGEST_FILTER: Final = 2_000
"""Characters. The guide names 3,000 as the most of a search, whose other parts need some."""
OF_A_READ: Final = 3
"""Filters that a read itself adds to each group: two for its window, one for where it goes on."""
MOST_VALUES: Final = 100
_SIGNS: Final = {
    GREATER: "GT", AFTER: "GT", GREATER_OR_EQUAL: "GTE", LESS: "LT", BEFORE: "LT", LESS_OR_EQUAL: "LTE",
}  # fmt: skip


def pushed(crm_object: CrmObject, where: Filter) -> Filter | None:
    """See `model.provider.Provider.pushed`."""
    if crm_object.name == OWNERS:
        return None
    part = weakened(where, _says)
    parts = list(part.parts) if isinstance(part, AllOf) else [] if part is None else [part]
    # Conditions with the most alternatives give way until the rest fits.
    kept = sorted(parts, key=lambda one: len(groups_of(one)))
    while kept and not _fit(groups_of(AllOf(tuple(kept)))):
        kept.pop()
    return all_of(*(one for one in parts if one in kept))


def _fit(groups: Groups) -> bool:
    sizes = [len(group) + OF_A_READ for group in groups]
    few = len(groups) <= MOST_GROUPS and max(sizes) <= MOST_IN_GROUP and sum(sizes) <= MOST_FILTERS
    return few and len(msgspec.json.encode(groups)) <= LONGEST_FILTER


def _says(leaf: Leaf) -> bool:
    if not isinstance(leaf, Test) or leaf.field.vendor_type not in SEARCHED or leaf.operator == CONTAINS:
        return False
    if len(leaf.values) > MOST_VALUES:
        return False
    if leaf.field.vendor_type == "enumeration" and leaf.operator not in (IS_SET, IS_NOT_SET):
        return leaf.operator not in NEGATIVE and all(_says_choice(str(value), leaf.field) for value in leaf.values)
    return all(_says_text(value) for value in leaf.values if isinstance(value, str))


def _says_choice(value: str, field: VendorField) -> bool:
    caseless = value.lower() == value.upper()
    return ";" not in value and (caseless or bool(_choices(value, field)))


def _choices(value: str, field: VendorField) -> list[str]:
    """The choices that a value stands for, in their own case."""
    return [choice for choice in field.choices if choice.lower() == value]


def _says_text(value: str) -> bool:
    return value.isprintable() and value == value.strip() and (value.isascii() or value.lower() == value.upper())


def groups_of(where: Filter) -> Groups:
    """The groups of Tests that `pushed` let through."""
    if isinstance(where, AnyOf):
        return [group for part in where.parts for group in groups_of(part)]
    if isinstance(where, AllOf):
        return [sum(chosen, ()) for chosen in product(*map(groups_of, where.parts))]
    assert isinstance(where, Test)
    name = where.field.name
    if where.operator in (IS_SET, IS_NOT_SET):
        return [(_without_value(name, "HAS_PROPERTY" if where.operator == IS_SET else "NOT_HAS_PROPERTY"),)]
    if where.operator in OF_ORDER:
        return [(_compared(name, _SIGNS[where.operator], where.values[0]),)]
    written = [choice for value in where.values for choice in _written(value, where.field)]
    several = len(written) > 1 or where.operator not in (EQUALS, NOT_EQUALS)
    if where.operator in NEGATIVE:
        said = _among(name, "NOT_IN", written) if several else _compared(name, "NEQ", written[0])
        return [(said,), (_without_value(name, "NOT_HAS_PROPERTY"),)]
    return [(_among(name, "IN", written) if several else _compared(name, "EQ", written[0]),)]


def _written(value: Value, field: VendorField) -> list[str]:
    if field.vendor_type == "enumeration":
        return _choices(str(value), field) or [str(value)]
    return [_text_of(value)]


def _text_of(value: Value) -> str:
    """As a search takes it: times and days as milliseconds."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str(int(value.timestamp() * 1000))
    if isinstance(value, date):
        return str(int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000))
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _compared(name: str, operator: str, value: Value) -> Mapping[str, Any]:
    return {"propertyName": name, "operator": operator, "value": _text_of(value)}


def _among(name: str, operator: str, values: Sequence[str]) -> Mapping[str, Any]:
    return {"propertyName": name, "operator": operator, "values": list(values)}


def _without_value(name: str, operator: str) -> Mapping[str, Any]:
    return {"propertyName": name, "operator": operator}
