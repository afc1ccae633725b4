"""An example of every event: for tests of an endpoint, for Zapier's editor, and for the description of the API."""

from collections.abc import Mapping
from typing import Any, Final

from sync_pipelines.model.event import (
    CONNECTION_CONNECTED,
    CONNECTION_EXPIRED,
    MAPPING_CHANGED,
    SYNC_COMPLETED,
    SYNC_CONFLICT,
    SYNC_ERROR,
    WEBHOOK_DISABLED,
    Event,
)

_RUN: Final[Mapping[str, Any]] = {
    "sync": "crm",
    "object": "contact",
    "execution_id": "6b1f0c1e-6f7a-4c0e-9a53-0d8a5c1c2f10",
    "full": False,
    "started_at": "2026-03-02T12:00:00+00:00",
    "finished_at": "2026-03-02T12:00:07+00:00",
}
_COUNTS: Final = dict.fromkeys(
    ("read", "created", "updated", "unchanged", "deleted", "rejected", "invalid", "skipped"), 0
)

SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    SYNC_COMPLETED: {**_RUN, "status": "success", "counts": {**_COUNTS, "read": 120, "created": 3, "updated": 14}},
    SYNC_ERROR: {
        **_RUN,
        "status": "error",
        "counts": _COUNTS,
        "error_type": "network",
        "error_message": "The vendor does not answer; it is tried again.",
        "retry_at": None,
    },
    SYNC_CONFLICT: {"sync": "crm", "object": "contact"},
    CONNECTION_CONNECTED: {"environment": "production", "again": False},
    CONNECTION_EXPIRED: {"environment": "production", "reason": "The customer took the permission away."},
    MAPPING_CHANGED: {"object": "contact", "version": 4, "old_version": 3, "actor": "api:backend"},
    WEBHOOK_DISABLED: {
        "endpoint_id": "0d0c8b6e-3c39-4f0a-9e0a-6f6c0d6f4a11",
        "kind": "webhook",
        "url": "https://example.com/hooks",
        "reason": "failing since 2026-03-02 12:00:00Z (status 500)",
    },
}


def sample(type: str, customer_id: str | None) -> Event:
    """One that says of itself that it is a test."""
    return Event(type=type, customer_id=customer_id, provider="salesforce", subject={**SAMPLES[type], "test": True})
