"""Where the step of a run works: in the run's own process, or on a Celery worker."""

from collections.abc import Mapping
from importlib.util import find_spec

import dagster as dg

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.names import snake
from sync_pipelines.settings import Settings

QUEUE_TAG = "dagster-celery/queue"
"""The tag of a step by which dagster-celery chooses its queue."""


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """ConfigurationError when Celery is chosen but not installed, or has no broker."""
    if settings.executor == "in_process":
        return dg.in_process_executor
    if find_spec("dagster_celery") is None:
        raise ConfigurationError(
            "SYNC_PIPELINES_EXECUTOR is celery, but Celery is not installed: "
            "pip install 'sync-pipelines[celery]', here and wherever Dagster and the workers run."
        )
    settings.require_celery_urls()
    from sync_pipelines.orchestration.celery_steps import celery_executor  # noqa: PLC0415

    return celery_executor


def queue_tags(settings: Settings, sync: Sync) -> Mapping[str, str]:
    """Tags of a sync's step; none where one queue serves all."""
    if settings.executor == "celery" and settings.celery_queue_per_provider:
        return {QUEUE_TAG: f"provider_{snake(sync.provider)}"}
    return {}
