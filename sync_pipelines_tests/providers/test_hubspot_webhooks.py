"""HubSpot's signature, by the vendor's own client, and what its events tell."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hubspot.utils.signature import Signature

from sync_pipelines.model.secret import Secret
from sync_pipelines.model.webhook import Delivery, NotADelivery
from sync_pipelines.providers import provider

SECRET = Secret("f8c7a2d0-0000-4000-8000-invented")
URL = "https://sync.example.com/webhooks/hubspot"
HUBSPOT = provider("hubspot").webhooks
NOW = datetime.now(UTC).replace(microsecond=0)


def event(**rest):
    """As the documentation's sample of a property change."""
    usual = {
        "eventId": 100,
        "subscriptionId": 1234,
        "portalId": 44001,
        "appId": 98765,
        "occurredAt": 1764043200000,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 501,
        "propertyName": "lifecyclestage",
        "propertyValue": "customer",
        "changeSource": "CRM",
    }
    return {**usual, **rest}


def signed(body=b"[]", url=URL, *, at=NOW, secret=SECRET, method="POST", version="v3"):
    """A delivery with the signature that the vendor's client makes."""
    stamp = str(int(at.timestamp() * 1000))
    made = Signature.get_signature(secret.reveal(), body.decode(), version, url, method, stamp)
    headers = {"x-hubspot-signature-v3": made, "x-hubspot-request-timestamp": stamp}
    return Delivery(method=method, url=url, headers=headers, body=body)


def told(*events):
    return [(each.account_id, each.object, each.record_id) for each in HUBSPOT.events(json.dumps(events).encode())]


def test_what_the_vendors_client_signs_is_taken_and_what_we_sign_its_client_takes():
    body = json.dumps([event(propertyValue="Zoë 日本 \\u0000 %2F")]).encode()
    now = datetime.now(UTC)  # the client looks at its own clock
    delivery = signed(body, at=now)
    assert HUBSPOT.refusal(delivery, SECRET, now) is None
    assert Signature.is_valid(
        delivery.headers["x-hubspot-signature-v3"],
        SECRET.reveal(),
        body.decode(),
        URL,
        "POST",
        "v3",
        delivery.headers["x-hubspot-request-timestamp"],
    )


def test_the_url_is_signed_with_the_documented_characters_decoded_and_no_others():
    as_signed = f"{URL}?a=x:/?@!$'()*,;&b=%20%26%3D"
    as_sent = f"{URL}?a=x%3A%2f%3F%40%21%24%27%28%29%2A%2C%3B&b=%20%26%3D"
    made = signed(url=as_signed)
    assert HUBSPOT.refusal(Delivery(method="POST", url=as_sent, headers=made.headers, body=b"[]"), SECRET, NOW) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: signed(secret=Secret("another")), "does not fit"),
        (lambda: signed(url=URL + "/"), "does not fit"),
        (lambda: signed(method="PUT"), "does not fit"),
        (lambda: signed(b"[1]"), "does not fit"),
        (lambda: signed(version="v2"), "does not fit"),
        (lambda: signed(at=NOW - timedelta(minutes=5, seconds=1)), "5 minutes"),
        (lambda: signed(at=NOW + timedelta(minutes=5, seconds=1)), "5 minutes"),
    ],
)
def test_what_is_signed_otherwise_is_refused(change, reason):
    made = change()
    assert reason in HUBSPOT.refusal(Delivery(method="POST", url=URL, headers=made.headers, body=b"[]"), SECRET, NOW)


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e12", "9" * 40, "١٢٣"])
def test_a_timestamp_that_is_none_is_refused(stamp):
    headers = {**signed().headers, "x-hubspot-request-timestamp": stamp}
    assert HUBSPOT.refusal(Delivery(method="POST", url=URL, headers=headers, body=b"[]"), SECRET, NOW) is not None


def test_older_versions_of_the_signature_are_not_taken():
    """The documentation's own example of version 1; it signs neither the time nor the URL."""
    body = b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    body += b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM",'
    body += b'"changeFlag":"NEW","appId":54321}]'
    secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
    example = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"
    assert Signature.get_signature(secret, body.decode(), "v1") == example
    headers = {"x-hubspot-signature": example, "x-hubspot-signature-version": "v1"}
    refusal = HUBSPOT.refusal(Delivery(method="POST", url=URL, headers=headers, body=body), Secret(secret), NOW)
    assert "version 3" in refusal


def test_without_a_client_secret_nothing_is_taken():
    assert "client secret" in HUBSPOT.refusal(signed(secret=Secret("")), Secret(""), NOW)


def test_events_name_records_and_what_changes_their_links():
    links = "contact.associations"
    assert told(event(), event(subscriptionType="contact.creation", objectId="502")) == [
        ("44001", "contact", "501"),
        ("44001", "contact", "502"),
    ]
    merge = event(subscriptionType="contact.merge", primaryObjectId=7, mergedObjectIds=[8, 9], newObjectId=10)
    assert {id for _, name, id in told(merge) if name == "contact"} == {"501", "7", "8", "9", "10"}
    assert {id for _, name, id in told(merge) if name == links} == {"501", "7", "8", "9", "10"}
    for kind in ("deletion", "restore", "privacyDeletion"):
        assert told(event(subscriptionType=f"contact.{kind}")) == [
            ("44001", name, "501") for name in ("contact", links)
        ]
    change = event(subscriptionType="contact.associationChange", fromObjectId=5, toObjectId=6, objectId=None)
    assert told(change) == [("44001", "contact", "5"), ("44001", links, "5")]


def test_generic_events_are_of_the_type_that_they_name_and_others_of_no_record_are_left_out():
    assert told(event(subscriptionType="object.propertyChange", objectTypeId="2-123")) == [("44001", "2-123", "501")]
    of_leads = event(
        subscriptionType="object.associationChange", fromObjectTypeId="0-136", fromObjectId=5, objectId=None
    )
    assert ("44001", "0-136.associations", "5") in told(of_leads)
    assert told(event(subscriptionType="object.creation"), event(subscriptionType="Nonsense")) == []
    assert told(event(objectId=None)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"portalId":1}]',
        b"\xff",
        b"[" * 100_000,
        b'[{"portalId":{},"subscriptionType":""}]',
    ],
)
def test_what_is_no_list_of_events_is_refused(body):
    with pytest.raises(NotADelivery):
        HUBSPOT.events(body)


def test_a_delivery_of_too_many_events_is_refused():
    with pytest.raises(NotADelivery, match="at most 100"):
        HUBSPOT.events(json.dumps([event()] * 1_001).encode())
