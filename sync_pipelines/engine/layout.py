"""Which table and columns an object of a sync has, and which vendor fields one connection must be asked for."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.rules import rule_fields
from sync_pipelines.model.common_model import COMMON_COLUMNS, PLAIN_COLUMNS, Column
from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, SchemaField
from sync_pipelines.model.mapping import Mapping as FieldMapping
from sync_pipelines.model.naming import custom_columns, table_name
from sync_pipelines.model.provider import CrmObject, ObjectSchema, VendorField
from sync_pipelines.model.sync import Sync, SyncObject

RAW_COLUMN = Column("raw_data", "jsonb", "The record as the vendor gave it")
ADDITIONAL_COLUMN = Column("additional_fields", "jsonb", "What the customer mapped beyond the custom schema")


def is_common(crm_object: CrmObject, declared: SyncObject) -> bool:
    """Whether the object lands in a table of the common model."""
    return declared.common_schema and crm_object.common_name is not None


def table_of(sync: Sync, declared: SyncObject, crm_object: CrmObject) -> Table:
    """The destination table: ordered by name as the managed-syncs product prints it, custom columns behind."""
    own = own_columns(crm_object, declared)
    columns = own
    if declared.custom_schema is not None:
        names = custom_columns(declared.custom_schema, frozenset(column.name for column in own))
        columns += tuple(
            Column(names[field.name], field.type, field.description) for field in declared.custom_schema.fields
        )
        if declared.custom_schema.allow_additional_fields:
            columns += (ADDITIONAL_COLUMN,)
    name = declared.table or table_name(
        sync.provider, crm_object.name, crm_object.common_name, common_schema=declared.common_schema
    )
    return Table(
        name=name,
        columns=columns,
        metadata_prefix=sync.metadata_prefix,
        volatile=tuple(sorted(crm_object.volatile)),
        volatile_at=crm_object.shape.fields,
    )


@dataclass(frozen=True, kw_only=True)
class FieldPlan:
    """What one connection is asked for. `missing`: mapped fields that the account does not have or does not show."""

    fields: tuple[VendorField, ...]
    custom: tuple[CustomColumn, ...]
    additional: Mapping[str, str]
    missing: tuple[str, ...]


def plan_fields(
    declared: SyncObject,
    crm_object: CrmObject,
    schema: ObjectSchema,
    provider: str,
    mapping: FieldMapping | None,
) -> FieldPlan:
    """Resolve the customer's mapping over the developer's defaults against what the account really has.

    A schema field that nobody mapped is taken from the vendor field of the same name where the account has one, as the
    printed examples do with FirstName. ConfigurationError when a required field is mapped by nobody, or the mapping
    names fields it may not.
    """
    known = {field.name.casefold(): field for field in schema.fields}
    sources, additional = resolve_mapping(declared, provider, mapping)
    for field in declared.custom_schema.fields if declared.custom_schema else ():
        if sources[field.name] is None and field.name.casefold() in known:
            sources[field.name] = known[field.name.casefold()].name
        if sources[field.name] is None and field.required:
            raise ConfigurationError(
                f"The required field {field.name} of {declared.object} is not mapped for this customer: map it with "
                f"`sync-pipelines mapping set CUSTOMER {provider} {declared.object} {field.name}=VENDOR_FIELD`."
            )
    named = [name for name in (*sources.values(), *additional.values()) if name]
    missing = sorted({name for name in named if name.casefold() not in known})

    def spelled(name: str) -> str:
        found = known.get(name.casefold())
        return found.name if found else name

    custom: list[CustomColumn] = []
    if declared.custom_schema is not None:
        own = frozenset(column.name for column in own_columns(crm_object, declared))
        names = custom_columns(declared.custom_schema, own)
        for field in declared.custom_schema.fields:
            source = sources.get(field.name)
            rule = FieldRule(sources=(spelled(source),)) if source else None
            custom.append(CustomColumn(names[field.name], rule, field.required))
    mapped = [name for item in custom if item.rule for name in item.rule.sources]
    wanted = _wanted(declared, crm_object, schema, mapped, additional)
    return FieldPlan(
        fields=wanted,
        custom=tuple(custom),
        additional={name: spelled(source) for name, source in additional.items()},
        missing=tuple(missing),
    )


def own_columns(crm_object: CrmObject, declared: SyncObject) -> tuple[Column, ...]:
    """Columns that come without a custom schema, by name."""
    own = list(COMMON_COLUMNS[crm_object.common_name or ""] if is_common(crm_object, declared) else PLAIN_COLUMNS)
    if declared.raw_fields:
        own.append(RAW_COLUMN)
    return tuple(sorted(own, key=lambda column: column.name))


def resolve_mapping(
    declared: SyncObject, provider: str, mapping: FieldMapping | None
) -> tuple[dict[str, str | None], dict[str, str]]:
    """({schema field: vendor field, None where nobody mapped it}, {additional name: vendor field})."""
    schema = declared.custom_schema
    theirs = dict(mapping.fields) if mapping is not None else {}
    if schema is None:
        if theirs:
            raise ConfigurationError(
                f"The mapping of {declared.object} names fields, but the sync has no custom_schema for it: "
                "add one to the sync, or clear the mapping with `sync-pipelines mapping set`."
            )
        return {}, {}
    sources = {field.name: _source(field, provider, theirs.pop(field.name, None), mapping) for field in schema.fields}
    if theirs and not schema.allow_additional_fields:
        raise ConfigurationError(
            f"The mapping of {declared.object} names {', '.join(sorted(theirs))}, which the custom schema does not "
            "have; allowed are " + ", ".join(field.name for field in schema.fields) + "."
        )
    return sources, theirs


def _source(field: SchemaField, provider: str, theirs: str | None, mapping: FieldMapping | None) -> str | None:
    default = field.sources.get(provider)
    if theirs is not None and field.locked and default is not None and theirs != default:
        raise ConfigurationError(
            f"The field {field.name} is locked to {default} by the developer; take it out of the mapping of "
            f"customer {mapping.customer_id if mapping else ''}."
        )
    return theirs or default


def _wanted(
    declared: SyncObject,
    crm_object: CrmObject,
    schema: ObjectSchema,
    mapped: Sequence[str],
    additional: Mapping[str, str],
) -> tuple[VendorField, ...]:
    if declared.raw_fields:
        return schema.fields
    names = {*mapped, *additional.values(), *shape_fields(crm_object)}
    if is_common(crm_object, declared):
        for rule in crm_object.common.values():
            names.update(rule_fields(rule))
    wanted = {name.casefold() for name in names}
    return tuple(field for field in schema.fields if field.name.casefold() in wanted)


def shape_fields(crm_object: CrmObject) -> list[str]:
    """Fields that the record's shape itself needs, where they lie among the fields."""
    shape = crm_object.shape
    paths = (shape.id, shape.created, shape.modified, shape.deleted, shape.merged_into, shape.merged_ids)
    depth = len(shape.fields)
    names = [path[depth] for path in paths if path and len(path) == depth + 1 and path[:depth] == shape.fields]
    return names + ([crm_object.cursor_field] if crm_object.cursor_field else [])


def fingerprint(
    declared: SyncObject,
    table: Table,
    plan: FieldPlan,
    *,
    generation: str = "",
    unexpected: Collection[str] = (),
) -> str:
    """What decides the rows' columns, then a bar, then the mapped fields that are missing at the moment.

    Another first part asks for a full read. So does a field that was missing and is back, because rows were written
    without it; a field that goes missing does not, because what is stored of it is better than nothing.
    `generation`: of the landing. `unexpected`: fields that the schema policy keeps away, which count as missing.
    """
    parts: tuple[Any, ...] = (
        [(column.name, column.type) for column in table.columns],
        table.metadata_prefix,
        [(item.column, _told(item.rule), item.required) for item in plan.custom],
        sorted(plan.additional.items()),
        declared.raw_fields,
        declared.common_schema,
    )
    if generation:
        parts += (generation,)
    digest = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]
    kept_away = sorted("#" + hashlib.blake2s(name.encode(), digest_size=6).hexdigest() for name in unexpected)
    return f"{digest}|{','.join((*plan.missing, *kept_away))}"


def _told(rule: FieldRule | None) -> Any:
    """A plain rule tells the same as before there were transforms: nobody has to read everything again for them."""
    if rule is None or (len(rule.sources) == 1 and not rule.transforms):
        return rule.sources[0] if rule else None
    return rule


def asks_full_read(old: str, new: str) -> bool:
    """Whether the change from one fingerprint to another needs everything to be read again."""
    old_digest, _, old_missing = old.partition("|")
    new_digest, _, new_missing = new.partition("|")
    returned = set(filter(None, old_missing.split(","))) - set(filter(None, new_missing.split(",")))
    return old_digest != new_digest or bool(returned)
