"""The storage of `dagster.yaml`: Dagster's Postgres storage, keeping its connections and what it knows of its tables.

Dagster's own opens a connection for every statement, a hundred for a run, and each costs Postgres a process. And it
looks at the catalogue before most of them, for columns that older versions had not yet (docs/adr/0019). Two events of
every run are not kept (docs/adr/0011).
"""

from collections.abc import Callable
from typing import Any, Final, Self

from dagster import DagsterEventType, EventLogEntry
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, get_token_provider_from_config, pg_url_from_config

KEPT: Final = 2
"""Connections that one process keeps open; what it needs beyond them is closed after use."""

ENGINE: Final = "_engine"
"""Of each of the three parts of Dagster's storage: where it takes its connections from."""

ASKED: Final = (
    "_has_asset_key_col_on_connection",
    "has_asset_key_col",
    "_has_instigators_table",
    "has_instigators_table",
    "has_secondary_index_table",
    "has_run_stats_index_cols",
    "has_backfill_id_column",
    "has_bulk_actions_selector_cols",
    "has_backfill_tags_table",
)
"""Questions of Dagster's storage to the catalogue. What is there once stays there, so that a yes is kept."""

NOT_KEPT: Final = frozenset({DagsterEventType.RESOURCE_INIT_STARTED, DagsterEventType.RESOURCE_INIT_SUCCESS})
"""They say in each run that the project was opened, in 3 kB: an eighth of what a day of many runs leaves. That it
could not be opened is another event."""


class ReusingPostgresStorage(DagsterPostgresStorage):
    """One pool for runs, events and schedules. What broke meanwhile is noticed and replaced at its next use.

    The webserver makes itself pools of its own. Where a version of Dagster has no such engines or questions, nothing
    changes.
    """

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, **others: Any) -> None:
        # The tables that this process has found or made need not be looked for again.
        looks = should_autocreate_tables and postgres_url not in _complete
        super().__init__(postgres_url, should_autocreate_tables=looks, **others)
        if looks:
            _complete.add(postgres_url)
        parts: list[Any] = [self.run_storage, self.event_log_storage, self.schedule_storage]
        for part in parts:
            for name in ASKED:
                if hasattr(part, name):
                    setattr(part, name, _remembering((postgres_url, name), getattr(part, name)))
        events: Any = self.event_log_storage
        events.store_event = _keeping(events.store_event)
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


def _keeping(store: Callable[[EventLogEntry], None]) -> Callable[[EventLogEntry], None]:
    def keep(event: EventLogEntry) -> None:
        if event.dagster_event is None or event.dagster_event.event_type not in NOT_KEPT:
            store(event)

    return keep


def _remembering(question: tuple[str, str], ask: Callable[..., bool]) -> Callable[..., bool]:
    def answer(*arguments: Any) -> bool:
        # Beside names there may be a connection, on which nothing depends.
        key = (*question, *(one for one in arguments if isinstance(one, str)))
        if key not in _yes and ask(*arguments):
            _yes.add(key)
        return key in _yes

    return answer


_yes: set[tuple[str, ...]] = set()
_complete: set[str] = set()
