"""The common model: columns that contacts, accounts, leads, opportunities and users of every CRM share.

A provider says how its fields become these columns with rules; the engine compiles the rules. Names and JSON shapes are
the ones of the managed-syncs product, so that code written for its tables keeps working.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias


@dataclass(frozen=True)
class Take:
    """The value of one field."""

    field: str


@dataclass(frozen=True)
class Label:
    """The label that lookup `lookup` gives for the id in `field`; the id itself where it has none."""

    field: str
    lookup: str


@dataclass(frozen=True)
class At:
    """The value at a full path of the record's JSON, for what lies outside the fields (HubSpot's updatedAt)."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class FirstOf:
    """The first item of the array at a full path (HubSpot's associated companies)."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class Emails:
    """[{email_address, email_address_type}]: (type, field) pairs; a field may hold several with ; between."""

    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Phones:
    """[{phone_number, phone_number_type}]: (type, field) pairs."""

    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Addresses:
    """[{street_1, street_2, city, state, postal_code, country, address_type}]: (type, {part: field}) pairs."""

    sources: tuple[tuple[str, Mapping[str, str]], ...]


@dataclass(frozen=True)
class Compute:
    """A function of the values of `fields`, for the little that no other rule says (status from two flags)."""

    fields: tuple[str, ...]
    function: Callable[..., Any]


Rule: TypeAlias = Take | Label | At | FirstOf | Emails | Phones | Addresses | Compute


@dataclass(frozen=True)
class Column:
    """A column of a destination table. `type`: text, numeric, bigint, boolean, timestamptz, date or jsonb."""

    name: str
    type: str
    description: str = ""


def _columns(**types: str) -> tuple[Column, ...]:
    return tuple(Column(name, types[name]) for name in sorted(types))


_EVERY: dict[str, str] = {
    "id": "text",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "last_modified_at": "timestamptz",
    "is_deleted": "boolean",
}
_PERSON: dict[str, str] = {
    "first_name": "text",
    "last_name": "text",
    "owner_id": "text",
    "addresses": "jsonb",
    "email_addresses": "jsonb",
    "phone_numbers": "jsonb",
}

ASSOCIATION: Final = "association"

COMMON_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "contact": _columns(**_EVERY, **_PERSON, account_id="text", lifecycle_stage="text", last_activity_at="timestamptz"),
    "account": _columns(
        **_EVERY,
        name="text",
        description="text",
        industry="text",
        website="text",
        lifecycle_stage="text",
        owner_id="text",
        number_of_employees="bigint",
        addresses="jsonb",
        phone_numbers="jsonb",
        last_activity_at="timestamptz",
    ),
    "lead": _columns(
        **_EVERY,
        **_PERSON,
        lead_source="text",
        title="text",
        company="text",
        converted_contact_id="text",
        converted_account_id="text",
        converted_date="timestamptz",
    ),
    "opportunity": _columns(
        **_EVERY,
        name="text",
        description="text",
        stage="text",
        status="text",
        pipeline="text",
        account_id="text",
        owner_id="text",
        amount="numeric",
        currency="text",
        close_date="timestamptz",
        last_activity_at="timestamptz",
    ),
    "user": _columns(**_EVERY, name="text", email="text", is_active="boolean"),
    ASSOCIATION: _columns(
        id="text",
        is_deleted="boolean",
        last_modified_at="timestamptz",
        source_id="text",
        from_object="text",
        from_id="text",
        to_object="text",
        to_id="text",
        category="text",
        type_id="text",
        label="text",
    ),
}
"""Columns by common object, in the order in which the managed-syncs product prints them (by name).

`is_deleted` and `last_modified_at`, `created_at`, `updated_at` come from the object's RecordShape; a provider's rules
need not name them. raw_data joins the order by name when raw fields are on.
"""

PLAIN_COLUMNS: tuple[Column, ...] = _columns(
    id="text", created_at="timestamptz", is_deleted="boolean", last_modified_at="timestamptz"
)
"""Columns of an object that has no common model, or whose common schema is switched off."""
