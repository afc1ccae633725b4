"""Numbers and truth values as texts for people."""

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Final

from pydantic import Field

from sync_pipelines.engine.casting import LARGEST_EXPONENT, to_boolean, to_numeric
from sync_pipelines.engine.transforms.money import money_of
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Function, Options, named

_EXACT: Final = Context(prec=2 * LARGEST_EXPONENT + 40, traps=[InvalidOperation])


class _Currency(Options):
    currency: str = Field("USD", description="ISO 4217 code")
    locale: str = Field("en_US", description="whose way of writing: en_US, de_DE, fr_FR ...")
    precision: int | None = Field(None, ge=0, le=10, description="digits after the point; left out: the currency's own")


@named(
    "number_to_currency",
    _Currency,
    Example((Decimal("1234.5"),), "$1,234.50"),
    Example(("1234.5",), "1.234,50\u00a0€", {"currency": "EUR", "locale": "de_DE"}),
    Example((-1234567,), "-₹12,34,567", {"currency": "INR", "locale": "en_IN", "precision": 0}),
    gives=TEXTS,
    never=frozenset({"boolean", "date", "timestamp"}),
)
def number_to_currency(options: _Currency) -> Function:
    """A number as an amount of money, rounded half up."""
    money = money_of(options.currency, options.locale, options.precision)
    last = Decimal(1).scaleb(-money.precision)

    def make(value: Any) -> str | None:
        number = to_numeric(value)
        return None if number is None else money.written(number.quantize(last, ROUND_HALF_UP, _EXACT))

    return make


class _Words(Options):
    true: str = Field("Yes", description="the text for true")
    false: str = Field("No", description="the text for false")


@named(
    "boolean_to_string",
    _Words,
    Example((True,), "Yes"),
    Example(("false",), "No"),
    Example((True,), "active", {"true": "active", "false": "inactive"}),
    gives=TEXTS | {"boolean"},
    never=frozenset({"date", "timestamp"}),
)
def boolean_to_string(options: _Words) -> Function:
    """True and false as Yes and No. The texts true, false, yes, no, 1 and 0 are understood."""
    words = {True: options.true, False: options.false, None: None}
    return lambda value: words[value if type(value) is bool else to_boolean(value)]
