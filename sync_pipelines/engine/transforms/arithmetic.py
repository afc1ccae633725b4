"""Numbers of expressions and templates: whole ones and Decimal, exact but for division, no larger than columns hold.

Null with anything is null. Everything else that is no number raises Misfit.
"""

import operator
from collections.abc import Callable
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from typing import Any, Final, TypeAlias

from sync_pipelines.engine.casting import LARGEST_EXPONENT, Misfit, to_numeric

Number: TypeAlias = int | Decimal
Operation: TypeAlias = Callable[[Any, Any], Any]

DIGITS_OF_QUOTIENTS: Final = 40
LONGEST_NUMBER: Final = LARGEST_EXPONENT + 100
"""Characters of a text that is read as a number."""

_MOST_BITS: Final = 3322
"""Of a whole number with LARGEST_EXPONENT digits."""
_TRAPS: Final = [InvalidOperation, DivisionByZero, Overflow]
_EXACT: Final = Context(prec=LONGEST_NUMBER, rounding=ROUND_HALF_EVEN, traps=[*_TRAPS, Inexact])
_QUOTIENT: Final = Context(prec=DIGITS_OF_QUOTIENTS, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_ROUNDING: Final = Context(prec=2 * LONGEST_NUMBER, traps=_TRAPS)
_TOO_LARGE: Final = f"leads to a number of more than {LARGEST_EXPONENT} digits"


def to_number(value: Any) -> Number | None:
    """Also of a text; None for an empty one. Misfit for what is no number."""
    if type(value) is int or type(value) is Decimal:
        return value
    if isinstance(value, str):
        if value.isascii() and value.isdecimal() and len(value) <= DIGITS_OF_QUOTIENTS:
            return int(value)
        if len(value) > LONGEST_NUMBER:
            raise Misfit("is not a plain number")
    return to_numeric(value)


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is Decimal


def bounded(number: Number) -> Number:
    """The number itself, unless it is larger than a column holds."""
    if isinstance(number, int):
        if number.bit_length() > _MOST_BITS:
            raise Misfit(_TOO_LARGE)
    elif number and abs(number.adjusted()) > LARGEST_EXPONENT:
        raise Misfit(_TOO_LARGE)
    return number


def _of_numbers(word: str, whole: Operation, exact: Callable[[Decimal, Decimal], Decimal]) -> Operation:
    def operate(left: Any, right: Any) -> Any:
        if type(left) is int and type(right) is int:
            return bounded(whole(left, right))
        if left is None or right is None:
            return None
        if not is_number(left) or not is_number(right):
            raise Misfit(
                f"cannot be {word}: {_kind(left)} and {_kind(right)}; number() and text() make one of the other"
            )
        try:
            return bounded(exact(Decimal(left), Decimal(right)))
        except DivisionByZero:
            raise Misfit("is divided by zero") from None
        except (Overflow, Inexact):
            raise Misfit(_TOO_LARGE) from None
        except InvalidOperation:
            raise Misfit("is divided by zero" if not right else _TOO_LARGE) from None

    return operate


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    return "a number" if is_number(value) else "a list" if isinstance(value, list) else "an object"


def _whole_quotient(left: Decimal, right: Decimal) -> Decimal:
    """Rounded down, as for whole numbers."""
    quotient = _EXACT.divide_int(left, right)
    below = _EXACT.subtract(left, _EXACT.multiply(quotient, right))
    return _EXACT.subtract(quotient, Decimal(1)) if below and (below < 0) != (right < 0) else quotient


def _rest(left: Decimal, right: Decimal) -> Decimal:
    return _EXACT.subtract(left, _EXACT.multiply(_whole_quotient(left, right), right))


def _by_whole(operate: Operation) -> Operation:
    def make(left: int, right: int) -> Any:
        if right == 0:
            raise Misfit("is divided by zero")
        return operate(left, right)

    return make


add: Final = _of_numbers("added", operator.add, _EXACT.add)
subtract: Final = _of_numbers("subtracted", operator.sub, _EXACT.subtract)
multiply: Final = _of_numbers("multiplied", operator.mul, _EXACT.multiply)
divide_whole: Final = _of_numbers("divided", _by_whole(operator.floordiv), _whole_quotient)
modulo: Final = _of_numbers("divided", _by_whole(operator.mod), _rest)


divide: Final = _of_numbers(
    "divided", _by_whole(lambda left, right: _QUOTIENT.divide(Decimal(left), Decimal(right))), _QUOTIENT.divide
)
"""To DIGITS_OF_QUOTIENTS digits."""


def negate(value: Any) -> Any:
    return subtract(0, value)


def rounded(value: Any, digits: int, rounding: str) -> Any:
    """To so many digits after the point, before it when negative; a whole number when `digits` is 0 or less."""
    if value is None:
        return None
    if not is_number(value):
        raise Misfit(f"is {_kind(value)}, not a number")
    if not -LARGEST_EXPONENT <= digits <= LARGEST_EXPONENT:
        raise Misfit(f"cannot be rounded to {digits} digits")
    exact = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding, _ROUNDING)
    return int(exact) if digits <= 0 else exact
