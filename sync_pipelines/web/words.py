"""What happened, as a customer understands it. Messages for operators and developers stay in the log."""

from datetime import datetime
from typing import Final

_WORDS: Final = {
    "auth_expired": "{vendor} no longer accepts the connection. Connect again to go on; nothing is lost.",
    "rate_limit": "{vendor} asked us to slow down. It goes on by itself.",
    "network": "{vendor} could not be reached. It is tried again by itself.",
    "vendor_error": "{vendor} did not answer as it should. It is tried again by itself.",
    "not_found": "The connected user may not read this in {vendor}, or it is not there. Give the user access to it.",
    "field_validation": "Some values do not fit the fields that they were mapped to.",
    "configuration": "This needs attention by {product}. If it stays, tell them.",
    "destination": "{product} has a problem on its side. It goes on by itself once that is solved.",
}


def in_words(error_type: str | None, vendor: str, product: str) -> str:
    """A sentence or two for one of the names of errors (see `model.errors`)."""
    words = _WORDS.get(error_type or "", _WORDS["vendor_error"])
    told = words.format(vendor=vendor, product=product)
    return told[0].upper() + told[1:]


def moment(value: datetime | None) -> str:
    """A time for people, UTC."""
    return "never" if value is None else value.strftime("%-d %B %Y, %H:%M UTC")
