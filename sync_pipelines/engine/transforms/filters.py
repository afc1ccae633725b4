"""Liquid's filters, an own selection: none gives more than it was given without a bound, none knows the time."""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, Final

from liquid.builtin.filters import array, misc, string
from liquid.undefined import Undefined

from sync_pipelines.engine.casting import Misfit, plain_number, to_timestamp
from sync_pipelines.engine.transforms import arithmetic, functions
from sync_pipelines.engine.transforms.dates import date_writer
from sync_pipelines.engine.transforms.functions import LONGEST_TEXT, MOST_ITEMS, TOO_LONG

LONGEST_DATE: Final = 100
"""Characters of one, and of its format."""


def shown(value: Any) -> Any:
    """A number so that Liquid prints it without an exponent."""
    if isinstance(value, Decimal):
        return Decimal(plain_number(value))
    return value


def bounded(value: Any) -> Any:
    """What a filter gives, unless it is too large."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise Misfit(TOO_LONG)
    if isinstance(value, list | tuple) and len(value) > MOST_ITEMS:
        raise Misfit(f"leads to a list of more than {MOST_ITEMS} items")
    return value


def _number(value: Any) -> Any:
    """Null counts as 0, as everywhere in Liquid."""
    if value is None or isinstance(value, Undefined):
        return 0
    if isinstance(value, float):
        # A number written in the template.
        value = Decimal(repr(value)) if math.isfinite(value) else None
    return arithmetic.to_number(value) or 0


def _calculating(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, other: shown(operate(_number(value), _number(other)))


def _divided_by(value: Any, other: Any) -> Any:
    """Whole numbers give a whole number."""
    left, right = _number(value), _number(other)
    both_whole = type(left) is int and type(right) is int and not isinstance(other, float)
    return shown((arithmetic.divide_whole if both_whole else arithmetic.divide)(left, right))


def _rounded(rounding: str) -> Callable[..., Any]:
    return lambda value, digits=0: shown(arithmetic.rounded(_number(value), _whole(digits), rounding))


def _whole(value: Any) -> int:
    number = _number(value)
    if type(number) is not int:
        raise Misfit("has something else where the template wants a whole number")
    return number


def _abs(value: Any) -> Any:
    number = _number(value)
    return shown(number if number >= 0 else arithmetic.negate(number))


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, Undefined) else str(shown(value))


def _replace(value: Any, old: Any, new: Any = "") -> str:
    text: str = functions.replace(_text(value), _text(old), _text(new)) if _text(old) else _text(value)
    return text


def _split(value: Any, separator: Any) -> list[str]:
    text = _text(value)
    parts: list[str] = functions.split(text, _text(separator)) if text else []
    return parts


def _join(values: Any, separator: Any = " ") -> str:
    items = values if isinstance(values, list) else [values]
    text: str = functions.join([_text(item) for item in items if item is not None], _text(separator))
    return text


def _uniq(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise Misfit("is no list where the template wants one")
    return list(dict.fromkeys(_text(item) for item in values))


@lru_cache(maxsize=64)
def _writer(to: str) -> Callable[[datetime], str]:
    try:
        return date_writer(to)
    except ValueError as problem:
        raise Misfit(f"cannot be written as a date: the format {problem}") from None


def _date(value: Any, to: Any) -> str:
    """Only of a value: `now` would give other rows at every run."""
    text = _text(value)
    if not text:
        return ""
    if len(text) > LONGEST_DATE or len(_text(to)) > LONGEST_DATE:
        raise Misfit("is not a date")
    moment = to_timestamp(value if isinstance(value, int) else text)
    return _writer(_text(to))(moment) if moment else ""


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "abs": _abs,
    "append": string.append,
    "at_least": _calculating(max),
    "at_most": _calculating(min),
    "capitalize": string.capitalize,
    "ceil": _rounded(ROUND_CEILING),
    "compact": array.compact,
    "concat": array.concat,
    "date": _date,
    "default": misc.default,
    "divided_by": _divided_by,
    "downcase": string.downcase,
    "escape": string.escape,
    "first": array.first,
    "floor": _rounded(ROUND_FLOOR),
    "join": _join,
    "last": array.last,
    "lstrip": string.lstrip,
    "map": array.map_,
    "minus": _calculating(arithmetic.subtract),
    "modulo": _calculating(arithmetic.modulo),
    "plus": _calculating(arithmetic.add),
    "prepend": string.prepend,
    "remove": _replace,
    "replace": _replace,
    "replace_first": string.replace_first,
    "reverse": array.reverse,
    "round": _rounded(ROUND_HALF_UP),
    "rstrip": string.rstrip,
    "size": misc.size,
    "slice": string.slice_,
    "sort": array.sort,
    "split": _split,
    "squish": string.squish,
    "strip": string.strip,
    "strip_newlines": string.strip_newlines,
    "times": _calculating(arithmetic.multiply),
    "truncate": string.truncate,
    "uniq": _uniq,
    "upcase": string.upcase,
    "url_encode": string.url_encode,
    "where": array.where,
}
