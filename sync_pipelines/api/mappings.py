"""What an account has, how a customer maps it, and the values that did not fit."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sync_pipelines.api.access import Caller, MappingsReader, MappingsWriter, TheProject
from sync_pipelines.api.connections import TheCustomer, TheProvider, connection_of
from sync_pipelines.api.paging import Listed
from sync_pipelines.api.problems import answers, not_found
from sync_pipelines.api.shapes import Shape
from sync_pipelines.api.words import ObjectName, Text
from sync_pipelines.config.rules import rules_from, written_rule, written_rules
from sync_pipelines.covering import mappable_objects, mapped_together
from sync_pipelines.engine.layout import resolve_mapping, unused_rules
from sync_pipelines.engine.suggesting import Suggestion
from sync_pipelines.failed_values import find_failed
from sync_pipelines.mapping_changes import ROLL_BACK, MappingPlan, plan_change, save_change, suggestions_for
from sync_pipelines.model.connection import Connection
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import FieldRule, Mapping
from sync_pipelines.model.sync import SyncObject
from sync_pipelines.project import Project
from sync_pipelines.store.mappings import MappingMoved

OBJECT = "/connections/{customer_id}/{provider}/objects/{object}"
router = APIRouter(prefix=OBJECT, tags=["mappings"])
TheObject = Annotated[ObjectName, Path(description="The object, such as contact", examples=["contact"])]


class FieldShape(Shape):
    """A field of the connected account."""

    name: str = Field(examples=["Tier__c"])
    label: str
    type: str = Field(description="text, number, integer, boolean, timestamp, date or json")
    vendor_type: str
    custom: bool
    calculated: bool
    readable: bool
    choices: list[str]


class SchemaFieldShape(Shape):
    """A field of the custom schema, and the rule that fills it for this customer (null: nobody mapped it)."""

    name: str = Field(examples=["tier"])
    type: str
    required: bool
    description: str
    locked: bool
    rule: JsonValue = Field(examples=["Tier__c"])
    by: str | None = Field(description="customer or developer; null where nobody mapped it")


class MappingShape(Shape):
    """How a customer's object is mapped. `version` 0: the customer has mapped nothing."""

    customer_id: str
    provider: str
    object: str
    version: int
    fields: dict[str, JsonValue] = Field(description="The customer's own rules", examples=[{"tier": "Tier__c"}])
    actor: str
    saved_at: datetime | None


class ResolvedShape(MappingShape):
    schema_fields: list[SchemaFieldShape]
    unused: dict[str, str] = Field(
        description="The customer's rules that are kept and fill nothing, by field, each with why",
        examples=[{"region": "the field region is locked to BillingState by the developer"}],
    )


class SuggestionShape(Shape):
    """A field of the account that may be meant."""

    source: str = Field(description="The rule that takes it", examples=["Customer_Tier__c"])
    label: str
    type: str
    score: float = Field(ge=0, le=1)
    sure: bool = Field(description="Good enough to be taken without asking, and no other field's too")
    reason: str = Field(examples=["the same words in name and label; the type fits"])


class SuggestionsShape(Shape):
    """What may be meant by a field of the custom schema that nobody has mapped: the likeliest first, or nothing."""

    field: str = Field(examples=["tier"])
    suggestions: list[SuggestionShape]


class Rules(BaseModel):
    """The customer's rules, all of them: what is left out is not mapped by the customer any more."""

    model_config = ConfigDict(extra="forbid")

    fields: dict[str, JsonValue] = Field(
        max_length=1_000,
        examples=[{"tier": "Tier__c", "revenue": {"source": "AnnualRevenue", "transform": "number_to_currency"}}],
    )


class ColumnChangeShape(Shape):
    column: str
    before: JsonValue
    after: JsonValue


class EffectShape(Shape):
    """What a change does to one sync's copy. `rows` null: the destination did not say."""

    sync: str
    object: str
    table: str
    columns: list[ColumnChangeShape]
    rows: int | None
    source: str = Field(description="Where the new values come from: `stored records` or `vendor`")
    leavers: str = Field(
        description="What becomes of rows whose records the filter does not choose by the new values: `delete`, "
        "`mark`, or `keep` where none can leave"
    )
    most_leaving: int | None = Field(description="Of how many rows at most; null: the destination did not say")


class PlanShape(Shape):
    """What saving would do, or did. `saved` false: nothing was saved."""

    saved: bool
    mapping: MappingShape
    effects: list[EffectShape]
    warnings: list[str]


class Rollback(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1, lt=2**31, description="Left out: the one before the newest")


class FailedShape(Shape):
    """A value that did not fit its column; its row is there, with the column empty."""

    sync: str
    table: str
    id: str
    column: str
    value: str | None
    reason: str


DryRun = Annotated[bool, Query(description="Only say what it would do")]
Check = Annotated[bool, Query(description="Ask the account whether the fields exist and fit")]
IfMatch = Annotated[Text | None, Header(description="The ETag that was read: refused when the mapping has moved on")]


@router.get("/fields", responses=answers(404, 409, 502))
def list_fields(
    customer_id: TheCustomer, provider: TheProvider, object: TheObject, project: TheProject, caller: MappingsReader
) -> Listed[FieldShape]:
    """What the connected account has. Asks the vendor."""
    connection = connection_of(project, caller, customer_id, provider)
    schema = project.describe(connection, object)
    names = ("name", "label", "type", "vendor_type", "custom", "calculated")
    items = [
        FieldShape(**{name: getattr(each, name) for name in names}, readable=readable, choices=list(each.choices))
        for each, readable in schema.catalogue
    ]
    return Listed(items=items)


@router.get("/mapping", responses=answers(404))
def get_mapping(
    customer_id: TheCustomer,
    provider: TheProvider,
    object: TheObject,
    project: TheProject,
    caller: MappingsReader,
    response: Response,
) -> ResolvedShape:
    """The customer's rules, and what fills each field of the custom schema. Its ETag goes into If-Match."""
    connection, declared = _declared(project, caller, customer_id, provider, object)
    known = project.store.mappings.current(customer_id, provider, declared.object)
    shape = _shape(known, connection, declared.object)
    response.headers["ETag"] = _etag(shape.version)
    unused = unused_rules(declared, provider, known)
    fields = _resolved(declared, provider, known, unused)
    return ResolvedShape(**shape.model_dump(), schema_fields=fields, unused=unused)


@router.get("/mapping/versions", responses=answers(404))
def list_versions(
    customer_id: TheCustomer, provider: TheProvider, object: TheObject, project: TheProject, caller: MappingsReader
) -> Listed[MappingShape]:
    """All versions, newest first."""
    connection, declared = _declared(project, caller, customer_id, provider, object)
    history = project.store.mappings.history(customer_id, provider, declared.object)
    return Listed(items=[_shape(each, connection, declared.object) for each in history])


@router.get("/mapping/suggestions", responses=answers(404, 409, 502))
def list_suggestions(
    customer_id: TheCustomer, provider: TheProvider, object: TheObject, project: TheProject, caller: MappingsReader
) -> Listed[SuggestionsShape]:
    """For fields that nobody has mapped, which of the account's may be meant. Asks the vendor; saves nothing."""
    connection, declared = _declared(project, caller, customer_id, provider, object)
    schema = project.describe(connection, declared.object)
    _, found = suggestions_for(project, connection, declared.object, schema)
    return Listed(items=[_suggested(field, several) for field, several in found.items()])


@router.put("/mapping", responses=answers(404, 409, 412, 502))
def put_mapping(  # noqa: PLR0913 - the path has three
    customer_id: TheCustomer,
    provider: TheProvider,
    object: TheObject,
    project: TheProject,
    caller: MappingsWriter,
    wanted: Rules,
    dry_run: DryRun = False,
    check: Check = True,
    if_match: IfMatch = None,
) -> PlanShape:
    """Save the customer's rules as a new version, and make the columns anew that they change."""
    connection, declared = _declared(project, caller, customer_id, provider, object)
    rules = rules_from(wanted.fields)
    return _change(project, caller, connection, declared, rules, _Terms(check, dry_run, if_match, "map"))


@router.post("/mapping/rollback", responses=answers(404, 409, 412, 502))
def roll_back(  # noqa: PLR0913 - the path has three
    customer_id: TheCustomer,
    provider: TheProvider,
    object: TheObject,
    project: TheProject,
    caller: MappingsWriter,
    wanted: Rollback | None = None,
    dry_run: DryRun = False,
    check: Check = True,
    if_match: IfMatch = None,
) -> PlanShape:
    """Go back to an older version's rules, as a new version."""
    connection, declared = _declared(project, caller, customer_id, provider, object)
    number = (wanted or Rollback()).version
    older = project.store.mappings.version(customer_id, provider, declared.object, number)
    return _change(project, caller, connection, declared, older.fields, _Terms(check, dry_run, if_match, ROLL_BACK))


@router.get("/failed", responses=answers(404, 502))
def list_failed(
    customer_id: TheCustomer,
    provider: TheProvider,
    object: TheObject,
    project: TheProject,
    caller: MappingsReader,
    limit: Annotated[int, Query(ge=1, le=1_000, description="So many of each sync")] = 100,
) -> Listed[FailedShape]:
    """Values that did not fit. They are tried again when the mapping or the schema changes."""
    connection_of(project, caller, customer_id, provider)
    found = find_failed(project, sync=None, customer=customer_id, object_name=object, limit=limit)
    return Listed(
        items=[
            FailedShape(sync=each.sync, table=each.table, **{name: getattr(one, name) for name in _FAILED})
            for each in found
            if project.sync(each.sync).provider == provider
            for one in each.values
        ]
    )


_FAILED = ("id", "column", "value", "reason")


class _Terms(BaseModel):
    """On which terms a change is made."""

    check: bool
    dry_run: bool
    if_match: str | None
    action: str

    def __init__(self, check: bool, dry_run: bool, if_match: str | None, action: str) -> None:
        super().__init__(check=check, dry_run=dry_run, if_match=if_match, action=action)


def _declared(
    project: Project, caller: Caller, customer_id: str, provider: str, object_name: str
) -> tuple[Connection, SyncObject]:
    connection = connection_of(project, caller, customer_id, provider)
    try:
        found = mappable_objects(project, customer_id, provider, object_name)
    except ConfigurationError as problem:
        raise not_found(str(problem)) from None
    return connection, mapped_together(project, found)[0]


def _change(
    project: Project,
    caller: Caller,
    connection: Connection,
    declared: SyncObject,
    rules: Any,
    terms: _Terms,
) -> PlanShape:
    known = project.store.mappings.current(connection.customer_id, connection.provider, declared.object)
    version = known.version if known else 0
    if terms.if_match is not None and terms.if_match not in ("*", _etag(version)):
        raise MappingMoved(f"The mapping has moved on to version {version}: read it again, and decide anew.")
    schema = project.describe(connection, declared.object) if terms.check else None
    restored = terms.action == ROLL_BACK
    plan = plan_change(project, connection, declared.object, rules, schema=schema, restored=restored)
    if terms.dry_run:
        return _planned(plan, plan.mapping, connection, saved=False)
    expected = None if terms.if_match in (None, "*") else version
    saved = save_change(project, plan, actor=caller.actor, action=terms.action, expected=expected)
    return _planned(plan, saved, connection, saved=True)


def _planned(plan: MappingPlan, mapping: Mapping, connection: Connection, *, saved: bool) -> PlanShape:
    effects = [
        EffectShape(
            sync=each.sync,
            object=each.object,
            table=each.table,
            rows=each.rows,
            source=each.source,
            leavers=each.leavers,
            most_leaving=each.most_leaving,
            columns=[
                ColumnChangeShape(column=one.column, before=_written(one.before), after=_written(one.after))
                for one in each.columns
            ],
        )
        for each in plan.effects
    ]
    shape = _shape(mapping, connection, plan.mapping.object)
    return PlanShape(saved=saved, mapping=shape, effects=effects, warnings=list(plan.warnings))


def _shape(mapping: Mapping | None, connection: Connection, object_name: str) -> MappingShape:
    return MappingShape(
        customer_id=connection.customer_id,
        provider=connection.provider,
        object=object_name,
        version=mapping.version if mapping else 0,
        fields=written_rules(mapping.fields) if mapping else {},
        actor=mapping.actor if mapping else "",
        saved_at=mapping.saved_at if mapping else None,
    )


def _resolved(
    declared: SyncObject, provider: str, mapping: Mapping | None, unused: Collection[str]
) -> list[SchemaFieldShape]:
    rules, _ = resolve_mapping(declared, provider, mapping)
    own = mapping.fields.keys() - set(unused) if mapping else set()
    schema = declared.custom_schema
    return [
        SchemaFieldShape(
            name=each.name,
            type=each.type,
            required=each.required,
            description=each.description,
            locked=each.locked,
            rule=_written(rules[each.name]),
            by="customer" if each.name in own else "developer" if rules[each.name] else None,
        )
        for each in (schema.fields if schema else ())
    ]


def _suggested(field: str, several: list[Suggestion]) -> SuggestionsShape:
    shapes = [
        SuggestionShape(
            source=each.source.name,
            label=each.source.label,
            type=each.source.type,
            score=each.score,
            sure=each.sure,
            reason=each.reason,
        )
        for each in several
    ]
    return SuggestionsShape(field=field, suggestions=shapes)


def _written(rule: FieldRule | None) -> Any:
    return None if rule is None else written_rule(rule)


def _etag(version: int) -> str:
    return f'"{version}"'
