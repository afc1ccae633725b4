"""What the demo does, in order, and what it says meanwhile."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sync_pipelines.cli.demo import asking, crm, showing, telling
from sync_pipelines.cli.demo.verify import differences
from sync_pipelines.cli.printing import console
from sync_pipelines.cli.stage import Stage, owner_only, require_project, state_folder
from sync_pipelines.model.run import SyncRun
from sync_pipelines.orchestration.processes import LOG_FOLDER
from sync_pipelines.project import Project
from sync_pipelines.sandbox.control import Control

DEMO_RECORDS: Final = 20_000
DEADLINE_SECONDS: Final = 240
POLL_SECONDS: Final = 0.5

Pending = dict[tuple[str, str, str], SyncRun | None]
"""(sync, object, customer) -> how it ended, None while it has not."""


def tell(*, once: bool, records: int, seed: int, port: int, api_port: int, stop: threading.Event) -> int:
    """Run the demo; its exit code. The ports are those of Dagster's pages and of the API, where it stays up."""
    require_project(Path("syncs"))
    began = time.monotonic()
    folder = owner_only(state_folder()) / "demo"
    _forget(folder)
    with crm.sandbox(folder / "sandbox", seed=seed, scale=records / DEMO_RECORDS) as sandbox:
        environment = crm.environment(sandbox)
        with Stage(folder, environment=environment, due_every_seconds=2, port=0 if once else port) as stage:
            _step("Embedded Postgres", lambda: stage.start_postgres())
            project = stage.project
            customers = crm.connect_customers(project, sandbox)
            console.print(f"  {len(customers)} customers connected, each with its own field mapping")
            _step("REST API", lambda: stage.start_api(0 if once else api_port))
            token = asking.make_token(project, folder)
            console.print(f"  {stage.api_url}/api/v1")
            _step("Dagster: webserver, daemon, code server", lambda: stage.start_dagster())
            console.print(f"  {stage.dagster.url}")

            first = _wait(stage, project, "First sync", since=0)
            showing.landed(project, "First sync: all history", first)
            wrong = _compare(project, sandbox)

            changed = crm.change_everything(sandbox, customers, seed=seed)
            console.print(f"\n{changed} records changed, created, deleted or merged in the CRMs")
            mark = _newest(project)
            with asking.caller(stage.api_url, token) as client:
                asking.trigger_all(client)
                second = _wait(stage, project, "Incremental sync, asked for by the API", since=mark)
                showing.landed(project, "Incremental sync: only what changed", second)
                wrong += _compare(project, sandbox)
                since = datetime.fromtimestamp(mark, UTC)
                wrong += _report(
                    "what the API tells of these runs",
                    asking.differences(client, second, since),
                    "The API tells of these runs what became of them.",
                )

            console.print("\nChanges within seconds: the CRMs tell them to the API")
            telling.subscribe(project, sandbox, stage.api_url)
            stage.start_live()
            telling.new_contacts(project, sandbox)
            wrong += _compare(project, sandbox)

            showing.mapped_rows(project)
            showing.where_to_look(stage, project, sandbox.url, once=once)
            console.print(f"\n{time.monotonic() - began:.0f} s in all.")
            if once:
                return 1 if wrong else 0
            console.print("Everything stays up until Ctrl-C.")
            stage.dagster.watch(stop)
            return 0


def _forget(folder: Path) -> None:
    """Every demo begins at nothing. A server that a killed demo left running is stopped before its folder goes."""
    from sync_pipelines.embedded_postgres import EmbeddedPostgres

    left = EmbeddedPostgres(folder / "postgres")
    if left.is_running:
        left.start()
        left.stop(mode="immediate")
    shutil.rmtree(folder, ignore_errors=True)


def _step(what: str, act: Callable[[], object]) -> None:
    began = time.monotonic()
    with console.status(f"{what} ..."):
        act()
    console.print(f"[green]up[/]  {what} ({time.monotonic() - began:.1f} s)")


def _all_work(project: Project) -> Pending:
    return {
        (sync.name, item.object, connection.customer_id): None
        for sync in project.configuration.syncs.values()
        for item in sync.objects
        for connection in project.connections(sync.name)
    }


def _newest(project: Project) -> float:
    newest = project.store.runs.list(limit=1)
    return newest[0].finished_at.timestamp() if newest else 0.0


def _wait(stage: Stage, project: Project, what: str, *, since: float) -> list[SyncRun]:
    """Until every customer's every object has ended after `since`; SystemExit with the reason when one has not."""
    pending = _all_work(project)
    deadline = time.monotonic() + DEADLINE_SECONDS
    with console.status("") as status:
        while True:
            stage.dagster.check()
            for run in project.store.runs.list(limit=1_000):
                key = (run.sync, run.object, run.customer_id)
                if key in pending and run.finished_at.timestamp() > since and pending[key] is None:
                    pending[key] = run
            done = [run for run in pending.values() if run is not None]
            rows = sum(run.counts.read for run in done)
            status.update(f"{what}: {len(done)} of {len(pending)} done, {rows:,} records read")
            if len(done) == len(pending):
                break
            if time.monotonic() > deadline:
                missing = ", ".join("/".join(key) for key, run in pending.items() if run is None)
                sys.exit(
                    f"Not done in {DEADLINE_SECONDS} s: {missing}. Logs are in {stage.folder / 'dagster' / LOG_FOLDER}."
                )
            time.sleep(POLL_SECONDS)
    for run in done:
        if run.status != "success":
            console.print(f"[red]{run.customer_id}, {run.object}: {run.error_message}[/]")
    return done


def _compare(project: Project, sandbox: Control) -> int:
    """Compare the destination with the sandbox, record by record, value by value; how much is wrong."""
    found: Mapping[str, list[str]] = differences(project, sandbox)
    wrong = sum(len(texts) for texts in found.values())
    shown = [text for texts in found.values() for text in texts[:10]]
    equal = "The destination equals the CRMs, record by record, value by value."
    _report("the destination and the CRMs", shown, equal)
    return wrong


def _report(what: str, wrong: Sequence[str], equal: str) -> int:
    if wrong:
        console.print(f"[red]Differences in {what}:[/]")
        for text in wrong:
            console.print(f"  {text}", markup=False)
    else:
        console.print(f"[green]equal[/]  {equal}")
    return len(wrong)
