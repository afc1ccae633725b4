"""The storage of `dagster.yaml`: Dagster's Postgres storage, which keeps its connections for a while.

Dagster's own opens one for every statement, a hundred for a run, and each costs Postgres a process (docs/adr/0019).
"""

from typing import Any, Final, Self

from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

KEPT: Final = 2
"""Connections that one process keeps open; what it needs beyond them is closed after use."""

ENGINE: Final = "_engine"
"""Of each of the three parts of Dagster's storage: where it takes its connections from."""


class ReusingPostgresStorage(DagsterPostgresStorage):
    """One pool for runs, events and schedules. What broke meanwhile is noticed and replaced at its next use.

    The webserver makes itself pools of its own. Where a version of Dagster has no such engines, nothing changes.
    """

    def __init__(self, postgres_url: str, **others: Any) -> None:
        super().__init__(postgres_url, **others)
        parts: list[Any] = [self.run_storage, self.event_log_storage, self.schedule_storage]
        if not all(hasattr(part, ENGINE) for part in parts):
            return
        engine = create_pg_engine(
            postgres_url,
            others.get("token_provider"),
            isolation_level="AUTOCOMMIT",
            pool_size=KEPT,
            max_overflow=-1,
            pool_pre_ping=True,
        )
        for part in parts:
            setattr(part, ENGINE, engine)
        # What an instance of Dagster calls at its end.
        parts[0].dispose = engine.dispose

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
            token_provider=get_token_provider_from_config(config_value),
        )
