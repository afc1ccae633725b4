"""Runs whose step works on a Celery worker, and what a run does when the worker dies or the run is cancelled.

Needs the extra `celery`. dagster-celery's own executor waits for ever for a worker that was killed, and leaves a step
running whose run was cancelled; `WatchedStep` mends both. Everything else is dagster-celery's.
"""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import dagster as dg
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult
from dagster._core.execution.retries import RetryMode
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor, _submit_task
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_task

from sync_pipelines.orchestration.claims import claim_of
from sync_pipelines.orchestration.keeping import kept
from sync_pipelines.orchestration.names import SYNC_TAG
from sync_pipelines.orchestration.pulse import pulse
from sync_pipelines.project import opened
from sync_pipelines.settings import Settings, read_settings

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: float = 10
"""How often a run asks the worker whether it still has the step."""
ANSWER_SECONDS: Final = 2
LOST_AFTER: Final = 3
"""So many times in a row without the worker's word, the step is lost."""

CELERY_SETTINGS: Final = {
    # Says which worker has a step, so that it can be asked.
    "task_track_started": True,
    # A worker takes a step when it has a place for it, not one in advance that waits while other workers are idle.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
    "result_expires": 86_400,
}


class WorkerLost(Exception):
    """The worker that had the step does not know of it any more, or does not answer."""


class WatchedStep:
    """A step that was sent to the workers, as dagster-celery's loop sees it: `ready`, `get`, `revoke`.

    `seen` is asked every LOOK_EVERY_SECONDS whether the named worker has this step.
    """

    def __init__(
        self, result: AsyncResult, seen: Callable[[str, str], bool], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._result = result
        self._seen = seen
        self._now = now
        self._next_look = now() + LOOK_EVERY_SECONDS
        self._silent = 0
        self._given_up: Exception | None = None

    def ready(self) -> bool:
        return bool(self._result.ready()) or self._given_up is not None or self._lost()

    def get(self) -> Any:
        """The step's events. WorkerLost, TaskRevokedError, or what the worker raised."""
        if self._given_up is not None and not self._result.ready():
            raise self._given_up
        return self._result.get()

    def revoke(self) -> None:
        """End the step: interrupt it as a run in its own process is interrupted, or take it out of the queue."""
        if self._worker() is None:
            self._given_up = TaskRevokedError("The run was cancelled before a worker took its step.")
        self._result.revoke(terminate=True, signal="SIGINT")

    def _worker(self) -> str | None:
        """Who has taken the step, None while it is in the queue."""
        info = self._result.info if self._result.state == "STARTED" else None
        return info.get("hostname") if isinstance(info, dict) else None

    def _lost(self) -> bool:
        if self._now() < self._next_look:
            return False
        worker = self._worker()
        if worker is None or self._seen(worker, self._result.id):
            self._silent = 0
        else:
            self._silent += 1
        self._next_look = self._now() + LOOK_EVERY_SECONDS
        # It may have ended between the two questions.
        if self._silent < LOST_AFTER or self._result.ready():
            return False
        self._given_up = WorkerLost(
            f"The Celery worker {worker} was asked {self._silent} times and does not have this step any more: it was "
            "killed or cannot be reached. What it had committed is in place; what is left comes back when it is due."
        )
        return True


class WatchingExecutor(CeleryExecutor):
    """dagster-celery's executor with watched steps.

    Keeps the run's claim and gives its signs of life, since a step may wait long in its queue.
    """

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        run = plan_context.dagster_run
        with opened() as project:
            signs = pulse(plan_context.instance, run.run_id, silent_after=project.settings.silent_after_seconds)
            with signs, kept(project, run.tags.get(SYNC_TAG, ""), claim_of(run)):
                yield from core_celery_execution_loop(plan_context, execution_plan, step_execution_fn=_send)


def _send(app: Celery, *of_step: Any) -> WatchedStep:
    def seen(worker: str, task_id: str) -> bool:
        answer = app.control.inspect(destination=[worker], timeout=ANSWER_SECONDS).query_task(task_id) or {}
        return task_id in answer.get(worker, {})

    return WatchedStep(_submit_task(app, *of_step), seen)


@dg.executor(name="celery", requirements=dg.multiple_process_executor_requirements())
def celery_executor(init_context: dg.InitExecutorContext) -> WatchingExecutor:
    """The settings say where the broker is, so no run's configuration holds its password."""
    broker, backend = read_settings().require_celery_urls()
    return WatchingExecutor(retries=RetryMode.ENABLED, broker=broker, backend=backend, config_source=CELERY_SETTINGS)


def worker_app(settings: Settings) -> Celery:
    """What a worker runs: the same broker, backend and settings as the runs that send steps to it."""
    broker, backend = settings.require_celery_urls()
    executor = CeleryExecutor.for_cli(broker=broker, backend=backend, config_source=CELERY_SETTINGS)
    app = make_app(executor.app_args())
    create_task(app)
    return app
