"""The one Postgres that everybody writes into."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from sync_pipelines.embedded_postgres.server import PORT, USER, EmbeddedPostgres

SETTINGS: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    # Vacuum and analyze run at fixed points of the benchmark instead, so that no round pays for another one's rows.
    "autovacuum": "off",
}
DATABASE: Final = "bench"


class Postgres:
    """A running server: how to reach it, and a few statements that the benchmark needs."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server
        assert server.pid is not None
        self.pid = server.pid
        self.host = server.host
        self.port = PORT
        self.user = USER
        self.files = server.data_folder
        """A folder that the server itself can write to and read from."""

    def url(self, database: str = DATABASE, driver: str | None = None) -> str:
        return self._server.url(database, driver)

    def environment(self) -> dict[str, str]:
        """How a client library that is told nothing finds the server."""
        return {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": DATABASE}

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(), autocommit=True)

    def execute(self, statement: LiteralString, *values: Any) -> list[Any]:
        """Run one statement by itself; its rows if it has any."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def described(self) -> dict[str, str]:
        """Version and settings, for the results."""
        names = [*SETTINGS, "default_toast_compression", "wal_level", "synchronous_commit", "fsync", "data_checksums"]
        rows = self.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name", names
        )
        return {"server_version": self.execute("SHOW server_version")[0][0], **dict(rows)}


@contextmanager
def running(folder: Path, binaries: Path | None) -> Iterator[Postgres]:
    """Start it in the folder (made the first time), with lz4 where it has that, and stop it at the end."""
    server = EmbeddedPostgres(folder, binaries=binaries)
    server.start()
    try:
        with psycopg.connect(server.url(driver=None), autocommit=True) as connection:
            _set(connection)
        server.stop()
        server.start()
        server.create_database(DATABASE)
        server.create_database("store")
        yield Postgres(server)
    finally:
        server.stop()


def _set(connection: psycopg.Connection[Any]) -> None:
    settings = dict(SETTINGS)
    offered = connection.execute("SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'").fetchone()
    if offered and "lz4" in offered[0]:
        settings["default_toast_compression"] = "lz4"
    for name, value in settings.items():
        connection.execute(
            psycopg.sql.SQL("ALTER SYSTEM SET {} = {}").format(psycopg.sql.Identifier(name), psycopg.sql.Literal(value))
        )
