"""A change of one customer's mapping: looked at before it is saved, saved, and carried out by the next run."""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sync_pipelines.covering import Covered, mappable_objects
from sync_pipelines.engine.exposure import exposed
from sync_pipelines.engine.layout import ADDITIONAL_COLUMN, AccountFields, resolve_mapping, schema_columns, unused_rules
from sync_pipelines.engine.mapping_check import check_mapping, check_unasked
from sync_pipelines.engine.selecting import asked_for
from sync_pipelines.engine.suggesting import Suggestion, suggest
from sync_pipelines.model.completeness import Stock
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError, SyncError
from sync_pipelines.model.filter import KEEP, MARK
from sync_pipelines.model.mapping import FieldRule, Mapping, SchemaField
from sync_pipelines.model.naming import column_name
from sync_pipelines.model.provider import ObjectSchema
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import APPEND, Sync, SyncObject
from sync_pipelines.project import Project

STORED: Final = "stored records"
VENDOR: Final = "vendor"
NOTHING: Final = "nothing"
"""In append mode, where stored rows stay as they are."""

MOST_ADDITIONAL: Final = 100
"""Additional fields that a customer may map of one object."""
MOST_STEPS: Final = 500
"""Transforms in all rules of a mapping together: each is compiled before a run's first record."""

ROLL_BACK: Final = "roll back"
"""What the audit calls going back to an older version."""


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """One column that is made otherwise. None: it stays empty."""

    column: str
    before: FieldRule | None
    after: FieldRule | None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a change does to one sync's copy of the object.

    `rows`: how many of the customer's there are made anew, deleted ones too; None where the destination did not answer.
    `source`: where the new values come from. `leavers`: what becomes of rows whose records the filter does not choose
    by the new values: DELETE or MARK of model.filter; KEEP where none can leave. `most_leaving`: how many rows that
    can be at most; None as for `rows`.
    """

    sync: str
    object: str
    table: str
    columns: tuple[ColumnChange, ...]
    rows: int | None
    source: str
    leavers: str = KEEP
    most_leaving: int | None = 0


@dataclass(frozen=True, kw_only=True)
class MappingPlan:
    """`mapping`: as it is to be saved; its version is the one that it would get."""

    mapping: Mapping
    effects: tuple[Effect, ...]
    warnings: tuple[str, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        return not any(effect.columns for effect in self.effects)


def plan_change(
    project: Project,
    connection: Connection,
    object_name: str,
    rules: MappingOf[str, FieldRule],
    *,
    schema: ObjectSchema | None,
    restored: bool = False,
) -> MappingPlan:
    """What saving these rules would do. ConfigurationError when one of those that change can never work.

    `schema`: what the account says of the object; None: the account is not asked whether fields exist and fit.
    `restored`: they are an older version's, of which some may fill nothing any more.
    """
    provider = connection.provider
    declared = mappable_objects(project, connection.customer_id, provider, object_name)
    name = declared[0][1].object
    known = project.store.mappings.current(connection.customer_id, provider, name)
    candidate = Mapping(
        customer_id=connection.customer_id,
        provider=provider,
        object=name,
        version=known.version + 1 if known else 1,
        fields=dict(rules),
    )
    kept = _kept(known, candidate)
    warnings = _unused(declared, candidate, candidate.fields if restored else kept)
    _refuse_many(declared, candidate, candidate.fields if restored else kept)
    effects: list[Effect] = []
    for sync, item in declared:
        if schema is None:
            _refuse_taken(item, known, [name for name in _required(item) if name not in candidate.fields])
            check_unasked(item, provider, candidate, hash_key=project.settings.transform_key, kept=kept)
        else:
            warnings += _warnings(item, known, candidate, schema, project.settings.transform_key)
        warnings += exposed(item, project.crm_object(sync.name, item.object), candidate.fields)
        effects.append(_effect(project, sync, item, known, candidate, schema))
    return MappingPlan(mapping=candidate, effects=tuple(effects), warnings=tuple(dict.fromkeys(warnings)))


def save_change(
    project: Project, plan: MappingPlan, *, actor: str, action: str = "map", expected: int | None = None
) -> Mapping:
    """Save the rules as a new version, and make the syncs due that they concern: their next run carries it out.

    `expected`: the version that they were decided on; MappingMoved when there is a newer one.
    """
    wanted = plan.mapping
    customer, provider = wanted.customer_id, wanted.provider
    saved = project.store.mappings.save(
        customer, provider, wanted.object, wanted.fields, actor=actor, action=action, expected=expected
    )
    for effect in plan.effects:
        if effect.columns:
            project.plan(effect.sync)
            project.store.due.request(effect.sync, [customer], [effect.object], actor=actor)
    return saved


def _unused(declared: Covered, candidate: Mapping, kept: Collection[str]) -> list[str]:
    """What is told of rules that fill nothing. ConfigurationError where no sync takes one that is not among `kept`."""
    by_item = [unused_rules(item, candidate.provider, candidate) for _, item in declared]
    reasons = {name: reason for found in by_item for name, reason in found.items()}
    nowhere = {name for name in reasons if all(name in found for found in by_item)}
    if refused := sorted(nowhere.difference(kept)):
        fields = {field.name: None for _, item in declared if item.custom_schema for field in item.custom_schema.fields}
        told = ", ".join(dict.fromkeys(reasons[name] for name in refused))
        raise ConfigurationError(f"This cannot be mapped: {told}. The fields are {', '.join(fields)}.")
    warnings = [f"The rule for {name} is kept and not used: {reasons[name]}." for name in sorted(nowhere)]
    for (sync, item), found in zip(declared, by_item, strict=True):
        here = {field.name for field in item.custom_schema.fields} if item.custom_schema else set()
        warnings += [f"{sync.name}: {found[name]}." for name in sorted(here & found.keys() - nowhere)]
    return warnings


def _kept(known: Mapping | None, candidate: Mapping) -> set[str]:
    """Fields whose rule is the one of before."""
    before = known.fields if known is not None else {}
    return {name for name, rule in candidate.fields.items() if before.get(name) == rule}


def _refuse_many(declared: Covered, candidate: Mapping, kept: Collection[str]) -> None:
    """ConfigurationError for more additional fields or transforms than are taken, unless all were there before."""
    steps = sum(len(rule.transforms) for rule in candidate.fields.values())
    if steps > MOST_STEPS and not candidate.fields.keys() <= set(kept):
        raise ConfigurationError(
            f"The rules of one customer's {candidate.object} may have {MOST_STEPS} transforms together, not {steps}: "
            "take some away, or let one expression do what several do."
        )
    named = {each.name for _, item in declared if item.custom_schema for each in item.custom_schema.fields}
    own = candidate.fields.keys() - named
    if len(own) > MOST_ADDITIONAL and not own <= set(kept):
        raise ConfigurationError(
            f"A customer may map at most {MOST_ADDITIONAL} additional fields of {candidate.object}, not {len(own)}: "
            "map fewer, or let the developer take fields that everybody needs into the custom schema."
        )


def _required(item: SyncObject) -> list[str]:
    """Fields of the custom schema that must be mapped and have no default of the developer's."""
    fields = item.custom_schema.fields if item.custom_schema else ()
    return [each.name for each in fields if each.required and not each.sources]


def _refuse_taken(item: SyncObject, known: Mapping | None, unmapped: Sequence[str]) -> None:
    taken = [name for name in unmapped if known is not None and name in known.fields]
    if taken:
        raise ConfigurationError(
            f"{', '.join(taken)} of {item.object} must be mapped: give another vendor field instead of none."
        )


def _warnings(
    item: SyncObject, known: Mapping | None, candidate: Mapping, schema: ObjectSchema, hash_key: Secret | None
) -> list[str]:
    kept = _kept(known, candidate)
    found = check_mapping(item, candidate.provider, candidate, schema, hash_key=hash_key, kept=kept)
    _refuse_taken(item, known, found.unmapped)
    unmapped = [
        f"The required field {name} is not mapped yet: {item.object} of this customer is not synced until it is."
        for name in found.unmapped
    ]
    return [*found.warnings, *unmapped]


def _effect(
    project: Project,
    sync: Sync,
    item: SyncObject,
    known: Mapping | None,
    candidate: Mapping,
    schema: ObjectSchema | None,
) -> Effect:
    crm_object = project.crm_object(sync.name, item.object)
    before, after = (_rules(project, sync, item, mapping, schema) for mapping in (known, candidate))
    columns = [
        ColumnChange(column=column, before=before[field.name], after=after[field.name])
        for field, column in schema_columns(item, crm_object)
        if before[field.name] != after[field.name]
    ]
    more = sorted((before.keys() | after.keys()) - {field.name for field, _ in schema_columns(item, crm_object)})
    columns += [
        ColumnChange(column=f"{ADDITIONAL_COLUMN.name}: {name}", before=before.get(name), after=after.get(name))
        for name in more
        if before.get(name) != after.get(name)
    ]
    kept = sync.mode == APPEND
    own = sync.object_of(candidate.customer_id, item)
    rechosen = bool(set(map(column_name, asked_for(own))).intersection(each.column for each in columns))
    stock = _stock(project, sync, item, candidate.customer_id) if columns and not kept else Stock(live=0)
    leavers = sync.leavers_of(own) if rechosen else KEEP
    return Effect(
        sync=sync.name,
        object=item.object,
        table=project.table(sync.name, item.object).name,
        columns=tuple(columns),
        rows=None if stock is None else stock.live + stock.marked,
        source=NOTHING if kept else STORED if item.raw_fields and not rechosen else VENDOR,
        leavers=leavers,
        most_leaving=None if stock is None else _most_leaving(leavers, stock),
    )


def _most_leaving(leavers: str, stock: Stock) -> int:
    if leavers == KEEP:
        return 0
    return stock.live if leavers == MARK else stock.live + stock.marked


def _rules(
    project: Project, sync: Sync, item: SyncObject, mapping: Mapping | None, schema: ObjectSchema | None
) -> dict[str, FieldRule | None]:
    rules, additional = resolve_mapping(item, sync.provider, mapping)
    account = AccountFields(schema) if schema is not None else None
    found: dict[str, FieldRule | None] = {**rules, **additional}
    if account is None:
        return found
    return {name: account.spelled(rule) if rule else account.same_name(name) for name, rule in found.items()}


def _stock(project: Project, sync: Sync, item: SyncObject, customer: str) -> Stock | None:
    """None where the destination did not answer."""
    scope = project.scope_of(sync, item, customer)
    try:
        destination = project.destination(sync, customer)
        (stock,) = destination.stocks([scope], project.table(sync.name, item.object), timedelta())
    except SyncError:
        return None
    return stock


def suggestions_for(
    project: Project, connection: Connection, object_name: str, schema: ObjectSchema
) -> tuple[str, dict[str, list[Suggestion]]]:
    """The object's name as the sync gives it, and what may be meant by the schemas' fields that neither customer nor
    developer has mapped, nor the account (`schema`) has by the same name. ConfigurationError where nothing is mapped.
    """
    declared = mappable_objects(project, connection.customer_id, connection.provider, object_name)
    name = declared[0][1].object
    known = project.store.mappings.current(connection.customer_id, connection.provider, name)
    found: dict[str, SchemaField] = {}
    for sync, item in declared:
        rules = _rules(project, sync, item, known, schema)
        for field in item.custom_schema.fields if item.custom_schema else ():
            if rules[field.name] is None:
                found.setdefault(field.name, field)
    return name, suggest(found.values(), schema)
