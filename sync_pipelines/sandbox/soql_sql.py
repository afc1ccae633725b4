"""SOQL conditions as SQL over the stored records."""

import re
from dataclasses import dataclass, field
from typing import Any

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.clock import salesforce_iso
from sync_pipelines.sandbox.ids import checksum
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.soql import (
    Among,
    Both,
    Compare,
    Condition,
    Day,
    Either,
    Literal,
    Moment,
    Not,
    Query,
    SoqlError,
)

NUMERIC = frozenset(("currency", "double", "percent", "int", "long"))
_MODIFIED = ("SystemModstamp", "LastModifiedDate")
_HIGHEST = 1 << 62
_PLAIN = NUMERIC | {"boolean", "date", "datetime"}
_UNFILTERABLE = frozenset(("textarea", "address", "base64"))


@dataclass
class Sql:
    """`rest` goes on after "WHERE tbl = ?"."""

    rest: str = ""
    parameters: list[Any] = field(default_factory=list)


def to_sql(account: Account, spec: ObjectSpec, query: Query, *, deleted_too: bool) -> Sql:
    """The rows that a query selects, ordered. SoqlError for fields that are not there or values that do not fit."""
    sql = Sql()
    writer = _Writer(account, spec)
    low = _lowest_modified(query.where, spec)
    if low is not None:
        sql.rest += " AND modified >= ?"
        sql.parameters.append(low)
    if not deleted_too:
        sql.rest += " AND +deleted = 0" if low is not None else " AND deleted = 0"
    if query.where is not None:
        sql.rest += f" AND {writer.condition(query.where)}"
        sql.parameters += writer.parameters
    if not query.count:
        sql.rest += " ORDER BY " + ", ".join([*writer.order(query), "key"])
        if query.limit is not None or query.offset:
            sql.rest += " LIMIT ? OFFSET ?"
            limit = -1 if query.limit is None else query.limit
            sql.parameters += [*writer.order_parameters, limit, query.offset]
        else:
            sql.parameters += writer.order_parameters
    return sql


def pattern_of(written: str) -> str:
    """A LIKE's text as SQLite takes it: \\% and \\_ are themselves, any other backslash is one."""
    return re.sub(r"\\([%_])|(\\)", lambda found: found[0] if found[1] else "\\\\", written)


def field_of(spec: ObjectSpec, name: str) -> FieldSpec:
    """The field by its name without case. SoqlError INVALID_FIELD in the vendor's words."""
    found = spec.find(name)
    if found is None:
        raise SoqlError(
            f"No such column '{name}' on entity '{spec.name}'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
            "appropriate names.",
            "INVALID_FIELD",
        )
    return found


def _lowest_modified(condition: Condition | None, spec: ObjectSpec) -> int | None:
    """A bound that every matching row is above, so that the index can be used; None when there is none."""
    if isinstance(condition, Compare) and isinstance(condition.value, Moment):
        found = spec.find(condition.field)
        if found is not None and found.name in _MODIFIED and condition.operator in ("=", ">", ">="):
            return condition.value.ms
    if isinstance(condition, Both):
        bounds = [bound for part in condition.conditions if (bound := _lowest_modified(part, spec)) is not None]
        return max(bounds, default=None)
    if isinstance(condition, Either):
        every = [_lowest_modified(part, spec) for part in condition.conditions]
        return None if None in every else min(bound for bound in every if bound is not None)
    return None


class _Writer:
    def __init__(self, account: Account, spec: ObjectSpec) -> None:
        self._account = account
        self._spec = spec
        self.parameters: list[Any] = []
        self.order_parameters: list[Any] = []

    def condition(self, condition: Condition) -> str:
        if isinstance(condition, Both):
            return "(" + " AND ".join(self.condition(part) for part in condition.conditions) + ")"
        if isinstance(condition, Either):
            return "(" + " OR ".join(self.condition(part) for part in condition.conditions) + ")"
        if isinstance(condition, Not):
            return f"NOT COALESCE({self.condition(condition.condition)}, 0)"
        if isinstance(condition, Among):
            parts = [self._compare(Compare(condition.field, "=", value)) for value in condition.values]
            inside = "(" + " OR ".join(parts) + ")"
            return f"NOT COALESCE({inside}, 0)" if condition.negated else inside
        return self._compare(condition)

    def order(self, query: Query) -> list[str]:
        terms = []
        for order in query.order:
            spec = field_of(self._spec, order.field)
            if spec.type in _UNFILTERABLE:
                raise SoqlError(f"field '{spec.name}' can not be sorted in a query call", "INVALID_FIELD")
            before = len(self.parameters)
            column = self._column(spec)
            self.order_parameters += self.parameters[before:]
            del self.parameters[before:]
            collate = "" if spec.type in NUMERIC or "json" not in column else " COLLATE NOCASE"
            direction = " DESC" if order.descending else ""
            nulls = (
                ""
                if column in ("key", "modified", "created")
                else " NULLS LAST"
                if order.nulls_last
                else " NULLS FIRST"
            )
            terms.append(f"{column}{collate}{direction}{nulls}")
        return terms

    def _compare(self, compare: Compare) -> str:
        spec = field_of(self._spec, compare.field)
        if spec.type in _UNFILTERABLE:
            raise SoqlError(f"field '{spec.name}' can not be filtered in a query call", "INVALID_FIELD")
        if spec.type == "id":
            return self._compare_id(compare)
        value = self._fitting(spec, compare.value)
        column = self._column(spec)
        if value is None:
            if compare.operator not in ("=", "!="):
                raise SoqlError(f"unexpected token: 'null' after {compare.operator}")
            return f"{column} IS {'NOT ' if compare.operator == '!=' else ''}NULL"
        if compare.operator == "LIKE":
            self.parameters.append(pattern_of(str(value)))
            return f"{column} LIKE ? ESCAPE '\\'"
        self.parameters.append(value)
        collate = " COLLATE NOCASE" if isinstance(value, str) else ""
        if compare.operator == "!=":
            return f"{column} IS NOT ?{collate}"
        return f"{column} {compare.operator} ?{collate}"

    def _compare_id(self, compare: Compare) -> str:
        if not isinstance(compare.value, str):
            raise SoqlError("invalid ID field: null", "INVALID_QUERY_FILTER_OPERATOR")
        key = self._account.key(self._spec, compare.value)
        if key is None:
            key = self._key_beside(compare.value)
        if compare.operator == "LIKE":
            raise SoqlError("invalid operator on id field", "INVALID_QUERY_FILTER_OPERATOR")
        self.parameters.append(key)
        return f"key {compare.operator} ?"

    def _key_beside(self, text: str) -> int:
        """An id of another object: every key lies on one side of it."""
        if text and len(text) not in (15, 18):
            raise SoqlError(f"invalid ID field: {text}", "INVALID_QUERY_FILTER_OPERATOR")
        own = self._account.record_id(self._spec, 0)
        return -1 if text < own else _HIGHEST

    def _column(self, spec: FieldSpec) -> str:
        if spec.name == "Id":
            return "key"
        if spec.name in _MODIFIED:
            return "modified"
        if spec.name == "CreatedDate":
            return "created"
        if spec.name == "IsDeleted":
            return "+deleted"
        self.parameters.append(f'$."{spec.name}"')
        # An empty text is no value.
        return "json_extract(body, ?)" if spec.type in _PLAIN else "NULLIF(json_extract(body, ?), '')"

    def _fitting(self, spec: FieldSpec, value: Literal) -> Any:
        """The literal as the column holds it. SoqlError when it is of another type than the field."""
        if value is None:
            return None
        if spec.type == "datetime" and isinstance(value, Moment):
            return value.ms if spec.name in (*_MODIFIED, "CreatedDate") else salesforce_iso(value.ms)
        if spec.type == "date" and isinstance(value, Day):
            return value.text
        if spec.type == "boolean" and isinstance(value, bool):
            return int(value)
        if spec.type in NUMERIC and isinstance(value, int | float) and not isinstance(value, bool):
            return value if abs(value) < _HIGHEST else float(value)
        textual = spec.type not in ("datetime", "date", "boolean") and spec.type not in NUMERIC
        if textual and isinstance(value, str):
            if spec.type == "reference":
                return self._full_id(value)
            return value
        expected = {"datetime": "dateTime", "int": "integer"}.get(spec.type, spec.type if not textual else "string")
        raise SoqlError(
            f"value of filter criterion for field '{spec.name}' must be of type {expected} and "
            + ("should be enclosed in quotes" if textual else "should not be enclosed in quotes"),
            "INVALID_FIELD",
        )

    def _full_id(self, text: str) -> str:
        return text + checksum(text) if len(text) == 15 else text
