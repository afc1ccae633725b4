"""What a vendor tells by itself: deliveries that it sends, and the records that they say have changed.

An event only says which record to look at. What became of it the vendor is asked, so that events may come twice, late
or in any order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync_pipelines.model.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One call of a vendor, as it came. `url`: as the vendor knows it. Header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class VendorEvent:
    """A record of a vendor's account that is to be looked at.

    `object`: the name of a CrmObject; of associations, `record_id` is the record that has them. `event_id` and
    `occurred_at` are the vendor's, the latter None where it does not say. `text`: the event as it was sent.
    """

    account_id: str
    object: str
    record_id: str
    event_id: str = ""
    occurred_at: datetime | None = None
    text: str = ""


class NotADelivery(Exception):
    """A body that the vendor would not send; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """How a vendor tells changes. Functions without I/O.

    `refusal`: (delivery, the app's client secret, now) -> why it is none of the vendor's, None where it is. None: the
    vendor signs nothing, so that every connection has an address of its own, which nobody else knows.
    `events`: what a body tells; NotADelivery. `answer`: what the vendor takes as received, of type `answer_type`.
    """

    refusal: Callable[[Delivery, Secret, datetime], str | None] | None
    events: Callable[[bytes], Sequence[VendorEvent]]
    answer: bytes = b""
    answer_type: str = "text/plain"
