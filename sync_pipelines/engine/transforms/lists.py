"""Arrays, multi-select texts and values inside nested ones."""

import re
from typing import Any, Final, TypeAlias

import msgspec
from pydantic import Field

from sync_pipelines.engine.casting import Misfit, json_number, to_text
from sync_pipelines.engine.cleaning import is_suspect
from sync_pipelines.engine.transforms.bounds import SIZE_OF_AN_ITEM
from sync_pipelines.engine.transforms.registry import TEXTS, UNSTORABLE, Example, Function, Options, named
from sync_pipelines.engine.transforms.texts import LONGEST_SEPARATOR

Steps: TypeAlias = tuple[str | int, ...]

_STEP: Final = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d{1,6})\]")
_decode = msgspec.json.Decoder(float_hook=json_number).decode


class _Separated(Options):
    separator: str = Field(";", min_length=1, max_length=LONGEST_SEPARATOR, description="stands between two items")

    def growth(self) -> int:
        return 1 + len(self.separator) // SIZE_OF_AN_ITEM


@named(
    "array_to_text",
    _Separated,
    Example((["red", "blue"],), "red;blue"),
    Example((["red", None, 3],), "red, 3", {"separator": ", "}),
    gives=TEXTS,
)
def array_to_text(options: _Separated) -> Function:
    """An array as the text of a multi-select field. A text stays as it is, items that are null are left out."""

    def make(value: Any) -> str | None:
        if type(value) is str:
            return value
        if type(value) is not list:
            raise Misfit("is not an array")
        return options.separator.join(to_text(item) for item in value if item is not None) or None

    return make


@named(
    "text_to_array",
    _Separated,
    Example(("red; blue",), ["red", "blue"]),
    Example(("a|b",), ["a", "b"], {"separator": "|"}),
    gives=TEXTS,
)
def text_to_array(options: _Separated) -> Function:
    """The text of a multi-select field as an array, without blanks around the items and without empty ones."""

    def make(value: Any) -> list[Any]:
        if type(value) is list:
            return value
        return [item for part in to_text(value).split(options.separator) if (item := part.strip())]

    return make


class _Place(Options):
    path: str = Field(
        min_length=1, max_length=500, description="names with dots between them and places in brackets, such as a[0].b"
    )
    decode: bool = Field(False, description="a text is read as JSON first")


@named(
    "nested_path",
    _Place,
    Example(([{"city": "Leeds"}],), "Leeds", {"path": "[0].city"}),
    Example(({"geo": {"lat": 51}},), 51, {"path": "geo.lat"}),
    Example(('{"plan": "gold"}',), "gold", {"path": "plan", "decode": True}),
)
def nested_path(options: _Place) -> Function:
    """A value inside a nested one. Null where something on the way is missing."""
    steps = path_steps(options.path)

    def make(value: Any) -> Any:
        if options.decode and type(value) is str:
            if is_suspect(value.encode("utf-8", "surrogatepass")):
                raise Misfit(UNSTORABLE)
            try:
                value = _decode(value)
            except (ValueError, OverflowError, RecursionError):
                raise Misfit("is not JSON") from None
        return at_steps(value, steps)

    return make


def path_steps(path: str) -> Steps:
    """`addresses[0].city` as names and places. ValueError when it is not such a path."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise ValueError(f"path {path!r} is not understood at character {at + 1}: write one such as a[0].b")
        steps.append(found[1] if found[2] is None else int(found[2]))
        at = found.end()
    return tuple(steps)


def at_steps(value: Any, steps: Steps) -> Any:
    """None where something on the way is missing."""
    for step in steps:
        if type(step) is str and type(value) is dict:
            value = value.get(step)
        elif type(step) is int and type(value) is list and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value
