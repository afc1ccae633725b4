"""What is looked at in a parsed template. Imports python-liquid: only where a template is used."""

import inspect
from collections.abc import Iterator
from typing import Final

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.arguments import PositionalArgument
from liquid.builtin.expressions.filtered import Filter, FilteredExpression
from liquid.builtin.expressions.primitive import RangeLiteral, StringLiteral
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode, ForNode
from liquid.expression import Expression

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.arithmetic import to_number
from sync_pipelines.engine.transforms.dates import date_writer
from sync_pipelines.engine.transforms.filters import FILTERS, LONGEST_DATE

_NUMBERS: Final = {
    **dict.fromkeys(("at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round"), 1),
    **{"slice": 2, "times": 1, "truncate": 1},
}
"""Filters, and how many of their arguments, from the first, are numbers."""


def refuse_ranges(template: BoundTemplate) -> None:
    """ValueError where the template has one: it would loop without being given anything."""
    if any(isinstance(expression, RangeLiteral) for expression in _expressions(template)):
        raise ValueError("the template has a range such as (1..5), which is not allowed: loop over a list")


def refuse_what_never_works(template: BoundTemplate) -> None:
    """ValueError for what would fail for every record: arguments of filters, formats of dates, ends of no loop."""
    for node, in_loop in _nodes(template):
        if isinstance(node, BreakNode | ContinueNode) and not in_loop:
            raise ValueError(f"the template has {node} outside of a loop")
    for expression in _expressions(template):
        if isinstance(expression, FilteredExpression):
            for each in expression.filters or ():
                _refuse_arguments(each)


def _refuse_arguments(each: Filter) -> None:
    make = FILTERS[each.name]
    given = [argument.value for argument in each.args if isinstance(argument, PositionalArgument)]
    by_name = {argument.name: argument for argument in each.args if not isinstance(argument, PositionalArgument)}
    # The library gives the environment to filters that want it.
    own = {"environment": None} if "environment" in inspect.signature(make).parameters else {}
    try:
        if own.keys() & by_name:
            raise TypeError("environment cannot be given")
        inspect.signature(make).bind("", *given, **by_name, **own)
    except TypeError as problem:
        raise ValueError(f"the template gives the filter {each.name} arguments that do not fit: {problem}") from None
    for place, value in enumerate(given):
        if isinstance(value, StringLiteral):
            _refuse_text(each.name, place, str(value.value))


def _refuse_text(name: str, place: int, written: str) -> None:
    """Of a filter's argument that is written in the template."""
    if name == "date":
        if len(written) > LONGEST_DATE:
            raise ValueError(f"the template has a format of a date with more than {LONGEST_DATE} characters")
        try:
            date_writer(written)
        except ValueError as problem:
            raise ValueError(f"the template has a format of a date that {problem}") from None
    elif place < _NUMBERS.get(name, 0):
        try:
            to_number(written)
        except Misfit as misfit:
            raise ValueError(f"the template gives the filter {name} {written[:100]!r}, which {misfit}") from None


def _expressions(template: BoundTemplate) -> Iterator[Expression]:
    for node, _ in _nodes(template):
        inner = list(node.expressions())
        while inner:
            expression = inner.pop()
            inner += expression.children()
            yield expression


def _nodes(template: BoundTemplate) -> Iterator[tuple[Node, bool]]:
    """Each with whether it is in a loop."""
    nothing = RenderContext(template)
    waiting = [(node, False) for node in template.nodes]
    while waiting:
        node, in_loop = waiting.pop()
        # What stands behind a loop's `else` is done instead of the loop.
        waiting += [
            (child, in_loop or (isinstance(node, ForNode) and child is node.block)) for child in node.children(nothing)
        ]
        yield node, in_loop
