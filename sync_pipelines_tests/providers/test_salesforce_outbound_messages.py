"""Outbound messages as the vendor's WSDL has them, and XML that means harm."""

import pytest
from lxml import etree

from sync_pipelines.model.webhook import NotADelivery
from sync_pipelines.providers import provider

SALESFORCE = provider("salesforce").webhooks
ORG, CONTACT = "00D5f000000AcmeEAA", "0035f00000AAAAAAA4"


def message(*ids, org=ORG, name="Contact", notification="04l5f00000NOTEAAAA", head=""):
    """As the vendor's developer guide prints one."""
    told = "".join(
        f'<Notification><Id>{notification}</Id><sObject xsi:type="sf:{name}" '
        f'xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>{id}</sf:Id><sf:LastName>A &amp; B</sf:LastName>'
        "</sObject></Notification>"
        for id in ids
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<soapenv:Envelope '
        'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
        f"<OrganizationId>{org}</OrganizationId><ActionId>04k5f00000ACTION1</ActionId>"
        '<SessionId xsi:nil="true"/><EnterpriseUrl>https://acme.my.salesforce.com/c</EnterpriseUrl>'
        f"<PartnerUrl>https://acme.my.salesforce.com/u</PartnerUrl>{told}"
        "</notifications></soapenv:Body></soapenv:Envelope>"
    ).encode()


def test_a_message_names_its_records_and_their_links():
    found = SALESFORCE.events(message(CONTACT, "0035f00000BBBBB"))
    assert [(each.object, each.record_id) for each in found] == [
        ("Contact", CONTACT),
        ("Contact.associations", CONTACT),
        ("Contact", "0035f00000BBBBBAA5"),
        ("Contact.associations", "0035f00000BBBBBAA5"),
    ]
    assert {each.account_id for each in found} == {ORG}
    assert "A &amp; B" in found[0].text


def test_the_answer_is_the_one_that_the_vendor_takes():
    answer = etree.fromstring(SALESFORCE.answer)
    spaces = {"soap": "http://schemas.xmlsoap.org/soap/envelope/", "out": "http://soap.sforce.com/2005/09/outbound"}
    assert answer.xpath("/soap:Envelope/soap:Body/out:notificationsResponse/out:Ack/text()", namespaces=spaces) == [
        "true"
    ]


HOSTILE = {
    "entities that grow": message(
        "&c;", head='<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'
    ),
    "a file of ours": message("&f;", head='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'),
    "a document type alone": message(CONTACT, head='<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'),
    "too deep": b"<a>" * 10_000 + b"</a>" * 10_000,
    "cut": message(CONTACT)[:-20],
    "not XML": b"\x00\xff",
    "nothing": b"",
    "another document": b"<a/>",
    "another encoding": b'<?xml version="1.0" encoding="utf-7"?><a/>',
    "an undefined entity": message("&nbsp;"),
    "no record": message("").replace(b"<sf:Id></sf:Id>", b""),
    "an id that is none": message("' OR Id != '"),
    "an org that is none": message(CONTACT, org="acme"),
    "an object that is none": message(CONTACT, name="Contact WHERE"),
    "too many": message(*[CONTACT] * 1_001),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_what_the_vendor_would_not_send_is_refused(body):
    with pytest.raises(NotADelivery):
        SALESFORCE.events(body)
