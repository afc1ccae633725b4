"""The rows that must be there, in plain Python from the vendors' records, and their comparison in SQL.

It shares no code with our mapping. A row is given as JSON; Postgres itself makes values of the table's own types of it,
so that every column of every row is compared as a value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import psycopg
from psycopg import sql

from benchmarks.plain_mapping import HUBSPOT_ADDRESS, Record, midnight, salesforce_address
from benchmarks.scale.accounts import (
    Accounts,
    companies_of,
    customer_of,
    hubspot_json,
    salesforce_json,
    vendor_of,
)
from benchmarks.scale.fields import OBJECTS, PIPELINES, STAGES

Row = dict[str, Any]

TABLES: Final[Mapping[str, str]] = {
    **{"contacts": "crm_contact", "companies": "crm_account", "leads": "crm_lead", "deals": "crm_opportunity"},
    **{"owners": "crm_user", "tickets": "hubspot_tickets"},
    **{"Contact": "crm_contact", "Account": "crm_account", "Lead": "crm_lead", "Opportunity": "crm_opportunity"},
    **{"User": "crm_user", "Case": "salesforce_case"},
}
_PARTS: Final = ("street_1", "street_2", "city", "state", "postal_code", "country")
_WITH_COMPANIES: Final = frozenset({"contacts", "deals"})


def _taken(record: Record, names: Mapping[str, str]) -> Row:
    return {column: record[name] for column, name in names.items()}


def _emails(record: Record, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    return [
        {"email_address": part, "email_address_type": kind}
        for kind, name in pairs
        for part in (record[name] or "").split(";")
        if part
    ]


def _phones(record: Record, pairs: Sequence[tuple[str, str]]) -> list[Row]:
    found = {}
    for kind, name in pairs:
        if record[name] and record[name] not in found:
            found[record[name]] = {"phone_number": record[name], "phone_number_type": kind}
    return list(found.values())


def _addresses(record: Record, groups: Mapping[str, Mapping[str, str]]) -> list[Row]:
    made = [
        {**{part: record[names[part]] if part in names else None for part in _PARTS}, "address_type": kind}
        for kind, names in groups.items()
    ]
    return [one for one in made if any(one[part] for part in _PARTS)]


def _status(won: bool, closed: bool) -> str:
    return "WON" if won else "LOST" if closed else "OPEN"


def _hubspot_contact(known: Record) -> Row:
    names = {"first_name": "firstname", "last_name": "lastname", "lifecycle_stage": "lifecyclestage"}
    emails = (("primary", "email"), ("work", "work_email"), ("other", "hs_additional_emails"))
    return {
        **_taken(known, {**names, "owner_id": "hubspot_owner_id", "last_activity_at": "notes_last_updated"}),
        "email_addresses": _emails(known, emails),
        "phone_numbers": _phones(known, (("primary", "phone"), ("mobile", "mobilephone"), ("fax", "fax"))),
        "addresses": _addresses(known, {"primary": HUBSPOT_ADDRESS}),
    }


def _hubspot_company(known: Record) -> Row:
    same = {name: name for name in ("name", "description", "industry", "website")}
    names = {"lifecycle_stage": "lifecyclestage", "owner_id": "hubspot_owner_id"}
    more = {"number_of_employees": "numberofemployees", "last_activity_at": "notes_last_updated"}
    return {
        **_taken(known, {**same, **names, **more}),
        "phone_numbers": _phones(known, (("primary", "phone"),)),
        "addresses": _addresses(known, {"primary": {**HUBSPOT_ADDRESS, "street_2": "address2"}}),
    }


def _hubspot_lead(known: Record) -> Row:
    names = {"first_name": "hs_associated_contact_firstname", "company": "hs_associated_company_name"}
    return {
        **_taken(known, {**names, "lead_source": "hs_lead_source", "owner_id": "hubspot_owner_id"}),
        "last_name": known["hs_associated_contact_lastname"] or known["hs_lead_name"],
        "email_addresses": _emails(known, (("primary", "hs_associated_contact_email"),)),
        "phone_numbers": [],
        "addresses": [],
    }


def _hubspot_deal(known: Record) -> Row:
    names = {"name": "dealname", "description": "description", "owner_id": "hubspot_owner_id", "amount": "amount"}
    more = {"currency": "deal_currency_code", "close_date": "closedate", "last_activity_at": "notes_last_updated"}
    return {
        **_taken(known, {**names, **more}),
        "stage": STAGES[known["dealstage"]],
        "pipeline": PIPELINES[known["pipeline"]],
        "status": _status(known["hs_is_closed_won"] == "true", known["hs_is_closed"] == "true"),
    }


def _salesforce_contact(known: Record) -> Row:
    names = {"first_name": "FirstName", "last_name": "LastName", "account_id": "AccountId", "owner_id": "OwnerId"}
    phones = {"primary": "Phone", "mobile": "MobilePhone", "fax": "Fax"}
    others = (("other", "HomePhone"), ("other", "OtherPhone"))
    return {
        **_taken(known, names),
        "last_activity_at": midnight(known["LastActivityDate"]),
        "email_addresses": _emails(known, (("primary", "Email"),)),
        "phone_numbers": _phones(known, (*phones.items(), *others)),
        "addresses": _addresses(
            known, {"mailing": salesforce_address("Mailing"), "other": salesforce_address("Other")}
        ),
    }


def _salesforce_account(known: Record) -> Row:
    names = {"name": "Name", "description": "Description", "industry": "Industry", "website": "Website"}
    return {
        **_taken(known, {**names, "owner_id": "OwnerId", "number_of_employees": "NumberOfEmployees"}),
        "last_activity_at": midnight(known["LastActivityDate"]),
        "phone_numbers": _phones(known, (("primary", "Phone"), ("fax", "Fax"))),
        "addresses": _addresses(
            known, {"billing": salesforce_address("Billing"), "shipping": salesforce_address("Shipping")}
        ),
    }


def _salesforce_lead(known: Record) -> Row:
    names = {"first_name": "FirstName", "last_name": "LastName", "title": "Title", "company": "Company"}
    more = {"converted_contact_id": "ConvertedContactId", "converted_account_id": "ConvertedAccountId"}
    return {
        **_taken(known, {**names, **more, "lead_source": "LeadSource", "owner_id": "OwnerId"}),
        "converted_date": midnight(known["ConvertedDate"]),
        "email_addresses": _emails(known, (("primary", "Email"),)),
        "phone_numbers": _phones(known, (("primary", "Phone"), ("mobile", "MobilePhone"), ("fax", "Fax"))),
        "addresses": _addresses(known, {"primary": salesforce_address("")}),
    }


def _salesforce_opportunity(known: Record) -> Row:
    names = {"name": "Name", "description": "Description", "stage": "StageName", "account_id": "AccountId"}
    return {
        **_taken(known, {**names, "owner_id": "OwnerId", "amount": "Amount", "currency": "CurrencyIsoCode"}),
        "status": _status(known["IsWon"], known["IsClosed"]),
        "close_date": midnight(known["CloseDate"]),
        "last_activity_at": midnight(known["LastActivityDate"]),
    }


def _owner(known: Record) -> Row:
    return {"name": f"{known['firstName']} {known['lastName']}", "email": known["email"], "is_active": True}


def _user(known: Record) -> Row:
    return _taken(known, {"name": "Name", "email": "Email", "is_active": "IsActive"})


_COLUMNS: Final[Mapping[str, Callable[[Record], Row]]] = {
    **{"contacts": _hubspot_contact, "companies": _hubspot_company, "leads": _hubspot_lead, "deals": _hubspot_deal},
    **{"owners": _owner, "tickets": lambda known: {}},
    **{"Contact": _salesforce_contact, "Account": _salesforce_account, "Lead": _salesforce_lead},
    **{"Opportunity": _salesforce_opportunity, "User": _user, "Case": lambda known: {}},
}


def hubspot_rows(accounts: Accounts, number: int, name: str) -> Iterator[Row]:
    """The rows of one object of a portal."""
    for record in accounts.records(number, name):
        raw = hubspot_json(number, name, record)
        row = _COLUMNS[name](raw if name == "owners" else raw["properties"])
        if name in _WITH_COMPANIES and not record.deleted:
            companies = companies_of(number, name, record.id)
            raw["associations"] = {"companies": companies}
            row["account_id"] = companies[0] if companies else None
        envelope = {"id": raw["id"], "created_at": raw["createdAt"], "is_deleted": record.deleted}
        modified = {"updated_at": raw["updatedAt"], "last_modified_at": raw["updatedAt"]}
        yield {**row, **envelope, **modified, "raw_data": raw}


def salesforce_rows(accounts: Accounts, number: int, name: str) -> Iterator[Row]:
    """The rows of one object of an org."""
    for record in accounts.records(number, name):
        raw = salesforce_json(name, record)
        envelope = {"id": raw["Id"], "created_at": raw["CreatedDate"], "is_deleted": record.deleted}
        modified = {"updated_at": raw["SystemModstamp"], "last_modified_at": raw["SystemModstamp"]}
        yield {**_COLUMNS[name](raw), **envelope, **modified, "raw_data": raw}


def wrong_rows(
    database: psycopg.Connection[Any], schema: str, accounts: Accounts, numbers: Sequence[int], shown: int = 5
) -> tuple[int, list[str]]:
    """How many rows of the warehouse are missing, too many or other than at the vendor, and a few of them in words."""
    amount, examples = 0, []
    for table in dict.fromkeys(TABLES.values()):
        _expect(database, accounts, numbers, [name for name, stored in TABLES.items() if stored == table])
        known = database.execute("SELECT to_regclass(%s)", [f"{schema}.{table}"]).fetchone()
        if known is None or known[0] is None:
            missing = database.execute("SELECT count(*) FROM expected").fetchone()
            amount += missing[0] if missing else 0
            examples.append(f"there is no table {table}")
            continue
        place = sql.Identifier(schema, table)
        amount += database.execute(sql.SQL(_DIFFERENT).format(place, place)).rowcount
        found = database.execute("SELECT * FROM different ORDER BY 1, 2, 3 LIMIT %s", [shown]).fetchall()
        examples += [f"{table}: {provider} {customer} {id}: {what}" for provider, customer, id, what in found]
    return amount, examples[:shown]


def _expect(
    database: psycopg.Connection[Any], accounts: Accounts, numbers: Sequence[int], names: Sequence[str]
) -> None:
    database.execute("DROP TABLE IF EXISTS expected, different")
    database.execute("CREATE TEMP TABLE expected (provider text, customer text, id text, row jsonb)")
    with database.cursor().copy("COPY expected FROM STDIN") as copy:
        for number in numbers:
            vendor = vendor_of(number)
            rows = hubspot_rows if vendor == "hubspot" else salesforce_rows
            for name in names:
                if name not in OBJECTS[vendor]:
                    continue
                for row in rows(accounts, number, name):
                    copy.write_row((vendor, customer_of(number), row["id"], msgspec.json.encode(row).decode()))
    database.execute("ANALYZE expected")


_DIFFERENT: Final = """
CREATE TEMP TABLE different AS
WITH told AS (
    SELECT e.provider, e.customer, e.id, to_jsonb(jsonb_populate_record(NULL::{}, e.row)) AS row FROM expected e
), landed AS (
    SELECT f._sync_provider_name AS provider, f._sync_customer_id AS customer, f.id, to_jsonb(f) AS row FROM {} f
), meta AS (
    SELECT coalesce(array_agg(DISTINCT name), '{{}}') AS names
    FROM (SELECT row FROM told LIMIT 1) one, jsonb_object_keys(one.row) AS name WHERE name LIKE '\\_sync\\_%'
)
SELECT provider, customer, id,
    CASE WHEN told.row IS NULL THEN 'should not be there' WHEN landed.row IS NULL THEN 'is missing'
    ELSE (
        SELECT string_agg(format('%s is %s, not %s', name, landed.row ->> name, told.row ->> name), '; ')
        FROM jsonb_object_keys(told.row) AS name
        WHERE name NOT LIKE '\\_sync\\_%' AND told.row -> name IS DISTINCT FROM landed.row -> name
    ) END AS what
FROM told FULL JOIN landed USING (provider, customer, id), meta
WHERE told.row - meta.names IS DISTINCT FROM landed.row - meta.names
"""
