"""From a vendor's record to the columns, in plain Python: what every peer that maps uses, and what content is compared
with. It knows nothing of ours; standard library only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.fields import CUSTOM

Record = Mapping[str, Any]
Row = dict[str, Any]

HUBSPOT_ADDRESS: Final = {
    "street_1": "address",
    "city": "city",
    "state": "state",
    "postal_code": "zip",
    "country": "country",
}
_PARTS: Final = ("street_1", "street_2", "city", "state", "postal_code", "country")
_NUMBERS: Final = {"numeric", "bigint", "boolean"}


def hubspot_row(record: Record) -> Row:
    """One contact of a HubSpot list page as a row; texts for timestamps and dates, numbers for numbers."""
    known = record["properties"]
    linked = record.get("associations", {}).get("companies", {}).get("results", [])
    row = {
        "id": record["id"],
        "account_id": linked[0]["id"] if linked else None,
        "created_at": record["createdAt"],
        "first_name": known["firstname"],
        "is_deleted": record["archived"],
        "last_activity_at": known["notes_last_updated"],
        "last_modified_at": record["updatedAt"],
        "last_name": known["lastname"],
        "lifecycle_stage": known["lifecyclestage"],
        "owner_id": known["hubspot_owner_id"],
        "updated_at": record["updatedAt"],
        "addresses": _addresses(known, {"primary": HUBSPOT_ADDRESS}),
        "email_addresses": _emails(
            known, (("primary", "email"), ("work", "work_email"), ("other", "hs_additional_emails"))
        ),
        "phone_numbers": _phones(known, (("primary", "phone"), ("mobile", "mobilephone"), ("fax", "fax"))),
        "raw_data": record,
    }
    for column, (kind, name, _) in CUSTOM.items():
        row[column] = _number(known[name], kind) if kind in _NUMBERS else known[name]
    return row


def salesforce_address(prefix: str) -> dict[str, str]:
    """Vendor field by part of the address."""
    return {
        "street_1": f"{prefix}Street",
        "city": f"{prefix}City",
        "state": f"{prefix}State",
        "postal_code": f"{prefix}PostalCode",
        "country": f"{prefix}Country",
    }


_SALESFORCE_ADDRESSES: Final = {"mailing": salesforce_address("Mailing"), "other": salesforce_address("Other")}


def salesforce_row(record: Record) -> Row:
    """One Contact of a Salesforce query page as a row."""
    row = {
        "id": record["Id"],
        "account_id": record["AccountId"],
        "created_at": record["CreatedDate"],
        "first_name": record["FirstName"],
        "is_deleted": record["IsDeleted"],
        "last_activity_at": midnight(record["LastActivityDate"]),
        "last_modified_at": record["SystemModstamp"],
        "last_name": record["LastName"],
        "lifecycle_stage": None,
        "owner_id": record["OwnerId"],
        "updated_at": record["SystemModstamp"],
        "addresses": _addresses(record, _SALESFORCE_ADDRESSES),
        "email_addresses": _emails(record, (("primary", "Email"),)),
        "phone_numbers": _phones(record, SALESFORCE_PHONES),
        "raw_data": record,
    }
    row |= {column: record[name] for column, (_, _, name) in CUSTOM.items()}
    return row


SALESFORCE_PHONES: Final = (
    ("primary", "Phone"),
    ("mobile", "MobilePhone"),
    ("fax", "Fax"),
    ("other", "HomePhone"),
    ("other", "OtherPhone"),
)
ROWS: Final = {"hubspot": hubspot_row, "salesforce": salesforce_row, "bulk": salesforce_row}


def midnight(day: str | None) -> str | None:
    return None if day is None else f"{day}T00:00:00Z"


def _number(text: str | None, kind: str) -> Any:
    if text is None:
        return None
    if kind == "boolean":
        return text == "true"
    return int(text) if kind == "bigint" else float(text)


def _emails(known: Record, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [
        {"email_address": part, "email_address_type": kind}
        for kind, name in pairs
        if known[name]
        for part in known[name].split(";")
    ]


def _phones(known: Record, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"phone_number": known[name], "phone_number_type": kind} for kind, name in pairs if known[name]]


def _addresses(known: Record, groups: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    found = []
    for kind, names in groups.items():
        parts: dict[str, Any] = {part: known[names[part]] if part in names else None for part in _PARTS}
        if any(parts.values()):
            found.append({**parts, "address_type": kind})
    return found
