"""A Postgres server of our own in a folder of the project: what runs where nobody has prepared one."""

from sync_pipelines.embedded_postgres.binaries import PostgresNotStarted, find_binaries
from sync_pipelines.embedded_postgres.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "PostgresNotStarted", "find_binaries"]
