"""What becomes of a failure, by its class: how long its work waits, and after how many in a row it is an error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """`first` is the wait after the first failure, doubled with each further one up to `longest`; None: the work waits
    for its schedule, since trying again before changes nothing.

    `error_after`: so many in a row are the error state, when nothing got through for `lasting` as well; None: never,
    because it is no fault or mends itself. In the error state the work is looked at after each `probe`.
    """

    first: timedelta | None
    longest: timedelta = HOUR
    error_after: int | None = None
    lasting: timedelta = timedelta(0)
    probe: timedelta = HOUR


def _away(longest: timedelta = HOUR) -> Treatment:
    """Somebody does not answer: an outage ends by itself and nobody tells us, so that only what outlasts one is an
    error, and is still looked at every hour. A count alone would be reached within half an hour by a sync of 5 minutes.
    """
    return Treatment(first=MINUTE, longest=longest, error_after=8, lasting=6 * HOUR)


TREATMENTS: Final[Mapping[str, Treatment]] = {
    # Least likely to mend itself first: of several failures of one connection the first of these is the one told.
    "auth_expired": Treatment(first=None),
    # Whoever mends it makes it due at once, so that looking often is of no use.
    "configuration": Treatment(first=None, error_after=3, probe=6 * HOUR),
    "destination": _away(longest=15 * MINUTE),
    "vendor_error": _away(),
    "network": _away(),
    "rate_limit": Treatment(first=5 * MINUTE),
    "not_found": Treatment(first=None),
    "field_validation": Treatment(first=None),
}
"""A connection whose token is refused becomes `expired` and waits for the customer, so it needs no error state here."""

UNKNOWN: Final = _away()
"""Of work that ended without a word: its process was killed, or the store did not answer."""


def treatment_of(error_type: str | None) -> Treatment:
    return TREATMENTS.get(error_type or "", UNKNOWN)


def worst(error_types: Iterable[str | None]) -> str | None:
    """Of several classes of failure the one that a person has to know of first."""
    found = set(error_types)
    return next((error_type for error_type in TREATMENTS if error_type in found), None)
