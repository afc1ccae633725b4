"""What expressions may call: pure functions of values, none of which makes more than it is given without a bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, Final

from sync_pipelines.engine.casting import Misfit, to_boolean, to_text, to_timestamp
from sync_pipelines.engine.transforms.arithmetic import is_number, rounded, to_number

LONGEST_TEXT: Final = 100_000
"""Characters of a text that an expression or a template makes."""
MOST_ITEMS: Final = 10_000
_LONGEST_DATE: Final = 100
_WIDEST: Final = 1_000
TOO_LONG: Final = f"leads to a text of more than {LONGEST_TEXT} characters"


@dataclass(frozen=True)
class PureFunction:
    """`call` is shown in the docs with what it `gives`. With a null argument it gives null, unless it wants `nulls`."""

    make: Callable[..., Any]
    least: int
    most: int
    call: str
    gives: Any
    nulls: bool


FUNCTIONS: Final[dict[str, PureFunction]] = {}


def function(
    call: str, gives: Any, *, least: int = 1, most: int = 1, nulls: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[call.partition("(")[0]] = PureFunction(make, least, most, call, gives, nulls)
        return make

    return register


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if isinstance(value, list | dict):
        raise Misfit("is a list or an object where a text is wanted")
    return to_text(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Misfit("has something else where a function wants a whole number")
    return value


def _number(value: Any) -> Any:
    if not is_number(value):
        raise Misfit("has something else where a function wants a number; number() makes one of a text")
    return value


@function("upper('ada')", "ADA")
def _upper(value: Any) -> str:
    return _text(value).upper()


@function("lower('ADA')", "ada")
def _lower(value: Any) -> str:
    return _text(value).lower()


@function("title('ada lovelace')", "Ada Lovelace")
def _title(value: Any) -> str:
    return _text(value).title()


@function("trim('  ada ')", "ada")
def _trim(value: Any) -> str:
    return _text(value).strip()


@function("length('ada')", 3)
def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else len(_text(value))


@function("left('Lovelace', 4)", "Love", least=2, most=2)
def _left(value: Any, count: Any) -> str:
    return _text(value)[: max(_whole(count), 0)]


@function("right('Lovelace', 4)", "lace", least=2, most=2)
def _right(value: Any, count: Any) -> str:
    text, kept = _text(value), max(_whole(count), 0)
    return text[max(len(text) - kept, 0) :]


@function("substring('Lovelace', 2, 3)", "vel", least=2, most=3)
def _substring(value: Any, start: Any, count: Any = LONGEST_TEXT) -> str:
    first = max(_whole(start), 0)
    return _text(value)[first : first + max(_whole(count), 0)]


@function("replace('1-2-3', '-', '.')", "1.2.3", least=3, most=3)
def replace(value: Any, old: Any, new: Any) -> str:
    """The size of the result is known before it is made."""
    text, before, after = _text(value), _text(old), _text(new)
    if not before:
        raise Misfit("has an empty text to be replaced")
    if len(text) + text.count(before) * (len(after) - len(before)) > LONGEST_TEXT:
        raise Misfit(TOO_LONG)
    return text.replace(before, after)


@function("contains('Lovelace', 'love')", False, least=2, most=2)
def _contains(value: Any, part: Any) -> bool:
    return _text(part) in _text(value)


@function("starts_with('Lovelace', 'Love')", True, least=2, most=2)
def _starts_with(value: Any, part: Any) -> bool:
    return _text(value).startswith(_text(part))


@function("ends_with('Lovelace', 'lace')", True, least=2, most=2)
def _ends_with(value: Any, part: Any) -> bool:
    return _text(value).endswith(_text(part))


@function("split('a;b', ';')", ["a", "b"], least=2, most=2)
def split(value: Any, separator: Any) -> list[str]:
    text, between = _text(value), _text(separator)
    if not between:
        raise Misfit("has an empty text at which it should be split")
    if text.count(between) >= MOST_ITEMS:
        raise Misfit(f"would be split into more than {MOST_ITEMS} parts")
    return text.split(between)


@function("join(['a', null, 'b'], ', ')", "a, b", least=2, most=2)
def join(values: Any, separator: Any) -> str:
    """The size of the result is known before it is made."""
    if not isinstance(values, list):
        raise Misfit("has something else where join() wants a list")
    texts, between = [_text(value) for value in values if value is not None], _text(separator)
    if sum(map(len, texts)) + len(between) * len(texts) > LONGEST_TEXT:
        raise Misfit(TOO_LONG)
    return between.join(texts)


@function("pad_left('7', 3, '0')", "007", least=3, most=3)
def _pad_left(value: Any, width: Any, sign: Any) -> str:
    if _whole(width) > _WIDEST or len(_text(sign)) != 1:
        raise Misfit(f"cannot be padded: pad_left() takes a width of up to {_WIDEST} and one sign")
    return _text(value).rjust(width, _text(sign))


@function("text(12)", "12")
def _to_text(value: Any) -> str:
    text = to_text(value)
    if len(text) > LONGEST_TEXT:
        raise Misfit(TOO_LONG)
    return text


@function("number('12.50') * 2", Decimal("25.00"))
def _to_number(value: Any) -> Any:
    return to_number(value)


@function("round(number('2.345'), 2)", Decimal("2.35"), most=2)
def _round(value: Any, digits: Any = 0) -> Any:
    return rounded(_number(value), _whole(digits), ROUND_HALF_UP)


@function("floor(number('2.7'))", 2)
def _floor(value: Any) -> Any:
    return rounded(_number(value), 0, ROUND_FLOOR)


@function("ceil(number('2.1'))", 3)
def _ceil(value: Any) -> Any:
    return rounded(_number(value), 0, ROUND_CEILING)


@function("abs(-3)", 3)
def _abs(value: Any) -> Any:
    # Of a Decimal, abs() itself would round to the digits of the current context.
    return _number(value) if value >= 0 else value.copy_negate() if type(value) is not int else -value


@function("min(3, 1, 2)", 1, most=50)
def _min(*values: Any) -> Any:
    return min(_comparable(values))


@function("max(3, 1, 2)", 3, most=50)
def _max(*values: Any) -> Any:
    return max(_comparable(values))


def _comparable(values: Sequence[Any]) -> Sequence[Any]:
    if all(map(is_number, values)) or all(type(value) is str for value in values):
        return values
    raise Misfit("has numbers and other values where a function compares them")


@function("coalesce(null, '', 'b')", "b", most=50, nulls=True)
def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value not in (None, "")), None)


@function("is_empty('')", True, nulls=True)
def _is_empty(value: Any) -> bool:
    return value in (None, "", [], {})


@function("is_true('yes')", True)
def _is_true(value: Any) -> bool | None:
    return to_boolean(value) if len(_text(value)) < _LONGEST_DATE else _refuse_long()


@function("year('2026-05-01')", 2026)
def _year(value: Any) -> int | None:
    moment = _moment(value)
    return moment.year if moment else None


@function("month('2026-05-01')", 5)
def _month(value: Any) -> int | None:
    moment = _moment(value)
    return moment.month if moment else None


@function("day('2026-05-01')", 1)
def _day(value: Any) -> int | None:
    moment = _moment(value)
    return moment.day if moment else None


@function("days_between('2026-05-01', '2026-05-31T10:00:00Z')", 30, least=2, most=2)
def _days_between(first: Any, last: Any) -> int | None:
    begin, end = _moment(first), _moment(last)
    return (end.date() - begin.date()).days if begin and end else None


def _moment(value: Any) -> Any:
    return to_timestamp(value) if not isinstance(value, str) or len(value) <= _LONGEST_DATE else _refuse_long()


def _refuse_long() -> Any:
    raise Misfit("is a long text where a function wants a short one")
