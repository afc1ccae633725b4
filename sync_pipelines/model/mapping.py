"""A developer's custom schema and one customer's mapping onto it."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Transform:
    """One named step of a rule, and its options as they were written (JSON values)."""

    name: str
    options: MappingOf[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FieldRule:
    """How one column is made: the values of the vendor's fields `sources`, through `transforms` one after the other.

    The first transform is given a value for each source, the others the one value of the transform before. Without
    transforms there is exactly one source, and its value is taken as it is.
    """

    sources: tuple[str, ...]
    transforms: tuple[Transform, ...] = ()

    @property
    def plain(self) -> str | None:
        """The vendor's field that is taken as it is; None where the rule is more than that."""
        return self.sources[0] if len(self.sources) == 1 and not self.transforms else None

    @property
    def told(self) -> str:
        """The vendor's fields, for people."""
        return ", ".join(self.sources)


@dataclass(frozen=True, kw_only=True)
class SchemaField:
    """A field that the developer wants of every customer.

    `type`: text, numeric, bigint, boolean, timestamptz, date or jsonb. `sources` are the developer's own default
    rules by provider name; `locked` ones cannot be mapped otherwise by a customer.
    """

    name: str
    type: str = "text"
    required: bool = False
    description: str = ""
    sources: MappingOf[str, FieldRule] = field(default_factory=dict)
    locked: bool = False


@dataclass(frozen=True, kw_only=True)
class CustomSchema:
    """The developer's versioned list of fields that customers map onto.

    `allow_additional_fields`: a customer may map fields that are not listed; they land in one `additional_fields`
    jsonb column, by the name that the customer gave.
    """

    version: int
    fields: tuple[SchemaField, ...]
    allow_additional_fields: bool = False


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """One customer's rules for one object: schema field name -> rule. Versions count from 1.

    `actor` and `saved_at`: who made this version, and when.
    """

    customer_id: str
    provider: str
    object: str
    version: int
    fields: MappingOf[str, FieldRule]
    actor: str = ""
    saved_at: datetime | None = None
