"""When a sync runs, as people write it."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from sync_pipelines.config.document import Choice, Document, refusing
from sync_pipelines.model.sync import Schedule

PRESETS = {
    "hourly": Schedule(every=timedelta(hours=1)),
    "daily": Schedule(every=timedelta(days=1)),
    "weekly": Schedule(every=timedelta(weeks=1)),
    "manual": Schedule(),
}
"""Words for the most usual schedules. Without a time of day or a time zone they are intervals, over which customers are
spread; with one, `daily` and `weekly` (on Monday) come at that time."""

_RANDOM = re.compile(r"(?:^|\s)r", re.IGNORECASE)
_AT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")

_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "hr": 3600}
_UNITS |= {"d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_LONGEST = timedelta(days=3660)


def parse_duration(written: Any) -> timedelta:
    """`15 minutes`, `90s`, `1h 30m`; a bare number has no unit and is refused."""
    if isinstance(written, timedelta):
        return written
    wrong = refusing("must be a length of time with its unit, such as `15 minutes` or `1h 30m`")
    if not isinstance(written, str):
        raise wrong
    text = written.strip().casefold()
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise wrong
    seconds = 0.0
    for part in parts:
        unit = part[2] if part[2] in _UNITS else part[2].removesuffix("s")
        if unit not in _UNITS:
            raise wrong
        seconds += float(part[1]) * _UNITS[unit]
    if not 0 < seconds <= _LONGEST.total_seconds():
        raise refusing("must be more than nothing and at most ten years")
    return timedelta(seconds=seconds)


_AS_TEXT = WithJsonSchema({"type": "string", "examples": ["15 minutes", "1h 30m"]})
Duration = Annotated[timedelta, BeforeValidator(parse_duration), _AS_TEXT]


def parse_cron(written: Any) -> str:
    """A cron line of five fields. `R`, which croniter takes for another random time at every look, is refused."""
    if not isinstance(written, str) or len(written.split()) != 5 or not croniter.is_valid(written):
        raise refusing("must be a cron line of five fields (minute hour day month weekday), such as `0 6 * * 1-5`")
    if _RANDOM.search(written):
        raise refusing("must hold its times: `R` means another one each time; `spread` lays customers apart in time")
    try:
        croniter(written, datetime(2026, 1, 1, tzinfo=UTC)).get_next(datetime)
    except CroniterBadDateError as error:
        raise refusing("never comes: there is no such day") from error
    return " ".join(written.split())


def parse_timezone(written: Any) -> str:
    """A name of the IANA time zone database."""
    try:
        return ZoneInfo(written).key
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise refusing("is not a known time zone: write an IANA name such as `Europe/Paris` or `UTC`") from error


def parse_time_of_day(written: Any) -> str:
    """`06:30`. YAML reads an unquoted 6:30 as a number of minutes, so that is meant too."""
    if isinstance(written, int) and not isinstance(written, bool) and 0 <= written < 24 * 60:
        written = f"{written // 60}:{written % 60:02}"
    if not isinstance(written, str) or not _AT.fullmatch(written):
        raise refusing("must be a time of day such as `06:30`")
    return written


class ScheduleDocument(Document):
    """One of: `every`, `cron` (with `timezone`), `preset`, or `type` with `interval_minutes` or `cron`.

    `preset: daily` and `weekly` take `at` and `timezone`. An interval has no time zone: it comes at the same moments
    everywhere.

    A single word (`hourly`, `daily`, `weekly`, `manual`) may stand for the whole.
    """

    every: Duration | None = Field(None, description="Time from one run to the next")
    cron: Annotated[str, BeforeValidator(parse_cron)] | None = None
    timezone: Annotated[str, BeforeValidator(parse_timezone)] = "UTC"
    preset: Annotated[str, Choice({word: word for word in PRESETS})] | None = None
    at: Annotated[str, BeforeValidator(parse_time_of_day)] | None = Field(
        None, description="Time of day of `preset: daily` or `weekly`, in `timezone`"
    )
    type: Annotated[str, Choice({word: word for word in ("interval", "cron", "manual")})] | None = None
    interval_minutes: float | None = Field(None, gt=0, le=_LONGEST.total_seconds() / 60)
    spread: Duration | None = Field(
        None, description="How far apart customers are laid; a cron line's default is a minute"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_word_is_a_preset(cls, written: Any) -> Any:
        return {"preset": written} if isinstance(written, str) else written

    @model_validator(mode="after")
    def _says_when_exactly_once(self) -> Self:
        ways = [way for way in ("every", "cron", "preset", "interval_minutes") if getattr(self, way) is not None]
        needed = {"interval": "interval_minutes", "cron": "cron"}.get(self.type or "")
        if self.type is not None and ways != ([needed] if needed else []):
            raise refusing(
                f"of type {self.type} takes " + (f"`{needed}` and nothing else" if needed else "nothing else")
            )
        if self.type is None and len(ways) != 1:
            raise refusing(
                "must say when exactly once: `every`, `cron`, `interval_minutes`, or one word such as `hourly`"
            )
        if self.at is not None and self.preset not in ("daily", "weekly"):
            raise refusing(
                "has `at`, which goes with `preset: daily` or `preset: weekly`: a cron line holds its own time"
            )
        if self.timezone != "UTC" and self.cron is None and self.preset not in ("daily", "weekly"):
            raise refusing(
                "has a `timezone`, which goes with `cron`, `preset: daily` and `preset: weekly`: an interval comes at "
                'the same moments in all zones; for a time of day write `{preset: daily, at: "06:00", timezone: ...}`'
            )
        return self

    def schedule(self) -> Schedule:
        """The schedule that is meant."""
        if self.preset in ("daily", "weekly") and (self.at is not None or "timezone" in self.model_fields_set):
            hour, minute = (self.at or "0:00").split(":")
            day = "*" if self.preset == "daily" else "1"
            return Schedule(cron=f"{int(minute)} {int(hour)} * * {day}", timezone=self.timezone, spread=self.spread)
        if self.preset is not None:
            return replace(PRESETS[self.preset], spread=self.spread)
        if self.interval_minutes is not None:
            return Schedule(every=timedelta(minutes=self.interval_minutes), spread=self.spread)
        return Schedule(every=self.every, cron=self.cron, timezone=self.timezone, spread=self.spread)
