"""The store's connection pool and its schema version."""

from collections.abc import Callable

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from sync_pipelines.model.errors import ConfigurationError

NEWEST = "0023"
"""The last revision in migrations/versions. Known here so that a run need not import Alembic, which costs it 50 ms and
10 MB. Revisions are numbered, so that of two the later one is the greater text."""

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


def check_current(engine: Engine) -> None:
    """ConfigurationError when the tables are not the ones that this version works with."""

    def compare(connection: Connection) -> None:
        if not connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
            raise ConfigurationError(_BEHIND.format(state="has no tables yet"))
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if found == NEWEST:
            return
        if found is not None and found > NEWEST:
            raise ConfigurationError(
                "The store was migrated by a newer version of sync_pipelines: use that version here too."
            )
        raise ConfigurationError(_BEHIND.format(state="has the tables of an older version"))

    reached(engine, compare)


_BEHIND = "The store {state}: run `sync-pipelines migrate`."
