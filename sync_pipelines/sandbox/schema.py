"""What an invented account's objects look like: the sandbox's own description, written from the vendors' facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeAlias


@dataclass(slots=True)
class Draw:
    """What a value is drawn from: the account's seeded randomness, and the record as far as it has been made."""

    rng: Random
    counts: Mapping[str, int]
    id_of: Callable[[str, int], str]
    vendor: str = ""
    now: int = 0
    n: int = 0
    created: int = 0
    modified: int = 0
    record: dict[str, Any] = field(default_factory=dict)


Make: TypeAlias = Callable[[Draw], Any]


@dataclass(frozen=True, kw_only=True)
class FieldSpec:
    """One field. `type` is the vendor's word; `make` draws a value (None: the sandbox itself fills it).

    `described` and `served` are switched off to let a field vanish from the description, from the records, or both.
    `parts` are the fields behind a compound field. `shown`: HubSpot returns it when no properties are asked for.
    """

    name: str
    type: str
    make: Make | None = None
    label: str = ""
    custom: bool = False
    choices: tuple[str, ...] = ()
    writable: bool = True
    calculated: bool = False
    required: bool = False
    unique: bool = False
    length: int = 255
    scale: int = 2
    refers_to: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    shown: bool = False
    sensitive: bool = False
    described: bool = True
    served: bool = True


@dataclass(frozen=True, kw_only=True)
class ObjectSpec:
    """One object. `type_id`: Salesforce's key prefix ("003"), HubSpot's object type id ("0-1").

    `created_field` and `modified_field` carry the stamps inside the record.
    """

    name: str
    label: str
    plural: str
    type_id: str
    fields: Mapping[str, FieldSpec]
    created_field: str
    modified_field: str
    custom: bool = False
    first_number: int = 1
    step: int = 1

    def with_field(self, spec: FieldSpec) -> "ObjectSpec":
        return replace(self, fields={**self.fields, spec.name: spec})

    def find(self, name: str) -> FieldSpec | None:
        """A field that records serve, by its name without case, as Salesforce finds it."""
        found = self.fields.get(name)
        if found is None:
            wanted = name.casefold()
            found = next((known for known in self.fields.values() if known.name.casefold() == wanted), None)
        return found if found is not None and found.served else None

    def number(self, n: int) -> int:
        """The number of the n-th record as the world is made."""
        return self.first_number + n * self.step


def by_name(*specs: FieldSpec) -> dict[str, FieldSpec]:
    return {spec.name: spec for spec in specs}
