"""Filters and histories, as people write them."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, WithJsonSchema, model_validator

from sync_pipelines.config.document import Choice, Document, refusing
from sync_pipelines.config.schedules import parse_duration
from sync_pipelines.model.filter import (
    AFTER,
    BEFORE,
    CONTAINS,
    CREATED,
    EQUALS,
    GREATER,
    GREATER_OR_EQUAL,
    IN,
    IS_NOT_SET,
    IS_SET,
    LAST_ACTIVITY,
    LESS,
    LESS_OR_EQUAL,
    MODIFIED,
    NOT_EQUALS,
    NOT_IN,
    OF_MANY,
    OF_TIMES,
    WITHOUT_VALUE,
    Ago,
    AllOf,
    AnyOf,
    Condition,
    Filter,
    History,
    InList,
    Value,
)

DEEPEST: Final = 4
"""Levels of `all` and `any` inside one another."""
MOST_CONDITIONS: Final = 50
MOST_VALUES: Final = 500
LONGEST_TEXT: Final = 1_000

OPERATORS: Final = {
    **dict.fromkeys(("equals", "is", "=", "==", "eq"), EQUALS),
    **dict.fromkeys(("not_equals", "not equals", "is not", "!=", "neq"), NOT_EQUALS),
    **dict.fromkeys(("in", "one of"), IN),
    **dict.fromkeys(("not_in", "not in", "none of"), NOT_IN),
    "contains": CONTAINS,
    **dict.fromkeys(("greater_than", "greater", "greater than", ">", "gt"), GREATER),
    **dict.fromkeys(("greater_or_equal", "greater or equal", ">=", "gte"), GREATER_OR_EQUAL),
    **dict.fromkeys(("less_than", "less", "less than", "<", "lt"), LESS),
    **dict.fromkeys(("less_or_equal", "less or equal", "<=", "lte"), LESS_OR_EQUAL),
    "before": BEFORE,
    "after": AFTER,
    **dict.fromkeys(("is_set", "is set"), IS_SET),
    **dict.fromkeys(("is_not_set", "is not set"), IS_NOT_SET),
}
_KEYS: Final = (
    (EQUALS, "equals"), (NOT_EQUALS, "not_equals"), (IN, "in_"), (NOT_IN, "not_in"), (CONTAINS, "contains"),
    (GREATER, "greater_than"), (GREATER_OR_EQUAL, "greater_or_equal"), (LESS, "less_than"),
    (LESS_OR_EQUAL, "less_or_equal"), (BEFORE, "before"), (AFTER, "after"), (IS_SET, "is_set"),
    (IS_NOT_SET, "is_not_set"),
)  # fmt: skip
_AGO: Final = re.compile(r"(.+?)\s+ago", re.IGNORECASE)


def parse_value(written: Any) -> Value:
    """A text, number, true, false, or a day or time."""
    if isinstance(written, str):
        if not written or len(written) > LONGEST_TEXT:
            raise refusing(f"must have 1 to {LONGEST_TEXT} characters; for no value there is `is_not_set: true`")
        return written
    if isinstance(written, float):
        if written != written or written in (float("inf"), float("-inf")):
            raise refusing("must be a number that ends")
        return Decimal(str(written))
    if isinstance(written, bool | int | Decimal | datetime | date):
        return written
    raise refusing("must be a text, a number, true, false, a day or a time")


def parse_time(written: Any) -> Value:
    """`2026-01-31`, `2026-01-31T12:00:00Z`, or `90 days ago`."""
    if isinstance(written, datetime):
        return written if written.tzinfo else written.replace(tzinfo=UTC)
    if isinstance(written, date):
        return written
    wrong = refusing("must be a day such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or `90 days ago`")
    if not isinstance(written, str):
        raise wrong
    if relative := _AGO.fullmatch(written.strip()):
        return Ago(parse_duration(relative[1]))
    try:
        return date.fromisoformat(written.strip())
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        raise wrong from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_values(written: Any) -> tuple[Value, ...]:
    """A list of values, or one."""
    values = tuple(parse_value(each) for each in (written if isinstance(written, list | tuple) else [written]))
    if not 0 < len(values) <= MOST_VALUES:
        raise refusing(f"must have 1 to {MOST_VALUES} values")
    return values


def _parse_list(written: Any) -> str:
    if isinstance(written, bool) or not isinstance(written, str | int) or not str(written).strip():
        raise refusing("must be the id of a HubSpot list or a Salesforce campaign")
    return str(written).strip()


def _parse_activity(written: Any) -> timedelta:
    """`90 days`, or `{within: 90 days}`."""
    if isinstance(written, dict) and set(written) == {"within"}:
        written = written["within"]
    return parse_duration(written)


_SCALAR = WithJsonSchema({"type": ["string", "number", "boolean"]})
_MANY = WithJsonSchema(
    {"anyOf": [{"type": "array", "items": {"type": ["string", "number", "boolean"]}}, {"type": ["string", "number"]}]}
)
_TIME = WithJsonSchema({"type": "string", "examples": ["2026-01-31", "90 days ago"]})
_ID = WithJsonSchema({"type": ["string", "integer"]})
One = Annotated[Any, BeforeValidator(parse_value), _SCALAR]
Many = Annotated[Any, BeforeValidator(parse_values), _MANY]
When = Annotated[Any, BeforeValidator(parse_time), _TIME]
_WITHIN = WithJsonSchema({"type": ["string", "object"], "examples": ["90 days"]})


class FilterDocument(Document):
    """A condition on a field, `all` or `any` of several, or one of the short forms `list`, `tier` and `activity`.

    A list of conditions stands for `all`.
    """

    all: tuple["FilterDocument", ...] | None = Field(None, min_length=1, description="Every one of these fits")
    any: tuple["FilterDocument", ...] | None = Field(None, min_length=1, description="One of these fits")
    field: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        validation_alias=AliasChoices("field", "property"),
        description="A field of the custom schema, else of the account",
    )
    operator: Annotated[str, Choice(OPERATORS)] | None = Field(None, description="With `value` or `values`")
    value: Any = None
    values: Many | None = None
    equals: One | None = None
    not_equals: One | None = None
    in_: Many | None = Field(None, alias="in")
    not_in: Many | None = None
    contains: One | None = None
    greater_than: One | None = None
    greater_or_equal: One | None = None
    less_than: One | None = None
    less_or_equal: One | None = None
    before: When | None = None
    after: When | None = None
    is_set: bool | None = None
    is_not_set: bool | None = None
    list: Annotated[str, BeforeValidator(_parse_list), _ID] | None = Field(
        None,
        validation_alias=AliasChoices("list", "in_list"),
        description="Id of a HubSpot list or a Salesforce campaign that the record is a member of",
    )
    tier: Many | None = Field(None, description="The tiers that are synced; `field` says where a record's tier stands")
    activity: Annotated[timedelta, BeforeValidator(_parse_activity), _WITHIN] | None = Field(
        None, description="The last activity is not longer ago; `field` where the common model has none"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_list_is_all(cls, written: Any) -> Any:
        return {"all": written} if isinstance(written, list | tuple) else written

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        kinds = [kind for kind in ("all", "any", "list", "tier", "activity") if getattr(self, kind) is not None]
        compared = [key for _, key in _KEYS if getattr(self, key) is not None]
        written = compared + ["operator"] * (self.operator is not None)
        if self.operator is None and ("value" in self.model_fields_set or self.values is not None):
            raise refusing("has a value and no `operator`")
        if len(kinds) + bool(written) != 1:
            raise refusing(
                "must say one thing: a `field` with an operator such as `equals`, or `all`, `any`, `list`, `tier` or "
                "`activity`"
            )
        if len(written) > 1:
            raise refusing(f"compares its field in two ways ({', '.join(written)}): write two conditions under `all`")
        if written and self.field is None:
            raise refusing("says how to compare and not what: add `field`")
        if kinds == ["tier"] and self.field is None:
            raise refusing("needs `field`: the property that says of which tier a record is")
        if kinds and kinds[0] in ("all", "any", "list") and self.field is not None:
            raise refusing(f"has `field`, which does not go with `{kinds[0]}`")
        self.filter()
        return self

    def filter(self) -> Filter:
        """The filter that is meant."""
        if self.all is not None:
            return AllOf(tuple(part.filter() for part in self.all))
        if self.any is not None:
            return AnyOf(tuple(part.filter() for part in self.any))
        if self.list is not None:
            return InList(self.list)
        if self.tier is not None:
            return Condition(self.field or "", IN, self.tier)
        if self.activity is not None:
            return Condition(self.field or LAST_ACTIVITY, AFTER, (Ago(self.activity),))
        return self._condition()

    def _condition(self) -> Condition:
        name = self.field or ""
        if self.operator is not None:
            return Condition(name, self.operator, self._values_of(self.operator))
        operator, key = next((operator, key) for operator, key in _KEYS if getattr(self, key) is not None)
        given = getattr(self, key)
        if operator in WITHOUT_VALUE:
            opposite = IS_NOT_SET if operator == IS_SET else IS_SET
            return Condition(name, operator if given else opposite)
        return Condition(name, operator, given if operator in OF_MANY else (given,))

    def _values_of(self, operator: str) -> tuple[Value, ...]:
        has_value = "value" in self.model_fields_set
        if operator in WITHOUT_VALUE:
            if has_value or self.values is not None:
                raise refusing(f"has the operator `{operator}`, which takes no value")
            return ()
        if has_value == (self.values is not None):
            raise refusing(f"has the operator `{operator}`, which takes one of `value` and `values`")
        if operator in OF_MANY:
            return tuple(self.values) if self.values is not None else parse_values(self.value)
        if self.values is not None:
            raise refusing(f"has the operator `{operator}`, which takes one `value`")
        return (parse_time(self.value) if operator in OF_TIMES else parse_value(self.value),)


def _bounded(document: FilterDocument) -> FilterDocument:
    if _depth(document) > DEEPEST:
        raise refusing(f"has `all` and `any` more than {DEEPEST} levels deep: write it flatter")
    if _size(document) > MOST_CONDITIONS:
        raise refusing(f"has more than {MOST_CONDITIONS} conditions")
    return document


def _parts(document: FilterDocument) -> tuple[FilterDocument, ...]:
    return document.all or document.any or ()


def _depth(document: FilterDocument) -> int:
    return 1 + max(map(_depth, _parts(document))) if _parts(document) else 0


def _size(document: FilterDocument) -> int:
    return sum(map(_size, _parts(document))) or 1


ALL: Final = "all"
DATE_RANGE: Final = "date range"
FROM_NOW: Final = "incremental"
SELECTIVE: Final = "selective"
HISTORIES: Final = {
    **dict.fromkeys(("all", "full", "full import", "full_import", "everything"), ALL),
    **dict.fromkeys(("date range", "date_range", "range"), DATE_RANGE),
    **dict.fromkeys(("incremental", "from now on", "from_now_on", "new", "none"), FROM_NOW),
    "selective": SELECTIVE,
}


class HistoryDocument(Document):
    """Which records that exist already a first read brings. What changes from then on is synced in any case.

    A single word (`all`, `incremental`) may stand for the whole.
    """

    type: Annotated[str, Choice(HISTORIES)] | None = None
    from_: When | None = Field(None, alias="from", description="A day or time, also such as `90 days ago`")
    to: When | None = Field(None, description="A day, which is still part of it, or a time, which is not")
    on: Annotated[str, Choice({CREATED: CREATED, MODIFIED: MODIFIED, "updated": MODIFIED})] = CREATED
    where: FilterDocument | None = Field(
        None, validation_alias=AliasChoices("where", "filter", "selective"), description="For the first read alone"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_a_type(cls, written: Any) -> Any:
        return {"type": written} if isinstance(written, str) else written

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        period, criteria = self.from_ is not None or self.to is not None, self.where is not None
        if self.type is None and not period and not criteria:
            raise refusing("must say which: `all`, `incremental`, `from` and `to`, or `selective` with a filter")
        if self.type in (ALL, FROM_NOW) and (period or criteria):
            raise refusing(f"of type {self.type} takes no period and no filter")
        if self.type == DATE_RANGE and (not period or criteria):
            raise refusing("of type date range takes `from`, `to` or both, and no filter")
        if self.type == SELECTIVE and not criteria:
            raise refusing("of type selective takes its conditions as `where`")
        if "on" in self.model_fields_set and not period:
            raise refusing("has `on`, which goes with `from` and `to`")
        return self

    def history(self) -> History | None:
        """What is meant; None for everything."""
        if self.type == ALL:
            return None
        until: Value | None = self.to
        if isinstance(until, date) and not isinstance(until, datetime):
            until += timedelta(days=1)
        return History(
            since=self.from_,
            until=until,
            on=self.on,
            where=None if self.where is None else _bounded(self.where).filter(),
        )


LEAVING: Final = {
    **dict.fromkeys(("keep", "leave"), "keep"),
    **dict.fromkeys(("mark", "mark deleted"), "mark"),
    **dict.fromkeys(("delete", "remove"), "delete"),
}
BoundedFilter = Annotated[FilterDocument, AfterValidator(_bounded)]
Leaving = Annotated[str, Choice(LEAVING)]
