"""The REST API and its tokens."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sync_pipelines.cli.printing import console, say, table
from sync_pipelines.cli.steer import whoami

tokens = typer.Typer(help="Tokens of the REST API.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command("api")(api)
    app.add_typer(tokens, name="token")


def api(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8700,
    host: Annotated[
        str, typer.Option(help="Address to serve on. Others reach it through a proxy with TLS.")
    ] = "127.0.0.1",
) -> None:
    """Serve the REST API until Ctrl-C. It asks for work in the store; Dagster's sensor starts it."""
    from sync_pipelines.api.serving import serve
    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.logs import configure_server
    from sync_pipelines.project import opened
    from sync_pipelines.settings import read_log_settings

    configure_server(read_log_settings())
    with opened(with_store=True) as project, stopped_by_signals() as stop, serve(project, host=host, port=port) as url:
        say(f"API      {url}/api/v1   (its description: {url}/api/v1/openapi.json)")
        say("Tokens   sync-pipelines token new NAME --scope ...")
        stop.wait()


@tokens.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What it is for, as the audit will name it")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What it may do (see `token scopes`); may be repeated. Left out: read all."),
    ] = None,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="It sees this customer alone.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="It works for so many days.")] = None,
) -> None:
    """Make a token. It is printed once, alone on standard output, and can be read nowhere afterwards."""
    from sync_pipelines.project import opened
    from sync_pipelines.store.tokens import SCOPES

    scopes = scope or [name for name in SCOPES if name.endswith(":read")]
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    with opened(with_store=True) as project:
        token, secret = project.store.tokens.create(
            name, scopes, customer_id=customer, expires_at=expires, actor=whoami()
        )
    typer.echo(f"Token {token.id} ({', '.join(token.scopes)}); it is shown this once:", err=True)
    print(secret.reveal())


@tokens.command("scopes")
def scopes() -> None:
    """What a token may be allowed to do, by scope."""
    from sync_pipelines.store.tokens import SCOPES

    table("Scopes", ("scope", "what it allows"), SCOPES.items(), whole=("scope",))


@tokens.command("list")
def list_tokens() -> None:
    """All tokens there ever were, without the tokens themselves."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        found = project.store.tokens.list()
    now = datetime.now(UTC)
    table(
        "Tokens",
        ("id", "name", "works", "scopes", "customer", "by", "made", "expires", "used"),
        (
            (
                each.id,
                each.name,
                "yes" if each.works(now) else "revoked" if each.revoked_at else "expired",
                " ".join(each.scopes),
                each.customer_id or "all",
                each.actor,
                each.created_at,
                each.expires_at,
                each.used_at,
            )
            for each in found
        ),
        right=("id",),
    )


@tokens.command("revoke")
def revoke(id: Annotated[int, typer.Argument(help="The token's number in the list")]) -> None:
    """A revoked token works no more, from the next call on."""
    from sync_pipelines.project import opened

    with opened(with_store=True) as project:
        token = project.store.tokens.revoke(id, actor=whoami())
    console.print(f"Token {token.id} is revoked.", markup=False)
