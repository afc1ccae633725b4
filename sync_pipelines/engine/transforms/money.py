"""How an amount of money is written: Babel's facts about currencies and locales, without its cost for each value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_AROUND: Final = re.compile(r"(?P<prefix>\D*)\d.*?(?P<suffix>\D*)")


@dataclass(frozen=True)
class Money:
    """Digits between a prefix and a suffix; each pair of these is for amounts from 0 up, and below 0.

    `grouping`: how many digits the last group has, and how many each group before it.
    """

    precision: int
    prefix: tuple[str, str]
    suffix: tuple[str, str]
    grouping: tuple[int, int]
    symbols: Mapping[int, str]

    def written(self, amount: Decimal) -> str:
        """`amount` has as many digits after the point as `precision` says."""
        below = amount < 0
        if self.grouping == (3, 3):
            digits = format(amount.copy_abs(), ",f")
        else:
            whole, point, rest = format(amount.copy_abs(), "f").partition(".")
            digits = ",".join(self._groups(whole)) + point + rest
        return self.prefix[below] + digits.translate(self.symbols) + self.suffix[below]

    def _groups(self, whole: str) -> list[str]:
        last, others = self.grouping
        head, tail = whole[:-last], whole[-last:]
        first = len(head) % others
        cut = [head[at : at + others] for at in range(first, len(head), others)]
        return [part for part in (head[:first], *cut, tail) if part]


def money_of(currency: str, locale: str, precision: int | None) -> Money:
    """ValueError for a currency or locale that Babel does not know."""
    from babel import Locale, UnknownLocaleError, numbers  # noqa: PLC0415 - only where money is written

    try:
        known = Locale.parse(locale)
    except (UnknownLocaleError, ValueError):
        raise ValueError(f"locale {locale!r} is not known: write one such as en_US, de_DE or fr_FR") from None
    if currency not in numbers.list_currencies():
        raise ValueError(f"currency {currency} is not known: write an ISO 4217 code such as USD, EUR or JPY")
    sides = []
    for amount in (Decimal(1), Decimal(-1)):
        found = _AROUND.fullmatch(numbers.format_currency(amount, currency, locale=known))
        assert found is not None, "an amount has digits"
        sides.append((found["prefix"], found["suffix"]))
    (prefix, suffix), (prefix_below, suffix_below) = sides
    symbols = {",": numbers.get_group_symbol(known), ".": numbers.get_decimal_symbol(known)}
    return Money(
        precision=numbers.get_currency_precision(currency) if precision is None else precision,
        prefix=(prefix, prefix_below),
        suffix=(suffix, suffix_below),
        grouping=known.currency_formats["standard"].grouping,
        symbols=str.maketrans(symbols),
    )
