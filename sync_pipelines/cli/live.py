"""The long-lived process beside Dagster, and what vendors tell by themselves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sync_pipelines.cli.printing import console, say, table

incoming = typer.Typer(help="What vendors tell by themselves.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.command("live")(live)
    app.add_typer(incoming, name="incoming")


def live(
    sign: Annotated[
        Path | None,
        typer.Option(
            "--sign-of-life",
            metavar="FILE",
            help="Touched every ten seconds as long as all of it goes on, for health checks that look at its age.",
        ),
    ] = None,
) -> None:
    """Apply what vendors tell by webhook, within seconds, and tell endpoints what happened here. Stays up until Ctrl-C
    or SIGTERM; several may run."""
    if sign is not None and not sign.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {sign.parent}.", param_hint="--sign-of-life")
    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.live.running import running
    from sync_pipelines.logs import configure_server
    from sync_pipelines.project import opened
    from sync_pipelines.settings import read_log_settings

    configure_server(read_log_settings())
    with opened(with_store=True) as project, stopped_by_signals() as stop, running(project, sign) as names:
        say(f"Live     {', '.join(names)}; Ctrl-C ends it")
        stop.wait()


@incoming.callback()
def standing(context: typer.Context) -> None:
    """What waits to be applied, and what was dropped today."""
    if context.invoked_subcommand is not None:
        return
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.vendor_events.standing()
    table(
        "Events of vendors",
        ("provider", "wait", "oldest, s", "tried before", "given up", "unknown today", "refused today"),
        (
            (
                each.provider,
                each.waiting,
                "" if each.oldest_at is None else round((datetime.now(UTC) - each.oldest_at).total_seconds()),
                each.put_off,
                each.given_up,
                each.unknown,
                each.refused,
            )
            for each in found
        ),
        right=("wait", "oldest, s", "tried before", "given up", "unknown today", "refused today"),
    )


@incoming.command("failed")
def failed(
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 100,
) -> None:
    """Events that could not be applied for an hour and were left to the runs, with the reason."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.vendor_events.given_up(provider=provider, limit=limit)
    table(
        "Events that were given up",
        ("received", "customer", "provider", "object", "record", "tries", "problem"),
        (
            tuple(
                each[name]
                for name in ("received_at", "customer_id", "provider", "object", "record_id", "tries", "problem")
            )
            for each in found
        ),
        right=("tries",),
    )


@incoming.command("address")
def address(
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    provider: Annotated[str, typer.Argument(help="The provider's name in the configuration")],
) -> None:
    """Where this connection's vendor is to send what changes. Whoever knows it can ask us to look at records."""
    from sync_pipelines.incoming import url_for
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        url = url_for(project, project.store.connections.get(customer, provider))
        if not project.settings.public_url:
            console.print(
                "SYNC_PIPELINES_PUBLIC_URL is not set: put your API's own address before this.", style="yellow"
            )
    print(url)
