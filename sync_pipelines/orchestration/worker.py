"""A Celery worker: `celery --app sync_pipelines.orchestration.worker worker --loglevel INFO --queues dagster`.

The definitions are loaded before the worker forks, so that its processes share them, and so that a broken configuration
stops it at once.
"""

import logging

from sync_pipelines.logs import configure
from sync_pipelines.orchestration import definitions  # noqa: F401
from sync_pipelines.orchestration.celery_steps import worker_app
from sync_pipelines.settings import read_log_settings, read_settings

app = worker_app(read_settings())

# Celery writes the lines, of whatever logger.
configure(read_log_settings(), logger=None)

for chatty in ("httpx", "alembic"):
    # A line for every call to a vendor would bury everything else.
    logging.getLogger(chatty).setLevel(logging.WARNING)
