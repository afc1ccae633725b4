"""Forgetting what is old, by hand; in production the sensor `retention` does it all the time."""

from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.printing import console, say, table

if TYPE_CHECKING:
    from sync_pipelines.orchestration.retention import Forgotten
    from sync_pipelines.project import Project


def register(app: typer.Typer) -> None:
    app.command("prune")(prune)


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Delete old history from the store and, where DAGSTER_HOME is set, old runs of these syncs from Dagster.

    How long each is kept: SYNC_PIPELINES_KEEP_... The newest event of every partition stays.
    """
    from sync_pipelines.project import opened
    from sync_pipelines.settings import environment_variables

    with opened(with_store=True) as project, console.status("Looking for what is old ..."):
        rows = _store(project, dry_run=dry_run)
        if environment_variables().get("DAGSTER_HOME"):
            rows += _dagster(project, dry_run=dry_run)
        else:
            say("Dagster's storage was left alone: set DAGSTER_HOME to look there too.", style="yellow")
    table("Would be forgotten" if dry_run else "Forgotten", ("where", "what", "how many"), rows, right=("how many",))


def _store(project: "Project", *, dry_run: bool) -> list[tuple[str, str, int]]:
    if dry_run:
        found = project.store.retention.outdated(project.settings.keep)
        # An idle run that is old enough for both is counted as one of the idle ones.
        return [("store", name, number) for name, number in found.items()]
    from sync_pipelines.orchestration.retention import forget_in_store

    return [("store", name, number) for name, number in forget_in_store(project).items()]


def _dagster(project: "Project", *, dry_run: bool) -> list[tuple[str, str, int]]:
    from datetime import UTC, datetime

    import dagster as dg

    from sync_pipelines.orchestration.retention import Forgotten, Ours, Place, prune_dagster

    ours = Ours.of(project.configuration.syncs.values())
    before = datetime.now(UTC) - project.settings.keep.dagster_runs
    total, place = Forgotten(through=False), Place()
    with dg.DagsterInstance.get() as instance:
        while not total.through:
            forgotten, place = prune_dagster(instance, ours, before, place, dry=dry_run)
            total += forgotten
    return _rows(total, dry_run=dry_run)


def _rows(total: "Forgotten", *, dry_run: bool) -> list[tuple[str, str, int]]:
    rows = [("Dagster", "runs", total.runs), ("Dagster", "runs that stay, thinned", total.thinned)]
    if not dry_run:
        rows += [("Dagster", "other events", total.events), ("Dagster", "check results", total.checks)]
    return rows
