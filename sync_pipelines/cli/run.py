"""Running syncs from the shell and looking at what ran."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sync_pipelines.cli.printing import console, print_json, say, table
from sync_pipelines.cli.steer import Customers, Name, whoami
from sync_pipelines.model.run import SyncRun

if TYPE_CHECKING:
    from sync_pipelines.store import Store
    from sync_pipelines.store.requests import Request

STATUSES = ("success", "error", "skipped", "cancelled")
NUMBERS = ("created", "updated", "same", "deleted", "skipped", "rejected", "misfits", "calls", "s")

Objects = Annotated[list[str] | None, typer.Option("--object", "-o", help="Only this object; may be repeated.")]


def register(app: typer.Typer) -> None:
    app.command("sync")(sync)
    app.command("trigger")(trigger)
    app.command("runs")(runs)


def sync(
    name: Name,
    customer: Customers = None,
    object_name: Objects = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything, whatever the strategy.")] = False,
    first: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="A test run: load at most so many records of each object, delete none."),
    ] = None,
) -> None:
    """Run a sync now, in this process, and show what became of every customer. Exit code 1 if one failed or was
    cancelled.

    Ctrl-C stops it, and `sync-pipelines cancel` elsewhere; what was stored stays.
    """
    from sync_pipelines.heeding import cancels_heeded
    from sync_pipelines.project import opened

    if first is not None and full:
        raise typer.BadParameter("--first and --full do not go together: a test run reads no more than it says")
    with opened(with_store=True) as project:
        declared = project.sync(name)
        wanted = [project.declared(name, item).object for item in object_name or [o.object for o in declared.objects]]
        project.store.lifecycle.refuse_archived(name)
        customers = [item.customer_id for item in project.connections(name, customer or [])]
        if not customers:
            say(f"Nobody is connected to {declared.provider} yet: see `sync-pipelines connect --help`.")
            raise typer.Exit(1)
        _say_paused(project.store, name, customers)
        run_id = uuid.uuid4().hex
        finished: list[SyncRun] = []
        with console.status("") as status, cancels_heeded(project, name):
            for item in wanted:
                having = [each for each in customers if item in (o.object for o in declared.objects_of(each))]
                status.update(f"{name}: {item} of {len(having)} customer(s) ...")
                if having and first is not None:
                    finished += project.first_records(name, item, having, first, run_id=run_id)
                elif having:
                    finished += project.sync_connections(name, item, having, run_id=run_id, full=full)
    show_runs(f"{name}, run {run_id}", finished)
    if first is not None:
        say(
            f"A test run of at most {first:,} records of each object; the position stays, so the next run does what it "
            "would have done anyway."
        )
    if any(run.status in ("error", "cancelled") for run in finished):
        raise typer.Exit(1)


def _say_paused(store: "Store", name: str, customers: Sequence[str]) -> None:
    state = store.lifecycle.state(name)
    alone = [each for each in store.due.list(name) if each.paused_at is not None and each.customer_id in customers]
    if state.state == "paused":
        why = f" ({state.reason})" if state.reason else ""
        say(f"{name} is paused{why}. What is run by hand runs all the same.", style="yellow")
    elif alone:
        say(f"{name} is paused for {len(alone)} of these customers. What is run by hand runs all the same.", "yellow")


def trigger(
    name: Name,
    customer: Customers = None,
    object_name: Objects = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything, whatever the strategy.")] = False,
) -> None:
    """Ask Dagster to run a sync: its sensor picks the request up."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        objects = [project.declared(name, item).object for item in object_name or []]
        customers = [item.customer_id for item in project.connections(name, customer or [])]
        project.refuse_unapplied(name)
        project.plan(name)
        project.store.lifecycle.refuse_archived(name)
        store = project.store
        asked = store.due.ask(name, customers=customers, objects=objects or None, full=full, actor=whoami())
        request, paused = store.requests.get(asked.id), store.lifecycle.state(name).state == "paused"
    say(f"{name} is due for {len(customers)} customer(s).")
    if request is None or request.paused + request.expired < len(customers):
        say("Dagster starts it at the sensor's next look.")
    if request is not None:
        _say_who_waits(request, whole=paused)


def _say_who_waits(request: "Request", *, whole: bool) -> None:
    name = request.sync
    if request.paused and whole:
        say(f"For {request.paused} it starts when the sync is resumed: `sync-pipelines resume {name}`.")
    elif request.paused:
        say(f"For {request.paused} it starts when they are resumed: `sync-pipelines resume {name} --customer ...`.")
    if request.expired:
        say(
            f"For {request.expired} it starts when they have connected again: `sync-pipelines health {name}` tells "
            "who and why."
        )


def runs(  # noqa: PLR0913 - each is a filter
    sync_name: Annotated[str | None, typer.Option("--sync", help="Only this sync.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer.")] = None,
    object_name: Annotated[str | None, typer.Option("--object", "-o", help="Only this object.")] = None,
    status: Annotated[str | None, typer.Option(help="success, error, skipped or cancelled.")] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", help="Only this run, of all its objects and customers.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(help="Ended at this time (UTC) or later.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 30,
    details: Annotated[bool, typer.Option("--details", help="Show notices and rejected records too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs, with all details.")] = False,
) -> None:
    """What ran: outcome and counts per customer and object, newest first."""
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    if status not in (None, *STATUSES):
        raise ConfigurationError(f"A run's status is {', '.join(STATUSES[:-1])} or {STATUSES[-1]}, not {status}.")
    with opened(with_store=True) as project:
        found = project.store.runs.list(
            sync=sync_name,
            customer_id=customer,
            object=object_name,
            status=status,
            run_id=run_id,
            since=None if since is None else since.replace(tzinfo=since.tzinfo or UTC),
            limit=limit,
        )
        if sync_name is not None and not found:
            project.sync(sync_name)
    if as_json:
        print_json([_for_programs(run) for run in found])
        return
    show_runs("Runs", found, details=details)


def _for_programs(run: SyncRun) -> dict[str, Any]:
    told = asdict(run)
    del told["changes"], told["hold"]
    return {**told, "duration_seconds": (run.finished_at - run.started_at).total_seconds()}


def show_runs(title: str, found: list[SyncRun], *, details: bool = False) -> None:
    table(
        title,
        ("started", "sync", "object", "customer", "status", "read", *NUMBERS),
        (
            (
                run.started_at,
                run.sync,
                run.object,
                run.customer_id,
                run.status + (f" ({run.error_type})" if run.error_type else ""),
                *numbers(run),
            )
            for run in found
        ),
        right=NUMBERS,
        whole=("status",),
    )
    for run in found:
        if run.error_message:
            say(f"{run.customer_id}, {run.object}: {run.error_message}", style="bold")
        for notice in run.notices if details or run.status == "error" else ():
            say(f"  {run.customer_id}, {run.object}: {notice}")
        for rejection in run.rejections if details else ():
            say(f"  rejected: {rejection.reason} {rejection.record[:200]}")


def numbers(run: SyncRun) -> tuple[str | int, ...]:
    """How it was read, and a value for each of NUMBERS."""
    counts = run.counts
    return (
        "full" if run.full else "incremental",
        counts.created,
        counts.updated,
        counts.unchanged,
        counts.deleted,
        counts.skipped,
        counts.rejected,
        counts.invalid,
        run.vendor_calls,
        f"{(run.finished_at - run.started_at).total_seconds():.1f}",
    )
