"""Connections: connect a customer with tokens that exist already, list, disconnect."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sync_pipelines.cli.printing import say, table
from sync_pipelines.cli.steer import whoami


def register(app: typer.Typer) -> None:
    app.command("connect")(connect)
    app.command("connections")(connections)
    app.command("disconnect")(disconnect)


def connect(
    provider: Annotated[str, typer.Argument(help="The provider's name in syncs/providers")],
    customer: Annotated[str, typer.Argument(help="Your id of the customer; becomes the partition's name in Dagster")],
    tokens: Annotated[
        Path | None,
        typer.Option(
            help='JSON file with access_token and/or refresh_token (and instance_url); "-" reads standard input'
        ),
    ] = None,
    environment: Annotated[str, typer.Option(help="production or sandbox (the vendor's own sandbox)")] = "production",
    api_url: Annotated[
        str | None, typer.Option(help="The account's own host, where the vendor does not tell it")
    ] = None,
    login_url: Annotated[
        str | None, typer.Option(help="Another authorization server than the vendor's usual one")
    ] = None,
    test: Annotated[bool, typer.Option(help="Ask the vendor who we are connected to")] = True,
) -> None:
    """Connect (or reconnect) a customer with existing tokens. Without --tokens they are asked for, unseen."""
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    given = _tokens(tokens)
    with opened(with_store=True) as project:
        if provider not in project.configuration.providers:
            known = ", ".join(sorted(project.configuration.providers))
            raise ConfigurationError(f"There is no provider named {provider} in syncs/providers. Known are: {known}.")
        connection = project.store.connections.connect(
            customer_id=customer,
            provider=provider,
            tokens=given,
            environment=environment,
            api_url=api_url or given.api_url,
            login_url=login_url,
        )
        if test:
            session = project.session(connection)
            try:
                account = session.ask(project.providers[provider].identify())
            finally:
                session.close()
            project.store.connections.set_account(connection, account.id)
            say(f"Connected to account {account.id} {account.name}".rstrip() + ".")
    say(f"{customer} is connected to {provider}; its syncs are due now.")


def _tokens(file: Path | None) -> Any:
    import msgspec

    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.model.provider import Tokens
    from sync_pipelines.model.secret import Secret

    if file is None:
        refresh = typer.prompt(
            "Refresh token (empty if there is none)", default="", hide_input=True, show_default=False
        )
        access = typer.prompt("Access token (empty if there is none)", default="", hide_input=True, show_default=False)
        found: Any = {"refresh_token": refresh, "access_token": access}
    else:
        try:
            found = msgspec.json.decode(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
        except OSError as problem:
            raise ConfigurationError(f"The file {file} cannot be read: {problem.strerror}.") from None
        except msgspec.DecodeError as problem:
            raise ConfigurationError(f"The tokens are not JSON ({problem}); expected an object.") from None
    if not isinstance(found, dict) or not (found.get("access_token") or found.get("refresh_token")):
        raise ConfigurationError("The tokens must be an object with access_token or refresh_token, or both.")
    parts = [found.get(name) or "" for name in ("access_token", "refresh_token", "instance_url", "api_url")]
    if not all(isinstance(part, str) for part in parts):
        raise ConfigurationError("access_token, refresh_token and instance_url must be texts.")
    access_token, refresh_token, instance_url, api_url = parts
    return Tokens(
        access_token=Secret(access_token),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        api_url=instance_url or api_url or None,
    )


def connections(
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
) -> None:
    """Who is connected, and whether the connection works."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.connections.list(provider=provider)
    table(
        "Connections",
        ("customer", "provider", "environment", "account", "status", "reason"),
        (
            (item.customer_id, item.provider, item.environment, item.account_id, item.status, item.status_reason)
            for item in found
        ),
    )


def disconnect(
    provider: Annotated[str, typer.Argument(help="The provider's name")],
    customer: Annotated[str, typer.Argument(help="The customer's id")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End the access at the vendor and forget the credentials, whatever it answers. Rows in the destination stay."""
    from sync_pipelines.connecting import disconnect as end
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        connection = project.store.connections.get(customer, provider)
        if not yes:
            typer.confirm(f"Forget the credentials of {customer} for {provider}?", abort=True)
        told = end(project, connection, actor=whoami())
    say(f"{customer} is disconnected from {provider}. {told} Its rows stay in the destination.")
