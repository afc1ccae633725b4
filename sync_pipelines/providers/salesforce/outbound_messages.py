"""Salesforce's outbound messages: SOAP that a flow or a workflow rule sends, and the one answer that it takes.

Facts: "Outbound Messaging" in the vendor's SOAP API Developer Guide (the WSDL's elements, up to 100 notifications, the
retries for 24 hours, `notificationsResponse`), as read in November 2026. Messages are not signed.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from xml.etree import ElementTree
from xml.parsers import expat

from sync_pipelines.model.association import associations_name
from sync_pipelines.model.webhook import NotADelivery, VendorEvent
from sync_pipelines.providers.salesforce.soql import long_id

ACKNOWLEDGED: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse>'
    b"</soapenv:Body></soapenv:Envelope>"
)
MOST_NOTIFICATIONS: Final = 100
DEEPEST: Final = 20
"""Elements inside of each other; a message has seven."""
_SOAP: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
_OUTBOUND: Final = "{http://soap.sforce.com/2005/09/outbound}"
_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_OBJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


def events(body: bytes) -> Sequence[VendorEvent]:
    """The records that a message names."""
    message = _parsed(body).find(f"{_SOAP}Body/{_OUTBOUND}notifications")
    if message is None:
        raise NotADelivery("The body is no outbound message.")
    org, found = _id_in(message, f"{_OUTBOUND}OrganizationId"), message.findall(f"{_OUTBOUND}Notification")
    if len(found) > 10 * MOST_NOTIFICATIONS:
        raise NotADelivery(f"A message has at most {MOST_NOTIFICATIONS} notifications, and this one {len(found)}.")
    return [event for notification in found for event in _told(org, notification)]


def _told(org: str, notification: ElementTree.Element) -> tuple[VendorEvent, VendorEvent]:
    """The record, and its links, as a lookup may have changed."""
    record = notification.find(f"{_OUTBOUND}sObject")
    if record is None:
        raise NotADelivery("A notification has no sObject.")
    name = record.get(_TYPE, "").rpartition(":")[2]
    if not _OBJECT.fullmatch(name):
        raise NotADelivery("A notification does not say which object its record is of.")
    # The record's fields are of the object's own namespace, which is `sobject.enterprise` or `sobject.partner`.
    identity = next((part for part in record if part.tag.rpartition("}")[2] == "Id"), None)
    event = VendorEvent(
        account_id=org,
        object=name,
        record_id=_checked(identity),
        event_id=_id_in(notification, f"{_OUTBOUND}Id"),
        text=ElementTree.tostring(notification, encoding="unicode"),
    )
    return event, replace(event, object=associations_name(name), text="")


def _id_in(element: ElementTree.Element, path: str) -> str:
    return _checked(element.find(path))


def _checked(element: ElementTree.Element | None) -> str:
    text = ("" if element is None else element.text or "").strip()
    if not _ID.fullmatch(text):
        raise NotADelivery("An id is missing, or is none of Salesforce.")
    return str(long_id(text))


class _Refused(Exception):
    """Something that no message has."""


def _parsed(body: bytes) -> ElementTree.Element:
    """The root element. Documents with a DTD are refused before it is read, so that no entity is ever expanded."""
    builder, depth = ElementTree.TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator="}")

    def name(written: str) -> str:
        return "{" + written if "}" in written else written

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise _Refused("it is nested too deeply")
        builder.start(name(tag), {name(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name(tag))

    def refuse(*_: object) -> None:
        raise _Refused("it has a document type")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(body, True)
        return builder.close()
    except (_Refused, expat.ExpatError, ValueError, LookupError, AssertionError) as problem:
        raise NotADelivery(f"The body is no XML that a message could be: {problem}.") from problem
