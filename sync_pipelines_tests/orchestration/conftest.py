"""A Dagster instance on the real Postgres, as it is run."""

import dagster as dg
import pytest
import yaml

from sync_pipelines.orchestration.environment import BATCHING


@pytest.fixture
def batching(monkeypatch):
    for name, value in BATCHING.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def postgres_instance(database, tmp_path, monkeypatch, batching):
    """Dagster's storage in an empty database of the test's own."""
    settings = {
        "storage": {"postgres": {"postgres_url": database.url("psycopg2")}},
        "telemetry": {"enabled": False},
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance:
        yield instance
