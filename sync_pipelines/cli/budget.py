"""API budgets: what vendors let the connected accounts do, and what of it is used."""

from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.printing import say, table

if TYPE_CHECKING:
    from sync_pipelines.model.budget import Budget


def register(app: typer.Typer) -> None:
    app.command("budget")(budget)


def budget(
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
) -> None:
    """How many calls each account has used of what its vendor allows, and until when it is left alone."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connections = project.store.connections.list(provider=provider, customer_id=customer)
        found = project.budgets_of(connections)
        reserves = {name: config.reserve for name, config in project.configuration.providers.items()}
    table(
        "API budgets",
        ("customer", "provider", "used", "allowed", "share", "reserve", "our calls", "seen", "runs out", "held until"),
        (
            (
                item.customer_id,
                item.provider,
                *_numbers(found[item.id]),
                f"{reserves[item.provider]:.0%}" if item.provider in reserves else None,
                found[item.id].calls,
                found[item.id].seen_at,
                found[item.id].runs_out_at,
                found[item.id].held_until,
            )
            for item in connections
        ),
        right=("used", "allowed", "share", "reserve", "our calls"),
    )
    for item in connections:
        if found[item.id].held_reason:
            say(f"{item.customer_id}, {item.provider}: {found[item.id].held_reason}")


def _numbers(budget: "Budget") -> tuple[int | None, int | None, str | None]:
    share = f"{budget.used / budget.allowed:.0%}" if budget.used is not None and budget.allowed else None
    return budget.used, budget.allowed, share
