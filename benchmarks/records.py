"""Invented contacts: record number `n` is the same everywhere and always. Version 1 is what it became by a change."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sync_pipelines.sandbox.names import CITIES, COMPANY_FIRST, COMPANY_SECOND, FAMILY, GIVEN, INDUSTRIES, STREETS

CHANGED_EVERY: Final = 100
CHANGED_PLACE: Final = 37
"""Of every hundred records, the one that changes when one percent does."""

FIRST_ID: Final = 10_000_000
_BEGAN: Final = datetime(2021, 1, 1, tzinfo=UTC)
_STAGES: Final = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
_STATUSES: Final = ("NEW", "OPEN", "IN_PROGRESS", "UNQUALIFIED", None, None)
_SOURCES: Final = ("ORGANIC_SEARCH", "PAID_SEARCH", "EMAIL_MARKETING", "SOCIAL_MEDIA", "REFERRALS", "DIRECT_TRAFFIC")
_TITLES: Final = ("Account Director", "Buyer", "CFO", "Chief of Staff", "Head of Operations", "Plant Supervisor", None)
_DEPARTMENTS: Final = ("Sales", "Finance", "Operations", "R&D", None)
_ZONES: Final = ("europe_slash_berlin", "america_slash_new_york", "asia_slash_tokyo")
_NOTES: Final = (
    "Met at the trade fair; wants a call after the budget round.",
    'Said "not before spring" and asked for two references.\nSecond line of the note.',
    "Préfère le courriel. Decision is made by the board in Łódź.",
    None,
    None,
    None,
)


def is_changed(n: int) -> bool:
    """Whether the record is of the one percent."""
    return n % CHANGED_EVERY == CHANGED_PLACE


def hubspot_id(n: int) -> str:
    return str(FIRST_ID + n)


def salesforce_id(n: int) -> str:
    """18 letters; they order as the numbers do. The checksum of these capitals is always the same."""
    return f"003Bx000{n:07d}IAA"


def number_of(record_id: str) -> int:
    """Back from either vendor's id."""
    return int(record_id[8:15]) if record_id.startswith("003") else int(record_id) - FIRST_ID


def _moment(n: int, seconds: int) -> datetime:
    return _BEGAN + timedelta(seconds=seconds + n * 61 % 60_000_000, milliseconds=n * 7 % 1000)


def _z(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _zero(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", ".000+0000")


def _pick(pool: Any, n: int, step: int) -> Any:
    return pool[n * step % len(pool)]


def _phone(n: int, share: int) -> str | None:
    return f"+49 30 555 {n * 7919 % 1_000_000:06d}" if n * 13 % 100 < share else None


def hubspot_record(n: int, version: int = 0) -> dict[str, Any]:
    """As a list page shows it when it is asked for companies: about 2 KB."""
    given, family, place = _pick(GIVEN, n, 7), _pick(FAMILY, n, 11), _pick(CITIES, n, 3)
    firm = f"{_pick(COMPANY_FIRST, n, 5)} {_pick(COMPANY_SECOND, n, 3)}"
    domain = f"{_pick(COMPANY_FIRST, n, 5).split()[0].lower()}{n % 5000}.example"
    created, modified = _moment(n, 0), _moment(n, 61_000_000 + version * 20_000_000)
    source = _pick(_SOURCES, n, 5)
    properties = {
        "hs_object_id": hubspot_id(n),
        "createdate": _z(created),
        "lastmodifieddate": _z(modified),
        "firstname": f"{given}{'-' * version}",
        "lastname": family,
        "email": f"contact{n}@{domain}",
        "work_email": f"work{n}@{domain}" if n % 10 == 3 else None,
        "hs_additional_emails": f"alias{n}@{domain};second{n}@{domain}" if n % 20 == 7 else None,
        "phone": _phone(n, 70),
        "mobilephone": _phone(n + 1, 40),
        "fax": _phone(n + 2, 5),
        "jobtitle": _pick(_TITLES, n, 5),
        "company": firm,
        "department": _pick(_DEPARTMENTS, n, 3),
        "address": f"{n % 400 + 1} {_pick(STREETS, n, 3)}" if n % 5 else None,
        "city": place[0],
        "state": place[1],
        "zip": place[2],
        "country": place[3],
        "lifecyclestage": _pick(_STAGES, n + version, 5),
        "hs_lead_status": _pick(_STATUSES, n, 5),
        "hubspot_owner_id": str(87_001 + n * 11 % 400) if n % 10 else None,
        "notes_last_updated": _z(_moment(n, 50_000_000)) if n % 2 else None,
        "notes_last_contacted": _z(_moment(n, 40_000_000)) if n % 3 else None,
        "annualrevenue": f"{n * 7919 % 90_000_000}.{n % 4 * 25:02d}" if n % 5 else None,
        "hs_analytics_num_page_views": str(n * 31 % 400 + version),
        "hs_email_optout": ("true", "false", "false", None)[n % 4],
        "renewal_date": _moment(n, 90_000_000).date().isoformat() if n % 4 else None,
        "industry": _pick(INDUSTRIES, n, 7).upper(),
        "website": f"https://www.{domain}/",
        "salutation": ("Ms.", "Mr.", "Dr.", None)[n % 4],
        "message": _pick(_NOTES, n, 7),
        "num_associated_deals": str(n % 6),
        "num_notes": str(n % 9),
        "num_contacted_notes": str(n % 4),
        "hs_analytics_source": source,
        "hs_analytics_source_data_1": f"campaign-{n % 300}",
        "hs_analytics_source_data_2": None,
        "hs_analytics_first_url": f"https://www.northpier.example/landing/{n % 900}?utm_source={source.lower()}",
        "hs_analytics_last_url": f"https://www.northpier.example/pricing/{n % 70}",
        "hs_analytics_num_visits": str(n % 40),
        "hs_analytics_first_timestamp": _z(created),
        "hs_analytics_last_timestamp": _z(modified),
        "hs_latest_source": source,
        "hs_marketable_status": "true",
        "hs_timezone": _pick(_ZONES, n, 2),
        "hs_language": ("en", "de", "ja", None)[n % 4],
        "hs_persona": None,
        "hs_buying_role": None,
        "hs_email_domain": domain,
        "hs_email_bounce": None,
        "hs_email_open": str(n % 17),
        "hs_email_click": str(n % 5),
        "hs_sequences_is_enrolled": "false",
        "hs_is_unworked": "true" if n % 3 else "false",
        "first_conversion_event_name": "Webinar: planning without spreadsheets" if n % 3 == 0 else None,
        "recent_conversion_date": None,
        "closedate": None,
    }
    record = {
        "id": hubspot_id(n),
        "properties": properties,
        "createdAt": _z(created),
        "updatedAt": _z(modified),
        "archived": False,
    }
    if n % 10 < 7:
        company = {"id": str(50_000 + n % 20_000), "type": "contact_to_company"}
        record["associations"] = {"companies": {"results": [company]}}
    return record


def salesforce_record(n: int, version: int = 0) -> dict[str, Any]:
    """As a query page shows it: about 1.4 KB."""
    given, family, place = _pick(GIVEN, n, 7), _pick(FAMILY, n, 11), _pick(CITIES, n, 3)
    created, modified = _zero(_moment(n, 0)), _zero(_moment(n, 61_000_000 + version * 20_000_000))
    record_id, other = salesforce_id(n), n % 7 == 3
    given = f"{given}{'-' * version}"
    return {
        "attributes": {"type": "Contact", "url": f"/services/data/v67.0/sobjects/Contact/{record_id}"},
        "Id": record_id,
        "IsDeleted": False,
        "MasterRecordId": None,
        "CreatedDate": created,
        "LastModifiedDate": modified,
        "SystemModstamp": modified,
        "FirstName": given,
        "LastName": family,
        "Name": f"{given} {family}",
        "Salutation": ("Ms.", "Mr.", "Dr.", None)[n % 4],
        "AccountId": f"001Bx000{n % 20_000:07d}IAA" if n % 10 else None,
        "Email": f"contact{n}@{_pick(COMPANY_FIRST, n, 5).split()[0].lower()}.example",
        "Phone": _phone(n, 70),
        "MobilePhone": _phone(n + 1, 40),
        "HomePhone": _phone(n + 2, 10),
        "OtherPhone": None,
        "Fax": _phone(n + 3, 5),
        "Title": _pick(_TITLES, n, 5),
        "Department": _pick(_DEPARTMENTS, n, 3),
        "LeadSource": ("Web", "Phone Inquiry", "Partner Referral", None)[n % 4],
        "MailingStreet": f"{n % 400 + 1} {_pick(STREETS, n, 3)}" if n % 5 else None,
        "MailingCity": place[0],
        "MailingState": place[1],
        "MailingPostalCode": place[2],
        "MailingCountry": place[3],
        "OtherStreet": f"{n % 90 + 1} {_pick(STREETS, n, 5)}" if other else None,
        "OtherCity": place[0] if other else None,
        "OtherState": None,
        "OtherPostalCode": None,
        "OtherCountry": place[3] if other else None,
        "Birthdate": f"19{n % 40 + 60}-{n % 12 + 1:02d}-{n % 28 + 1:02d}" if n % 3 == 0 else None,
        "HasOptedOutOfEmail": n % 14 == 0,
        "Description": _pick(_NOTES, n, 7),
        "LastActivityDate": _moment(n, 50_000_000).date().isoformat() if n % 2 else None,
        "OwnerId": f"005Bx000{n % 400:07d}IAA",
        "CreatedById": f"005Bx000{n % 390:07d}IAA",
        "LastModifiedById": f"005Bx000{n % 380:07d}IAA",
        "ReportsToId": None,
        "Lead_Status__c": _pick(_STATUSES, n, 5),
        "Annual_Revenue__c": (n * 7919 % 90_000_000) + n % 4 * 0.25 if n % 5 else None,
        "Page_Views__c": n * 31 % 400 + version,
        "Renewal_Date__c": _moment(n, 90_000_000).date().isoformat() if n % 4 else None,
        "Last_Contacted__c": _zero(_moment(n, 40_000_000)) if n % 3 else None,
        "Region__c": ("EMEA", "Americas", "APAC")[n % 3],
        "Tier__c": ("gold", "silver", "bronze", None)[n % 4],
        "Profile_URL__c": f"https://people.northpier.example/profile/{n:07d}?from=crm",
    }


def csv_line(record: dict[str, Any]) -> str:
    """A Salesforce record as Bulk API 2.0 writes it: everything quoted, null empty, times with Z."""
    return ",".join(map(_cell, list(record.values())[1:])) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return '""'
    if isinstance(value, bool):
        return '"true"' if value else '"false"'
    text = str(value)
    if text.endswith(".000+0000"):
        text = text[:-5] + "Z"
    return '"' + text.replace('"', '""') + '"'


RECORDS: Final = {"hubspot": hubspot_record, "salesforce": salesforce_record, "bulk": salesforce_record}
