"""The verbs, put together."""

import logging
import sys
from typing import Annotated

import typer

from sync_pipelines.cli import (
    api,
    budget,
    compact,
    configuration,
    connect,
    erase,
    explain,
    failed,
    fields,
    health,
    live,
    local,
    logs,
    mapping,
    metrics,
    plan,
    preview,
    project_verbs,
    prune,
    run,
    schema,
    steer,
    verify,
    webhooks,
)
from sync_pipelines.cli.printing import plain
from sync_pipelines.logs import configure, masked, without_known
from sync_pipelines.model.errors import SyncError
from sync_pipelines.settings import read_log_settings


class Application(typer.Typer):
    """Typer with our own errors shown as a sentence, not a trace."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        try:
            return super().__call__(*args, **kwargs)
        except SyncError as problem:
            typer.secho(plain(without_known(str(problem))), fg="red", err=True)
            if problem.detail and logging.getLogger().isEnabledFor(logging.DEBUG):
                typer.secho(plain(masked(problem.detail)), err=True)
            sys.exit(2)


app = Application(
    name="sync-pipelines",
    help="Customer-facing CRM syncs: every customer's CRM, mapped its own way, in your database.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show every step and vendor call, never secrets.")] = False,
) -> None:
    configure(read_log_settings(), level="DEBUG" if debug else "WARNING")


GROUPS = (
    *(project_verbs, run, steer, verify, connect, erase, fields, mapping, failed, schema, explain, logs),
    *(preview, plan, configuration),
    *(health, budget, metrics, prune, compact, api, webhooks, live, local),
)
for group in GROUPS:
    group.register(app)
