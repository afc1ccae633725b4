"""What happened that somebody outside may want to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

SYNC_COMPLETED: Final = "sync.completed"
SYNC_ERROR: Final = "sync.error"
SYNC_CONFLICT: Final = "sync.conflict"
CONNECTION_CONNECTED: Final = "connection.connected"
CONNECTION_EXPIRED: Final = "connection.expired"
MAPPING_CHANGED: Final = "mapping.changed"
WEBHOOK_DISABLED: Final = "webhook.disabled"

EVENT_TYPES: Final = {
    SYNC_COMPLETED: "a run of one object of one customer got through: it changed something, was asked for by somebody, "
    "or followed one that had failed",
    SYNC_ERROR: "a run of one object of one customer failed",
    SYNC_CONFLICT: "both sides changed a field; reserved, nothing sends it yet",
    CONNECTION_CONNECTED: "a customer connected, or connected again",
    CONNECTION_EXPIRED: "a connection works no more until the customer connects again; once for each expiry",
    MAPPING_CHANGED: "a new version of a customer's mapping was saved",
    WEBHOOK_DISABLED: "an endpoint failed for so long that nothing is sent to it any more",
}
"""What an endpoint can subscribe to."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """`subject` is what the event tells, as JSON; it holds no secret. `customer_id` None: it concerns no customer, and
    only endpoints for all customers hear of it."""

    type: str
    customer_id: str | None
    provider: str | None = None
    subject: Mapping[str, Any]
    id: UUID = field(default_factory=uuid4)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
