"""The long-lived process beside Dagster."""

import typer

from sync_pipelines.cli.printing import say


def register(app: typer.Typer) -> None:
    app.command("live")(live)


def live() -> None:
    """Apply what vendors tell by webhook, within seconds. Stays up until Ctrl-C or SIGTERM; several may run."""
    import threading

    from sync_pipelines.cli.local import stopped_by_signals
    from sync_pipelines.live.events import EventsLoop
    from sync_pipelines.live.loops import run_loops
    from sync_pipelines.project import opened

    with opened(with_store=True) as project, stopped_by_signals() as stop:
        stopping = threading.Event()
        loops = {"events": EventsLoop(project).until}
        worker = threading.Thread(target=run_loops, args=(loops, stopping), name="live")
        worker.start()
        say(f"Live     {', '.join(loops)}; Ctrl-C ends it")
        try:
            stop.wait()
        finally:
            stopping.set()
            project.stops.set()
            worker.join()
