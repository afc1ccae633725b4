"""What the destination should hold, worked out from the CRMs apart from the engine.

Written by hand from the documents (docs/providers) and without the engine's code, so that the two can disagree.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias

Fields: TypeAlias = Mapping[str, Any]
Truth: TypeAlias = Mapping[str, Any]
Expected: TypeAlias = dict[str, Any]

NOT_READ: Final = object()
"""A value that does not fit its column: the column is null and the text is kept."""


def number(value: Any) -> Any:
    if value in (None, ""):
        return None
    text = str(value).strip()
    return Decimal(text) if re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?", text) else NOT_READ


def flag(value: Any) -> Any:
    if value in (None, ""):
        return None
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
        str(value).strip().lower(), NOT_READ
    )


def moment(value: Any) -> Any:
    """ISO 8601 or epoch milliseconds; a bare day is its midnight in UTC."""
    if value in (None, ""):
        return None
    text = str(value).strip()
    if re.fullmatch(r"[0-9]{9,14}", text):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    if not re.match(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text):
        return NOT_READ
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return NOT_READ
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def day(value: Any) -> Any:
    found = moment(value)
    return found.date() if isinstance(found, datetime) else found


def plain(value: Any) -> Any:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


CUSTOM: Final[Mapping[str, Callable[[Any], Any]]] = {
    "annual_revenue": number,
    "tier": plain,
    "renewal_date": day,
    "is_strategic": flag,
}
"""The custom schemas of the example project."""


def emails(fields: Fields, *pairs: tuple[str, str]) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for kind, name in pairs:
        for part in (fields.get(name) or "").split(";"):
            if part.strip():
                found.setdefault(part.strip(), kind)
    return [{"email_address": address, "email_address_type": kind} for address, kind in found.items()]


def phones(fields: Fields, *pairs: tuple[str, str]) -> list[dict[str, str]]:
    found: dict[str, str] = {}
    for kind, name in pairs:
        if fields.get(name):
            found.setdefault(fields[name].strip(), kind)
    return [{"phone_number": text, "phone_number_type": kind} for text, kind in found.items()]


def address(fields: Fields, kind: str, *names: str | None) -> list[dict[str, Any]]:
    """`names`: the fields of street 1, street 2, city, state, postal code, country."""
    keys = ("street_1", "street_2", "city", "state", "postal_code", "country")
    found = {key: fields.get(name) if name else None for key, name in zip(keys, names, strict=True)}
    return [{**found, "address_type": kind}] if any(found.values()) else []


def salesforce_address(fields: Fields, kind: str, prefix: str) -> list[dict[str, Any]]:
    street, *rest = (prefix + part for part in ("Street", "City", "State", "PostalCode", "Country"))
    return address(fields, kind, street, None, *rest)


def salesforce(word: str, truth: Truth, labels: Mapping[str, str]) -> Expected:
    """Columns of the common model for one Salesforce record."""
    fields = truth["fields"]
    expected: Expected = {
        "id": truth["id"],
        "created_at": moment(fields["CreatedDate"]),
        "last_modified_at": moment(fields["SystemModstamp"]),
        "is_deleted": truth["deleted"] and word != "user",
        "_sync_merged_into": fields.get("MasterRecordId"),
    }
    if word not in ("contact", "account", "lead", "opportunity", "user"):
        return expected
    expected["updated_at"] = expected["last_modified_at"]
    if word != "user":
        expected |= {"owner_id": fields["OwnerId"]}
    if word in ("contact", "lead"):
        expected |= {"first_name": fields["FirstName"], "last_name": fields["LastName"]}
        expected["email_addresses"] = emails(fields, ("primary", "Email"))
    lines = [("primary", "Phone"), ("mobile", "MobilePhone"), ("fax", "Fax")]
    if word == "contact":
        expected |= {"account_id": fields["AccountId"], "last_activity_at": moment(fields["LastActivityDate"])}
        expected["phone_numbers"] = phones(fields, *lines, ("other", "HomePhone"), ("other", "OtherPhone"))
        expected["addresses"] = salesforce_address(fields, "mailing", "Mailing") + salesforce_address(
            fields, "other", "Other"
        )
    elif word == "lead":
        expected |= {"title": fields["Title"], "company": fields["Company"], "lead_source": fields["LeadSource"]}
        expected["phone_numbers"] = phones(fields, *lines)
        expected["addresses"] = salesforce_address(fields, "primary", "")
    elif word == "account":
        names = ("Name", "Description", "Industry", "Website")
        expected |= {name.lower(): fields[name] for name in names}
        expected["number_of_employees"] = number(fields["NumberOfEmployees"])
        expected["phone_numbers"] = phones(fields, ("primary", "Phone"), ("fax", "Fax"))
        expected["addresses"] = salesforce_address(fields, "billing", "Billing") + salesforce_address(
            fields, "shipping", "Shipping"
        )
    elif word == "opportunity":
        expected |= {"name": fields["Name"], "stage": fields["StageName"], "amount": number(fields["Amount"])}
        expected |= {"account_id": fields["AccountId"], "close_date": moment(fields["CloseDate"])}
        expected["status"] = "WON" if fields["IsWon"] else "LOST" if fields["IsClosed"] else "OPEN"
    elif word == "user":
        expected |= {"name": fields["Name"], "email": fields["Email"], "is_active": fields["IsActive"]}
    return expected


def hubspot(word: str, truth: Truth, labels: Mapping[str, str]) -> Expected:
    """Columns of the common model for one HubSpot record; `labels` of stages and pipelines by id."""
    fields = truth["fields"]
    expected: Expected = {
        "id": truth["id"],
        "created_at": moment(truth["created"]),
        "updated_at": moment(truth["modified"]),
        "last_modified_at": moment(truth["modified"]),
        "is_deleted": truth["deleted"],
    }
    if word == "user":
        name = " ".join(part for part in (fields["firstName"], fields["lastName"]) if part)
        return expected | {"name": name or None, "email": fields["email"], "is_active": not truth["deleted"]}
    expected["owner_id"] = fields["hubspot_owner_id"]
    expected["last_activity_at"] = moment(fields["notes_last_updated"])
    if word in ("contact", "opportunity"):
        expected["account_id"] = None if truth["deleted"] else primary_company(truth, word)
    if word == "contact":
        expected |= {"first_name": fields["firstname"], "last_name": fields["lastname"]}
        expected["lifecycle_stage"] = fields["lifecyclestage"]
        expected["email_addresses"] = emails(
            fields, ("primary", "email"), ("work", "work_email"), ("other", "hs_additional_emails")
        )
        expected["phone_numbers"] = phones(fields, ("primary", "phone"), ("mobile", "mobilephone"), ("fax", "fax"))
        expected["addresses"] = address(fields, "primary", "address", None, "city", "state", "zip", "country")
    elif word == "account":
        for name in ("name", "description", "industry", "website"):
            expected[name] = fields[name]
        expected["lifecycle_stage"] = fields["lifecyclestage"]
        expected["number_of_employees"] = number(fields["numberofemployees"])
        expected["phone_numbers"] = phones(fields, ("primary", "phone"))
        expected["addresses"] = address(fields, "primary", "address", "address2", "city", "state", "zip", "country")
    elif word == "opportunity":
        expected |= {"name": fields["dealname"], "amount": number(fields["amount"])}
        expected |= {"currency": fields["deal_currency_code"], "close_date": moment(fields["closedate"])}
        expected["stage"] = labels.get(fields["dealstage"], fields["dealstage"])
        expected["pipeline"] = labels.get(fields["pipeline"], fields["pipeline"])
        won, closed = fields["hs_is_closed_won"] == "true", fields["hs_is_closed"] == "true"
        expected["status"] = "WON" if won else "LOST" if closed else "OPEN"
    return expected


def primary_company(truth: Truth, word: str) -> str | None:
    """The company that is marked as primary, else the one with the smallest id."""
    linked = truth.get("associations", {}).get("companies", [])
    primary = {"contact": 1, "opportunity": 5}[word]
    ordered = sorted(linked, key=lambda link: (link[1] != primary, int(link[0])))
    return ordered[0][0] if ordered else None


ORACLES: Final[Mapping[str, Callable[[str, Truth, Mapping[str, str]], Expected]]] = {
    "salesforce": salesforce,
    "hubspot": hubspot,
}
