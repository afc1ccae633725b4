"""Endpoints that hear of events: webhooks, Slack, and the hooks of Zapier."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from sync_pipelines.cli.printing import console, say, table
from sync_pipelines.cli.steer import whoami

if TYPE_CHECKING:
    from sync_pipelines.store.endpoints import Endpoint

webhooks = typer.Typer(help="Where events are sent, and what became of them.", no_args_is_help=True)

Id = Annotated[UUID, typer.Argument(metavar="ID", help="The endpoint's id in the list")]


def register(app: typer.Typer) -> None:
    app.add_typer(webhooks, name="webhook")


@webhooks.command("new")
def new(
    url: Annotated[str, typer.Argument(help="Where to send; https, at a public address")],
    event: Annotated[
        list[str] | None, typer.Option("--event", "-e", help="Which event; may be repeated. Left out: failures.")
    ] = None,
    slack: Annotated[bool, typer.Option("--slack", help="The URL is an incoming webhook of Slack.")] = False,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer's events.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
) -> None:
    """Send events there from now on. The secret to verify them with is printed once, alone on standard output."""
    from sync_pipelines.model.event import CONNECTION_EXPIRED, SYNC_ERROR, WEBHOOK_DISABLED
    from sync_pipelines.notify.subscribing import subscribe
    from sync_pipelines.project import opened

    wanted = event or [SYNC_ERROR, CONNECTION_EXPIRED, WEBHOOK_DISABLED]
    with opened(with_store=True) as project:
        made, secret = subscribe(
            project,
            url,
            wanted,
            kind="slack" if slack else "webhook",
            customer_id=customer,
            description=description,
            actor=whoami(),
        )
    typer.echo(f"Endpoint {made.id} ({', '.join(made.events)}).", err=True)
    if secret is not None:
        typer.echo("Its secret is shown this once:", err=True)
        print(secret.reveal())


@webhooks.command("list")
def list_webhooks(
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer's own.")] = None,
) -> None:
    """All endpoints and how they are."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.endpoints.page(customer_id=customer)
    table(
        "Endpoints",
        ("id", "kind", "url", "customer", "events", "state", "last delivered"),
        (
            (
                each.id,
                each.kind,
                each.shown_url,
                each.customer_id or "all",
                " ".join(each.events),
                _state(each),
                each.delivered_at,
            )
            for each in found
        ),
        whole=("id",),
    )


@webhooks.command("show")
def show(id: Id) -> None:
    """One endpoint, in full but for what is secret."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.endpoints.get(id)
    for name, value in (
        ("id", found.id),
        ("kind", found.kind),
        ("url", found.shown_url),
        ("customer", found.customer_id or "all"),
        ("events", ", ".join(found.events)),
        ("description", found.description or "none"),
        ("state", _state(found)),
        ("last delivered", found.delivered_at or "never"),
        ("former secret until", found.former_until or "there is none"),
        ("made", f"{found.created_at:%F %T}Z by {found.actor}"),
    ):
        say(f"{name:20} {value}")


@webhooks.command("rotate")
def rotate(
    id: Id,
    overlap_hours: Annotated[int, typer.Option(min=0, max=168, help="How long the one before signs as well.")] = 24,
) -> None:
    """Make a new secret. It is printed once, alone on standard output."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        secret = project.store.endpoints.rotate(id, timedelta(hours=overlap_hours), actor=whoami())
    typer.echo(f"The secret before signs as well for {overlap_hours} hours. The new one, shown this once:", err=True)
    print(secret.reveal())


@webhooks.command("enable")
def enable(id: Id) -> None:
    """Send to it again, from what has waited on."""
    _switch(id, enabled=True)


@webhooks.command("disable")
def disable(id: Id) -> None:
    """Send nothing to it until it is enabled; what happens meanwhile is not kept for it."""
    _switch(id, enabled=False)


@webhooks.command("remove")
def remove(id: Id) -> None:
    """Forget the endpoint, what waits for it, and what was delivered to it."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.store.endpoints.delete(id, actor=whoami())
    say(f"Endpoint {id} is removed.")


@webhooks.command("test")
def send_example(
    id: Id, event: Annotated[str, typer.Option("--event", "-e", help="Which event.")] = "sync.completed"
) -> None:
    """Send it an example of an event now, and say what it answered."""
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.model.event import EVENT_TYPES
    from sync_pipelines.notify.delivering import deliver_due
    from sync_pipelines.notify.samples import sample
    from sync_pipelines.project import opened

    if event not in EVENT_TYPES:
        raise ConfigurationError(f"There is no event {event}: use {', '.join(EVENT_TYPES)}.")
    with opened(with_store=True) as project:
        endpoint = project.store.endpoints.get(id)
        delivery = project.store.deliveries.add(endpoint, sample(event, endpoint.customer_id))
        deliver_due(project)
        found = project.store.deliveries.get(delivery)
    if found is None or not found.log:
        say("It waits for its turn: another process sends it, or the endpoint is being left alone for a while.")
        return
    last = found.log[-1]
    say(f"{found.status}: {last['status'] or last['error']} after {last['seconds']} s. {last['answer']}".strip())
    if found.status != "delivered":
        raise typer.Exit(1)


@webhooks.command("deliveries")
def list_deliveries(
    id: Id,
    status: Annotated[str | None, typer.Option(help="waiting, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 50,
) -> None:
    """What was sent to an endpoint and what it answered, newest first."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.store.endpoints.get(id)
        found = project.store.deliveries.page(endpoint_id=id, status=status, limit=limit)
    table(
        "Deliveries",
        ("id", "event", "customer", "at", "status", "attempts", "last answer", "next"),
        (
            (
                each.id,
                each.type,
                each.customer_id or "none",
                each.at,
                each.status,
                each.attempts,
                (str(each.log[-1]["status"] or each.log[-1]["error"])) if each.log else "",
                each.due_at if each.status == "waiting" else None,
            )
            for each in found
        ),
        right=("id", "attempts"),
    )


@webhooks.command("replay")
def replay(
    id: Id,
    delivery: Annotated[int | None, typer.Option(help="This one alone, whatever became of it.")] = None,
    hours: Annotated[float | None, typer.Option(min=0, help="What happened in so many hours up to now.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="What was delivered too, not only what failed.")] = False,
) -> None:
    """Send again, with the same webhook-ids."""
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    if (delivery is None) == (hours is None):
        raise ConfigurationError("Say either which one (--delivery) or since when (--hours).")
    with opened(with_store=True) as project:
        project.store.endpoints.get(id)
        if delivery is not None:
            found = project.store.deliveries.get(delivery)
            if found is None or found.endpoint_id != id:
                raise ConfigurationError(f"The endpoint has no delivery {delivery} (any more).")
            project.store.deliveries.replay(delivery)
            count = 1
        else:
            since = datetime.now(UTC) - timedelta(hours=hours or 0)
            count = project.store.deliveries.replay_since(id, since, all=everything)
    say(f"{count} will be sent again.")


@webhooks.command("deliver")
def deliver(
    once: Annotated[bool, typer.Option("--once", help="Send what is due now, then exit.")] = False,
) -> None:
    """Send what becomes due, until Ctrl-C. Several processes may do so at once."""
    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.notify.delivering import deliver_due, deliver_until
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        if once:
            say(f"{deliver_due(project)} sent.")
            return
        with stopped_by_signals() as stop:
            console.print("Delivering. Ctrl-C stops it.")
            deliver_until(project, stop)


def _switch(id: UUID, *, enabled: bool) -> None:
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        project.store.endpoints.update(id, enabled=enabled, actor=whoami())
    say(f"Endpoint {id} is {'enabled' if enabled else 'disabled'}.")


def _state(endpoint: "Endpoint") -> str:
    if not endpoint.enabled:
        return f"disabled: {endpoint.disabled_reason}"
    if endpoint.failing_since:
        return f"failing since {endpoint.failing_since:%F %T}Z, {endpoint.failures} times"
    return "works" if endpoint.delivered_at else "new"
