"""Messages for an incoming webhook of Slack, and what its answers mean.

However many events wait, they become one message: of 10,000 customers that fail at once nobody gets 10,000 messages.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from sync_pipelines.model.event import (
    CONNECTION_CONNECTED,
    CONNECTION_EXPIRED,
    MAPPING_CHANGED,
    SYNC_COMPLETED,
    SYNC_ERROR,
    WEBHOOK_DISABLED,
    Event,
)

BETWEEN_MESSAGES: Final = timedelta(seconds=60)
"""What happens meanwhile is told in the next one. Slack itself takes one a second."""
LINES: Final = 10
NAMED: Final = 5
LONGEST_LINE: Final = 200
LONGEST_LINK: Final = 300
"""Slack takes 3,000 characters in one block, and a sign may become five."""

_TITLES: Final = {
    SYNC_COMPLETED: ":white_check_mark: Completed",
    SYNC_ERROR: ":x: Failed",
    CONNECTION_CONNECTED: ":link: Connected",
    CONNECTION_EXPIRED: ":warning: Must connect again",
    MAPPING_CHANGED: ":pencil2: Mapping changed",
    WEBHOOK_DISABLED: ":no_bell: Webhook disabled",
}


def message(events: Sequence[Event], dagster_url: str) -> dict[str, Any]:
    """Text and blocks of one message. Links lead to the sync's object in Dagster, where its URL is known."""
    groups: dict[tuple[str, str, str], list[Event]] = {}
    for event in events:
        subject = event.subject
        key = (event.type, str(subject.get("sync", event.provider or "")), str(subject.get("error_type") or ""))
        groups.setdefault(key, []).append(event)
    largest = sorted(groups.values(), key=len, reverse=True)
    lines = [_line(group, dagster_url) for group in largest[:LINES]]
    if len(largest) > LINES:
        lines.append(f"and {sum(map(len, largest[LINES:])):,} more of {len(largest) - LINES:,} other kinds")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": line}} for line in lines]
    return {"text": "\n".join(_plain(group) for group in largest[:LINES]), "blocks": blocks}


def _plain(events: Sequence[Event]) -> str:
    """What a notification on a telephone shows."""
    title = _TITLES.get(events[0].type, events[0].type).rpartition(": ")[2]
    return escaped(f"{title}: {_place(events[0])}, {_whose(events)}")


def _line(events: Sequence[Event], dagster_url: str) -> str:
    first = events[0]
    title = _TITLES.get(first.type, first.type)
    place = escaped(_place(first))
    if link := _link(first, dagster_url):
        place = f"<{link}|{place}>"
    told = f"*{title}*: {place}, {escaped(_whose(events))}"
    reason = first.subject.get("error_message") or first.subject.get("reason")
    if not reason:
        return told
    return f"{told}\n>{escaped(_cut(' '.join(str(reason).split()), LONGEST_LINE))}"


def _place(event: Event) -> str:
    subject = event.subject
    if "sync" in subject:
        return _cut(f"{subject['sync']} {subject.get('object', '')}".strip(), 80)
    if event.type == WEBHOOK_DISABLED:
        return _cut(str(subject.get("url", "")), 100)
    return _cut(f"{event.provider or ''} {subject.get('object', '')}".strip() or event.type, 100)


def _whose(events: Sequence[Event]) -> str:
    customers = list(dict.fromkeys(_cut(event.customer_id or "all customers", 40) for event in events))
    named = ", ".join(customers[:NAMED])
    more = f" and {len(customers) - NAMED:,} more customers" if len(customers) > NAMED else ""
    return f"{named}{more}" + (f" ({len(events):,} times)" if len(events) > 1 else "")


def _link(event: Event, dagster_url: str) -> str:
    subject = event.subject
    if not dagster_url or not {"sync", "object"} <= subject.keys():
        return ""
    key = "/".join(quote(str(subject[name]), safe="") for name in ("sync", "object"))
    partition = quote(event.customer_id or "", safe="")
    link = f"{dagster_url.rstrip('/')}/assets/{key}?view=partitions&amp;partition={partition}"
    return link if len(link) <= LONGEST_LINK else ""


def escaped(text: str) -> str:
    """As Slack shows it: nothing in it is a link, a mention or a format."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, instead)
    # A zero-width space keeps signs of format from being seen as such.
    return "".join(f"\u200b{letter}" if letter in "*_~`" else letter for letter in text)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


GONE: Final[Mapping[int, Sequence[str]]] = {
    403: ("invalid_token",),
    404: ("no_service", "no_team", "channel_not_found", "team_disabled", "no_active_hooks"),
    410: ("channel_is_archived",),
}
"""Answers, as plain text, after which a hook never works again."""


def is_gone(status: int | None, text: str) -> bool:
    """410 says so by itself, 404 and 403 by their text."""
    return status == 410 or text.strip() in GONE.get(status or 0, ())


def is_our_fault(status: int | None, text: str) -> bool:
    """It refuses this message, not messages: sending the same again is of no use."""
    return status == 400 and not is_gone(status, text)
