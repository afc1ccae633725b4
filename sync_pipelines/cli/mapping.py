"""A customer's field mapping: set it, look at it, take a suggestion, go back to an older version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_pipelines.cli.fields import Customer, ObjectName, Provider
from sync_pipelines.cli.printing import print_json, say, shown, table
from sync_pipelines.cli.steer import whoami

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sync_pipelines.config.source import Source
    from sync_pipelines.engine.suggesting import Suggestion
    from sync_pipelines.mapping_changes import MappingPlan
    from sync_pipelines.model.connection import Connection
    from sync_pipelines.model.mapping import FieldRule
    from sync_pipelines.model.mapping import Mapping as Saved
    from sync_pipelines.model.sync import SyncObject
    from sync_pipelines.project import Project

group = typer.Typer(
    name="mapping", help="A customer's own fields, mapped onto your custom schema.", no_args_is_help=True
)

Check = Annotated[bool, typer.Option(help="Ask the account whether the fields exist and fit")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what it would do.")]


def register(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command("set")
def set_mapping(
    customer: Customer,
    provider: Provider,
    object_name: ObjectName,
    fields: Annotated[
        list[str] | None,
        typer.Argument(metavar="FIELD=RULE...", help="Rules, e.g. tier=Tier__c; behind the = may stand a document { }"),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="A YAML or JSON file of rules by field, beside those named")
    ] = None,
    check: Check = True,
    dry_run: DryRun = False,
) -> None:
    """Map fields. Rules that are not named stay; FIELD= (nothing behind) takes a rule away. Makes a new version.

    Shows which columns change, and how many rows are made anew for it.
    """
    from sync_pipelines.config.rules import rules_from
    from sync_pipelines.covering import mappable_objects
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    changes = (_of_file(rules) if rules else {}) | rules_of_texts(fields or ())
    if not changes:
        raise ConfigurationError("Name at least one rule: FIELD=VENDOR_FIELD, or --rules FILE.")
    with opened(with_store=True) as project:
        name = mappable_objects(project, customer, provider, object_name)[0][1].object
        connection = project.store.connections.get(customer, provider)
        given = rules_from({field: rule for field, rule in changes.items() if rule not in ("", None)})

        def with_given(known: "Mapping[str, FieldRule]") -> "Mapping[str, FieldRule]":
            return {field: rule for field, rule in known.items() if field not in changes} | given

        _change(project, connection, name, with_given, check=check, dry_run=dry_run, action="map")


@group.command("rollback")
def rollback(
    customer: Customer,
    provider: Provider,
    object_name: ObjectName,
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="Which; left out: the one before the newest")
    ] = None,
    check: Check = True,
    dry_run: DryRun = False,
) -> None:
    """Go back to an older version's rules, as a new version. The columns become what they were with it."""
    from sync_pipelines.covering import mappable_objects
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        name = mappable_objects(project, customer, provider, object_name)[0][1].object
        connection = project.store.connections.get(customer, provider)
        older = project.store.mappings.version(customer, provider, name, version)
        say(f"The rules of version {older.version}, saved {shown(older.saved_at)} by {older.actor}:")
        _change(project, connection, name, lambda known: older.fields, check=check, dry_run=dry_run, action="roll back")


@group.command("suggest")
def suggest(
    customer: Customer,
    provider: Provider,
    object_name: ObjectName,
    apply: Annotated[bool, typer.Option("--apply", help="Map what is sure.")] = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """For fields that nobody has mapped: which of the account's fields may be meant, by name, label and type."""
    from sync_pipelines.mapping_changes import suggestions_for
    from sync_pipelines.model.mapping import FieldRule
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connection = project.store.connections.get(customer, provider)
        schema = project.describe(connection, object_name)
        name, found = suggestions_for(project, connection, object_name, schema)
        if as_json:
            print_json({field: [_suggestion(one) for one in several] for field, several in found.items()})
        else:
            _show_suggestions(found)
        sure = {several[0].field: several[0] for several in found.values() if several and several[0].sure}
        if apply and sure:
            taken = {field: FieldRule(sources=(one.source.name,)) for field, one in sure.items()}
            _change(
                project, connection, name, lambda known: {**known, **taken}, check=True, dry_run=dry_run, action="map"
            )
        elif apply:
            say("Nothing is sure enough to be taken unasked.")


@group.command("show")
def show(
    customer: Customer,
    provider: Provider,
    object_name: Annotated[str | None, typer.Argument(metavar="OBJECT", help="Only this object")] = None,
    history: Annotated[bool, typer.Option("--history", help="Older versions too")] = False,
) -> None:
    """What a customer has mapped, field by field, with the developer's defaults."""
    from sync_pipelines.covering import mappable_objects, mapped_together
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.store.connections.get(customer, provider)
        for declared in mapped_together(project, mappable_objects(project, customer, provider, object_name)):
            name = declared.object
            versions = project.store.mappings.history(customer, provider, name)
            for mapping in versions if history and versions else [versions[0] if versions else None]:
                saved = f", saved {shown(mapping.saved_at)} by {mapping.actor}" if mapping else ""
                table(
                    f"{customer}, {provider} {name}, version {mapping.version if mapping else 0}{saved}",
                    ("field", "vendor field", "from"),
                    _lines(declared, provider, mapping),
                )


def _lines(declared: "SyncObject", provider: str, mapping: "Saved | None") -> list[tuple[str, str, str]]:
    """(field, what fills it, whose rule that is), and the customer's rules that fill nothing, with why."""
    from sync_pipelines.engine.layout import resolve_mapping, unused_rules

    rules, additional = resolve_mapping(declared, provider, mapping)
    unused = unused_rules(declared, provider, mapping)
    own = mapping.fields if mapping else {}
    return [
        *(
            (field, _told(rule), "customer" if field in own and field not in unused else "developer" if rule else "")
            for field, rule in rules.items()
        ),
        *((field, _told(rule), "customer, additional") for field, rule in additional.items()),
        *((field, _told(own[field]), f"customer, not used: {reason}") for field, reason in unused.items()),
    ]


def _change(
    project: "Project",
    connection: "Connection",
    object_name: str,
    decide: "Callable[[Mapping[str, FieldRule]], Mapping[str, FieldRule]]",
    *,
    check: bool,
    dry_run: bool,
    action: str,
) -> None:
    """Show and save the rules that are decided on from the present ones, unless somebody else saves meanwhile."""
    from sync_pipelines.mapping_changes import ROLL_BACK, plan_change, save_change

    schema = project.describe(connection, object_name) if check else None
    known = project.store.mappings.current(connection.customer_id, connection.provider, object_name)
    rules = decide(known.fields if known is not None else {})
    restored = action == ROLL_BACK
    plan = plan_change(project, connection, object_name, rules, schema=schema, restored=restored)
    _show_plan(plan)
    if dry_run:
        say("Nothing was saved.")
        return
    expected = known.version if known is not None else 0
    saved = save_change(project, plan, actor=whoami(), action=action, expected=expected)
    say(f"Version {saved.version} of the mapping of {saved.customer_id}, {saved.provider} {saved.object}.")
    if not plan.changes_nothing:
        say("The next run of this object carries it out; it is due now.")


def _show_plan(plan: "MappingPlan") -> None:
    from sync_pipelines.mapping_changes import NOTHING, STORED
    from sync_pipelines.model.filter import DELETE, KEEP

    for warning in plan.warnings:
        say(f"Warning: {warning}", style="yellow")
    for effect in plan.effects:
        if not effect.columns:
            say(f"{effect.sync}, {effect.object}: no column changes.")
            continue
        rows = "the customer's rows (the destination did not say how many)" if effect.rows is None else effect.rows
        table(
            f"{effect.sync}, {effect.object}: columns of {effect.table} that are made otherwise",
            ("column", "of", "instead of"),
            ((each.column, _told(each.after), _told(each.before)) for each in effect.columns),
        )
        if effect.source == NOTHING:
            say("Rows: 0, as the mode is append: stored rows stay, those that are added from now on follow.")
        elif effect.source == STORED:
            say(f"Rows: {shown(rows)}, from the stored records. The vendor is read again only if they lack a field.")
        else:
            why = "raw_fields is off, or filter or history ask for such a field"
            say(f"Rows: {shown(rows)}, by reading everything from the vendor, as {why}.")
        if effect.leavers != KEEP:
            fate = "removed" if effect.leavers == DELETE else "marked as deleted"
            most = "those" if effect.most_leaving is None else f"at most {effect.most_leaving:,}: those"
            say(f"Rows go: {most} whose records do not fit the filter by the new values are {fate}.", style="red")


def rules_of_texts(written: "Sequence[str]") -> dict[str, Any]:
    """Rules as written, by field, of several FIELD=RULE."""
    from sync_pipelines.model.errors import ConfigurationError

    found: dict[str, Any] = {}
    for each in written:
        name, rule = _rule_of_text(each)
        if name in found:
            raise ConfigurationError(f"{name} is given twice; which rule is meant?")
        found[name] = rule
    return found


def _rule_of_text(written: str) -> tuple[str, Any]:
    """(field, rule as written) of FIELD=RULE; a rule that begins with { is a document, written as in the files."""
    from sync_pipelines.config.source import sources_of_text
    from sync_pipelines.model.errors import ConfigurationError

    name, equals, rule = written.partition("=")
    name, rule = name.strip(), rule.strip()
    if not equals or not name:
        raise ConfigurationError(f"The rule {written!r} is not FIELD=VENDOR_FIELD.")
    if not rule.startswith("{"):
        return name, rule
    return name, _only_document(lambda: sources_of_text(rule, f"The rule of {name}"), f"The rule of {name}")


def _of_file(file: Path) -> dict[str, Any]:
    from sync_pipelines.config.source import read_sources
    from sync_pipelines.model.errors import ConfigurationError

    found = _only_document(lambda: read_sources(file), f"The file {file}")
    if not isinstance(found, dict):
        raise ConfigurationError(f"The file {file} must hold a mapping of field to rule.")
    return found


def _only_document(read: "Callable[[], Sequence[Source]]", what: str) -> Any:
    from sync_pipelines.config.source import Unreadable
    from sync_pipelines.model.errors import ConfigurationError

    try:
        documents = read()
    except Unreadable as error:
        raise ConfigurationError(str(error)) from None
    if len(documents) != 1:
        raise ConfigurationError(f"{what} must hold one document, not {len(documents)}.")
    return documents[0].value


def _show_suggestions(found: "Mapping[str, list[Suggestion]]") -> None:
    if not found:
        say("Every field of the custom schema is mapped.")
        return
    table(
        "Suggestions",
        ("field", "vendor field", "label", "type", "score", "sure", "why"),
        (row for field, several in found.items() for row in _suggested(field, several)),
        right=("score",),
    )


def _suggested(field: str, several: "list[Suggestion]") -> list[tuple[Any, ...]]:
    if not several:
        return [(field, "(none)", "", "", "", "", "no field of the account is like it")]
    return [
        (field, of.name, of.label, of.type, each.score, "yes" if each.sure else "", each.reason)
        for each in several
        for of in (each.source,)
    ]


def _suggestion(one: "Suggestion") -> dict[str, Any]:
    names = {"source": one.source.name, "label": one.source.label, "type": one.source.type}
    return {**names, "score": one.score, "sure": one.sure, "reason": one.reason}


def _told(rule: "FieldRule | None") -> str:
    if rule is None:
        return "(not mapped)"
    return " -> ".join([rule.told, *(each.name for each in rule.transforms)])
