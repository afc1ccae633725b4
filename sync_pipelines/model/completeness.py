"""Whether a customer's copy of an object holds as many records as the customer's account."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

COMPLETE: Final = "complete"
GAP: Final = "gap"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What the destination holds of one scope.

    `live`: rows that are not deleted; `marked`: those that are. `lately`: rows of both kinds that changed at the
    vendor since a while before `read_until`, which is the checkpoint's; None: nothing was read to its end yet.
    """

    live: int
    marked: int = 0
    lately: int = 0
    read_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One connection's object counted on both sides.

    `status`: complete, gap (a difference that nothing explains) or unknown (`message` says why it could not be told).
    `message` of a complete one may explain a difference. `repair_asked_at`: when a full read was asked for.
    `countable` False: what is selected cannot be compared at all, so that a gap of before says nothing any more; it is
    told and not kept.
    """

    sync: str
    object: str
    customer_id: str
    connection_id: int
    checked_at: datetime
    status: str
    source: int | None = None
    destination: int | None = None
    message: str = ""
    repair_asked_at: datetime | None = None
    countable: bool = True

    @property
    def difference(self) -> int | None:
        """How many records the destination has too many, less than 0: too few. None where a side was not counted."""
        if self.source is None or self.destination is None:
            return None
        return self.destination - self.source
