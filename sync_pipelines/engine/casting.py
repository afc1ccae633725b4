"""Vendor values into column types. What does not fit raises Misfit; nothing is guessed.

Read as a timestamp or date: ISO 8601 (with or without zone; without is UTC) and epoch milliseconds of 9 to 14 digits,
as a text or a number: a shorter number is an amount or a count. A date like 03/04/2026 has two meanings, so it is a
Misfit and its text is kept.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import msgspec

TRUE_WORDS: Final = frozenset({"true", "yes", "1"})
FALSE_WORDS: Final = frozenset({"false", "no", "0"})
LARGEST_EXPONENT: Final = 1000
"""Postgres holds 131,072 digits, but a number this long is never meant and costs memory."""

_SHORT: Final = 19
"""Characters; so many digits are never more than 64 bits."""
_EXACT: Final = Context(prec=LARGEST_EXPONENT)
"""The default context would round to 28 digits."""
_NO_TIMESTAMP: Final = "is not an ISO 8601 date or time, nor epoch milliseconds"
_NO_YEAR: Final = "is outside the years 1 to 9999"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_MS: Final = re.compile(r"-?\d{9,14}", re.ASCII)
_EPOCH_MS_SIZE: Final = range(10**8, 10**14)
"""The same of a number, by its size."""
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_encode = msgspec.json.Encoder(decimal_format="number").encode
_encode_in_order = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


class Misfit(ValueError):
    """The value does not fit the column; the text says why."""


def json_number(text: str) -> int | Decimal:
    """A JSON number with a fraction or exponent, exact, in one spelling: 5.0, 5 and 0.5E1 are the same.

    OverflowError when it has more digits than a column can hold.
    """
    number = Decimal(text)
    if not number:
        return 0
    if len(text) > LARGEST_EXPONENT or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise OverflowError(text[:40])
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= 0:
        return int(number)
    return number


def plain_number(number: int | float | Decimal) -> str:
    """Digits without an exponent where that stays readable."""
    if isinstance(number, Decimal) and abs(number.adjusted()) <= 40:
        return format(number, "f")
    return str(number)


def to_text(value: Any) -> str:
    """An object's keys come in one order, whatever the vendor's: a destination may keep its records in another."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return plain_number(value)
    return _encode_in_order(value).decode()


def to_numeric(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        raise Misfit("is true or false, not a number")
    if isinstance(value, int | Decimal):
        number = Decimal(value)
    elif isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise Misfit("is not a plain number")
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise Misfit("is not a number that can be stored") from None
    else:
        raise Misfit("is not a number")
    if number and abs(number.adjusted()) > LARGEST_EXPONENT:
        raise Misfit(f"has more than {LARGEST_EXPONENT} digits")
    return number


def to_bigint(value: Any) -> int | None:
    if type(value) is str and len(value) < _SHORT and value.isascii() and value.isdecimal():
        return int(value)
    number = to_numeric(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise Misfit("is not a whole number")
    if not -(2**63) <= number < 2**63:
        raise Misfit("is larger than a 64-bit number")
    return int(number)


def to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = to_text(value).strip().lower()
    if not word:
        return None
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise Misfit("is not true, false, yes, no, 1 or 0")


def to_timestamp(value: Any) -> datetime | None:
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) in _EPOCH_MS_SIZE:
        return _since_epoch(value)
    raise Misfit(_NO_TIMESTAMP)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> datetime | None:
    """Cached because records of one batch share their stamps."""
    text = text.strip()
    if not text:
        return None
    if _EPOCH_MS.fullmatch(text):
        return _since_epoch(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misfit(_NO_TIMESTAMP) from None
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Misfit(_NO_YEAR) from None


def _since_epoch(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise Misfit(_NO_YEAR) from None


def to_date(value: Any) -> date | None:
    moment = to_timestamp(value)
    return None if moment is None else moment.date()


def to_json(value: Any) -> bytes:
    return _encode(value)


@dataclass(frozen=True)
class Cast:
    """Into one column type: a single value (never None), or a whole column (None stays None). Both raise Misfit."""

    value: Callable[[Any], Any]
    column: Callable[[Sequence[Any]], Sequence[Any]]


def _timestamps(values: Sequence[Any]) -> Sequence[Any]:
    """As to_timestamp for each, with the two spellings that vendors use read in place."""
    spelled = datetime.fromisoformat
    try:
        return [
            None
            if one is None
            else spelled(one)
            if type(one) is str and one[10:11] == "T" and (one[-1:] == "Z" or one[-5:] == "+0000")
            else to_timestamp(one)
            for one in values
        ]
    except Misfit:
        raise
    except ValueError:
        raise Misfit(_NO_TIMESTAMP) from None


def _cast(value: Callable[[Any], Any], as_they_are: type | None = None) -> Cast:
    """`as_they_are`: values of this type need nothing done, so that a column of them is taken whole."""
    plain = {as_they_are, type(None)}

    def column(values: Sequence[Any]) -> Sequence[Any]:
        if as_they_are is not None and plain.issuperset(map(type, values)):
            return values
        return [None if one is None else value(one) for one in values]

    return Cast(value, column)


CASTS: Final[Mapping[str, Cast]] = {
    "text": _cast(to_text, str),
    "numeric": _cast(to_numeric),
    "bigint": _cast(to_bigint),
    "boolean": _cast(to_boolean, bool),
    "timestamptz": Cast(to_timestamp, _timestamps),
    "date": _cast(to_date),
    "jsonb": _cast(to_json),
}
"""By column type."""
