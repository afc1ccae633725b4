"""Which table and columns an object of a sync has, and which vendor fields one connection must be asked for."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.rules import rule_fields
from sync_pipelines.engine.transforms import marks_of as transform_marks
from sync_pipelines.model.common_model import COMMON_COLUMNS, PLAIN_COLUMNS, Column
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, SchemaField
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.naming import custom_columns, table_of_object
from sync_pipelines.model.provider import CrmObject, ObjectSchema, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import APPEND, Sync, SyncObject

RAW_COLUMN = Column("raw_data", "jsonb", "The record as the vendor gave it")
ADDITIONAL_COLUMN = Column("additional_fields", "jsonb", "What the customer mapped beyond the custom schema")


def is_common(crm_object: CrmObject, declared: SyncObject) -> bool:
    """Whether the object lands in a table of the common model."""
    return declared.common_schema and crm_object.common_name is not None


def table_of(sync: Sync, declared: SyncObject, crm_object: CrmObject) -> Table:
    """The destination table: ordered by name as the managed-syncs product prints it, custom columns behind."""
    columns = own_columns(crm_object, declared)
    columns += tuple(Column(name, each.type, each.description) for each, name in schema_columns(declared, crm_object))
    if declared.custom_schema is not None and declared.custom_schema.allow_additional_fields:
        columns += (ADDITIONAL_COLUMN,)
    name = declared.table or table_of_object(sync.provider, crm_object, common_schema=declared.common_schema)
    return Table(
        name=name,
        columns=columns,
        metadata_prefix=sync.metadata_prefix,
        grouped_by="source_id" if crm_object.associations_of is not None else None,
        volatile=tuple(sorted(crm_object.volatile)),
        volatile_at=crm_object.shape.fields,
        append=sync.mode == APPEND,
    )


@dataclass(frozen=True, kw_only=True)
class FieldPlan:
    """What one connection is asked for, and how its own columns are made of it.

    `missing`: mapped fields that the account does not have or does not show. `needs`: by column the vendor's fields
    that it is made of, without the missing ones.
    """

    fields: tuple[VendorField, ...]
    custom: tuple[CustomColumn, ...]
    additional: Mapping[str, FieldRule]
    missing: tuple[str, ...]
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)


def plan_fields(
    declared: SyncObject,
    crm_object: CrmObject,
    schema: ObjectSchema,
    provider: str,
    mapping: FieldMapping | None,
) -> FieldPlan:
    """Resolve the customer's mapping over the developer's defaults against what the account really has.

    A schema field that nobody mapped is taken from the vendor field of the same name where the account has one, as the
    printed examples do with FirstName. ConfigurationError when a required field is mapped by nobody.
    """
    account = AccountFields(schema)
    resolved, theirs = resolve_mapping(declared, provider, mapping)
    additional = {name: account.spelled(rule) for name, rule in theirs.items()}
    custom: list[CustomColumn] = []
    for each, column in schema_columns(declared, crm_object):
        rule = resolved[each.name] or account.same_name(each.name)
        if rule is None and each.required:
            raise ConfigurationError(_unmapped(each, declared, provider))
        custom.append(CustomColumn(column, account.spelled(rule) if rule else None, each.required, each.type))
    rules = {item.column: [item.rule] for item in custom if item.rule}
    if additional:
        rules[ADDITIONAL_COLUMN.name] = list(additional.values())
    needs = {name: frozenset(account.needs(several)) for name, several in rules.items()}
    return FieldPlan(
        fields=_wanted(declared, crm_object, schema, {name for names in needs.values() for name in names}),
        custom=tuple(custom),
        additional=additional,
        missing=tuple(sorted({name for several in rules.values() for name in account.missing(several)})),
        needs=needs,
    )


def schema_columns(declared: SyncObject, crm_object: CrmObject) -> list[tuple[SchemaField, str]]:
    """The fields of the custom schema with their columns."""
    if declared.custom_schema is None:
        return []
    names = custom_columns(declared.custom_schema, {column.name for column in own_columns(crm_object, declared)})
    return [(each, names[each.name]) for each in declared.custom_schema.fields]


def _unmapped(each: SchemaField, declared: SyncObject, provider: str) -> str:
    return (
        f"The required field {each.name} of {declared.object} is not mapped for this customer: map it with "
        f"`sync-pipelines mapping set CUSTOMER {provider} {declared.object} {each.name}=VENDOR_FIELD`."
    )


class AccountFields:
    """The fields of one account, found by what people write: in any case, and by a path that begins at one."""

    def __init__(self, schema: ObjectSchema) -> None:
        self.known = {each.name.casefold(): each for each in schema.fields}

    def find(self, source: str) -> VendorField | None:
        """The field a source means: the one of this name, else the one at which the path begins."""
        return self.known.get(source.casefold()) or self.known.get(root_of(source).casefold())

    def is_field(self, source: str) -> bool:
        return source.casefold() in self.known

    def spelled(self, rule: FieldRule) -> FieldRule:
        """The rule with its sources spelled as the account does."""
        return replace(rule, sources=tuple(map(self._spelled, rule.sources)))

    def _spelled(self, source: str) -> str:
        found = self.find(source)
        if found is None:
            return source
        return found.name if self.is_field(source) else found.name + source[len(root_of(source)) :]

    def same_name(self, name: str) -> FieldRule | None:
        found = self.known.get(name.casefold())
        return FieldRule(sources=(found.name,)) if found else None

    def needs(self, rules: Iterable[FieldRule]) -> set[str]:
        found = map(self.find, _sources(rules))
        return {each.name for each in found if each is not None}

    def missing(self, rules: Iterable[FieldRule]) -> set[str]:
        return {source for source in _sources(rules) if self.find(source) is None}


def _sources(rules: Iterable[FieldRule]) -> Iterator[str]:
    return (source for rule in rules for source in rule.sources)


def root_of(source: str) -> str:
    """The field at which a path such as `Owner.Name` begins."""
    return source.split(".", maxsplit=1)[0]


def own_columns(crm_object: CrmObject, declared: SyncObject) -> tuple[Column, ...]:
    """Columns that come without a custom schema, by name."""
    own = list(COMMON_COLUMNS[crm_object.common_name or ""] if is_common(crm_object, declared) else PLAIN_COLUMNS)
    if declared.raw_fields:
        own.append(RAW_COLUMN)
    return tuple(sorted(own, key=lambda column: column.name))


def resolve_mapping(
    declared: SyncObject, provider: str, mapping: FieldMapping | None
) -> tuple[dict[str, FieldRule | None], dict[str, FieldRule]]:
    """({schema field: rule, None where nobody mapped it}, {additional name: rule}).

    Rules of the customer that this schema does not take fill nothing (see `unused_rules`).
    """
    schema = declared.custom_schema
    if schema is None:
        return {}, {}
    theirs = dict(mapping.fields) if mapping is not None else {}
    rules = {each.name: _rule(each, provider, theirs.pop(each.name, None)) for each in schema.fields}
    return rules, theirs if schema.allow_additional_fields else {}


def _rule(each: SchemaField, provider: str, theirs: FieldRule | None) -> FieldRule | None:
    default = each.sources.get(provider)
    return default if each.locked and default is not None else theirs or default


def unused_rules(
    declared: SyncObject, provider: str, mapping: FieldMapping | None, elsewhere: Collection[str] = ()
) -> dict[str, str]:
    """Rules of the customer that fill nothing here, by their field, each with why.

    `elsewhere`: fields that schemas of other syncs have, so that it is no wonder if this one does not.
    """
    schema = declared.custom_schema
    fields = {each.name: each for each in schema.fields} if schema is not None else {}
    found: dict[str, str] = {}
    for name, rule in (mapping.fields if mapping is not None else {}).items():
        field = fields.get(name)
        if field is not None:
            default = field.sources.get(provider)
            if field.locked and default not in (None, rule):
                found[name] = f"the field {name} is locked to {default.told if default else ''} by the developer"
        elif name not in elsewhere and (schema is None or not schema.allow_additional_fields):
            found[name] = f"the custom schema of {declared.object} does not have {name}"
    return found


def _wanted(
    declared: SyncObject, crm_object: CrmObject, schema: ObjectSchema, mapped: Collection[str]
) -> tuple[VendorField, ...]:
    if declared.raw_fields:
        return schema.fields
    names = {*mapped, *shape_fields(crm_object)}
    if is_common(crm_object, declared):
        for rule in crm_object.common.values():
            names.update(rule_fields(rule))
    wanted = {name.casefold() for name in names}
    return tuple(each for each in schema.fields if each.name.casefold() in wanted)


def shape_fields(crm_object: CrmObject) -> list[str]:
    """Fields that the record's shape itself needs, where they lie among the fields."""
    shape = crm_object.shape
    paths = (shape.id, shape.created, shape.modified, shape.deleted, shape.merged_into, shape.merged_ids)
    depth = len(shape.fields)
    names = [path[depth] for path in paths if path and len(path) == depth + 1 and path[:depth] == shape.fields]
    return names + ([crm_object.cursor_field] if crm_object.cursor_field else [])


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What decides how rows are made, in short.

    `fingerprint`: all of it, then a bar, then the mapped fields that are missing at the moment. `ground`: all but the
    rules of single columns. `mapped`: by column its type and its rule.
    """

    fingerprint: str
    ground: str
    mapped: Mapping[str, str]


def marks_of(
    declared: SyncObject,
    table: Table,
    plan: FieldPlan,
    hash_key: Secret | None = None,
    *,
    remade: Mapping[str, int] | None = None,
    unexpected: Collection[str] = (),
) -> Marks:
    """`remade`: of the landing. `unexpected`: fields that the schema policy keeps away, which count as missing."""
    types: dict[str, Any] = {column.name: column.type for column in table.columns}
    types |= {name: (types[name], number) for name, number in (remade or {}).items()}
    kept_away = sorted(f"#{_digest(name)[:12]}" for name in unexpected)
    rules: dict[str, Any] = {item.column: (_told(item.rule, hash_key), item.required) for item in plan.custom}
    if ADDITIONAL_COLUMN.name in types:
        rules[ADDITIONAL_COLUMN.name] = _told_additional(plan, hash_key)
    own = [(name, kind) for name, kind in types.items() if name not in rules]
    ground = (table.name, table.append, own, table.metadata_prefix, declared.raw_fields, declared.common_schema)
    return Marks(
        fingerprint=f"{_fingerprint(declared, table, plan, types, hash_key)}|{','.join((*plan.missing, *kept_away))}",
        ground=_digest(ground),
        mapped={name: _digest((types[name], rule))[:12] for name, rule in rules.items()},
    )


def _fingerprint(
    declared: SyncObject, table: Table, plan: FieldPlan, types: Mapping[str, Any], hash_key: Secret | None
) -> str:
    parts: tuple[Any, ...] = (
        list(types.items()),
        table.metadata_prefix,
        [(item.column, _told(item.rule, hash_key), item.required) for item in plan.custom],
        _told_additional(plan, hash_key),
        declared.raw_fields,
        declared.common_schema,
    )
    if table.append:
        # With another mode, everything is to be read again: rows stand as they were added.
        parts += (APPEND,)
    return _digest(parts)


def _digest(parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:24]


def _told_additional(plan: FieldPlan, hash_key: Secret | None) -> Any:
    return sorted((name, _told(rule, hash_key)) for name, rule in plan.additional.items())


def _told(rule: FieldRule | None, hash_key: Secret | None) -> Any:
    """A plain rule tells the same as before there were transforms: nobody has to read everything again for them."""
    if rule is None or rule.plain is not None:
        return rule.plain if rule else None
    marks = transform_marks(rule.transforms, hash_key)
    return (rule, marks) if marks else rule


def returned(old: str, new: str) -> bool:
    """By two fingerprints: whether a field that was missing is back, so that rows were written without it.

    A field that goes missing changes nothing: what is stored of it is better than nothing.
    """
    before, now = (set(filter(None, mark.partition("|")[2].split(","))) for mark in (old, new))
    return bool(before - now)
