"""Steering syncs: pause and resume, cancel, archive and restore, and what state each is in."""

import getpass
from typing import Annotated

import typer

from sync_pipelines.cli.printing import print_json, say, table

Name = Annotated[str, typer.Argument(help="The sync's name in syncs/")]
Customers = Annotated[list[str] | None, typer.Option("--customer", "-c", help="Only this customer; may be repeated.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever looks at it later.")]


def register(app: typer.Typer) -> None:
    for verb in (state, pause, resume, cancel, archive, restore):
        app.command(verb.__name__)(verb)


def whoami() -> str:
    """Who the audit names."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


def state(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """The state of every sync: created, active, paused, error or archived, and what waits."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        for name in sorted(project.configuration.syncs):
            project.plan(name)
        found = project.store.lifecycle.list()
    if as_json:
        print_json(found)
        return
    table(
        "Syncs",
        ("sync", "state", "since", "by", "connections", "paused", "in error", "reason"),
        (
            (each.sync, each.state, each.since, each.actor, each.connections, each.paused, each.in_error, each.reason)
            for each in found
        ),
        right=("connections", "paused", "in error"),
    )


def pause(name: Name, customer: Customers = None, reason: Reason = "") -> None:
    """Start nothing new of a sync (or of single customers of it) until it is resumed. What is due keeps its place."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.plan(name)
        waiting = project.store.lifecycle.pause(name, customer, reason=reason, actor=whoami())
    say(
        f"{name} is paused for {len(waiting)} customer(s). What runs now goes on to its end: "
        f"`sync-pipelines cancel {name}` stops it."
    )


def resume(
    name: Name,
    customer: Customers = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Also those customers who were paused one by one with --customer.")
    ] = False,
) -> None:
    """Go on with a paused sync. What became due meanwhile runs once."""
    from sync_pipelines.project import opened

    if everyone and customer:
        raise typer.BadParameter("--all and --customer do not go together")
    with opened(with_store=True) as project:
        project.plan(name)
        done = project.store.lifecycle.resume(name, customer, everyone=everyone, actor=whoami())
    if going := len(done.customers) - len(done.still_paused):
        say(f"{name} goes on for {going} customer(s); what is due starts at the sensor's next look.")
    if done.still_paused and customer:
        say(f"{name} itself is paused: they go on with `sync-pipelines resume {name}`.")
    elif done.still_paused:
        say(
            f"{len(done.still_paused)} customer(s) stay paused, as they were paused one by one: --customer or --all "
            "lets them go on."
        )


def cancel(name: Name, customer: Customers = None) -> None:
    """Stop what is run of a sync, by Dagster or at a terminal, at its next checkpoint.

    Nothing is lost: it goes on from there at its regular time.
    """
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.plan(name)
        stopping = project.store.lifecycle.cancel(name, customer, actor=whoami())
    say(
        f"{name}: {len(stopping)} customer(s) are asked to stop; a run looks every few seconds, and so does "
        "`sync-pipelines sync` at a terminal."
    )


def archive(name: Name, reason: Reason = "") -> None:
    """Put a sync away: nothing of it starts until it is restored. Its rows, runs and mappings stay."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.plan(name)
        project.store.lifecycle.archive(name, reason=reason, actor=whoami())
    say(f"{name} is archived. `sync-pipelines restore {name}` brings it back.")


def restore(name: Name) -> None:
    """Bring an archived sync back; it is active again."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.plan(name)
        project.store.lifecycle.restore(name, actor=whoami())
    say(f"{name} is active again; what is due starts at the sensor's next look.")
