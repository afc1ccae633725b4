"""The product's own code location, with a run that asks its Celery worker every second instead of every ten."""

from sync_pipelines.orchestration import celery_steps
from sync_pipelines.orchestration.definitions import defs

celery_steps.LOOK_EVERY_SECONDS = 1

__all__ = ["defs"]
