"""Liquid templates, for people who come from tools that have them: python-liquid with all its limits set, and more.

The library bounds loops, nesting, the output and what is assigned. What it leaves open is bounded here: a filter that
multiplies what it is given (the filters are an own selection, see filters), ranges, the current time, and the work of
one rendering, which is counted.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from sync_pipelines.config.problems import did_you_mean, listed
from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.bounds import QUICK_WORK
from sync_pipelines.engine.transforms.registry import (
    UNSTORABLE,
    Example,
    Given,
    Kind,
    Options,
    Step,
    add,
    is_storable,
)

if TYPE_CHECKING:
    from liquid import BoundTemplate, Environment

LONGEST_SOURCE: Final = 2_000
"""Characters."""
WORK_OF_A_TEMPLATES_CHARACTER: Final = 5
"""In the units of all other transforms: a rendering does little at a time."""
MOST_BRACKETS: Final = 20
"""Inside each other."""
MOST_BLANKS: Final = 100
_BLANKS: Final = re.compile(rf"\s{{{MOST_BLANKS + 1}}}")
TAGS: Final = ("if", "unless", "case", "for", "assign", "capture", "comment", "echo")


class _Template(Options):
    template: str = Field(
        min_length=1,
        max_length=LONGEST_SOURCE,
        description="Liquid, with the sources by name, or as row['name']",
    )


def _template(options: _Template, given: Given) -> Step:
    from liquid.exceptions import LiquidError  # noqa: PLC0415 - its import takes long; only where a template is used

    from sync_pipelines.engine.transforms.rendering import MOST_WORK, RENDERING_ERRORS, rendered  # noqa: PLC0415

    parsed = parse_template(options.template, given.names)
    parts = options.template.count("{{") + options.template.count("{%")
    ways = [(name, name.split(".")) for name in given.names]

    def render(values: Sequence[Any], left: list[int]) -> str | None:
        try:
            text = rendered(parsed, parts, _variables(ways, values), left)
        except Misfit:
            raise
        except LiquidError as problem:
            raise Misfit(f"cannot be put into the template: {problem.message}"[:500]) from None
        except RENDERING_ERRORS as problem:
            raise Misfit(f"makes the template fail: {problem}"[:500]) from None
        if not is_storable(text):
            raise Misfit(f"makes the template give what {UNSTORABLE}")
        return text or None

    def counted(allowed: int, values: Sequence[Any]) -> tuple[Any, int]:
        most = min(MOST_WORK, allowed // WORK_OF_A_TEMPLATES_CHARACTER)
        left = [most]
        try:
            made: Any = render(values, left)
        except Misfit as misfit:
            made = misfit
        return made, allowed - WORK_OF_A_TEMPLATES_CHARACTER * (most - left[0])

    few = QUICK_WORK // WORK_OF_A_TEMPLATES_CHARACTER
    return Step(
        lambda *values: render(values, [MOST_WORK]),
        lambda columns: [render(values, [few]) for values in zip(*columns, strict=True)],
        work=QUICK_WORK,
        counted=counted,
    )


def _check(options: _Template, given: Given) -> None:
    from sync_pipelines.engine.transforms.template_check import refuse_what_never_works  # noqa: PLC0415

    refuse_what_never_works(parse_template(options.template, given.names))


def _variables(ways: Sequence[tuple[str, list[str]]], values: Sequence[Any]) -> Mapping[str, Any]:
    """By name, nested for Owner.Name; all of them also in `row`; a single one also as `value`."""
    from sync_pipelines.engine.transforms.filters import shown  # noqa: PLC0415

    named: dict[str, Any] = {"value": shown(values[0])} if len(values) == 1 else {}
    row: dict[str, Any] = {}
    for (name, way), value in zip(ways, values, strict=True):
        row[name] = inner = shown(value)
        *outer, last = way
        place = named
        for step in outer:
            place = place.setdefault(step, {})
            if type(place) is not dict:
                break
        else:
            place[last] = inner
    return {"row": row, **named}


def parse_template(source: str, names: Sequence[str]) -> "BoundTemplate":
    """ValueError saying what is not allowed."""
    from liquid.exceptions import LiquidError  # noqa: PLC0415

    from sync_pipelines.engine.transforms.filters import FILTERS  # noqa: PLC0415
    from sync_pipelines.engine.transforms.template_check import refuse_ranges  # noqa: PLC0415

    if not is_storable(source):
        raise ValueError(f"the template {UNSTORABLE}")
    _check_source(source)
    try:
        template = environment().from_string(source)
        refuse_ranges(template)
        found = template.analyze()
    except LiquidError as problem:
        raise ValueError(f"the template cannot be read: {problem.message}") from None
    except RecursionError:
        raise ValueError("the template has parts too deep inside each other") from None
    for name in found.filters:
        if name not in FILTERS:
            raise ValueError(
                f"the template does not know the filter {name[:100]}.{did_you_mean(name[:100], FILTERS)} "
                f"It knows {listed(FILTERS)}"
            )
    known = {name.split(".")[0] for name in names} | {"row"} | ({"value"} if len(names) == 1 else set())
    for name in found.globals:
        if name not in known:
            raise ValueError(
                f"the template does not know the name {name[:100]}.{did_you_mean(name[:100], known)} "
                f"It knows {listed(known)}"
            )
    return template


def _check_source(source: str) -> None:
    """What the library's lexer and parser would take long for."""
    if _BLANKS.search(source):
        raise ValueError(f"the template has more than {MOST_BLANKS} blanks in a row")
    _check_depth(source)
    at = 0
    while True:
        starts = [found for mark in ("{{", "{%") if (found := source.find(mark, at)) >= 0]
        if not starts:
            return
        start = min(starts)
        end = source.find("}}" if source[start + 1] == "{" else "%}", start + 2)
        if end < 0:
            raise ValueError(f"the template cannot be read: what begins at character {start + 1} does not end")
        at = end + 2


def _check_depth(source: str) -> None:
    depth = 0
    for sign in source:
        depth += (sign in "([") - (sign in ")]")
        if depth > MOST_BRACKETS:
            raise ValueError(f"the template has more than {MOST_BRACKETS} brackets inside each other")


@lru_cache(maxsize=1)
def environment() -> "Environment":
    from sync_pipelines.engine.transforms.rendering import limited_environment  # noqa: PLC0415

    return limited_environment(TAGS)


add(
    Kind(
        name="template",
        options=_Template,
        make=_template,
        told="A text made by a Liquid template. An empty result is null.",
        examples=(
            Example(
                ("Ada", "LOVELACE"),
                "Dear Ada Lovelace",
                {"template": "Dear {{ First }} {{ Last | capitalize }}"},
                ("First", "Last"),
            ),
            Example((["red", "blue"],), "red, blue", {"template": "{{ value | join: ', ' }}"}, ("Colors",)),
            Example((None,), "none", {"template": "{% if A %}{{ A }}{% else %}none{% endif %}"}, ("A",)),
        ),
        many=True,
        gives=None,
        personal=False,
        check=_check,
    )
)
