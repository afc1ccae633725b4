"""The fields of one object: which field of the account fills which of the product's, looked at before it is saved."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any, Final

from sync_pipelines.covering import mappable_objects, mapped_together
from sync_pipelines.engine.layout import AccountFields, resolve_mapping
from sync_pipelines.engine.mapping_check import NEVER_FITS
from sync_pipelines.engine.suggesting import suggest
from sync_pipelines.mapping_changes import MappingPlan, plan_change, save_change
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Mapping, SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField
from sync_pipelines.model.sync import SyncObject
from sync_pipelines.store.mappings import MappingMoved
from sync_pipelines.web.visit import Go, Page, Problem, Visit

AUTOMATIC, KEEP, FIELD = "", "keep", "field:"
"""What a choice may be: the product's own default, the rule as it is, or a field of the account by its name."""

INPUT: Final = "map:"
"""Before a field's name, in the names of inputs."""

KINDS: Final = {
    "text": "text",
    "numeric": "number",
    "bigint": "whole number",
    "boolean": "yes or no",
    "timestamptz": "time",
    "date": "day",
    "jsonb": "anything",
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class FieldLine:
    """One field of the product. `chosen`: the value of a choice. `filled_by`: how it is filled now, for people."""

    name: str
    description: str
    kind: str
    required: bool
    locked: bool
    filled_by: str
    transforms: str
    chosen: str
    likely: tuple[Choice, ...]
    others: tuple[Choice, ...]
    automatic: str
    kept: str


@dataclass(frozen=True)
class _Scene:
    """What a mapping page is about. `own`: the customer's rules; `version` 0: it has none."""

    connection: Connection
    declared: SyncObject
    schema: ObjectSchema
    known: Mapping | None

    @property
    def version(self) -> int:
        return self.known.version if self.known else 0

    @property
    def own(self) -> MappingOf[str, FieldRule]:
        return self.known.fields if self.known is not None else {}

    @property
    def fields(self) -> tuple[SchemaField, ...]:
        return self.declared.custom_schema.fields if self.declared.custom_schema else ()


def edit(visit: Visit) -> Page:
    """The fields as they are mapped, or as they were chosen on the page before."""
    scene = _scene(visit)
    if not visit.form:
        return _edited(visit, scene, {}, "")
    visit.guard()
    return _edited(visit, scene, _chosen(visit, scene), "")


def look(visit: Visit) -> Page:
    """What saving would do."""
    visit.guard()
    scene = _scene(visit)
    chosen = _chosen(visit, scene)
    _refuse_moved(visit, scene)
    try:
        plan = _plan(visit, scene, chosen)
    except ConfigurationError as problem:
        return _edited(visit, scene, chosen, str(problem))
    values = {
        "vendor": visit.provider.title,
        "session": visit.session,
        "object": scene.declared.object,
        "effects": [each for each in plan.effects if each.columns],
        "warnings": plan.warnings,
        "told": _told,
        "chosen": {f"{INPUT}{name}": value for name, value in chosen.items()},
        "version": scene.version,
        "guard": visit.guard_text(),
    }
    return Page(template="mapping_plan.html", values=values)


def save(visit: Visit) -> Page | Go:
    """Save it, if nobody else has saved meanwhile."""
    visit.guard()
    scene = _scene(visit)
    chosen = _chosen(visit, scene)
    _refuse_moved(visit, scene)
    try:
        plan = _plan(visit, scene, chosen)
        save_change(visit.project, plan, actor=visit.session.by, expected=scene.version)
    except MappingMoved:
        raise _moved() from None
    except ConfigurationError as problem:
        return _edited(visit, scene, chosen, str(problem))
    return Go(url=visit.site.url() + "?done=mapped")


def _scene(visit: Visit) -> _Scene:
    project, session = visit.project, visit.session
    connection = project.store.connections.find(session.customer_id, session.provider)
    if connection is None:
        raise Problem(409, "Nothing is connected", "Connect first; then your fields can be mapped.")
    declared = _declared(visit)
    known = project.store.mappings.current(session.customer_id, session.provider, declared.object)
    return _Scene(connection, declared, project.describe(connection, declared.object), known)


def _declared(visit: Visit) -> SyncObject:
    session = visit.session
    try:
        found = mappable_objects(visit.project, session.customer_id, session.provider, visit.parts["object"])
    except ConfigurationError:
        raise Problem(404, "There is nothing to map", "Go back to see what is synced.") from None
    return mapped_together(visit.project, found)[0]


def _edited(visit: Visit, scene: _Scene, chosen: MappingOf[str, str], problem: str) -> Page:
    values = {
        "vendor": visit.provider.title,
        "session": visit.session,
        "object": scene.declared.object,
        "lines": _lines(visit, scene, chosen),
        "input": INPUT,
        "version": scene.version,
        "guard": visit.guard_text(),
        "problem": problem,
    }
    return Page(template="mapping.html", values=values, status=422 if problem else 200)


def _lines(visit: Visit, scene: _Scene, chosen: MappingOf[str, str]) -> list[FieldLine]:
    provider = visit.session.provider
    rules, _ = resolve_mapping(scene.declared, provider, scene.known)
    without, _ = resolve_mapping(scene.declared, provider, None)
    account, likely = AccountFields(scene.schema), suggest(scene.fields, scene.schema)
    lines = []
    for each in scene.fields:
        own, default = scene.own.get(each.name), without[each.name] or account.same_name(each.name)
        suggested = [one.source for one in likely[each.name]]
        fitting = [one for one in scene.schema.fields if _fits(one, each, own)]
        lines.append(
            FieldLine(
                name=each.name,
                description=each.description,
                kind=KINDS.get(each.type, each.type),
                required=each.required,
                locked=each.locked,
                filled_by=_told(rules[each.name] or account.same_name(each.name)),
                transforms=_steps(own),
                chosen=chosen.get(each.name, _as_chosen(own, scene.schema)),
                likely=tuple(_choice(one) for one in suggested),
                others=tuple(_choice(one) for one in fitting if one not in suggested),
                automatic=_told(default) if default else "nothing",
                kept=_told(own) if own is not None and not _is_one_field(own, scene.schema) else "",
            )
        )
    return lines


def _fits(field: VendorField, wanted: SchemaField, own: FieldRule | None) -> bool:
    """A transform may make anything of a value; without one some types never fit."""
    return bool(own and own.transforms) or wanted.type not in NEVER_FITS.get(field.type, frozenset())


def _choice(field: VendorField) -> Choice:
    label = field.label or field.name
    told = label if label == field.name else f"{label} ({field.name})"
    return Choice(value=f"{FIELD}{field.name}", label=f"{told}, {field.type}")


def _as_chosen(own: FieldRule | None, schema: ObjectSchema) -> str:
    if own is None:
        return AUTOMATIC
    if not _is_one_field(own, schema):
        return KEEP
    (source,) = own.sources
    return FIELD + next(each.name for each in schema.fields if each.name.casefold() == source.casefold())


def _is_one_field(rule: FieldRule, schema: ObjectSchema) -> bool:
    known = {each.name.casefold() for each in schema.fields}
    return len(rule.sources) == 1 and rule.sources[0].casefold() in known


def _told(rule: FieldRule | None) -> str:
    if rule is None:
        return "nothing"
    return " → ".join([rule.told, *(each.name for each in rule.transforms)])


def _steps(rule: FieldRule | None) -> str:
    return ", ".join(each.name for each in rule.transforms) if rule else ""


def _chosen(visit: Visit, scene: _Scene) -> dict[str, str]:
    """What was chosen for each field that the customer may map."""
    return {
        each.name: visit.form[f"{INPUT}{each.name}"]
        for each in scene.fields
        if not each.locked and f"{INPUT}{each.name}" in visit.form
    }


def _plan(visit: Visit, scene: _Scene, chosen: MappingOf[str, str]) -> MappingPlan:
    rules: dict[str, Any] = dict(scene.own)
    for name, value in chosen.items():
        own = scene.own.get(name)
        if value == AUTOMATIC:
            rules.pop(name, None)
        elif value.startswith(FIELD):
            # What is done with the value stays: it belongs to the product's field.
            steps = own.transforms if own is not None and len(own.sources) == 1 else ()
            rules[name] = FieldRule(sources=(value.removeprefix(FIELD),), transforms=steps)
        elif value != KEEP or own is None:
            raise Problem(400, "This page is out of date", "Open it again and repeat what you did.")
    return plan_change(visit.project, scene.connection, scene.declared.object, rules, schema=scene.schema)


def _refuse_moved(visit: Visit, scene: _Scene) -> None:
    if visit.form.get("version") != str(scene.version):
        raise _moved()


def _moved() -> Problem:
    return Problem(
        412, "Somebody else has changed this", "Your changes were not saved. Look at the fields again and decide anew."
    )
