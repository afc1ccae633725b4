"""Conditions of a filter as SOQL.

A condition is said in SOQL only where it lets through every record that ours does ("SOQL and SOSL Reference": text is
compared without case, a comparison with null is never true but for = null and != null). Left out, and so applied before
load: long text areas, multi-select picklists and encrypted fields, which cannot be filtered or not by their whole text;
texts with letters beyond ASCII that have a case, with blanks at an end or with characters that do not print; and what
would make the query too long for a URL.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Final
from urllib.parse import quote

from sync_pipelines.model.filter import (
    AFTER,
    BEFORE,
    CONTAINS,
    GREATER,
    GREATER_OR_EQUAL,
    IN,
    IS_NOT_SET,
    IS_SET,
    LESS,
    LESS_OR_EQUAL,
    NEGATIVE,
    OF_ORDER,
    AllOf,
    AnyOf,
    Filter,
    Leaf,
    Test,
    Value,
    weakened,
)
from sync_pipelines.model.provider import CrmObject
from sync_pipelines.providers.salesforce.soql import moment, sayable, text

FILTERED: Final = frozenset(
    {"string", "picklist", "combobox", "email", "phone", "url", "id", "reference", "boolean", "int", "long", "double"}
    | {"currency", "percent", "date", "datetime"}
)
IDS: Final = frozenset({"id", "reference"})
LONGEST_FILTER: Final = 4_000
"""Characters of an encoded filter in a URL, which has to hold the fields too."""
_SIGNS: Final = {
    GREATER: ">", AFTER: ">", GREATER_OR_EQUAL: ">=", LESS: "<", BEFORE: "<", LESS_OR_EQUAL: "<=",
}  # fmt: skip


def pushed(crm_object: CrmObject, where: Filter) -> Filter | None:
    """See `model.provider.Provider.pushed`."""
    part = weakened(where, _says)
    if part is not None and isinstance(part, AllOf):
        # The longest conditions give way until the rest fits.
        kept = sorted(part.parts, key=lambda one: len(soql_of(one)))
        while kept and not _fits(AllOf(tuple(kept))):
            kept.pop()
        part = weakened(AllOf(tuple(one for one in part.parts if one in kept)), lambda leaf: True)
    return part if part is not None and _fits(part) else None


def _fits(part: Filter) -> bool:
    return len(quote(soql_of(part), safe="")) <= LONGEST_FILTER


def _says(leaf: Leaf) -> bool:
    if not isinstance(leaf, Test) or leaf.field.vendor_type not in FILTERED or not sayable(leaf.field.name):
        return False
    if leaf.operator == CONTAINS and (leaf.field.vendor_type in IDS or "\\" in str(leaf.values[0])):
        return False
    if leaf.field.vendor_type in IDS and leaf.operator not in (IS_SET, IS_NOT_SET):
        return False  # their case matters there, and a short id is the same as a long one
    return all(_says_text(value) for value in leaf.values if isinstance(value, str))


def _says_text(value: str) -> bool:
    return value.isprintable() and value == value.strip() and (value.isascii() or value.lower() == value.upper())


def soql_of(where: Filter) -> str:
    """The condition of a WHERE clause, of Tests that `pushed` let through."""
    if isinstance(where, AllOf | AnyOf):
        word = " AND " if isinstance(where, AllOf) else " OR "
        return f"({word.join(map(soql_of, where.parts))})" if len(where.parts) > 1 else soql_of(where.parts[0])
    assert isinstance(where, Test)
    name, values = where.field.name, where.values
    if where.operator == IS_SET:
        return f"{name} != null"
    if where.operator == IS_NOT_SET:
        return f"{name} = null"
    if where.operator == CONTAINS:
        # % and _ stand for any characters in a LIKE, unless a backslash is before them.
        pattern = text(str(values[0])).replace("%", "\\%").replace("_", "\\_")
        return f"{name} LIKE '%{pattern[1:-1]}%'"
    if where.operator in OF_ORDER:
        return f"{name} {_SIGNS[where.operator]} {_literal(values[0])}"
    if where.operator in NEGATIVE:
        several = f"NOT IN ({', '.join(_literal(value) for value in values)})"
        said = f"{name} {several}" if len(values) > 1 else f"{name} != {_literal(values[0])}"
        return f"({said} OR {name} = null)"
    if len(values) > 1 or where.operator == IN:
        return f"{name} IN ({', '.join(_literal(value) for value in values)})"
    return f"{name} = {_literal(values[0])}"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int | float | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return text(str(value))
