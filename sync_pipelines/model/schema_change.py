"""Changes of the fields that a connected account has of an object, and what is to be done about them."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from sync_pipelines.model.provider import ObjectSchema

EVOLVE: Final = "evolve"
FREEZE: Final = "freeze"
DISCARD_FIELD: Final = "discard field"
DISCARD_RECORD: Final = "discard record"

ADDED: Final = "added"
VANISHED: Final = "vanished"
RETYPED: Final = "retyped"

Fields: TypeAlias = Mapping[str, str]
"""Field name -> the vendor's word for its type."""


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field. `before` and `after`: the vendor's types, None where there was or is no such field."""

    field: str
    before: str | None
    after: str | None

    @property
    def kind(self) -> str:
        """added, vanished or retyped."""
        return ADDED if self.before is None else VANISHED if self.after is None else RETYPED

    @property
    def told(self) -> str:
        """For people."""
        name = self.field if len(self.field) <= LONGEST_TOLD else f"{self.field[:LONGEST_TOLD]}…"
        if self.before is None:
            return f"{name} ({self.after}) is new"
        if self.after is None:
            return f"{name} ({self.before}) is gone"
        return f"{name} was {self.before} and is {self.after} now"


LONGEST_TOLD: Final = 80
MOST_TOLD: Final = 10


@dataclass(frozen=True, kw_only=True)
class SeenChange:
    """A change that a run met. `policy`: what the sync's object said about changes at that time."""

    sync: str
    object: str
    at: datetime
    change: FieldChange
    policy: str


@dataclass(frozen=True, kw_only=True)
class KnownSchema:
    """What is remembered of one object of one connection of one sync.

    `accepted`: the fields as a policy other than evolve wants them. `seen`: as the last run met them.
    """

    sync: str
    object: str
    accepted: Fields
    accepted_at: datetime
    seen: Fields
    seen_at: datetime


def fields_of(schema: ObjectSchema) -> dict[str, str]:
    """The fields of an account, but for names that no store could hold: nobody can map those."""
    told = {field.name: field.vendor_type or field.type for field in schema.fields}
    return {name: kind for name, kind in told.items() if not _UNSTORABLE.search(name + kind)}


_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def mark_of(fields: Fields) -> str:
    """A short text that is another one for other fields, whatever their order."""
    digest = hashlib.blake2s(digest_size=12)
    for name in sorted(fields):
        digest.update(f"{len(name)}:{name}={fields[name]}\n".encode())
    return digest.hexdigest()


def changes_between(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    """By name."""
    return tuple(
        FieldChange(field=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def told(changes: Iterable[FieldChange]) -> str:
    """A sentence's worth of changes for people, the first of them where there are many."""
    found = list(changes)
    rest = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
    return "; ".join(change.told for change in found[:MOST_TOLD]) + rest
