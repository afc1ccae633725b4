"""A customer's field mapping: set it, look at it."""

from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.printing import say, table

if TYPE_CHECKING:
    from sync_pipelines.model.mapping import FieldRule
    from sync_pipelines.model.sync import SyncObject
    from sync_pipelines.project import Project

group = typer.Typer(
    name="mapping", help="A customer's own fields, mapped onto your custom schema.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command("set")
def set_mapping(
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    provider: Annotated[str, typer.Argument(help="The provider's name")],
    object_name: Annotated[str, typer.Argument(metavar="OBJECT", help="The object as the sync names it")],
    fields: Annotated[list[str], typer.Argument(metavar="FIELD=VENDOR_FIELD...", help="Rules, e.g. tier=Tier__c")],
    check: Annotated[bool, typer.Option(help="Ask the account whether the fields exist and fit")] = True,
) -> None:
    """Map fields. Rules that are not named stay; FIELD= (nothing behind) takes a rule away. Makes a new version."""
    from sync_pipelines.config.rules import rules_from
    from sync_pipelines.engine.layout import resolve_mapping
    from sync_pipelines.engine.mapping_check import check_mapping
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.model.mapping import Mapping
    from sync_pipelines.project import opened

    changes = {}
    for rule in fields:
        name, equals, vendor_field = rule.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"The rule {rule!r} is not FIELD=VENDOR_FIELD.")
        changes[name.strip()] = vendor_field.strip()
    with opened(with_store=True) as project:
        declared = _declared(project, provider, object_name)
        connection = project.store.connections.get(customer, provider)
        known = project.store.mappings.current(customer, provider, declared[0].object)
        kept = {name: rule for name, rule in (known.fields if known else {}).items() if name not in changes}
        rules = kept | rules_from({name: written for name, written in changes.items() if written})
        candidate = Mapping(customer_id=customer, provider=provider, object=declared[0].object, version=0, fields=rules)
        schema = project.describe(connection, declared[0].object) if check else None
        for item in declared:
            if schema is None:
                resolve_mapping(item, provider, candidate)
            else:
                check_mapping(item, provider, candidate, schema)
        saved = project.store.mappings.save(customer, provider, declared[0].object, rules)
    say(
        f"Version {saved.version} of the mapping of {customer}, {provider} {saved.object}. "
        "The next sync reads everything of this object once.",
    )


def _declared(project: "Project", provider: str, object_name: str) -> "list[SyncObject]":
    from sync_pipelines.model.errors import ConfigurationError

    found = [
        item
        for sync in project.configuration.syncs.values()
        if sync.provider == provider
        for item in sync.objects
        if item.object.casefold() == object_name.casefold() and item.custom_schema is not None
    ]
    if not found:
        raise ConfigurationError(
            f"No sync of {provider} has an object {object_name} with a custom_schema to map onto: add one in syncs/."
        )
    return found


@group.command("show")
def show(
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    provider: Annotated[str, typer.Argument(help="The provider's name")],
    object_name: Annotated[str | None, typer.Argument(metavar="OBJECT", help="Only this object")] = None,
    history: Annotated[bool, typer.Option("--history", help="Older versions too")] = False,
) -> None:
    """What a customer has mapped, field by field, with the developer's defaults."""
    from sync_pipelines.engine.layout import resolve_mapping
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.store.connections.get(customer, provider)
        objects = {
            item.object: item
            for sync in project.configuration.syncs.values()
            if sync.provider == provider
            for item in sync.objects
            if item.custom_schema is not None
            and (object_name is None or item.object.casefold() == object_name.casefold())
        }
        if not objects:
            raise ConfigurationError(f"No sync of {provider} has such an object with a custom_schema.")
        for name, declared in objects.items():
            versions = project.store.mappings.history(customer, provider, name)
            newest = project.store.mappings.current(customer, provider, name)
            for mapping in versions if history else [newest]:
                sources, additional = resolve_mapping(declared, provider, mapping)
                by = mapping.fields if mapping else {}
                table(
                    f"{customer}, {provider} {name}, version {mapping.version if mapping else 0}",
                    ("field", "vendor field", "from"),
                    [
                        (field, _told(rule), "customer" if field in by else "developer" if rule else "")
                        for field, rule in sources.items()
                    ]
                    + [(field, _told(rule), "customer, additional") for field, rule in additional.items()],
                )


def _told(rule: "FieldRule | None") -> str:
    if rule is None:
        return "(not mapped)"
    steps = [each.name for each in rule.transforms]
    return " -> ".join([rule.told, *steps])
