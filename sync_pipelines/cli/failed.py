"""Values that did not fit: which, where, and why."""

from typing import Annotated

import typer

from sync_pipelines.cli.printing import print_json, say, table


def register(app: typer.Typer) -> None:
    app.command("failed")(failed)


def failed(
    customer: Annotated[str | None, typer.Argument(help="Only this customer; left out: all of --sync")] = None,
    sync: Annotated[str | None, typer.Option("--sync", help="Only this sync.")] = None,
    object_name: Annotated[str | None, typer.Option("--object", "-o", help="Only this object.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="So many values of each object; 0 only counts.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Values that did not fit their columns: counted by column and reason, then the first of them.

    Their rows are there, with the column empty. They are tried again when the mapping or the schema changes.
    """
    from dataclasses import asdict

    from sync_pipelines.failed_values import by_column, find_failed
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    if customer is None and sync is None:
        raise ConfigurationError("Name a customer, or a sync with --sync.")
    with opened(with_store=True) as project:
        found = list(find_failed(project, sync=sync, customer=customer, object_name=object_name, limit=limit))
    if as_json:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        if not each.counts:
            continue
        where = f"{each.sync}, {each.object} ({each.table})"
        table(
            f"Values that did not fit: {where}",
            ("column", "vendor field", "reason", "rows", "customers"),
            ((*key, rows, customers) for key, (rows, customers) in by_column(each.counts).items()),
            right=("rows", "customers"),
        )
        if each.values:
            table(
                f"The first {len(each.values)}",
                ("customer", "id", "column", "value", "reason"),
                ((one.customer_id, one.id, one.column, one.value, one.reason) for one in each.values),
            )
    if not any(each.counts for each in found):
        say("Every value fits.")
