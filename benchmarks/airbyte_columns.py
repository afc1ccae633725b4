"""PyAirbyte lands the vendor's own fields. Here they become the columns, in SQL, so that content can be compared."""

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.compare import Landed
from benchmarks.fields import CUSTOM, HUBSPOT, SALESFORCE
from benchmarks.plain_mapping import HUBSPOT_ADDRESS, SALESFORCE_PHONES, salesforce_address

_Z: Final = '\'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\''
_ZERO: Final = '\'YYYY-MM-DD"T"HH24:MI:SS".000+0000"\''
_PARTS: Final = ("street_1", "street_2", "city", "state", "postal_code", "country")


def airbyte_landed(schema: str, vendor: str) -> Landed:
    """Where the rows are and how each column comes out of them."""
    if vendor == "salesforce":
        return Landed(schema, expressions=_salesforce())
    return Landed(schema, also="properties::jsonb AS p, associations::jsonb AS a", expressions=_hubspot())


def _property(name: str) -> str:
    assert name in HUBSPOT
    return f"(p ->> '{name}')"


def _hubspot() -> dict[str, str]:
    typed = {column: f"{_property(name)}::{kind}" for column, (kind, name, _) in CUSTOM.items()}
    emails = (("primary", "email"), ("work", "work_email"), ("other", "hs_additional_emails"))
    phones = (("primary", "phone"), ("mobile", "mobilephone"), ("fax", "fax"))
    return typed | {
        "account_id": "a #>> '{companies,results,0,id}'",
        "created_at": "createdat AT TIME ZONE 'UTC'",
        "first_name": _property("firstname"),
        "is_deleted": "archived",
        "last_activity_at": f"{_property('notes_last_updated')}::timestamptz",
        "last_modified_at": "updatedat AT TIME ZONE 'UTC'",
        "last_name": _property("lastname"),
        "lifecycle_stage": _property("lifecyclestage"),
        "owner_id": _property("hubspot_owner_id"),
        "updated_at": "updatedat AT TIME ZONE 'UTC'",
        "addresses": _address("primary", HUBSPOT_ADDRESS, _property),
        "email_addresses": _listed("email_address", emails, _property),
        "phone_numbers": _listed("phone_number", phones, _property),
        "raw_data": "jsonb_build_object('id', id, 'properties', p, "
        "'associations', a, 'archived', archived, "
        f"'createdAt', to_char(createdat, {_Z}), 'updatedAt', to_char(updatedat, {_Z}))",
    }


def _salesforce() -> dict[str, str]:
    typed = {column: _column(name) for column, (_, _, name) in CUSTOM.items()}
    mailing, other = (
        _address(kind.lower(), salesforce_address(kind), lambda name: name.lower()) for kind in ("Mailing", "Other")
    )
    written = ", ".join(f"'{name}', {_written(name)}" for name in SALESFORCE)
    return typed | {
        "id": "id",
        "account_id": "accountid",
        "created_at": _column("CreatedDate"),
        "first_name": "firstname",
        "is_deleted": "isdeleted",
        "last_activity_at": "lastactivitydate::timestamp AT TIME ZONE 'UTC'",
        "last_modified_at": _column("SystemModstamp"),
        "last_name": "lastname",
        "lifecycle_stage": "NULL::text",
        "owner_id": "ownerid",
        "updated_at": _column("SystemModstamp"),
        "addresses": f"{mailing} || {other}",
        "email_addresses": _listed("email_address", (("primary", "Email"),), lambda name: name.lower()),
        "phone_numbers": _listed("phone_number", SALESFORCE_PHONES, lambda name: name.lower()),
        "raw_data": f"jsonb_build_object({written})",
    }


def _column(name: str) -> str:
    kind, found = SALESFORCE[name], name.lower()
    return {"datetime": f"{found} AT TIME ZONE 'UTC'", "date": f"{found}::date"}.get(kind, found)


def _written(name: str) -> str:
    """The value as the vendor's JSON writes it."""
    kind, found = SALESFORCE[name], name.lower()
    return {"datetime": f"to_char({found}, {_ZERO})", "date": f"{found}::date::text"}.get(kind, found)


def _listed(key: str, pairs: Sequence[tuple[str, str]], field: Callable[[str], str]) -> str:
    values = ", ".join(f"('{kind}', {field(name)})" for kind, name in pairs)
    return (
        f"(SELECT coalesce(jsonb_agg(jsonb_build_object('{key}', part, '{key}_type', kind)), '[]') "
        f"FROM (VALUES {values}) AS given (kind, texts), unnest(string_to_array(texts, ';')) AS part)"
    )


def _address(kind: str, names: dict[str, str], field: Callable[[str], str]) -> str:
    parts = ", ".join(f"'{part}', {field(names[part]) if part in names else 'NULL'}" for part in _PARTS)
    some = ", ".join(field(name) for name in names.values())
    return (
        f"(CASE WHEN num_nonnulls({some}) > 0 "
        f"THEN jsonb_build_array(jsonb_build_object({parts}, 'address_type', '{kind}')) ELSE '[]' END)"
    )
