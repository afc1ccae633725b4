"""Alembic at work on the store. Imported only by who migrates."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from sync_pipelines.store.database import reached

_MIGRATION_LOCK = 0x53594E43_50495045
"""Key of the advisory lock under which one process at a time migrates."""


def migrate(engine: Engine) -> None:
    """Brings the tables to the newest version; a second process that comes meanwhile waits and finds nothing to do."""

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    reached(engine, upgrade)


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
