"""Telephone numbers in one spelling, by Google's rules for every country (the library phonenumbers)."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from sync_pipelines.engine.casting import Misfit, to_text
from sync_pipelines.engine.transforms.bounds import WORK_OF_A_FORMAT
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Function, Options, named

_LONGEST: Final = 100
_NORTH_AMERICAN: Final = re.compile(r"(?:\+1[ .-]?)?\(?([2-9]\d\d)\)?[ .-]?(\d{3})[ .-]?(\d{4})", re.ASCII)
_NORTH_AMERICAN_AS: Final = {"E164": "+1{}{}{}", "international": "+1 {}-{}-{}", "national": "({}) {}-{}"}
_WITH_CODE: Final = re.compile(r"\+\d[\d .()/-]{5,40}", re.ASCII)
_NO_DIGITS: Final = str.maketrans("", "", "+ .()/-")


class _Phone(Options):
    format: Literal["E164", "international", "national"] = Field("E164", description="the spelling that is wanted")
    region: str | None = Field(
        None, description="country of numbers without a country code, such as US; left out: those do not fit"
    )
    check: Literal["possible", "valid"] = Field(
        "possible", description="possible looks at the length, valid also at the ranges that a country has given out"
    )

    def work(self) -> int:
        return 5 * WORK_OF_A_FORMAT


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
    spelling = getattr(phonenumbers.PhoneNumberFormat, options.format.upper())
    fits = phonenumbers.is_valid_number if options.check == "valid" else phonenumbers.is_possible_number

    def thorough(text: str) -> str:
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

    quick = _quick(options)

    def make(value: Any) -> str | None:
        text = to_text(value).strip()
        return (quick(text) or thorough(text)) if text else None

    return make


def _quick(options: _Phone) -> Callable[[str], str | None]:
    """Of the plainest numbers, what the library would give for a hundred times the cost; None for all others."""
    import phonenumbers  # noqa: PLC0415

    code = phonenumbers.country_code_for_region(options.region) if options.region else 0

    def of_north_america(text: str) -> str | None:
        if code != 1 and not text.startswith("+1"):
            return None
        found = _NORTH_AMERICAN.fullmatch(text)
        return _NORTH_AMERICAN_AS[options.format].format(*found.groups()) if found else None

    def with_its_code(text: str) -> str | None:
        if not _WITH_CODE.fullmatch(text):
            return of_north_america(text)
        digits = text.translate(_NO_DIGITS)
        return f"+{digits}" if _is_plain(digits) else None

    if options.check == "valid":
        return lambda text: None
    return with_its_code if options.format == "E164" else of_north_america


def _is_plain(digits: str) -> bool:
    """Whether all digits after the country's code are the number, and so many that a number can have so many."""
    for size in (1, 2, 3):
        known = _country(digits[:size])
        if known is not None:
            rest = digits[size:]
            return known.prefix.match(rest) is None and rest[:1] != "0" and len(rest) in known.lengths
    return False


class _Country(NamedTuple):
    """What is dialled before a number inside the country, and how many digits numbers have."""

    prefix: re.Pattern[str]
    lengths: frozenset[int]


@lru_cache(maxsize=1000)
def _country(code: str) -> _Country | None:
    """None where no country has this code, or several kinds of numbers that are not told apart here."""
    import phonenumbers  # noqa: PLC0415

    region = phonenumbers.region_code_for_country_code(int(code)) if not code.startswith("0") else "ZZ"
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    if metadata is None or metadata.general_desc is None:
        return None
    prefix = metadata.national_prefix_for_parsing or "(?!)"
    return _Country(re.compile(f"(?:{prefix})"), frozenset(metadata.general_desc.possible_length))
