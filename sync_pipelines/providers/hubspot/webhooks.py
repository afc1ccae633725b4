"""HubSpot's webhooks: version 3 of the signature, and what events of CRM objects tell.

Facts: "Validate requests" and "Webhooks" of the vendor's developer documentation, its changelog on merge, restore and
association events (payload properties) and on generic subscriptions (`object.*`, objectTypeId), as read in November
2026.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from sync_pipelines.model.association import associations_name
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import Delivery, NotADelivery, VendorEvent

SIGNATURE: Final = "x-hubspot-signature-v3"
TIMESTAMP: Final = "x-hubspot-request-timestamp"
LONGEST_AGE: Final = timedelta(minutes=5)
MOST_EVENTS: Final = 100
"""Of one delivery, by the documentation. Ten times as many are read all the same."""
# The documentation's table: these are decoded in the URL before it is signed, and no others.
_DECODED: Final = {
    "3A": ":", "2F": "/", "3F": "?", "40": "@", "21": "!", "24": "$",
    "27": "'", "28": "(", "29": ")", "2A": "*", "2C": ",", "3B": ";",
}  # fmt: skip
_ENCODED: Final = re.compile("%(" + "|".join(_DECODED) + ")", re.IGNORECASE)
_TYPE: Final = re.compile(r"([a-z][a-z0-9_]*)\.[A-Za-z]+")
_OBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
_RELINKED: Final = frozenset({"deletion", "restore", "merge", "privacyDeletion", "associationChange"})
"""What also changes which records a record is linked to."""


class _Event(msgspec.Struct):
    """What is looked at. Ids are numbers, and texts in some events of newer kinds."""

    portalId: int | str
    subscriptionType: str
    eventId: int | str = ""
    occurredAt: int = 0
    objectId: int | str | None = None
    objectTypeId: str | None = None
    primaryObjectId: int | str | None = None
    mergedObjectIds: list[int | str] = []
    newObjectId: int | str | None = None
    fromObjectId: int | str | None = None
    fromObjectTypeId: str | None = None


def signature(secret: Secret, delivery: Delivery, timestamp: str) -> bytes:
    """The bytes behind the base64 of the header."""
    url = _ENCODED.sub(lambda found: _DECODED[found.group(1).upper()], delivery.url)
    signed = delivery.method.encode() + url.encode() + delivery.body + timestamp.encode()
    return hmac.new(secret.reveal().encode(), signed, hashlib.sha256).digest()


def refusal(delivery: Delivery, secret: Secret, now: datetime) -> str | None:
    """Why a delivery is not HubSpot's, None where it is. The older versions sign neither the time nor the URL."""
    timestamp, written = delivery.headers.get(TIMESTAMP, ""), delivery.headers.get(SIGNATURE, "")
    if not written or not timestamp:
        return "It has no signature of version 3 (X-HubSpot-Signature-v3 and X-HubSpot-Request-Timestamp)."
    if not secret.reveal():
        return "The provider has no client secret to check the signature with."
    if not re.fullmatch(r"\d{1,15}", timestamp, re.ASCII):
        return "Its timestamp is no time in milliseconds."
    if abs(now - datetime.fromtimestamp(int(timestamp) / 1000, UTC)) > LONGEST_AGE:
        return "It was signed more than 5 minutes ago, or the clock of this server is wrong."
    try:
        told = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        told = b""
    if not hmac.compare_digest(told, signature(secret, delivery, timestamp)):
        return "Its signature does not fit: see that the URL, as HubSpot knows it, and the client secret are right."
    return None


def events(body: bytes) -> Sequence[VendorEvent]:
    """The records that a delivery names; events that are of no record are left out."""
    try:
        texts = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise NotADelivery("The body is no list of events.") from problem
    if len(texts) > 10 * MOST_EVENTS:
        raise NotADelivery(f"A delivery has at most {MOST_EVENTS} events, and this one {len(texts)}.")
    return [event for text in texts for event in _told(bytes(text))]


def _told(text: bytes) -> Iterator[VendorEvent]:
    try:
        event = msgspec.json.decode(text, type=_Event)
        written = text.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise NotADelivery("One of the events is none that HubSpot sends.") from problem
    named = _TYPE.fullmatch(event.subscriptionType)
    if named is None:
        return
    kind = event.subscriptionType.rpartition(".")[2]
    name = (event.fromObjectTypeId or event.objectTypeId or "") if named[1] == "object" else named[1]
    if not _OBJECT.fullmatch(name):
        return  # conversations and other things that are no records
    ids = (event.objectId, event.primaryObjectId, *event.mergedObjectIds, event.newObjectId, event.fromObjectId)
    for record_id in dict.fromkeys(str(one) for one in ids if one is not None):
        told = VendorEvent(
            account_id=str(event.portalId),
            object=name,
            record_id=record_id,
            event_id=str(event.eventId),
            occurred_at=_moment(event.occurredAt),
            text=written,
        )
        yield told
        if kind in _RELINKED:
            yield replace(told, object=associations_name(name), text="")


def _moment(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if 0 < milliseconds < 10**14 else None
