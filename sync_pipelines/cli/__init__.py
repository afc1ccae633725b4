"""The command line: `sync-pipelines VERB`. One module per group of verbs; heavy imports wait for the verb."""

from sync_pipelines.cli.app import app

__all__ = ["app"]
