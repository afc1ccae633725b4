"""What is sent of an event: as Standard Webhooks writes it, and flat, as Zapier wants it."""

import json
from collections.abc import Mapping
from typing import Any

from sync_pipelines.model.event import Event


def message_id(event: Event) -> str:
    """The webhook-id: the same in every attempt and for every endpoint."""
    return f"msg_{event.id.hex}"


def body_of(event: Event) -> dict[str, Any]:
    """Type, time, and under `data` whose it is and what it tells."""
    whose = {"customer_id": event.customer_id, "provider": event.provider}
    return {
        "id": message_id(event),
        "type": event.type,
        "timestamp": event.at.isoformat().replace("+00:00", "Z"),
        "data": {**whose, **event.subject},
    }


def flat_body_of(event: Event) -> dict[str, Any]:
    """The same with one level: counts.created becomes counts_created."""
    body = body_of(event)
    told: Mapping[str, Any] = body.pop("data")
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{inner}": each for inner, each in value.items()}
        else:
            flat[name] = value
    return {**flat, **body}


def written(body: Mapping[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
