"""Fixtures for every test, each in fixtures/ by concern."""

import logging
import os
import sys
import threading
from collections import OrderedDict

import pytest
from hypothesis import settings

from sync_pipelines.http_client import pace
from sync_pipelines.logs.setup import OURS, StandardError

pytest_plugins = [
    "sync_pipelines_tests.fixtures.quick_folder",
    "sync_pipelines_tests.fixtures.postgres",
    "sync_pipelines_tests.fixtures.migrated_store",
    "sync_pipelines_tests.fixtures.bucket",
    "sync_pipelines_tests.fixtures.place",
    "sync_pipelines_tests.fixtures.browser",
    "sync_pipelines_tests.fixtures.command_line",
    "sync_pipelines_tests.fixtures.reached",
]

# How long an example takes says more about the machine than about the product.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SCRUBBED = ("SYNC_PIPELINES_", "PG")
QUIETED = ("httpcore", "httpx", "sqlalchemy", "alembic", "asyncio", "hpack")


LONGEST_FIRST = (
    "end_to_end/test_demo",
    "end_to_end/test_bad_vendor_answers",
    "orchestration/test_processes",
    "end_to_end/test_hostile_names_and_values",
    "destinations/test_contract",
    "end_to_end/test_crashes",
    "end_to_end/test_postgres_restarts",
    "end_to_end/test_ties_and_late_commits",
    "end_to_end/test_completeness",
    "end_to_end/test_no_secrets",
    "orchestration/",
    "end_to_end/",
)
"""Files go to workers whole. A long one that comes last would run while the other workers have nothing left to do."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Longest files first; otherwise the order stays."""

    def rank(item):
        return next((at for at, name in enumerate(LONGEST_FIRST) if name in item.nodeid), len(LONGEST_FIRST))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch):
    """What a developer has set for the project or for libpq reaches no test."""
    for name in [name for name in os.environ if name.startswith(SCRUBBED)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def unknown_accounts(monkeypatch):
    """What a vendor said of an account in one test holds in no other."""
    monkeypatch.setattr(pace, "_paces", OrderedDict())


@pytest.fixture(autouse=True)
def own_logging():
    """What a command line sets up of logging ends with the test that ran it: a later test sees what is really said."""
    loggers = [logging.getLogger(name) for name in ("", OURS, *QUIETED)]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    hooks = logging.getLogRecordFactory(), sys.excepthook, threading.excepthook
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        for handler in [each for each in logger.handlers if isinstance(each, StandardError)]:
            if handler not in handlers:
                logger.removeHandler(handler)
    logging.setLogRecordFactory(hooks[0])
    sys.excepthook, threading.excepthook = hooks[1:]
