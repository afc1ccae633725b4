"""The store's connection pool and its schema version."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from sync_pipelines.model.errors import ConfigurationError

_MIGRATION_LOCK = 0x53594E43_50495045
"""Key of the advisory lock under which one process at a time migrates."""

LONGEST_WAIT_FOR_A_LOCK = "300s"
"""Longer than a token request with all its tries; then the waiting call fails and is tried again."""


def store_url(written: str) -> URL:
    """The store's URL with the driver we use. ConfigurationError when it is not a Postgres URL."""
    try:
        url = make_url(written)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(_NOT_A_URL) from error
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ConfigurationError(_NOT_A_URL)
    return url.set(drivername="postgresql+psycopg")


_NOT_A_URL = (
    "SYNC_PIPELINES_STORE_URL is not a Postgres URL: write postgresql+psycopg://user:password@host:5432/store "
    "(a socket folder goes behind it: ...@/store?host=/folder)."
)


def make_engine(url: URL) -> Engine:
    """A pool that grows with the threads that use it; parameters never enter logs or errors."""
    return create_engine(
        url,
        pool_size=5,
        max_overflow=-1,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "application_name": "sync_pipelines store",
            "connect_timeout": 10,
            "options": f"-c lock_timeout={LONGEST_WAIT_FOR_A_LOCK} -c timezone=UTC",
        },
    )


def reached(engine: Engine, use: Callable[[Connection], None]) -> None:
    """Runs `use` in a transaction; a server that cannot be reached becomes a ConfigurationError that says which."""
    try:
        with engine.begin() as connection:
            use(connection)
    except OperationalError as error:
        raise ConfigurationError(
            f"The store at {engine.url.render_as_string(hide_password=True)} cannot be reached: start it, or correct "
            "SYNC_PIPELINES_STORE_URL.",
            detail=str(error.orig),
        ) from error


def migrate(engine: Engine) -> None:
    """Brings the tables to the newest version; a second process that comes meanwhile waits and finds nothing to do."""

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    reached(engine, upgrade)


def check_current(engine: Engine) -> None:
    """ConfigurationError when the tables are not the ones that this version works with."""

    def compare(connection: Connection) -> None:
        found, newest = MigrationContext.configure(connection).get_current_revision(), _newest()
        if found == newest:
            return
        if found is not None and found not in _revisions():
            raise ConfigurationError(
                "The store was migrated by a newer version of sync_pipelines: use that version here too."
            )
        state = "has no tables yet" if found is None else "has the tables of an older version"
        raise ConfigurationError(f"The store {state}: run `sync-pipelines migrate`.")

    reached(engine, compare)


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@lru_cache(maxsize=1)
def _revisions() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


@lru_cache(maxsize=1)
def _newest() -> str | None:
    return ScriptDirectory.from_config(_alembic()).get_current_head()
