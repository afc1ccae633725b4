"""Fixtures for every test, each in fixtures/ by concern."""

import os

import pytest

pytest_plugins = [
    "sync_pipelines_tests.fixtures.postgres",
    "sync_pipelines_tests.fixtures.place",
    "sync_pipelines_tests.fixtures.browser",
    "sync_pipelines_tests.fixtures.command_line",
]

SCRUBBED = ("SYNC_PIPELINES_", "PG")


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch):
    """What a developer has set for the project or for libpq reaches no test."""
    for name in [name for name in os.environ if name.startswith(SCRUBBED)]:
        monkeypatch.delenv(name)
