"""Which records of an object a sync wants: conditions on fields, combined with all and any.

A filter as it is written names fields by text. Resolved against an account (engine.filtering) its conditions are Tests:
they hold the account's own field, values of that field's type, and times that do not move any more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from sync_pipelines.model.mapping import FieldRule

if TYPE_CHECKING:
    from sync_pipelines.model.provider import VendorField

EQUALS: Final = "equals"
NOT_EQUALS: Final = "not_equals"
IN: Final = "in"
NOT_IN: Final = "not_in"
CONTAINS: Final = "contains"
GREATER: Final = "greater_than"
GREATER_OR_EQUAL: Final = "greater_or_equal"
LESS: Final = "less_than"
LESS_OR_EQUAL: Final = "less_or_equal"
BEFORE: Final = "before"
AFTER: Final = "after"
IS_SET: Final = "is_set"
IS_NOT_SET: Final = "is_not_set"

WITHOUT_VALUE: Final = frozenset({IS_SET, IS_NOT_SET})
OF_MANY: Final = frozenset({IN, NOT_IN})
OF_TIMES: Final = frozenset({BEFORE, AFTER})
OF_ORDER: Final = frozenset({GREATER, GREATER_OR_EQUAL, LESS, LESS_OR_EQUAL}) | OF_TIMES
NEGATIVE: Final = frozenset({NOT_EQUALS, NOT_IN})

KEEP: Final = "keep"
MARK: Final = "mark"
DELETE: Final = "delete"

LAST_ACTIVITY: Final = "(last activity)"
"""Stands for the field that the provider's common model takes `last_activity_at` from. No vendor's field has brackets
in its name."""


@dataclass(frozen=True)
class Ago:
    """A time that moves on: so long before the read begins."""

    length: timedelta

    def __str__(self) -> str:
        days, rest = divmod(self.length, timedelta(days=1))
        return f"{days} days ago" if not rest else f"{self.length.total_seconds():g} seconds ago"


Value: TypeAlias = str | int | float | Decimal | bool | datetime | date | Ago


@dataclass(frozen=True)
class Condition:
    """A field as somebody wrote its name, an operator of those above, and the values that it takes."""

    field: str
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class Test:
    """A condition on a field of one account. Values: text (small letters), Decimal, bool, aware datetime, or date."""

    __test__ = False

    field: "VendorField"
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class MappedTest:
    """A condition on the value that a customer's rule makes, as its column of `type` holds it. No vendor can apply it.

    `name`: of the custom schema. `fields`: the account's fields that the rule looks at. Values: as of a Test.
    """

    name: str
    type: str
    rule: FieldRule
    fields: "tuple[VendorField, ...]"
    operator: str
    values: tuple[Value, ...] = ()


@dataclass(frozen=True)
class InList:
    """The record is a member of a list of the account: a HubSpot list, a Salesforce campaign. `list`: its id."""

    list: str


@dataclass(frozen=True)
class AllOf:
    parts: "tuple[Filter, ...]"


@dataclass(frozen=True)
class AnyOf:
    parts: "tuple[Filter, ...]"


Leaf: TypeAlias = Condition | Test | MappedTest | InList
Filter: TypeAlias = Leaf | AllOf | AnyOf

CREATED: Final = "created"
MODIFIED: Final = "modified"


@dataclass(frozen=True, kw_only=True)
class History:
    """Which of the records that exist already a first read brings. All that changes from then on comes in any case.

    `since` and `until` bound when a record was created or modified (`on`); `until` is not part of it. `where` is a
    filter for the first read alone. None of them: nothing that exists, only what changes from now on.
    """

    since: Value | None = None
    until: Value | None = None
    on: str = CREATED
    where: Filter | None = None

    @property
    def nothing(self) -> bool:
        return self.since is None and self.until is None and self.where is None


def all_of(*parts: Filter | None) -> Filter | None:
    """What fits all of these; None when none is given."""
    given = tuple(part for part in parts if part is not None)
    return AllOf(given) if len(given) > 1 else given[0] if given else None


def leaves(filter: Filter) -> Iterator[Leaf]:
    """Every condition of a filter, in its order."""
    if isinstance(filter, AllOf | AnyOf):
        for part in filter.parts:
            yield from leaves(part)
    else:
        yield filter


def weakened(filter: Filter, says: Callable[[Leaf], bool]) -> Filter | None:
    """What is left of a filter when only conditions that `says` allows may be used; None for nothing.

    It lets every record through that the filter does, and maybe more.
    """
    if isinstance(filter, AllOf):
        return all_of(*(weakened(part, says) for part in filter.parts))
    if isinstance(filter, AnyOf):
        parts = [weakened(part, says) for part in filter.parts]
        kept = tuple(part for part in parts if part is not None)
        return AnyOf(kept) if len(kept) == len(parts) else None
    return filter if says(filter) else None


def fields_of(filter: Filter) -> "dict[str, VendorField]":
    """The account's fields that a resolved filter looks at, by name."""
    found: dict[str, VendorField] = {}
    for leaf in leaves(filter):
        several = (leaf.field,) if isinstance(leaf, Test) else leaf.fields if isinstance(leaf, MappedTest) else ()
        found.update((field.name, field) for field in several)
    return found


def told(filter: Filter) -> str:
    """The filter for people."""
    if isinstance(filter, AllOf | AnyOf):
        word = " and " if isinstance(filter, AllOf) else " or "
        return word.join(f"({told(part)})" if isinstance(part, AllOf | AnyOf) else told(part) for part in filter.parts)
    if isinstance(filter, InList):
        return f"in list {filter.list}"
    name = _subject(filter)
    operator = filter.operator.replace("_", " ")
    return " ".join([name, operator, *([", ".join(map(_told, filter.values))] if filter.values else [])])


def _subject(leaf: Condition | Test | MappedTest) -> str:
    if isinstance(leaf, MappedTest):
        return leaf.name
    return leaf.field.name if isinstance(leaf, Test) else leaf.field


def _told(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def moves(filter: Filter) -> bool:
    """Whether time alone makes records leave or enter it."""
    return any(
        isinstance(value, Ago) for leaf in leaves(filter) if not isinstance(leaf, InList) for value in leaf.values
    )
