"""Erasing a customer everywhere, and the receipts of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_pipelines.cli.printing import console, print_json, say, table
from sync_pipelines.cli.steer import whoami

if TYPE_CHECKING:
    from sync_pipelines.project import Project
    from sync_pipelines.store.erasing import Erasure


def register(app: typer.Typer) -> None:
    app.command("erase")(erase)
    app.command("erasures")(erasures)


def erase(
    customer: Annotated[str, typer.Argument(help="Your id of the customer")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name.")] = False,
) -> None:
    """Erase a customer everywhere: rows in all destinations, credentials, mappings, runs, logs. Prints the receipt.

    Its runs are stopped first. Repeat it if it was broken off: it finishes. With DAGSTER_HOME set, Dagster's events of
    the customer go too; otherwise its sensor `retention` removes them.
    """
    from sync_pipelines.erasing import erase as erase_everywhere
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    if not yes:
        typed = typer.prompt(f"Everything of {customer} will be gone for good. Type its id to go on", err=True)
        if typed != customer:
            raise ConfigurationError("That is not its id. Nothing was erased.")
    with opened(with_store=True) as project, console.status(f"Erasing {customer} ..."):
        receipt = erase_everywhere(project, customer, actor=whoami())
        receipt = _in_dagster(project, customer, receipt)
    print_json(_said(receipt))


def _in_dagster(project: "Project", customer: str, receipt: "Erasure") -> "Erasure":
    from sync_pipelines.settings import environment_variables

    if not environment_variables().get("DAGSTER_HOME"):
        return receipt
    import dagster as dg

    from sync_pipelines.orchestration.erasing import erase_in_dagster
    from sync_pipelines.orchestration.retention import Ours

    with dg.DagsterInstance.get() as instance:
        counts = erase_in_dagster(instance, project, Ours.of(project.configuration.syncs.values()), customer)
    return project.store.erasing.finish(receipt.id, dagster=counts)


def erasures(
    customer: Annotated[
        str | None, typer.Option("--customer", help="Only this customer's; a receipt itself does not tell whose it is.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="The whole receipts, for programs.")] = False,
) -> None:
    """Receipts of erased customers, newest first."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.erasing.page(customer_id=customer, limit=limit)
    if as_json:
        print_json([_said(each) for each in found])
    elif found:
        columns = ("receipt", "begun", "finished", "by", "removed", "access that may still work", "troubles", "digest")
        table("Receipts", columns, map(_line, found), right=("receipt", "removed", "troubles"), whole=("digest",))
    else:
        say("Nobody was erased." if customer is None else "There is no receipt of this customer.")


def _line(receipt: "Erasure") -> "tuple[Any, ...]":
    removed = sum(count for counts in receipt.removed.values() for count in counts.values())
    alive = ", ".join(sorted({each["provider"] for each in receipt.access.values() if not each["ended"]}))
    digest = receipt.final_digest or receipt.digest or ""
    times = (receipt.begun_at, receipt.finished_at or "(not finished: repeat it)")
    return (str(receipt.id), *times, receipt.actor, removed, alive, len(receipt.troubles), digest[:12])


def _said(receipt: "Erasure") -> dict[str, Any]:
    """The whole receipt."""
    from sync_pipelines.erasing import left_over

    return {
        "receipt": receipt.id,
        "customer_hash": receipt.customer_hash,
        "salt": receipt.salt,
        "actor": receipt.actor,
        "begun_at": receipt.begun_at.isoformat(),
        "finished_at": receipt.finished_at.isoformat() if receipt.finished_at else None,
        "removed": receipt.removed,
        "access": list(receipt.access.values()),
        "troubles": receipt.troubles,
        "left": left_over(receipt),
        "digest": receipt.digest,
        "final_digest": receipt.final_digest,
    }
