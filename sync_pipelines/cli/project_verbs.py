"""The project itself: check its configuration, bring its store up to date, make keys."""

from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.filters import show_filters, show_who_applies, who_applies
from sync_pipelines.cli.printing import say, table

if TYPE_CHECKING:
    from sync_pipelines.project import Project

key = typer.Typer(name="key", help="Keys that seal the customers' credentials.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command("check")(check)
    app.command("migrate")(migrate)
    app.add_typer(key)


def check(
    live: Annotated[
        bool, typer.Option("--live", help="Also ask the store, the destinations and every account.")
    ] = False,
) -> None:
    """Check the configuration, every problem with file, line and fix. Exit code 2 when something is wrong."""
    from sync_pipelines.project import opened
    from sync_pipelines.sync_changes import wrong_defaults
    from sync_pipelines.together import told_aside

    with opened() as project:
        configuration = project.configuration
        for warning in configuration.warnings:
            say(f"Warning: {warning}", style="yellow")
        table(
            "Syncs",
            ("sync", "provider", "destination", "object", "table", "strategy"),
            (
                (
                    sync.name,
                    sync.provider,
                    sync.destination,
                    item.object,
                    project.table(sync.name, item.object).name,
                    item.strategy or sync.strategy,
                )
                for sync in configuration.syncs.values()
                for item in sync.objects
            ),
        )
        show_filters(project)
        problems, warnings = _asked_live(project) if live else ([], [])
        hash_key = project.settings.transform_key
        wrong = [text for sync in configuration.syncs.values() for text in wrong_defaults(sync, hash_key)]
        problems = [*wrong, *told_aside(configuration), *problems]
        warnings = [*_exposed_defaults(project), *warnings]
    for warning in warnings:
        say(f"Warning: {warning}", style="yellow")
    for problem in problems:
        say(problem, style="red")
    if problems:
        raise typer.Exit(2)
    say("The configuration is right." if not live else "The configuration is right and everything answers.")


def _exposed_defaults(project: "Project") -> list[str]:
    """Values that rules of the developer's own hide, and that are loaded all the same."""
    from sync_pipelines.engine.exposure import exposed
    from sync_pipelines.engine.layout import resolve_mapping

    return [
        f"{sync.name}, {item.object}: {text}"
        for sync in project.configuration.syncs.values()
        for item in sync.objects
        for text in exposed(
            item, project.crm_object(sync.name, item.object), resolve_mapping(item, sync.provider, None)[0]
        )
    ]


def _asked_live(project: "Project") -> tuple[list[str], list[str]]:
    """What is wrong, and what works though perhaps not as meant."""
    from sync_pipelines.engine.exposure import exposed
    from sync_pipelines.engine.layout import plan_fields, unused_rules
    from sync_pipelines.engine.mapping_check import examine
    from sync_pipelines.model.errors import SyncError
    from sync_pipelines.vendor_names import fields_elsewhere

    problems: list[str] = []
    warnings: list[str] = []
    try:
        project.store.check_current()
    except SyncError as problem:
        return [f"store: {problem}"], []
    applied: list[tuple[str, ...]] = []
    for sync in project.configuration.syncs.values():
        connections = project.connections(sync.name)
        for connection in connections:
            where = f"{sync.name}, {connection.customer_id}"
            try:
                project.destination(sync, connection.customer_id).check()
            except SyncError as problem:
                problems.append(f"{where}: {problem}")
            for item in sync.objects:
                try:
                    schema = project.describe(connection, item.object)
                    mapping = project.store.mappings.current(connection.customer_id, sync.provider, item.object)
                    found = examine(item, sync.provider, mapping, schema, hash_key=project.settings.transform_key)
                    problems += [f"{where}, {item.object}: {text}" for text in found.errors]
                    warnings += [f"{where}, {item.object}: {text}" for text in found.warnings]
                    elsewhere = fields_elsewhere(project.configuration, project.providers, sync, item)
                    unused = unused_rules(item, sync.provider, mapping, elsewhere).items()
                    warnings += [
                        f"{where}, {item.object}: the rule for {name} is not used: {why}." for name, why in unused
                    ]
                    crm_object = project.crm_object(sync.name, item.object)
                    own = exposed(item, crm_object, mapping.fields if mapping else {})
                    warnings += [f"{where}, {item.object}: {text}" for text in own]
                    plan = plan_fields(item, crm_object, schema, sync.provider, mapping)
                    applied += who_applies(project, sync, connection.customer_id, item, schema, plan.custom)
                except SyncError as problem:
                    problems.append(f"{where}, {item.object}: {problem}")
    show_who_applies(applied)
    return sorted(set(problems)), sorted(set(warnings))


def migrate() -> None:
    """Create the store's tables or bring them up to date."""
    from sync_pipelines.project import opened

    with opened() as project:
        project.store.migrate()
    say("The store is up to date.")


@key.command("new")
def new() -> None:
    """Print a new encryption key. Put it first in SYNC_PIPELINES_ENCRYPTION_KEYS and keep the old ones behind it."""
    from sync_pipelines.store.sealing import new_key

    print(new_key())


@key.command("rotate")
def rotate() -> None:
    """Seal all that is sealed again with the first key, so that older keys can be taken away. May be stopped and run
    again."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        count = project.store.rotate(lambda table, done: say(f"{table}: {done} sealed anew"))
    say(f"{count} sealed text(s) sealed with the newest key.")


@key.command("list")
def list_keys() -> None:
    """The keys of the ring by their names, and what each seals. One that seals nothing can be taken away. Exit code 1
    where something is sealed with a key that is not there."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.keys_in_use()
    table(
        "Keys",
        ("key", "place", "seals"),
        (
            (
                each.key,
                "missing: add it again" if not each.known else "first" if at == 0 else "older",
                ", ".join(f"{count} {name}" for name, count in sorted(each.rows.items()))
                or ("nothing yet" if at == 0 else "nothing: it can be taken away"),
            )
            for at, each in enumerate(found)
        ),
    )
    if not all(each.known for each in found):
        raise typer.Exit(1)
