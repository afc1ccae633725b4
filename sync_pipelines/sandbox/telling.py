"""What the stand-ins tell by themselves: HubSpot's webhooks, Salesforce's outbound messages, each sent to its URL."""

import base64
import hashlib
import hmac
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

import httpx

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.customers import CLIENT_SECRET
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.ids import salesforce_id
from sync_pipelines.sandbox.schema import ObjectSpec

MOST: Final = 100
"""Events of one delivery, at both vendors."""
GATHERED_SECONDS: Final = 0.02
RETRY_SECONDS: Final = (0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8)
"""The vendors' own waits are minutes and hours; as many tries as HubSpot makes."""
ANSWER_SECONDS: Final = 5.0
APP_ID: Final = 111_111
_SINGULAR: Final = {
    "contacts": "contact",
    "companies": "company",
    "deals": "deal",
    "tickets": "ticket",
    "products": "product",
    "line_items": "line_item",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """One change. `kind`: creation, propertyChange, deletion, restore, merge, privacyDeletion, associationChange."""

    account: Account
    spec: ObjectSpec
    kind: str
    id: str
    at: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Subscriber:
    """Where changes go. `events`: what it is told of one; `request` makes a delivery: body and headers, of the try with
    this number; `taken`: whether an answer says that it was received."""

    url: str
    events: Callable[[Told], Sequence[Any]]
    request: Callable[["Subscriber", Sequence[Any], int], tuple[bytes, dict[str, str]]]
    taken: Callable[[httpx.Response], bool]
    waiting: "queue.SimpleQueue[Any]" = field(default_factory=queue.SimpleQueue)
    sent: int = 0
    failed: int = 0
    given_up: int = 0


class Telling:
    """Subscribers, each with a thread that sends. Changes come from the server's thread."""

    def __init__(self) -> None:
        self._portals: Subscriber | None = None
        self._orgs: dict[str, Subscriber] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._number = 0

    def subscribe_portals(self, url: str, subscriptions: Sequence[Mapping[str, str]]) -> None:
        """HubSpot: one URL for the app, whoever installed it. Subscriptions are {eventType, propertyName?}."""
        wanted = {(each["eventType"], each.get("propertyName")) for each in subscriptions}
        self._portals = self._begun(
            Subscriber(url=url, events=lambda told: self._of_portal(told, wanted), request=_signed, taken=_is_fine)
        )

    def subscribe_org(self, account: Account, url: str, objects: Sequence[str]) -> None:
        """Salesforce: a message for each record of these objects that is created or updated."""

        def events(told: Told) -> Sequence[str]:
            wanted = told.spec.name in objects and told.kind in ("creation", "propertyChange", "restore")
            return [self._notification(told)] if wanted else []

        self._orgs[account.id] = self._begun(
            Subscriber(
                url=url,
                events=events,
                request=lambda subscriber, told, attempt: _message(account, told),
                taken=_is_acknowledged,
            )
        )

    def tell(self, told: Told) -> None:
        subscriber = self._portals if told.account.vendor == "hubspot" else self._orgs.get(told.account.id)
        for event in [] if subscriber is None else subscriber.events(told):
            assert subscriber is not None
            subscriber.waiting.put(event)

    def standing(self) -> list[dict[str, Any]]:
        """By URL: events that were taken, deliveries that failed once, events that were given up."""
        every = [*([self._portals] if self._portals else []), *self._orgs.values()]
        return [
            {
                "url": one.url,
                "sent": one.sent,
                "failed": one.failed,
                "given_up": one.given_up,
                "waiting": one.waiting.qsize(),
            }
            for one in every
        ]

    def close(self) -> None:
        """Forget all subscribers; what is not sent by then is not sent."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._portals, self._orgs, self._threads, self._stop = None, {}, [], threading.Event()

    def _begun(self, subscriber: Subscriber) -> Subscriber:
        thread = threading.Thread(target=_send, args=(subscriber, self._stop), name="sandbox tells", daemon=True)
        thread.start()
        self._threads.append(thread)
        return subscriber

    def _of_portal(self, told: Told, wanted: set[tuple[str, str | None]]) -> Sequence[dict[str, Any]]:
        singular = _SINGULAR.get(told.spec.name)
        kind = f"{singular or 'object'}.{told.kind}"
        event = {
            "portalId": int(told.account.id),
            "appId": APP_ID,
            "occurredAt": told.at,
            "subscriptionType": kind,
            "objectId": int(told.id),
            "changeSource": "CRM_UI",
            **({} if singular else {"objectTypeId": told.spec.type_id}),
            **told.more,
        }
        if told.kind != "propertyChange":
            return [self._numbered(event)] if (kind, None) in wanted else []
        return [
            self._numbered({**event, "propertyName": name, "propertyValue": value})
            for name, value in told.fields.items()
            if (kind, name) in wanted
        ]

    def _numbered(self, event: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"eventId": self._number, "subscriptionId": 1_000, **event}

    def _notification(self, told: Told) -> str:
        self._number += 1
        name = escape(told.spec.name)
        return (
            f"<Notification><Id>{salesforce_id('04l00000', self._number)}</Id>"
            f'<sObject xsi:type="sf:{name}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
            f"<sf:Id>{told.id}</sf:Id></sObject></Notification>"
        )


def _send(subscriber: Subscriber, stop: threading.Event) -> None:
    """Batches in the order of their changes; a batch that fails comes again while others go on."""
    later: list[tuple[float, int, list[Any]]] = []
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        while not stop.is_set():
            batch = _gathered(subscriber.waiting, stop)
            now = time.monotonic()
            due = [each for each in later if each[0] <= now]
            later = [each for each in later if each[0] > now]
            for _, attempt, events in [*due, *([(now, 0, batch)] if batch else [])]:
                if _is_taken(client, subscriber, events, attempt):
                    subscriber.sent += len(events)
                elif attempt < len(RETRY_SECONDS):
                    subscriber.failed += 1
                    later.append((now + RETRY_SECONDS[attempt], attempt + 1, events))
                else:
                    subscriber.given_up += len(events)


def _gathered(waiting: "queue.SimpleQueue[Any]", stop: threading.Event) -> list[Any]:
    batch: list[Any] = []
    try:
        batch.append(waiting.get(timeout=0.1))
        stop.wait(GATHERED_SECONDS)
        while len(batch) < MOST:
            batch.append(waiting.get_nowait())
    except queue.Empty:
        pass
    return batch


def _is_taken(client: httpx.Client, subscriber: Subscriber, events: Sequence[Any], attempt: int) -> bool:
    body, headers = subscriber.request(subscriber, events, attempt)
    try:
        return subscriber.taken(client.post(subscriber.url, content=body, headers=headers))
    except httpx.HTTPError:
        return False


def _signed(subscriber: Subscriber, events: Sequence[Any], attempt: int) -> tuple[bytes, dict[str, str]]:
    """With version 3 of HubSpot's signature, at the real time: the receiver has no other clock."""
    body, stamp = encode([{**event, "attemptNumber": attempt} for event in events]), str(int(time.time() * 1000))
    signed = b"POST" + subscriber.url.encode() + body + stamp.encode()
    digest = hmac.new(CLIENT_SECRET.encode(), signed, hashlib.sha256).digest()
    return body, {
        "Content-Type": "application/json",
        "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
        "X-HubSpot-Request-Timestamp": stamp,
    }


def _is_fine(answer: httpx.Response) -> bool:
    return answer.is_success


def _message(account: Account, notifications: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    message = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{account.id}</OrganizationId><ActionId>{salesforce_id('04k00000', 1)}</ActionId>"
        '<SessionId xsi:nil="true"/><EnterpriseUrl>https://crm.example/services/Soap/c/67.0</EnterpriseUrl>'
        f"<PartnerUrl>https://crm.example/services/Soap/u/67.0</PartnerUrl>{''.join(notifications)}"
        "</notifications></soapenv:Body></soapenv:Envelope>"
    )
    return message.encode(), {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}


def _is_acknowledged(answer: httpx.Response) -> bool:
    """Salesforce looks for its own word, whatever the status."""
    return answer.is_success and b"<Ack>true</Ack>" in answer.content
