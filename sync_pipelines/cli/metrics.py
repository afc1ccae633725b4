"""Metrics for Prometheus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sync_pipelines.cli.printing import say

if TYPE_CHECKING:
    from sync_pipelines.metrics import Exporter, HealthCollector


def register(app: typer.Typer) -> None:
    app.command("metrics")(metrics)


def metrics(
    textfile: Annotated[
        Path | None, typer.Option(help="Write them into this file (*.prom), for node_exporter, and end.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Answer Prometheus under /metrics until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 9464,
    host: Annotated[str, typer.Option(help="Address to serve on. The metrics have no password.")] = "127.0.0.1",
    per_connection: Annotated[
        bool, typer.Option("--per-connection", help="Series for every connection too: for hundreds, not thousands.")
    ] = False,
) -> None:
    """Health as Prometheus metrics, into a file or over HTTP. Exit code 2 when the store does not answer."""
    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.logs import configure_server
    from sync_pipelines.metrics import HealthCollector
    from sync_pipelines.model.errors import ConfigurationError
    from sync_pipelines.project import opened

    if (textfile is None) == (not serve):
        raise ConfigurationError("Say where the metrics go: --textfile PATH, or --serve.")
    with opened() as project:
        collector = HealthCollector(
            project.store.health, events=project.store.vendor_events, per_connection=per_connection
        )
        if textfile is not None:
            _write(collector, textfile)
            # After the file, which tells of a store that is away.
            project.store.check_current()
            return
        project.store.check_current()
        configure_server(project.settings)
        with stopped_by_signals() as stop, _serving(collector, host, port) as exporter:
            say(f"Metrics  {exporter.url}")
            stop.wait()


def _write(collector: "HealthCollector", path: Path) -> None:
    from sync_pipelines.metrics import write_textfile
    from sync_pipelines.model.errors import ConfigurationError

    try:
        write_textfile(collector, path)
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be written: {problem.strerror}.") from problem


def _serving(collector: "HealthCollector", host: str, port: int) -> "Exporter":
    from sync_pipelines.metrics import Exporter
    from sync_pipelines.model.errors import ConfigurationError

    try:
        return Exporter(collector, host=host, port=port)
    except OSError as problem:
        raise ConfigurationError(f"Nothing can be served on {host}:{port}: {problem.strerror}.") from problem
