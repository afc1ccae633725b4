"""A Celery worker: `celery --app sync_pipelines.orchestration.worker worker --loglevel INFO --queues dagster`.

The definitions are loaded before the worker forks, so that its processes share them, and so that a broken configuration
stops it at once. A process of the worker loads them anew when there are other syncs made by API by then.
"""

import importlib
import logging

from celery.signals import task_prerun
from dagster._core.definitions.reconstruct import ReconstructableJob

from sync_pipelines.logs import configure
from sync_pipelines.orchestration import definitions
from sync_pipelines.orchestration.celery_steps import worker_app
from sync_pipelines.settings import read_log_settings, read_settings
from sync_pipelines.store import Store

app = worker_app(read_settings())

# Celery writes the lines, of whatever logger.
configure(read_log_settings(), logger=None)

for chatty in ("httpx", "alembic"):
    # A line for every call to a vendor would bury everything else.
    logging.getLogger(chatty).setLevel(logging.WARNING)


def take_new_syncs(**_: object) -> None:
    """Before each step. What goes wrong here is logged by Celery, and the step works with the definitions there are."""
    settings = read_settings()
    store = Store(settings.require_store_url(), settings.key_ring)
    try:
        mark = store.api_syncs.mark()
    finally:
        store.close()
    if mark != definitions.mark:
        importlib.reload(definitions)
        # Dagster remembers the last job that it made of them.
        ReconstructableJob.get_repository_definition.cache_clear()
        ReconstructableJob.get_definition.cache_clear()


task_prerun.connect(take_new_syncs)
