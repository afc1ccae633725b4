"""The fields of a customer's account: what is known, what changed, what is accepted."""

from typing import Annotated

import typer

from sync_pipelines.cli.printing import say, table

group = typer.Typer(
    name="schema", help="The fields of a customer's account, and how they change.", no_args_is_help=True
)

Customer = Annotated[str, typer.Argument(help="The customer's id")]
Provider = Annotated[str, typer.Argument(help="The provider's name")]
Object = Annotated[str, typer.Argument(metavar="OBJECT", help="The object as the sync names it")]


def register(app: typer.Typer) -> None:
    app.add_typer(group)


@group.command("show")
def show(customer: Customer, provider: Provider, object_name: Object) -> None:
    """Every field as the last run met it, and whether it is accepted; one table for each sync that reads the object."""
    from sync_pipelines.model.schema_change import changes_between
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        known = project.store.schemas.known(project.store.connections.get(customer, provider), object_name)
        known = [item for item in known if item.sync in project.configuration.syncs]
        policies = {item.sync: project.declared(item.sync, item.object).schema_policy for item in known}
    if not known:
        say(f"No sync has looked at {object_name} of {customer} yet.")
    for item in known:
        waiting = {change.field: change.kind for change in changes_between(item.accepted, item.seen)}
        table(
            f"{customer}, {provider} {item.object}, sync {item.sync} (schema_policy: {policies[item.sync]}), "
            f"so since {item.seen_at:%Y-%m-%d %H:%M}",
            ("field", "vendor's type", "accepted as", ""),
            (
                (name, item.seen.get(name, ""), item.accepted.get(name, ""), waiting.get(name, ""))
                for name in sorted({*item.seen, *item.accepted})
            ),
        )


@group.command("changes")
def changes(
    customer: Customer,
    provider: Provider,
    object_name: Object,
    limit: Annotated[int, typer.Option(help="So many of the newest")] = 100,
) -> None:
    """What changed and when, the newest first."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connection = project.store.connections.get(customer, provider)
        found = project.store.schemas.changes(connection, object_name, limit)
    table(
        f"Changes of {customer}, {provider} {object_name}",
        ("at", "sync", "field", "what", "before", "after", "schema_policy"),
        (
            (
                each.at,
                each.sync,
                each.change.field,
                each.change.kind,
                each.change.before,
                each.change.after,
                each.policy,
            )
            for each in found
        ),
    )


@group.command("accept")
def accept(customer: Customer, provider: Provider, object_name: Object) -> None:
    """Take the fields as they were last seen. What failed or was left out because of them is read by the next run."""
    from sync_pipelines.cli.steer import whoami
    from sync_pipelines.model.schema_change import told
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connection = project.store.connections.get(customer, provider)
        taken = project.store.schemas.accept(connection, object_name, actor=whoami())
    for sync, accepted in taken.items():
        if accepted:
            say(f"{sync}: accepted that {told(accepted)}.")
    if not any(taken.values()):
        say(f"Nothing waits to be accepted in {object_name} of {customer}.")
