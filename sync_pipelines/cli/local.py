"""Verbs that run things on this machine: demo, dev, sandbox."""

import threading
from pathlib import Path
from typing import Annotated

import typer

from sync_pipelines.cli.printing import console

Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of Dagster's pages on 127.0.0.1; 0 takes a free one.")]
ApiPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of the REST API on 127.0.0.1; 0 takes a free one.")]


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("dev")(dev)
    app.command("sandbox")(sandbox)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check every value, then exit: 0 only if all is equal.")] = False,
    records: Annotated[int, typer.Option(min=600, help="About how many records the customers have together.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed, other invented records.")] = 1,
    port: Port = 3000,
    api_port: ApiPort = 8700,
) -> None:
    """Run the main job on an embedded Postgres, a CRM sandbox, the API and Dagster. Stays up until Ctrl-C."""
    from sync_pipelines.cli.demo.story import tell

    with stopped_by_signals() as stop:
        raise typer.Exit(tell(once=once, records=records, seed=seed, port=port, api_port=api_port, stop=stop))


def dev(
    port: Port = 3000,
    api_port: ApiPort = 8700,
) -> None:
    """Dagster and the REST API with an embedded Postgres, for the configuration in syncs/. Stays up until Ctrl-C."""
    from sync_pipelines.cli.stage import Stage, owner_only, require_project, state_folder

    require_project(Path("syncs"))
    with stopped_by_signals() as stop, Stage(owner_only(state_folder()) / "dev", port=port) as stage:
        with console.status("Starting Postgres and Dagster ..."):
            project = stage.start_postgres()
            stage.start_api(api_port)
            stage.start_live()
            stage.start_dagster()
        console.print(f"Dagster      {stage.dagster.url}")
        console.print(f"API          {stage.api_url}/api/v1; `sync-pipelines token new NAME` makes a token")
        console.print(f"warehouse    {stage.psql()}")
        console.print(f"connections  {len(project.store.connections.list())}")
        console.print(
            f"verbs        {stage.keep_environment()} && sync-pipelines health (in another terminal, in this folder)",
            markup=False,
            soft_wrap=True,
        )
        console.print("Ctrl-C stops everything.")
        stage.dagster.watch(stop)


def sandbox(
    folder: Annotated[Path, typer.Option(help="Where the invented records are kept.")] = Path(
        ".sync_pipelines/sandbox"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8710,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 1,
    scale: Annotated[float, typer.Option(min=0.01, help="1 is about 20,000 records.")] = 1.0,
) -> None:
    """Serve stand-ins of Salesforce and HubSpot on this machine, for trying things out. Stays up until Ctrl-C."""
    from sync_pipelines.sandbox.serving import serve
    from sync_pipelines.sandbox.world import Recipe

    recipe = Recipe(seed=seed, scale=scale)
    with stopped_by_signals() as stop, serve(recipe, folder=folder, port=port) as running:
        console.print(f"Sandbox  {running.url}   (control: {running.url}/_sandbox/)")
        console.print("Ctrl-C stops it.")
        stop.wait()


class stopped_by_signals:
    """An event that is set by Ctrl-C or SIGTERM, so that everything that was started is stopped in order."""

    def __enter__(self) -> threading.Event:
        import signal

        self._stop = threading.Event()
        self._before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._set)
        return self._stop

    def _set(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._stop.set()
        raise Interrupted

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        import signal

        for number, before in self._before.items():
            signal.signal(number, before)
        if kind is Interrupted:
            console.print("Stopped.")
            return True
        return False


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM: unwinds to the verb, stopping what was started on the way."""
