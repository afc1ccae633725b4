"""Dates and times as texts."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Annotated, Any, Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from sync_pipelines.engine.casting import Misfit, to_timestamp
from sync_pipelines.engine.transforms.bounds import WORK_OF_A_FORMAT
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Function, Options, named

_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_WRITTEN: Final = frozenset("YymdHIMSfpjbBaAzZ%")
_READ: Final = frozenset("YymdHIMSfpjbBaAz%")
_DATE_ONLY: Final = re.compile(r"\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?", re.ASCII)
_LONGEST_DATE: Final = 100

_Moment: TypeAlias = date | datetime


def _format(written: str, known: frozenset[str]) -> str:
    unknown = sorted({f"%{sign}" for sign in _DIRECTIVE.findall(written) if sign not in known})
    if unknown:
        raise ValueError(
            f"does not know {', '.join(unknown)}; it knows {', '.join(f'%{sign}' for sign in sorted(known))}"
        )
    return written


def _zone(written: str) -> str:
    try:
        ZoneInfo(written)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{written!r} is no time zone: write one such as Europe/Berlin or UTC") from None
    return written


def _as_several(written: Any) -> Any:
    return [written] if isinstance(written, str) else written


_ReadFormat = Annotated[str, Field(min_length=2, max_length=100), AfterValidator(lambda text: _format(text, _READ))]
_WrittenFormat = Annotated[
    str, Field(min_length=1, max_length=100), AfterValidator(lambda text: _format(text, _WRITTEN))
]
_Zone = Annotated[str, AfterValidator(_zone)]


class _Iso(Options):
    from_: Annotated[tuple[_ReadFormat, ...], BeforeValidator(_as_several)] = Field(
        (),
        alias="from",
        max_length=10,
        description="how the text is written, such as %d/%m/%Y; several are tried in turn",
    )
    from_zone: _Zone = Field("UTC", description="time zone of values that do not tell one")

    def work(self) -> int:
        return WORK_OF_A_FORMAT * (1 + len(self.from_))


class _Written(_Iso):
    to: _WrittenFormat = Field(description="how it shall be written, such as %d.%m.%Y")
    to_zone: _Zone = Field("UTC", description="time zone in which a time is told; a bare date stays that date")


@named(
    "date_to_iso",
    _Iso,
    Example(("2026-05-01T09:25:37+02:00",), "2026-05-01T07:25:37Z"),
    Example((1777620337000,), "2026-05-01T07:25:37Z"),
    Example(("01/05/2026",), "2026-05-01", {"from": "%d/%m/%Y"}),
    Example(("1 May 2026 09:25",), "2026-05-01T07:25:00Z", {"from": "%d %b %Y %H:%M", "from_zone": "Europe/Berlin"}),
    gives=TEXTS | {"date", "timestamptz"},
    never=frozenset({"boolean"}),
)
def date_to_iso(options: _Iso) -> Function:
    """A date as YYYY-MM-DD, a time as ISO 8601 in UTC.

    Texts are read as ISO 8601 or epoch milliseconds, or by the formats in `from` and no others.
    """
    read = _reader(options.from_, ZoneInfo(options.from_zone))

    def make(value: Any) -> str | None:
        if not options.from_ and type(value) is str and value.endswith(("Z", "+0000")) and value[10:11] == "T":
            try:
                return datetime.fromisoformat(value).isoformat()[: -len("+00:00")] + "Z"
            except ValueError:
                pass  # said below why not
        moment = read(value)
        if not isinstance(moment, datetime):
            return moment.isoformat() if moment else None
        return moment.isoformat()[: -len("+00:00")] + "Z"

    return make


@named(
    "format_date",
    _Written,
    Example(("2026-05-01T22:30:00Z",), "02.05.2026 00:30", {"to": "%d.%m.%Y %H:%M", "to_zone": "Europe/Berlin"}),
    Example(("05/01/2026",), "01 May 2026", {"from": "%m/%d/%Y", "to": "%d %B %Y"}),
    repeats=True,
    never=frozenset({"boolean"}),
)
def format_date(options: _Written) -> Function:
    """A date or time as a text of the wanted format."""
    read, write = _reader(options.from_, ZoneInfo(options.from_zone)), date_writer(options.to)
    zone = ZoneInfo(options.to_zone)

    def make(value: Any) -> str | None:
        moment = read(value)
        if moment is None:
            return None
        try:
            return write(moment.astimezone(zone) if isinstance(moment, datetime) else datetime.combine(moment, time()))
        except OverflowError:
            raise Misfit("is outside the years 1 to 9999") from None

    return make


def date_writer(to: str) -> Callable[[datetime], str]:
    """As strftime, but with years of four digits everywhere. ValueError for a directive that is not known."""
    pieces = re.split(r"(%[Yy%])", _format(to, _WRITTEN))

    def piece(text: str, moment: datetime) -> str:
        if text == "%Y":
            return f"{moment.year:04d}"
        if text == "%y":
            return f"{moment.year % 100:02d}"
        return moment.strftime(text) if text else ""

    return lambda moment: "".join([piece(text, moment) for text in pieces])


def _reader(formats: Sequence[str], zone: tzinfo) -> Callable[[Any], _Moment | None]:
    """Of what a value says: a date where it tells no time, else a time in UTC; None for an empty text."""
    timed = {each: any(sign in "HIMSfp" for sign in _DIRECTIVE.findall(each)) for each in formats}

    def read(value: Any) -> _Moment | None:
        text = value.strip() if isinstance(value, str) else value
        if text == "":
            return None
        if formats and isinstance(text, str):
            return _by_format(text)
        return _by_iso(text, zone)

    def _by_format(text: str) -> _Moment:
        for each, has_time in timed.items() if len(text) <= _LONGEST_DATE else ():
            try:
                moment = datetime.strptime(text, each)  # noqa: DTZ007 - the zone is put in below
            except ValueError:
                continue
            return _zoned(moment, zone) if has_time else moment.date()
        raise Misfit(f"is not written as {' or '.join(formats)}")

    return read


def _by_iso(value: Any, zone: tzinfo) -> _Moment | None:
    if not isinstance(value, str) or (value.isdecimal() and not _DATE_ONLY.fullmatch(value)):
        return to_timestamp(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return to_timestamp(value)  # or its reason why not
    return moment.date() if _DATE_ONLY.fullmatch(value) else _zoned(moment, zone)


def _zoned(moment: datetime, zone: tzinfo) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise Misfit("is outside the years 1 to 9999") from None
