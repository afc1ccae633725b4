"""Changes to an object's fields: they vanish, change their type, or come with hostile names."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.cutting import decode, encode
from sync_pipelines.sandbox.schema import FieldSpec, ObjectSpec
from sync_pipelines.sandbox.world import World

KINDS = {
    "field_vanished": "field; where: both (default), describe or data (the description still shows it)",
    "field_type_changed": "field, type; text: true writes every value as a text",
    "field_added": "field, type?, value?, calculated?: a new custom field, the value in every record",
    "values_changed": "field, value, ids?: what a formula gives, in every record or in these; no stamp moves",
    "hostile_fields": "custom fields with hostile names, a value in every record; count, length?: plain long ones",
}

LONG = 5000
_TEXT_TYPE = {"salesforce": "string", "hubspot": "string"}


def apply(world: World, account: Account, spec: ObjectSpec, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Change the object. {"fields": the names concerned}. LookupError for a field that is not there."""
    account.described_at = world.clock.now()
    if kind == "field_vanished":
        field = _field(account, spec, options)
        where = str(options.get("where", "both"))
        if where not in ("both", "describe", "data"):
            raise ValueError("where must be both, describe or data")
        changed = replace(field, described=where == "data", served=where == "describe")
        _keep(account, spec.with_field(changed))
        return {"fields": [field.name]}
    if kind == "field_type_changed":
        field = _field(account, spec, options)
        _keep(account, spec.with_field(replace(field, type=str(options["type"]))))
        if options.get("text"):
            _rewrite(world, account, spec, lambda record: _as_text(record, field.name))
        return {"fields": [field.name]}
    if kind == "values_changed":
        field = _field(account, spec, options)
        ids = options.get("ids")
        keys = None if ids is None else {account.key(spec, id) for id in ids}
        _rewrite(world, account, spec, lambda record: record.update({field.name: options.get("value")}), keys)
        return {"fields": [field.name]}
    names = [str(options["field"])] if kind == "field_added" else hostile_names(account.vendor, options)
    type = str(options.get("type", _TEXT_TYPE[account.vendor]))
    for name in names:
        calculated = bool(options.get("calculated"))
        spec = spec.with_field(FieldSpec(name=name, type=type, custom=True, length=32_000, calculated=calculated))
    _keep(account, spec)
    given = options.get("value")
    _rewrite(world, account, spec, lambda record: _fill(record, names, given))
    return {"fields": names}


def hostile_names(vendor: str, options: dict[str, Any]) -> list[str]:
    """Names no one should choose. With `count`: so many harmless ones of `length` characters instead."""
    end = "__c" if vendor == "salesforce" else ""
    count = int(options.get("count", 0))
    if count:
        length = int(options.get("length", 40))
        return [f"wide_{n:05d}_".ljust(length - len(end), "x") + end for n in range(count)]
    return [
        "l" * (LONG - len(end)) + end,
        f'double"quote{end}',
        f"single'quote{end}",
        f"semi;colon{end}",
        f"back\\slash{end}",
        f"percent%s{end}",
        f"dollar${{HOME}}{end}",
        f"größe{end}",
        f"Same_Name{end}",
        f"same-name{end}",
        f"same.name{end}",
        f"SELECT{end}",
        f"_sync_id{end}",
        f"{'collides_after_sixty_three_characters_of_the_very_same_beginning_'}a{end}",
        f"{'collides_after_sixty_three_characters_of_the_very_same_beginning_'}b{end}",
    ]


def _field(account: Account, spec: ObjectSpec, options: dict[str, Any]) -> FieldSpec:
    field = spec.fields.get(str(options.get("field", "")))
    if field is None:
        raise LookupError(f"{spec.name} of {account.customer.id} has no field {options.get('field')!r}")
    return field


def _keep(account: Account, spec: ObjectSpec) -> None:
    account.objects[spec.name] = spec


def _as_text(record: dict[str, Any], name: str) -> None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        record[name] = encode(value).decode()


def _fill(record: dict[str, Any], names: list[str], given: Any) -> None:
    for name in names:
        record[name] = f"value of {name[:20]}" if given is None else given


def _rewrite(
    world: World, account: Account, spec: ObjectSpec, change: Any, keys: Collection[int | None] | None = None
) -> None:
    """Change every stored record, or those of these keys, and move no stamp, as an administrator's change does."""
    tbl = account.tables[spec.name]
    world.storage.begin()
    try:
        for row in world.storage.walk(tbl):
            if keys is not None and row.key not in keys:
                continue
            record = decode(row.body)
            change(record)
            world.storage.put(tbl, row._replace(body=encode(record)))
    finally:
        world.storage.commit()
