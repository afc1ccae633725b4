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

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.filters import FILTERS, bounded
from sync_pipelines.engine.transforms.functions import LONGEST_TEXT

MOST_WORK: Final = 200_000
"""Of one rendering, in characters that filters touch; anything else that is done counts as some."""
WORK_OF_A_FILTER: Final = 50
WORK_OF_A_NAME: Final = 10
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
_SIZED: Final = (str, list, tuple, dict)


class _Counting(RenderContext):
    """Counts what a rendering does. `weight`: what one turn of a loop does at most, in parts of the template."""

    __slots__ = ("weight", "work")

    def __init__(self, template: BoundTemplate, **given: Any) -> None:
        super().__init__(template, **given)
        self.work = 0
        self.weight = 0

    def spend(self, work: int) -> None:
        if self.work + work > MOST_WORK:
            raise Misfit("takes more work in the template than is allowed")
        self.work += work

    def get(self, path: list[object], **given: Any) -> object:
        self.spend(WORK_OF_A_NAME)
        return super().get(path, **given)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.spend(length * self.weight)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        make = super().filter(name, token)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.spend(WORK_OF_A_FILTER + sum(len(each) for each in arguments if isinstance(each, _SIZED)))
            return bounded(make(*arguments, **options))

        return counted


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


def rendered(template: BoundTemplate, parts: int, variables: Mapping[str, Any]) -> tuple[str, int]:
    """(the text, the work that was done). Misfit or LiquidError where a limit is reached.

    `parts`: how many outputs and tags the template has.
    """
    context = _Counting(template, globals=variables)
    context.weight = parts * WORK_OF_A_NAME
    buffer: StringIO = context.get_buffer()
    template.render_with_context(context, buffer)
    return buffer.getvalue(), context.work
