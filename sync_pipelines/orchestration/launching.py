"""The run launcher of `dagster.yaml`: Dagster's default one, which starts each run once, whoever asks.

Two daemons, of which one was started by mistake, can take the same run from the queue in the same moment. Dagster would
start two processes for it, and call the run failed when the one that does nothing ends before the one that works.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from sqlalchemy import text

if TYPE_CHECKING:
    from dagster._core.launcher import LaunchRunContext

LAUNCHED_TAG: Final = "sync_pipelines/launched"
ALREADY: Final = (
    "Another daemon has launched this run already, so it was not launched twice. Only one daemon should be running: "
    "stop the other one."
)


class OnceRunLauncher(dg.DefaultRunLauncher):
    """Launches a run that another process is launching only if that one could not."""

    def launch_run(self, context: "LaunchRunContext") -> None:
        run_id = context.dagster_run.run_id
        with _alone(self._instance, run_id):
            latest = self._instance.get_run_by_id(run_id)
            if latest is not None and LAUNCHED_TAG in latest.tags:
                self._instance.report_engine_event(ALREADY, latest)
                return
            super().launch_run(context)
            self._instance.add_run_tags(run_id, {LAUNCHED_TAG: "yes"})


@contextmanager
def _alone(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """No other process that shares the storage is in this block for the same run. Storage in files has one daemon."""
    storage: Any = instance.run_storage
    if not hasattr(storage, "connect"):
        yield
        return
    with storage.connect() as connection:
        if connection.dialect.name != "postgresql":
            yield
            return
        key = {"key": f"sync_pipelines launch {run_id}"}
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), key)
