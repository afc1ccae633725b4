"""Telephone numbers in one spelling, by Google's rules for every country (the library phonenumbers)."""

import re
from typing import Any, Final, Literal

from pydantic import Field

from sync_pipelines.engine.casting import Misfit, to_text
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Function, Options, named

_LONGEST: Final = 100
_NORTH_AMERICAN: Final = re.compile(r"(?:\+1[ .-]?)?\(?([2-9]\d\d)\)?[ .-]?(\d{3})[ .-]?(\d{4})", re.ASCII)
"""The commonest numbers, which need no library: 10 digits, with or without the country's code."""
_NORTH_AMERICAN_AS: Final = {"E164": "+1{}{}{}", "international": "+1 {}-{}-{}", "national": "({}) {}-{}"}


class _Phone(Options):
    format: Literal["E164", "international", "national"] = Field("E164", description="the spelling that is wanted")
    region: str | None = Field(
        None, description="country of numbers without a country code, such as US; left out: those do not fit"
    )
    check: Literal["possible", "valid"] = Field(
        "possible", description="possible looks at the length, valid also at the ranges that a country has given out"
    )


@named(
    "format_phone",
    _Phone,
    Example(("(415) 555-0132",), "+14155550132", {"region": "US"}),
    Example(("+49 30 901820",), "+49 30 901820", {"format": "international"}),
    Example(("020 7946 0018",), "+44 20 7946 0018", {"region": "GB", "format": "international"}),
    repeats=True,
    gives=TEXTS,
)
def format_phone(options: _Phone) -> Function:
    """A telephone number in one spelling. What is no number of a country does not fit."""
    import phonenumbers  # noqa: PLC0415 - costs a tenth of a second, only where it is used

    region = options.region
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"region {region} is not known: write a country's two letters, such as US or DE")
    code = phonenumbers.country_code_for_region(region) if region else 0
    spelling = getattr(phonenumbers.PhoneNumberFormat, options.format.upper())
    fits = phonenumbers.is_valid_number if options.check == "valid" else phonenumbers.is_possible_number
    quick = _NORTH_AMERICAN_AS[options.format] if options.check == "possible" else None

    def make(value: Any) -> str | None:
        text = to_text(value).strip()
        if not text:
            return None
        if quick and (code == 1 or text.startswith("+1")) and (found := _NORTH_AMERICAN.fullmatch(text)):
            return quick.format(*found.groups())
        if len(text) > _LONGEST:
            raise Misfit("is not a telephone number")
        try:
            number = phonenumbers.parse(text, region)
        except phonenumbers.NumberParseException:
            without = "" if region or text.startswith("+") else "; the option region tells the country of such"
            raise Misfit(f"is not a telephone number with a country code{without}") from None
        if not fits(number):
            raise Misfit(f"is not a {options.check} telephone number")
        return str(phonenumbers.format_number(number, spelling))

    return make
