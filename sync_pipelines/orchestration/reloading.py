"""A code location that loads anew when there are other syncs made by API than it was loaded with.

A sensor looks, because it runs in the code server, which is the one that has to load; webserver and daemon notice a
server that loaded anew by themselves. Of Dagster's private matters this touches its gRPC client (docs/adr/0026).
"""

from collections.abc import Callable
from typing import Final

import dagster as dg

from sync_pipelines.orchestration.names import LOCATION
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import Project
from sync_pipelines.settings import Settings

RELOAD_SECONDS: Final = 120
"""How long a code server may take: it starts a new process and imports everything."""


def reload_sensor(loaded: str | None, settings: Settings, try_out: Callable[[Project], object]) -> dg.SensorDefinition:
    """`loaded`: the mark of the syncs that the definitions were made with. `try_out` makes definitions, or raises."""

    @dg.sensor(
        name="syncs_made_by_api",
        minimum_interval_seconds=settings.due_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the code location load anew when syncs were made, changed or deleted by API.",
    )
    def syncs_made_by_api(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        project = sync_project.open()
        project.store.check_current()
        if project.store.api_syncs.mark() == loaded:
            return dg.SensorResult(skip_reason="The code location has the syncs that there are.")
        # A half-written file must not take away what works: it is told here instead.
        try_out(project)
        address = project.settings.code_server
        if not address:
            return dg.SensorResult(
                skip_reason="There are other syncs made by API than this code location was loaded with: reload "
                f"{LOCATION} under Deployment, or set SYNC_PIPELINES_CODE_SERVER so that it is done by itself."
            )
        ask_to_load(address)
        return dg.SensorResult(skip_reason="The code location loads anew: other syncs were made by API.")

    return syncs_made_by_api


def ask_to_load(address: str) -> None:
    """The code server at `address` (host:port, or the path of a socket) loads its definitions in a new process; runs of
    the old one end there. Returns when it has. Servers of `dagster api grpc` cannot do it and stay as they are."""
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415 - private, and rarely needed

    host, _, port = address.rpartition(":")
    place = {"socket": address} if address.startswith("/") else {"host": host, "port": int(port)}
    DagsterGrpcClient(**place).reload_code(timeout=RELOAD_SECONDS)
