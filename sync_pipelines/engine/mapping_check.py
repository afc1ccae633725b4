"""Whether rules fit the connected account: their fields exist and can be read there, and their types can fit."""

import difflib
from collections.abc import Collection, Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final

from sync_pipelines.engine.layout import AccountFields, resolve_mapping
from sync_pipelines.engine.transforms import check_transforms, effective, kind_named
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Mapping
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject

NEVER_FITS: Final[MappingOf[str, frozenset[str]]] = {
    "boolean": frozenset({"numeric", "bigint", "timestamptz", "date"}),
    "number": frozenset({"boolean", "timestamptz", "date"}),
    "integer": frozenset({"boolean", "date"}),
    "timestamp": frozenset({"numeric", "bigint", "boolean"}),
    "date": frozenset({"numeric", "bigint", "boolean"}),
}
"""Type of the vendor's field -> column types that no value of it fits. A text may hold anything, so it may be mapped
onto any column; values that do not fit are kept with their reason."""

NAMED_CHOICES: Final = 8
"""So many choices are named in one sentence."""


@dataclass(frozen=True)
class Findings:
    """What is wrong with rules on one account, a sentence each. `warnings` let them work, though perhaps not as meant.

    `unmapped`: required fields that nobody has mapped.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()


def check_mapping(
    declared: SyncObject,
    provider: str,
    mapping: Mapping,
    schema: ObjectSchema,
    *,
    hash_key: Secret | None,
    kept: Collection[str] = (),
) -> Findings:
    """ConfigurationError naming fields and fixes when one of the customer's rules can never work on this account.

    `kept`: fields whose rule is the one of before; what is wrong with it is a warning, as it hinders no other change.
    """
    changed = mapping.fields.keys() - set(kept)
    found = examine(declared, provider, mapping, schema, hash_key=hash_key, only=changed)
    if found.errors:
        raise ConfigurationError("\n".join(found.errors))
    before = examine(declared, provider, mapping, schema, hash_key=hash_key, only=kept)
    return replace(found, warnings=(*found.warnings, *before.errors, *before.warnings))


def check_unasked(
    declared: SyncObject, provider: str, mapping: Mapping, *, hash_key: Secret | None, kept: Collection[str] = ()
) -> None:
    """What can be said of the customer's rules without asking the account: as `check_mapping`."""
    rules, additional = resolve_mapping(declared, provider, mapping)
    types = _types(declared)
    problems = []
    for name, rule in {**rules, **additional}.items():
        if rule is not None and rule.transforms and name in mapping.fields and name not in kept:
            try:
                check_transforms(rule.transforms, rule.sources, types.get(name, "jsonb"), hash_key=hash_key)
            except ConfigurationError as problem:
                problems.append(f"{name}: {problem}")
    if problems:
        raise ConfigurationError("\n".join(problems))


def _types(declared: SyncObject) -> dict[str, str]:
    return {each.name: each.type for each in declared.custom_schema.fields} if declared.custom_schema else {}


def examine(
    declared: SyncObject,
    provider: str,
    mapping: Mapping | None,
    schema: ObjectSchema,
    *,
    hash_key: Secret | None,
    only: Collection[str] | None = None,
) -> Findings:
    """Look at the rules of the schema's fields `only`; None: at all of them, the developer's defaults too."""
    rules, additional = resolve_mapping(declared, provider, mapping)
    account = AccountFields(schema)
    types = _types(declared)
    errors: list[str] = []
    warnings: list[str] = []
    for name, rule in {**rules, **additional}.items():
        if rule is not None and (only is None or name in only):
            wrong = list(_wrong(name, rule, types.get(name, "jsonb"), account, schema, hash_key))
            errors += wrong
            warnings += [] if wrong else _choices(name, rule, account)
            warnings += _misspelt(name, types) if name in additional else ()
    required = [each.name for each in declared.custom_schema.fields if each.required] if declared.custom_schema else []
    unmapped = [name for name in required if rules[name] is None and account.same_name(name) is None]
    return Findings(tuple(errors), tuple(warnings), tuple(unmapped))


def _wrong(
    name: str,
    rule: FieldRule,
    column_type: str,
    account: AccountFields,
    schema: ObjectSchema,
    hash_key: Secret | None,
) -> Iterator[str]:
    hidden = {each.name.casefold(): each for each in schema.unreadable}
    for source in rule.sources:
        if account.find(source) is None:
            other = hidden.get(source.casefold())
            if other is not None:
                parts = _parts(other, account)
                yield f"The field {other.name} (for {name}) cannot be read as a whole: map one of its parts{parts}."
            else:
                yield f"The account has no readable field {source} (for {name}).{_hint(source, account.known)}"
    if rule.transforms:
        try:
            check_transforms(rule.transforms, rule.sources, column_type, hash_key=hash_key)
        except ConfigurationError as problem:
            yield f"{name}: {problem}"
            return
    found = account.find(rule.sources[0])
    if found is None or not account.is_field(rule.sources[0]):
        return
    if working := effective(rule.transforms):
        if len(rule.sources) == 1 and found.type in kind_named(working[0].name).never:
            yield (
                f"The field {found.name} is {_article(found)}, of which {working[0].name} can never make anything (for "
                f"{name}): map another field, or use another transform."
            )
        return
    if column_type in NEVER_FITS.get(found.type, frozenset()):
        yield (
            f"The field {found.name} is {_article(found)} and can never fill {name}, which is {column_type}: map "
            "another field, add a transform, or change the type in the custom schema."
        )


def _parts(whole: VendorField, account: AccountFields) -> str:
    """Fields whose names begin as that of the whole: BillingCity of BillingAddress."""
    stem = whole.name.casefold().removesuffix("address")
    parts = [field.name for name, field in account.known.items() if stem and name.startswith(stem)]
    return f", such as {_listed(sorted(parts))}" if parts else ""


def _choices(name: str, rule: FieldRule, account: AccountFields) -> Iterator[str]:
    """Values that a mapping of values speaks of and the picklist does not have, and the other way round."""
    first = rule.transforms[0] if rule.transforms else None
    found = account.find(rule.sources[0]) if len(rule.sources) == 1 and account.is_field(rule.sources[0]) else None
    if first is None or first.name != "value_mapping" or found is None or not found.choices:
        return
    values = first.options.get("values")
    spoken = [str(key) for key in values] if isinstance(values, MappingOf) else []
    if strange := [key for key in spoken if key not in found.choices]:
        yield (
            f"The value mapping of {name} names {_listed(strange)}, which {found.name} does not offer; "
            f"it offers {_listed(found.choices)}."
        )
    left = [choice for choice in found.choices if choice not in spoken]
    if left and first.options.get("otherwise") in ("misfit", "null"):
        yield f"The value mapping of {name} has nothing for {_listed(left)}, which {found.name} offers too."


def _misspelt(name: str, known: Collection[str]) -> list[str]:
    """An additional field whose name looks like one of the schema's."""
    plain = {_plain(each): each for each in known}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.85)
    told = f"{name} is not in the custom schema and becomes an additional field."
    return [f"{told} Did you mean {plain[each]}?" for each in close]


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _listed(names: Collection[str]) -> str:
    more = len(names) - NAMED_CHOICES
    return ", ".join(list(names)[:NAMED_CHOICES]) + (f" and {more} more" if more > 0 else "")


def _hint(name: str, known: MappingOf[str, VendorField]) -> str:
    close = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(known[item].name for item in close)}?" if close else ""


def _article(field: VendorField) -> str:
    return f"{'an' if field.type[0] in 'aeiou' else 'a'} {field.type}"
