"""Are the copies complete, and are they fresh?"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sync_pipelines.cli.printing import console, say, table
from sync_pipelines.cli.run import Objects
from sync_pipelines.cli.steer import Customers, Name
from sync_pipelines.model.completeness import GAP, Comparison

COUNTS = ("source", "destination", "difference")


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)
    app.command("fresh")(fresh)


def verify(
    name: Name,
    customer: Customers = None,
    object_name: Objects = None,
    mend: Annotated[bool, typer.Option("--repair", help="Ask for a full read where there is a gap.")] = False,
) -> None:
    """Count every customer's records at the source and in the destination. Exit code 1 when there are gaps.

    Where the two differ, what is new is synced first, and both are counted again.
    """
    from sync_pipelines.project import opened
    from sync_pipelines.verifying import repair
    from sync_pipelines.verifying import verify as compare

    with opened(with_store=True) as project:
        counted = 0

        def tell(part: Sequence[Comparison]) -> None:
            nonlocal counted
            counted += len(part)
            status.update(f"{name}: {counted:,} counted ...")

        with console.status(f"{name}: counting ...") as status:
            found = compare(project, name, object_name or (), customer or (), run_id=uuid.uuid4().hex, on_counted=tell)
        asked = repair(project, name, found) if mend else []
    show(name, found)
    gaps = [one for one in found if one.status == GAP]
    if asked:
        say(f"A full read was asked for {len(asked)} of {len(gaps)} gap(s); Dagster starts it at its sensor's look.")
    elif mend and gaps:
        say("A full read was asked for all of these gaps not long ago.")
    if gaps:
        raise typer.Exit(1)


def show(name: str, found: Sequence[Comparison]) -> None:
    if not found:
        say(f"Nobody is connected to {name} yet: see `sync-pipelines connect --help`.")
        return
    table(
        f"Completeness of {name}",
        ("object", "customer", *COUNTS, "status", "repair asked"),
        (
            (one.object, one.customer_id, one.source, one.destination, one.difference, one.status, one.repair_asked_at)
            for one in found
        ),
        right=COUNTS,
    )
    for one in found:
        if one.message:
            say(f"{one.customer_id}, {one.object}: {' '.join(one.message.split())}")


def fresh(
    name: Annotated[str | None, typer.Argument(help="Only this sync.")] = None,
) -> None:
    """Who is later than the sync's freshness objective. Exit code 1 when somebody is, by no wish or fault of theirs."""
    from sync_pipelines.project import opened
    from sync_pipelines.store.freshness import LATE

    with opened(with_store=True) as project:
        syncs = [project.sync(name)] if name else list(project.configuration.syncs.values())
        held = [sync for sync in syncs if any(sync.objectives_of(each) for each in sync.objects)]
        now = datetime.now(UTC)
        freshness = project.store.freshness
        late = [(sync, freshness.rest(sync.name), one) for sync in held for one in freshness.late(sync, now)]
    if not held:
        say("No freshness objective is set: write `freshness: 1 hour` into a sync.")
        return
    table(
        "Later than their objective",
        ("sync", "object", "customer", "objective", "last success", "late by", "why"),
        (
            (
                sync.name,
                one.object,
                one.customer_id,
                one.objective,
                "never" if one.never else one.since,
                _seconds(now - one.since - one.objective),
                rest.state or one.why,
            )
            for sync, rest, one in late
        ),
    )
    for sync, _, one in late:
        if one.reason:
            say(f"{one.customer_id}, {one.object} of {sync.name}: {one.reason}")
    if any(one.why == LATE and rest.state is None for _, rest, one in late):
        raise typer.Exit(1)
    say("Nobody is late." if not late else "Nobody else is late.")


def _seconds(span: timedelta) -> timedelta:
    return timedelta(seconds=int(span.total_seconds()))
