"""HubSpot: search, with its filters, its cap of 10,000 and its lagging index."""

from array import array
from collections import OrderedDict
from typing import Any

from sync_pipelines.sandbox.clock import day, iso, parse
from sync_pipelines.sandbox.exchange import Answer, Call, Route
from sync_pipelines.sandbox.hubspot_errors import invalid
from sync_pipelines.sandbox.hubspot_objects import FAMILIES
from sync_pipelines.sandbox.hubspot_render import body_of, render, results, shown, spoiled, wanted
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.storage import NUMBER_MASK

PAGE = 10
LARGEST_PAGE = 200
CAP = 10_000
MANY = 50_000
"""Above so many matches it is quicker to go through the records in the order of ids."""
KEPT_SEARCHES = 200
HIGHEST = 1 << 60
MOST_GROUPS, MOST_FILTERS_IN_GROUP, MOST_FILTERS = 5, 6, 18
LONGEST_QUERY = 3000
_SEARCHED = ("firstname", "lastname", "email", "phone", "company", "name", "domain", "dealname", "subject")
_SIGNS = {"EQ": "=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_CUTOFF = (
    f"Paging through more than {CAP} results is not supported: narrow the filters. "
    "The sum of after and limit must not be greater"
)


def search(call: Call) -> Answer:
    spec = wanted(call)
    body: dict[str, Any] = body_of(call)
    limit = _number(call, body, "limit", PAGE)
    if not 1 <= limit <= LARGEST_PAGE:
        raise invalid(call, f"limit must be from 1 to {LARGEST_PAGE}, not {limit}")
    start = _number(call, body, "after", 0)
    if start + limit > CAP:
        raise invalid(call, _CUTOFF)
    short = call.fault("short_pages", spec.name)
    if short is not None:
        limit = min(limit, int(short.options.get("size", 1)))
    total, keys = _found(call, spec, body)
    rows = call.world.storage.many(keys[start : start + limit].tolist())
    records = render(call, spec, rows, shown(spec, body.get("properties") or []), url=False)
    paging = None
    if start + len(rows) < total:
        following = start if call.fault("repeated_page_token", spec.name) else start + len(rows)
        paging = {"after": str(following)}
    return Answer(200, results(spoiled(call, spec, records), paging, total))


def _found(call: Call, spec: ObjectSpec, body: dict[str, Any]) -> tuple[int, "array[int]"]:
    """How many records fit, and the first of them up to the cap. Kept for the next page while nothing is written."""
    writer = _Filters(call, spec)
    where = writer.where(body)
    order = _order(call, spec, body)
    storage, tbl = call.world.storage, call.own.tables[spec.name]
    question = (tbl, where, order, *writer.parameters)
    kept: OrderedDict[Any, Any] = call.world.sessions.setdefault("searches", OrderedDict())
    version, total, keys = kept.get(question, (None, 0, None))
    if version != storage.version or keys is None:
        total = storage.count(tbl, where, writer.parameters)
        few = "modified" in where and total <= MANY
        index = "records_by_modified" if few else "records_by_state"
        keys = storage.keys(tbl, f"{where} ORDER BY {order} LIMIT {CAP}", writer.parameters, index)
        kept[question] = (storage.version, total, keys)
        if len(kept) > KEPT_SEARCHES:
            kept.popitem(last=False)
    return total, keys


def _number(call: Call, body: dict[str, Any], name: str, otherwise: int) -> int:
    value = body.get(name)
    if value in (None, ""):
        return otherwise
    text = str(value)
    if not text.isdigit():
        raise invalid(call, f"{name} must be a number, not {text!r}")
    return int(text)


def _order(call: Call, spec: ObjectSpec, body: dict[str, Any]) -> str:
    sorts = body.get("sorts") or []
    if len(sorts) > 1:
        raise invalid(call, "Only one sort is allowed")
    terms = []
    for sort in sorts:
        name, descending = _sort(sort)
        field = _known(call, spec, name)
        terms.append(f"{_sql_column(spec, field)}{' DESC' if descending else ''}")
    return ", ".join([*terms, "created", "key"] if not terms else [*terms, "key"])


def _sort(sort: Any) -> tuple[str, bool]:
    """{propertyName, direction} or the short text form with a minus in front."""
    if isinstance(sort, dict):
        return str(sort.get("propertyName", "")), str(sort.get("direction", "")).upper().startswith("DESC")
    text = str(sort)
    return text.removeprefix("-"), text.startswith("-")


def _known(call: Call, spec: ObjectSpec, name: str) -> FieldSpec:
    field = spec.fields.get(name)
    if field is None or not field.served:
        raise invalid(
            call,
            "There was a problem with the request.",
            errors=[{"message": f"Property {name!r} does not exist", "code": "PROPERTY_DOESNT_EXIST"}],
        )
    return field


def _sql_column(spec: ObjectSpec, field: FieldSpec) -> str:
    if field.name == "hs_object_id":
        return "key"
    if field.name == spec.modified_field:
        return "modified"
    if field.name == spec.created_field:
        return "created"
    path = field.name.replace("'", "''")
    column = f"json_extract(body, '$.\"{path}\"')"
    return f"CAST(NULLIF({column}, '') AS REAL)" if field.type == "number" else column


class _Filters:
    """Filter groups as SQL."""

    def __init__(self, call: Call, spec: ObjectSpec) -> None:
        self._call = call
        self._spec = spec
        self.parameters: list[Any] = []

    def where(self, body: dict[str, Any]) -> str:
        groups = body.get("filterGroups") or []
        if not groups and body.get("filters"):
            groups = [{"filters": body["filters"]}]
        sizes = [len(group.get("filters") or []) for group in groups]
        if len(groups) > MOST_GROUPS or max(sizes, default=0) > MOST_FILTERS_IN_GROUP or sum(sizes) > MOST_FILTERS:
            raise invalid(
                self._call,
                f"Too many filters: {MOST_GROUPS} groups, {MOST_FILTERS_IN_GROUP} in a group and "
                f"{MOST_FILTERS} in all are allowed",
            )
        sql = "AND deleted = 0"
        alternatives = [self._group(group) for group in groups if group.get("filters")]
        if alternatives:
            sql += f" AND ({' OR '.join(alternatives)})"
        sql += self._words(str(body.get("query") or ""))
        lag = self._call.own.search_lag
        if lag:
            sql += " AND committed <= ?"
            self.parameters.append(self._call.world.clock.now() - lag)
        return sql

    def _group(self, group: dict[str, Any]) -> str:
        return "(" + " AND ".join(self._filter(part) for part in group["filters"]) + ")"

    def _words(self, query: str) -> str:
        if not query:
            return ""
        if len(query) > LONGEST_QUERY:
            raise invalid(self._call, f"query must not be longer than {LONGEST_QUERY} characters")
        fields = [self._spec.fields[name] for name in _SEARCHED if name in self._spec.fields]
        parts = [f"{_sql_column(self._spec, field)} LIKE ?" for field in fields]
        self.parameters += [f"%{query}%"] * len(parts)
        return f" AND ({' OR '.join(parts)})"

    def _filter(self, part: dict[str, Any]) -> str:
        field = _known(self._call, self._spec, str(part.get("propertyName", "")))
        column = _sql_column(self._spec, field)
        operator = str(part.get("operator", ""))
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            return f"COALESCE({column}, '') {'!=' if operator == 'HAS_PROPERTY' else '='} ''"
        if operator in ("IN", "NOT_IN"):
            wanted_values = part.get("values")
            if not isinstance(wanted_values, list) or not wanted_values:
                raise invalid(self._call, f"operator {operator} needs values")
            self.parameters += [self._value(field, value) for value in wanted_values]
            marks = ", ".join("?" * len(wanted_values))
            # The index holds texts in small letters, and these values are taken as they come.
            lowered = f"lower({column})" if field.type == "string" else column
            return f"NULLIF({lowered}, '') {'NOT ' if operator == 'NOT_IN' else ''}IN ({marks})"
        if part.get("value") is None:
            raise invalid(self._call, f"operator {operator} needs a value")
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            self.parameters.append("%" + str(part["value"]).replace("*", "%") + "%")
            return f"COALESCE({column}, '') {'NOT ' if operator.startswith('NOT') else ''}LIKE ?"
        self.parameters.append(self._value(field, part["value"]))
        if operator == "BETWEEN":
            if part.get("highValue") is None:
                raise invalid(self._call, "operator BETWEEN needs a highValue")
            self.parameters.append(self._value(field, part["highValue"]))
            return f"{column} BETWEEN ? AND ?"
        caseless = " COLLATE NOCASE" if field.type == "string" else ""
        if operator == "NEQ":
            return f"NULLIF({column}, '') != ?{caseless}"
        if operator not in _SIGNS:
            raise invalid(self._call, f"operator {operator!r} is not known")
        return f"{column} {_SIGNS[operator]} ?{caseless}"

    def _value(self, field: FieldSpec, value: Any) -> Any:
        """As the column holds it: stamps in epoch ms, dates and datetimes as they are written, numbers as numbers."""
        text = str(value)
        try:
            if field.name in (self._spec.modified_field, self._spec.created_field):
                return min(max(parse(text), -HIGHEST), HIGHEST)
            if field.name == "hs_object_id":
                return self._call.own.key_of_number(self._spec, min(max(int(text), 0), NUMBER_MASK))
            if field.type == "number":
                return float(text)
            if field.type in ("date", "datetime"):
                return day(parse(text)) if field.type == "date" else iso(parse(text))
        except ValueError:
            raise invalid(self._call, f"{text!r} is not a value for the {field.type} property {field.name}") from None
        return text


ROUTES = tuple(Route("POST", family + "/{type}/search", search) for family in FAMILIES)
