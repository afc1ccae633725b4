"""Texts made of values: choices, joined and split texts, what stands where there is nothing."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sync_pipelines.engine.casting import Misfit, to_text
from sync_pipelines.engine.transforms.registry import (
    Example,
    Function,
    Given,
    Kind,
    Options,
    Step,
    add,
    named,
    step_of_many,
)

LONGEST_SEPARATOR = 100


class _Nothing(Options):
    pass


@named("none", _Nothing, Example(("as it is",), "as it is"))
def none(options: _Nothing) -> Function:
    """The value as it is."""
    return lambda value: value


def _with_text_keys(written: Any) -> Any:
    return {to_text(key): value for key, value in written.items()} if isinstance(written, dict) else written


class _Values(Options):
    values: Annotated[dict[str, Any], BeforeValidator(_with_text_keys)] = Field(
        min_length=1, max_length=5_000, description="what each of the vendor's values becomes, as `old: new`"
    )
    otherwise: Literal["keep", "null", "default", "misfit"] = Field(
        "keep", description="what becomes of other values; misfit refuses them"
    )
    default: Any = Field(None, description="what other values become with `otherwise: default`")

    @model_validator(mode="after")
    def _default_is_used(self) -> "_Values":
        if ("default" in self.model_fields_set) != (self.otherwise == "default"):
            raise ValueError("`default` and `otherwise: default` go together: write both or neither")
        return self

    def constants(self) -> Iterable[Any]:
        return [*self.values.values(), self.default]


@named(
    "value_mapping",
    _Values,
    Example(("closedwon",), "Won", {"values": {"closedwon": "Won", "closedlost": "Lost"}}),
    Example(("open",), "open", {"values": {"closedwon": "Won"}}),
    Example(("open",), "Other", {"values": {"closedwon": "Won"}, "otherwise": "default", "default": "Other"}),
    Example((3,), "high", {"values": {3: "high"}, "otherwise": "null"}),
)
def value_mapping(options: _Values) -> Function:
    """One value instead of another. Numbers, true and false are found by their text."""
    values, default = options.values, options.default

    def make(value: Any) -> Any:
        word = value if type(value) is str else to_text(value)
        found = values.get(word, values)
        if found is not values:
            return found
        if options.otherwise == "misfit":
            raise Misfit("is none of the values that value_mapping knows")
        return value if options.otherwise == "keep" else default

    return make


class _Joined(Options):
    separator: str = Field(" ", max_length=LONGEST_SEPARATOR, description="stands between two values")
    skip_empty: bool = Field(True, description="leave out values that are missing or empty")


def _concatenate(options: _Joined, given: Given) -> Step:
    def make(*values: Any) -> str | None:
        texts = ["" if value is None else value if type(value) is str else to_text(value) for value in values]
        kept = list(filter(None, texts)) if options.skip_empty else texts
        return options.separator.join(kept) if any(texts) else None

    return step_of_many(make)


add(
    Kind(
        name="concatenate",
        options=_Joined,
        make=_concatenate,
        told="The sources' values as one text. Null when all of them are missing or empty.",
        examples=(
            Example(("Ada", "Lovelace"), "Ada Lovelace", {}, ("FirstName", "LastName")),
            Example(("Leeds", None, "UK"), "Leeds, UK", {"separator": ", "}, ("City", "State", "Country")),
        ),
        many=True,
        gives=None,
        personal=False,
    )
)


class _Cut(Options):
    separator: str = Field(
        min_length=1, max_length=LONGEST_SEPARATOR, description="the text at which the value is split"
    )
    index: int = Field(ge=-1_000, le=1_000, description="which part, from 0; -1 is the last one")
    trim: bool = Field(True, description="take blanks off both ends of the part")


@named(
    "split",
    _Cut,
    Example(("Ada Lovelace",), "Ada", {"separator": " ", "index": 0}),
    Example(("eu/sales/north",), "north", {"separator": "/", "index": -1}),
    Example(("single",), None, {"separator": "/", "index": 1}),
)
def split(options: _Cut) -> Function:
    """One part of a text. Null when it has no such part."""

    def make(value: Any) -> str | None:
        parts = to_text(value).split(options.separator)
        if not -len(parts) <= options.index < len(parts):
            return None
        part = parts[options.index]
        return (part.strip() if options.trim else part) or None

    return make


class _Default(Options):
    value: Any = Field(description="what stands where there is nothing")
    empty: bool = Field(True, description="an empty text counts as nothing too")

    def constants(self) -> Iterable[Any]:
        return [self.value]


def _default_value(options: _Default, given: Given) -> Step:
    nothing = (None, "") if options.empty else (None,)
    default = options.value

    def make(*values: Any) -> Any:
        for value in values:
            if value not in nothing:
                return value
        return default

    if len(given.names) > 1:
        return step_of_many(make)
    return Step(make, lambda columns: [default if value in nothing else value for value in columns[0]])


add(
    Kind(
        name="default_value",
        options=_Default,
        make=_default_value,
        told="A value where there is none. Of several sources, the first that has one.",
        examples=(
            Example((None,), "unknown", {"value": "unknown"}),
            Example((None, "+14155550100"), "+14155550100", {"value": None}, ("Phone", "MobilePhone")),
        ),
        many=True,
        gives=None,
        personal=False,
    )
)
