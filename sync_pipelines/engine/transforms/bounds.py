"""How much work the rules of one record may take, one by one and together, and what counts as how much.

Work is counted and never timed, so that a record's result depends on the record and its rules alone. One unit is a
character that is touched; what is made weighs more, because it is kept. A unit costs a few nanoseconds.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from sync_pipelines.engine.casting import Misfit

MOST_WORK_OF_RULE: Final = 2_000_000
"""All transforms of one rule, on one record."""
MOST_WORK_OF_RECORD: Final = 4_000_000
"""All rules of a record together, in their order, without what is free."""
FREE_WORK: Final = 50_000
"""What each rule may take whatever the others took. Hardly any rule ever takes more."""
WORK_OF_A_STEP: Final = 100
WORK_OF_A_FORMAT: Final = 2_000
"""Reading and writing by formats, of dates and telephone numbers."""
WORK_OF_MADE: Final = 2
"""A character that a transform made."""
QUICK_WORK: Final = 20_000
"""What a single expression or template may take where the work of a whole block is not counted row by row."""

_SIZE_OF_A_NUMBER: Final = 100
_SIZE_OF_THE_LONGEST: Final = 1_200
"""Of numbers; see casting.LARGEST_EXPONENT."""
_BITS_OF_A_DIGIT: Final = 3
SIZE_OF_AN_ITEM: Final = 8
_NEVER: Final = 1 << 62
_LITTLE: Final = 2_000
_NUMBERS: Final = {int, Decimal, bool, type(None)}


class TooMuch(Misfit):
    """More work than is allowed."""


def too_much(allowed: int) -> TooMuch:
    """Of a rule that was allowed so much on a record."""
    if allowed < MOST_WORK_OF_RULE:
        return TooMuch(
            f"takes, with the rules before it, more work than the {MOST_WORK_OF_RECORD} characters that all rules of a "
            "record may take"
        )
    return TooMuch(f"takes more work than the {MOST_WORK_OF_RULE} characters that a rule may take on one record")


def allowance(left: int) -> int:
    """What a rule may take where so much is left to the record."""
    return min(MOST_WORK_OF_RULE, FREE_WORK + left)


def size_of(value: Any, most: int = _NEVER) -> int:
    """Characters and items of a JSON value, or of its text, those inside of others too. It stops beyond `most`."""
    if type(value) is str or type(value) is bytes:
        return len(value)
    if value is None:
        return 0
    if type(value) is not list and type(value) is not dict:
        return _size_of_number(value)
    size, waiting = 0, [value]
    while waiting and size <= most:
        inner = waiting.pop()
        size += SIZE_OF_AN_ITEM * len(inner)
        if size > most:
            break
        if type(inner) is dict:
            size += sum(map(len, inner))
        for each in inner.values() if type(inner) is dict else inner:
            if type(each) is str:
                size += len(each)
            elif type(each) is list or type(each) is dict:
                waiting.append(each)
            elif each is not None:
                size += _size_of_number(each)
    return size


def _size_of_number(value: Any) -> int:
    """None of 0 and false, as of empty texts. Of others that are not whole, few have more digits than this."""
    return value.bit_length() // _BITS_OF_A_DIGIT if type(value) is int else _SIZE_OF_A_NUMBER if value else 0


def _size_if_free(value: Any) -> int:
    return size_of(value, FREE_WORK)


def largest(values: Sequence[Any]) -> int:
    """The size that none of these exceeds: of all texts together where that is little, as it is quickly counted."""
    try:
        together = len("".join(filter(None, values)))
    except TypeError:
        return _SIZE_OF_THE_LONGEST if set(map(type, values)) <= _NUMBERS else max(map(_size_if_free, values))
    return together if together <= _LITTLE else max(map(len, filter(None, values)))
