"""Rendering of one Liquid template, with its work counted. Imports python-liquid: only where a template is used."""

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any, Final

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin import content, illegal, output
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    echo_tag,
    for_tag,
    if_tag,
    unless_tag,
)
from liquid.token import Token

from sync_pipelines.engine.transforms.bounds import TooMuch
from sync_pipelines.engine.transforms.filters import FILTERS, bounded
from sync_pipelines.engine.transforms.functions import LONGEST_TEXT

MOST_WORK: Final = 200_000
"""Of one rendering, in characters that filters touch; anything else that is done counts as some."""
WORK_OF_A_FILTER: Final = 50
WORK_OF_A_NAME: Final = 10
WORK_OF_AN_ITEM: Final = 5
"""Of a list that a filter looks at."""
MOST_LOOPS: Final = 1_000
RENDERING_ERRORS: Final = (ArithmeticError, TypeError, ValueError, LookupError, RecursionError, AttributeError)

_TAGS: Final = {
    "if": (if_tag.IfTag,),
    "unless": (unless_tag.UnlessTag,),
    "case": (case_tag.CaseTag,),
    "for": (for_tag.ForTag, for_tag.BreakTag, for_tag.ContinueTag),
    "assign": (assign_tag.AssignTag,),
    "capture": (capture_tag.CaptureTag,),
    "comment": (comment_tag.CommentTag,),
    "echo": (echo_tag.EchoTag,),
}


class _Counting(RenderContext):
    """Counts what a rendering does. `weight`: what one turn of a loop does at most, in parts of the template."""

    __slots__ = ("left", "weight")

    def __init__(self, template: BoundTemplate, **given: Any) -> None:
        super().__init__(template, **given)
        self.left = [MOST_WORK]
        self.weight = 0

    def spend(self, work: int) -> None:
        if work > self.left[0]:
            self.left[0] = 0
            raise TooMuch("takes more work in the template than is allowed")
        self.left[0] -= work

    def get(self, path: list[object], **given: Any) -> object:
        self.spend(WORK_OF_A_NAME)
        return super().get(path, **given)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.spend(length * self.weight)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        make = super().filter(name, token)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.spend(WORK_OF_A_FILTER + sum(map(_work_of, arguments)))
            return bounded(make(*arguments, **options))

        return counted


def _work_of(argument: Any) -> int:
    if isinstance(argument, str):
        return len(argument)
    return WORK_OF_AN_ITEM * len(argument) if isinstance(argument, list | tuple | dict) else 0


class _Limited(Environment):
    block_nesting_limit = 10
    context_depth_limit = 10
    loop_iteration_limit = MOST_LOOPS
    local_namespace_limit = 4 * LONGEST_TEXT
    output_stream_limit = LONGEST_TEXT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Ours only; the library's own stay out."""


def limited_environment(tags: Sequence[str]) -> Environment:
    made = _Limited()
    chosen: list[Any] = [content.Literal, output.Output, illegal.Illegal]
    for name in tags:
        chosen += _TAGS[name]
    for tag in chosen:
        made.add_tag(tag)
    for name, make in FILTERS.items():
        made.add_filter(name, make)
    return made


def rendered(template: BoundTemplate, parts: int, variables: Mapping[str, Any], left: list[int]) -> str:
    """The text. Misfit or LiquidError where a limit is reached.

    `parts`: how many outputs and tags the template has. `left`: the work that it may do; it takes off what it does.
    """
    context = _Counting(template, globals=variables)
    context.left = left
    context.weight = parts * WORK_OF_A_NAME
    buffer: StringIO = context.get_buffer()
    template.render_with_context(context, buffer)
    return buffer.getvalue()
