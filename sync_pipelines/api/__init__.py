"""The REST API, by noun. It writes requests that a sensor picks up, and reads the store; it knows no Dagster."""

from sync_pipelines.api.app import create_app

__all__ = ["create_app"]
