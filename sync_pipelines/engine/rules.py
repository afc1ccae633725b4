"""Rules of the common model as functions over a record's values: which paths they read, and what they make of them."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sync_pipelines.engine.casting import to_text
from sync_pipelines.engine.extracting import Path
from sync_pipelines.engine.transforms import Compiled, compile_transforms
from sync_pipelines.model.common_model import Addresses, At, Compute, Emails, FirstOf, Label, Phones, Rule, Take
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import ObjectSchema, RecordShape
from sync_pipelines.model.secret import Secret

ADDRESS_PARTS: Final = ("street_1", "street_2", "city", "state", "postal_code", "country")


@dataclass(frozen=True)
class Source:
    """Where a column's raw value comes from: the values at `paths`, through `make` or `transforms` where there are any.

    `told` names the vendor's fields for people. `inner` leads further into the value of each path, where anything does.
    """

    paths: tuple[Path, ...]
    make: Callable[..., Any] | None = None
    told: str = ""
    transforms: Compiled | None = None
    inner: tuple[Path, ...] | None = None


def rule_fields(rule: Rule) -> tuple[str, ...]:
    """The vendor fields that a rule reads."""
    match rule:
        case Take(name) | Label(name, _):
            return (name,)
        case Emails(pairs) | Phones(pairs):
            return tuple(name for _, name in pairs)
        case Addresses(groups):
            return tuple(name for _, parts in groups for name in parts.values())
        case Compute(names, _):
            return names
        case At() | FirstOf():
            return ()


def source_of(rule: Rule, shape: RecordShape, schema: ObjectSchema) -> Source:
    """A rule of the common model, compiled."""
    names = rule_fields(rule)
    paths = tuple((*shape.fields, name) for name in names)
    told = ", ".join(names)
    match rule:
        case Take():
            return Source(paths, None, told)
        case Label(_, lookup):
            return Source(paths, _label(schema.lookups.get(lookup, {})), told)
        case At(path):
            return Source((path,), None, told)
        case FirstOf(path):
            return Source((path,), _first, told)
        case Emails(pairs):
            return Source(paths, _emails([kind for kind, _ in pairs]), told)
        case Phones(pairs):
            return Source(paths, _phones([kind for kind, _ in pairs]), told)
        case Addresses(groups):
            return Source(paths, _addresses(groups), told)
        case Compute(_, function):
            return Source(paths, function, told)


def envelope_sources(shape: RecordShape) -> dict[str, Source]:
    """Columns that come from the record's shape whatever its object."""
    sources = {"id": Source((shape.id,), None, ".".join(shape.id))}
    if shape.deleted is None:
        sources["is_deleted"] = Source((), _never)
    else:
        sources["is_deleted"] = Source((shape.deleted,), _or_false, ".".join(shape.deleted))
    for column, path in (
        ("created_at", shape.created),
        ("updated_at", shape.modified),
        ("last_modified_at", shape.modified),
    ):
        if path is not None:
            sources[column] = Source((path,), None, ".".join(path))
    return sources


def ruled_source(
    rule: FieldRule, shape: RecordShape, known: Container[str] = (), hash_key: Secret | None = None
) -> Source:
    """A rule of a customer's mapping, compiled.

    `known`: the names of the account's fields. Another name with dots leads into a field's value, as in Owner.Name.
    """
    compiled = compile_transforms(rule.transforms, rule.sources, hash_key=hash_key) if makes_something(rule) else None
    ways = [(name,) if name in known else tuple(name.split(".")) for name in rule.sources]
    return Source(
        tuple((*shape.fields, way[0]) for way in ways),
        told=rule.told,
        transforms=compiled,
        # Taken of the whole outer value, which is often null: a path through null would make the whole record slow.
        inner=tuple(way[1:] for way in ways) if any(len(way) > 1 for way in ways) else None,
    )


def makes_something(rule: FieldRule) -> bool:
    """Whether the rule makes another value than the vendor's own."""
    return len(rule.sources) != 1 or any(transform.name != "none" for transform in rule.transforms)


def _never() -> bool:
    return False


def _or_false(value: Any) -> Any:
    return value or False


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


def _label(labels: Mapping[str, str]) -> Callable[[Any], Any]:
    def make(value: Any) -> Any:
        return labels.get(value, value) if isinstance(value, str) else value

    return make


class _Email(msgspec.Struct, gc=False):
    email_address: str
    email_address_type: str


class _Phone(msgspec.Struct, gc=False):
    phone_number: str
    phone_number_type: str


class _Address(msgspec.Struct, gc=False):
    street_1: Any
    street_2: Any
    city: Any
    state: Any
    postal_code: Any
    country: Any
    address_type: str


def _emails(kinds: Sequence[str]) -> Callable[..., list[_Email]]:
    def make(*values: Any) -> list[_Email]:
        items: list[_Email] = []
        seen: set[str] = set()
        for kind, value in zip(kinds, values, strict=True):
            if not value:
                continue
            for part in to_text(value).split(";"):
                part = part.strip()
                if part and part not in seen:
                    seen.add(part)
                    items.append(_Email(part, kind))
        return items

    return make


def _phones(kinds: Sequence[str]) -> Callable[..., list[_Phone]]:
    def make(*values: Any) -> list[_Phone]:
        items: list[_Phone] = []
        seen: set[str] = set()
        for kind, value in zip(kinds, values, strict=True):
            text = to_text(value).strip() if value else ""
            if text and text not in seen:
                seen.add(text)
                items.append(_Phone(text, kind))
        return items

    return make


def _addresses(groups: Sequence[tuple[str, Mapping[str, str]]]) -> Callable[..., list[_Address]]:
    """A group's values stand one after the other, in the order of its names."""
    places, at = [], 0
    for kind, names in groups:
        parts = list(names)
        places.append((kind, [at + parts.index(part) if part in names else None for part in ADDRESS_PARTS]))
        at += len(parts)

    def make(*values: Any) -> list[_Address]:
        items = []
        for kind, wanted in places:
            street_1, street_2, city, state, code, country = [None if at is None else values[at] for at in wanted]
            if street_1 or street_2 or city or state or code or country:
                items.append(_Address(street_1, street_2, city, state, code, country, kind))
        return items

    return make
