"""The planner's statistics after a big first load: without them it takes the table for empty."""

import logging
from typing import Final

import psycopg

from sync_pipelines.destinations.postgres.layout import Layout
from sync_pipelines.destinations.postgres.place import Place
from sync_pipelines.destinations.postgres.pool import Pool
from sync_pipelines.model.errors import SyncError

log = logging.getLogger(__name__)

GROWN_ROWS: Final = 10_000
"""So many new rows make statistics stale that were taken before them."""

_SMALL_SAMPLE: Final = b"SET LOCAL default_statistics_target = 10"
"""How large the table is and how many customers it has is all that is needed; autovacuum samples more later."""
_GROWTH: Final = (
    "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass(format('%%I.%%I', %s::text, %s::text))"
)


def refresh_statistics(pool: Pool, place: Place, layout: Layout, analyze: bytes, *, created: int) -> None:
    """Where a table has grown by so many rows that it is another one now."""
    if created < GROWN_ROWS:
        return
    try:
        with pool.lend(place) as lent:
            known = lent.connection.execute(_GROWTH, [layout.schema, layout.physical]).fetchone()
            if known is not None and known[0] < 5 * created:
                with lent.connection.transaction():
                    lent.connection.execute(_SMALL_SAMPLE)
                    lent.connection.execute(analyze)
    except (psycopg.Error, SyncError) as problem:
        # Everything is stored; autovacuum takes the statistics sooner or later.
        log.warning("Statistics of %s.%s were not taken: %s", layout.schema, layout.physical, problem)
