"""What every account holds: invented by arithmetic, with a memory only of what has changed since.

Account `number` is a HubSpot portal when it is even and a Salesforce org when it is odd, and belongs to a customer of
its own. Of each object it has two to six records, and more as they are created.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, Self
from zlib import crc32

import msgspec

from benchmarks.scale.fields import (
    CURSORS,
    HUBSPOT,
    KEYS,
    LASTING,
    OBJECTS,
    SALESFORCE,
    VENDORS,
    Field,
    offset,
    past,
    zulu,
)

FEWEST, MOST = 2, 6
"""Records of an object that an account begins with."""
_ROOM: Final = 1_000
"""Ids of one object of a portal."""
_STEP: Final = 7919
_PRIMARY: Final = {"contacts": ("contact_to_company", 1), "deals": ("deal_to_company", 5)}


class Change(msgspec.Struct):
    """What became of a record: how often it has changed, when last (seconds since 1970), and whether it is there.

    `created`: when, of one that was not there at the beginning.
    """

    version: int
    at: float
    created: float | None = None
    deleted: bool = False


class Changes(msgspec.Struct):
    """The changes of one object of one account, by the record's number."""

    number: int
    name: str
    changes: dict[int, Change]


class Record(msgspec.Struct):
    """One record at this moment, apart from how a vendor writes it."""

    id: str
    seed: int
    created: datetime
    modified: datetime
    deleted: bool


def vendor_of(number: int) -> str:
    return VENDORS[number % 2]


def customer_of(number: int) -> str:
    return f"firm-{number:05d}"


def number_of(customer: str) -> int:
    return int(customer.removeprefix("firm-"))


def id_of(number: int, name: str, n: int) -> str:
    """Ids order as the numbers of the records do."""
    if vendor_of(number) == "hubspot":
        return str((number * 10 + OBJECTS["hubspot"].index(name) + 1_000_000) * _ROOM + n)
    prefix, check = KEYS[name]
    return f"{prefix}Bx{number:06d}{n:04d}{check}"


def first_records(number: int, name: str) -> int:
    return FEWEST + crc32(f"{number}/{name}".encode()) % (MOST - FEWEST + 1)


class Accounts:
    """All of them. `changed` is what `change` has done, by account and object."""

    def __init__(self) -> None:
        self.changed: dict[tuple[int, str], dict[int, Change]] = {}

    def records(self, number: int, name: str) -> Iterator[Record]:
        """By id, deleted ones included."""
        changes = self.changed.get((number, name), {})
        for n in range(self._amount(number, name)):
            yield _record(number, name, n, changes.get(n))

    def change(self, number: int, name: str, choice: Random, at: float) -> None:
        """Update, create or delete one record, now being `at`. Nothing happens to one that is deleted already."""
        changes = self.changed.setdefault((number, name), {})
        amount, kind = self._amount(number, name), choice.random()
        if kind < 0.2:
            changes[amount] = Change(0, at, created=at)
            return
        found = changes.setdefault(choice.randrange(amount), Change(0, at))
        if not found.deleted:
            found.at, found.version = at, found.version + 1
            found.deleted = kind < 0.3 and name not in LASTING

    def told(self) -> list[Changes]:
        """Everything that has changed, for another process to know the same accounts."""
        return [Changes(number, name, changes) for (number, name), changes in self.changed.items()]

    @classmethod
    def knowing(cls, told: list[Changes]) -> Self:
        accounts = cls()
        accounts.changed = {(one.number, one.name): one.changes for one in told}
        return accounts

    def _amount(self, number: int, name: str) -> int:
        changes = self.changed.get((number, name), {})
        return first_records(number, name) + sum(change.created is not None for change in changes.values())


def _record(number: int, name: str, n: int, change: Change | None) -> Record:
    version = change.version if change else 0
    began = past(crc32(f"{number}/{name}/{n}".encode()))
    return Record(
        id=id_of(number, name, n),
        seed=crc32(f"{number}/{name}/{n}/{version}".encode()),
        created=_to_the_millisecond(change.created) if change and change.created is not None else began,
        modified=_to_the_millisecond(change.at) if change else began,
        deleted=change.deleted if change else False,
    )


def _to_the_millisecond(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)


def _values(fields: Mapping[str, Field], seed: int) -> dict[str, Any]:
    return {name: field.make(seed + place * _STEP) for place, (name, field) in enumerate(fields.items())}


def hubspot_json(number: int, name: str, record: Record) -> dict[str, Any]:
    """As list and search show it, without associations."""
    written = {
        "createdAt": zulu(record.created),
        "updatedAt": zulu(record.modified),
        "archived": record.deleted,
    }
    if name == "owners":
        owner = {"type": "PERSON", "userId": 70_000_000 + number, "teams": []}
        return {"id": record.id, **_values(HUBSPOT[name], record.seed), **owner, **written}
    properties = {
        "hs_object_id": record.id,
        "createdate": zulu(record.created),
        CURSORS.get(name, "hs_lastmodifieddate"): zulu(record.modified),
        **_values(HUBSPOT[name], record.seed),
    }
    shown = {"id": record.id, "properties": properties, **written}
    return shown | ({"archivedAt": zulu(record.modified)} if record.deleted else {})


def companies_of(number: int, name: str, record_id: str) -> list[str]:
    """The companies of a contact or deal, the primary one first; most have one, some two, some none."""
    if name not in _PRIMARY:
        return []
    choice, amount = crc32(record_id.encode()), first_records(number, "companies")
    return [id_of(number, "companies", (choice + n) % amount) for n in range(min((choice >> 8) % 3, amount))]


def association(name: str) -> tuple[str, int]:
    """Name and number of the association that says "primary"."""
    return _PRIMARY[name]


def salesforce_json(name: str, record: Record) -> dict[str, Any]:
    """As a query shows it, without its envelope. Users cannot be deleted and have no mark for it."""
    deleted = {} if name == "User" else {"IsDeleted": record.deleted}
    return {
        "Id": record.id,
        **deleted,
        "CreatedDate": offset(record.created),
        "SystemModstamp": offset(record.modified),
        **_values(SALESFORCE[name], record.seed),
    }
