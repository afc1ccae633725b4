"""The objects and fields of the small accounts: names, the vendor's types, and what an invented record holds in them.

A value is made from a number, so that nothing has to be remembered of a record but how often it has changed.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

from sync_pipelines.sandbox.names import CITIES, COMPANY_FIRST, FAMILY, GIVEN, INDUSTRIES, STREETS

Make: TypeAlias = Callable[[int], Any]
VENDORS: Final = ("hubspot", "salesforce")
_BEGAN: Final = datetime(2024, 1, 1, tzinfo=UTC)


class Field(NamedTuple):
    """`type` in the vendor's own words. `make` gives the value as the vendor writes it in JSON."""

    type: str
    make: Make


def _one_of(*values: Any) -> Make:
    return lambda seed: values[seed % len(values)]


def _numbered(text: str) -> Make:
    return lambda seed: text % (seed % 1_000_000)


def zulu(moment: datetime) -> str:
    """As HubSpot writes a moment."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def offset(moment: datetime) -> str:
    """As Salesforce writes a moment."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def past(seed: int) -> datetime:
    """A moment of the years 2024 and 2025, to the millisecond."""
    return _BEGAN + timedelta(milliseconds=seed * 7919 % (700 * 86_400_000))


def _past_zulu(seed: int) -> str:
    return zulu(past(seed))


def _past_day(seed: int) -> str:
    return past(seed).date().isoformat()


_GIVEN: Final = Field("string", _one_of(*GIVEN))
_FAMILY: Final = Field("string", _one_of(*FAMILY))
_FIRM: Final = Field("string", lambda seed: f"{COMPANY_FIRST[seed % len(COMPANY_FIRST)]} {seed % 977} GmbH")
_EMAIL: Final = Field("string", _numbered("person.%d@example.com"))
_PHONE: Final = Field("string", _one_of(None, "+49 30 5550100", "+1 555 0123", "+81 3 5555 0188"))
_STREET: Final = Field("string", lambda seed: f"{STREETS[seed % len(STREETS)]} {seed % 200}")
_CITY: Final = Field("string", lambda seed: CITIES[seed % len(CITIES)][0])
_CODE: Final = Field("string", lambda seed: f"{seed % 90_000 + 10_000}")
_COUNTRY: Final = Field("string", _one_of("Germany", "France", "Japan", "Canada", None))
_STATE: Final = Field("string", _one_of(None, "Ontario", "Bayern"))
_NOTE: Final = Field("string", _one_of(None, 'Said "not before spring".\nTwo lines.', "Préfère le courriel, Łódź", ""))
_INDUSTRY: Final = Field("string", _one_of(*INDUSTRIES))
_OWNER: Final = Field("string", _numbered("%d"))
_SITE: Final = Field("string", _numbered("https://firm-%d.example"))
_WHEN: Final = Field("datetime", _past_zulu)

_ADDRESS: Final = {"address": _STREET, "city": _CITY, "state": _STATE, "zip": _CODE, "country": _COUNTRY}
# Wide enough that describing an object is not for free: most accounts have added fields of their own.
_OWN: Final = {f"own_text_{n:02d}": Field("string", _one_of(None, f"Value {n}", "", f"Other {n}")) for n in range(12)}
_OWN |= {f"own_number_{n:02d}": Field("number", _one_of(None, f"{n}.5", "17", "-2500")) for n in range(4)}

HUBSPOT: Final[Mapping[str, Mapping[str, Field]]] = {
    "contacts": {
        **{"firstname": _GIVEN, "lastname": _FAMILY, "email": _EMAIL, "work_email": Field("string", _one_of(None))},
        "hs_additional_emails": Field("string", _one_of(None, "a@example.com;b@example.com")),
        **{"phone": _PHONE, "mobilephone": Field("string", _one_of(None, "+49 171 5550111")), "fax": _STATE},
        **{"jobtitle": _INDUSTRY, "hubspot_owner_id": _OWNER, "notes_last_updated": _WHEN, **_ADDRESS},
        "lifecyclestage": Field("enumeration", _one_of("lead", "customer", "opportunity", None)),
        **_OWN,
    },
    "companies": {
        **{"name": _FIRM, "description": _NOTE, "industry": _INDUSTRY, "website": _SITE, "phone": _PHONE},
        **{"hubspot_owner_id": _OWNER, "notes_last_updated": _WHEN, "address2": _STATE, **_ADDRESS},
        "lifecyclestage": Field("enumeration", _one_of("lead", "customer", None)),
        "numberofemployees": Field("number", _one_of("12", "4500", None)),
        **_OWN,
    },
    "leads": {
        **{"hs_lead_name": _FAMILY, "hs_associated_contact_firstname": _GIVEN, "hubspot_owner_id": _OWNER},
        "hs_associated_contact_lastname": Field("string", _one_of(None, *FAMILY)),
        **{"hs_associated_company_name": _FIRM, "hs_associated_contact_email": _EMAIL, "hs_lead_source": _INDUSTRY},
        **_OWN,
    },
    "deals": {
        **{"dealname": _FIRM, "description": _NOTE, "hubspot_owner_id": _OWNER, "closedate": _WHEN},
        "dealstage": Field("enumeration", _one_of("appointmentscheduled", "closedwon", "closedlost")),
        "pipeline": Field("enumeration", _one_of("default")),
        "hs_is_closed_won": Field("bool", _one_of("true", "false", "false")),
        "hs_is_closed": Field("bool", _one_of("true", "true", "false")),
        "amount": Field("number", _one_of("1200.50", "990000", None)),
        "deal_currency_code": Field("string", _one_of("EUR", "USD")),
        "notes_last_updated": _WHEN,
        **_OWN,
    },
    "owners": {"email": _EMAIL, "firstName": _GIVEN, "lastName": _FAMILY},
    "tickets": {"subject": _NOTE, "content": _NOTE, "hubspot_owner_id": _OWNER, **_OWN},
}
STAGES: Final = {"appointmentscheduled": "Appointment", "closedwon": "Closed won", "closedlost": "Closed lost"}
PIPELINES: Final = {"default": "Sales pipeline"}
CURSORS: Final = {"contacts": "lastmodifieddate"}
"""The property by which HubSpot's search tells changes, where it is not hs_lastmodifieddate."""


def _salesforce_address(prefix: str) -> dict[str, Field]:
    names = {"Street": _STREET, "City": _CITY, "State": _STATE, "PostalCode": _CODE, "Country": _COUNTRY}
    return {f"{prefix}{name}": field for name, field in names.items()}


_DAY: Final = Field("date", _past_day)
_REFERENCE: Final = Field("reference", _one_of("005Bx0000000001IAA", "005Bx0000000002IAA"))
_NO_REFERENCE: Final = Field("reference", _one_of(None))
_THEIR_OWN: Final = {f"Own_Text_{n:02d}__c": Field("string", _one_of(None, f"Value {n}", "Ünï")) for n in range(12)}
_THEIR_OWN |= {f"Own_Number_{n:02d}__c": Field("double", _one_of(None, n + 0.5, 17, -2500)) for n in range(4)}

SALESFORCE: Final[Mapping[str, Mapping[str, Field]]] = {
    "Contact": {
        **{"MasterRecordId": _NO_REFERENCE, "AccountId": _NO_REFERENCE, "FirstName": _GIVEN, "LastName": _FAMILY},
        **{"Email": _EMAIL, "Phone": _PHONE, "MobilePhone": _STATE, "Fax": _STATE, "HomePhone": _STATE},
        **{"OtherPhone": _STATE, "OwnerId": _REFERENCE, "LastActivityDate": _DAY},
        **_salesforce_address("Mailing"),
        **_salesforce_address("Other"),
        **_THEIR_OWN,
    },
    "Account": {
        **{"MasterRecordId": _NO_REFERENCE, "Name": _FIRM, "Description": _NOTE, "Industry": _INDUSTRY},
        **{"Website": _SITE, "OwnerId": _REFERENCE, "LastActivityDate": _DAY, "Phone": _PHONE, "Fax": _STATE},
        "NumberOfEmployees": Field("int", _one_of(12, 4500, None)),
        **_salesforce_address("Billing"),
        **_salesforce_address("Shipping"),
        **_THEIR_OWN,
    },
    "Lead": {
        **{"MasterRecordId": _NO_REFERENCE, "FirstName": _GIVEN, "LastName": _FAMILY, "Title": _INDUSTRY},
        **{"Company": _FIRM, "LeadSource": _INDUSTRY, "OwnerId": _REFERENCE, "ConvertedContactId": _NO_REFERENCE},
        **{"ConvertedAccountId": _NO_REFERENCE, "ConvertedDate": Field("date", _one_of(None, "2025-03-01"))},
        **{"Email": _EMAIL, "Phone": _PHONE, "MobilePhone": _STATE, "Fax": _STATE},
        **_salesforce_address(""),
        **_THEIR_OWN,
    },
    "Opportunity": {
        **{"Name": _FIRM, "Description": _NOTE, "AccountId": _NO_REFERENCE, "OwnerId": _REFERENCE},
        "StageName": Field("picklist", _one_of("Prospecting", "Closed Won", "Closed Lost")),
        "IsClosed": Field("boolean", _one_of(True, True, False)),
        "IsWon": Field("boolean", _one_of(True, False, False)),
        "Amount": Field("currency", _one_of(1200.5, 990000, None)),
        "CurrencyIsoCode": Field("picklist", _one_of("EUR", "USD")),
        **{"CloseDate": _DAY, "LastActivityDate": _DAY},
        **_THEIR_OWN,
    },
    "User": {"Name": _FAMILY, "Email": _EMAIL, "IsActive": Field("boolean", _one_of(True, True, False))},
    "Case": {"MasterRecordId": _NO_REFERENCE, "Subject": _NOTE, "Status": _INDUSTRY, **_THEIR_OWN},
}
KEYS: Final = {
    "Contact": ("003", "IAA"),
    "Account": ("001", "IAA"),
    "Lead": ("00Q", "MAA"),
    "Opportunity": ("006", "IAA"),
    "User": ("005", "IAA"),
    "Case": ("500", "IAA"),
}
"""How the ids of an object begin, and the check letters that these ids end with."""

OBJECTS: Final[Mapping[str, tuple[str, ...]]] = {"hubspot": tuple(HUBSPOT), "salesforce": tuple(SALESFORCE)}
LASTING: Final = frozenset({"owners", "companies", "User", "Account"})
"""Objects of which nothing is deleted: users are not, and others point to companies."""
