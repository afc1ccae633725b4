"""What Dagster's own storage may forget: SQL on its tables, since it never deletes runs and events by itself.

Dagster knows the status of a partition from events alone: it is materialised while any materialisation of it is stored,
and failed while the newest thing about it is a plan of a failed run. So the newest event of each partition has to stay
(docs/adr/0015), where it is and as it is: a copy would be a new materialisation to everything that listens.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Connection, text

_NEWEST: Final = text(
    """
    SELECT event.run_id, event.id
    FROM event_logs AS event
    WHERE event.run_id = ANY(CAST(:runs AS text[]))
        AND event.asset_key IS NOT NULL AND event.partition IS NOT NULL
        AND event.dagster_event_type = 'ASSET_MATERIALIZATION'
        AND NOT EXISTS (
            SELECT FROM event_logs AS newer
            WHERE newer.asset_key = event.asset_key AND newer.partition = event.partition
                AND newer.dagster_event_type = 'ASSET_MATERIALIZATION' AND newer.id > event.id
        )
    UNION ALL
    SELECT event.run_id, event.id
    FROM event_logs AS event
    WHERE event.run_id = ANY(CAST(:failed AS text[]))
        AND event.asset_key IS NOT NULL AND event.partition IS NOT NULL
        AND event.dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'
        AND NOT EXISTS (
            SELECT FROM event_logs AS newer
            WHERE newer.asset_key = event.asset_key AND newer.partition = event.partition
                AND newer.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_MATERIALIZATION_PLANNED')
                AND newer.id > event.id
        )
    """
)

_LAST_OF_AN_ASSET: Final = text("SELECT last_run_id FROM asset_keys WHERE last_run_id = ANY(CAST(:runs AS text[]))")

_THIN: Final = text(
    """
    WITH gone AS (
        DELETE FROM event_logs
        WHERE run_id = ANY(CAST(:runs AS text[])) AND NOT id = ANY(CAST(:kept AS bigint[]))
            AND NOT starts_with(COALESCE(dagster_event_type, ''), 'PIPELINE_')
            AND NOT starts_with(COALESCE(dagster_event_type, ''), 'STEP_')
        RETURNING id
    ),
    tags AS (DELETE FROM asset_event_tags USING gone WHERE asset_event_tags.event_id = gone.id)
    SELECT count(*) FROM gone
    """
)

_RUNLESS: Final = text(
    """
    WITH looked AS (
        SELECT id, asset_key, dagster_event_type, partition, timestamp < :before AS old
        FROM event_logs WHERE run_id = '' AND id > :after ORDER BY id LIMIT :most
    ),
    gone AS (
        DELETE FROM event_logs USING looked
        WHERE event_logs.id = looked.id AND looked.old AND looked.asset_key = ANY(CAST(:assets AS text[]))
            AND EXISTS (
                SELECT FROM event_logs AS newer
                WHERE newer.asset_key = looked.asset_key AND newer.partition = looked.partition
                    AND newer.dagster_event_type = looked.dagster_event_type AND newer.id > looked.id
            )
        RETURNING event_logs.id
    ),
    tags AS (DELETE FROM asset_event_tags USING gone WHERE asset_event_tags.event_id = gone.id)
    SELECT
        (SELECT count(*) FROM gone) AS gone,
        (SELECT max(id) FROM looked) AS last,
        (SELECT count(*) = :most AND bool_and(old) FROM looked) AS more
    """
)

_CHECKS: Final = text(
    """
    WITH newest AS (
        SELECT max(id) AS id FROM asset_check_executions
        WHERE asset_key = ANY(CAST(:assets AS text[]))
        GROUP BY asset_key, check_name, partition, execution_status = 'PLANNED'
    ),
    gone AS (
        DELETE FROM asset_check_executions WHERE id IN (
            SELECT id FROM asset_check_executions
            WHERE asset_key = ANY(CAST(:assets AS text[])) AND evaluation_event_timestamp < :before
                AND NOT EXISTS (SELECT FROM newest WHERE newest.id = asset_check_executions.id)
            ORDER BY id LIMIT :most
        )
        RETURNING evaluation_event_storage_id
    ),
    events AS (DELETE FROM event_logs USING gone WHERE event_logs.id = gone.evaluation_event_storage_id)
    SELECT count(*) FROM gone
    """
)


class OldEvents:
    """One statement for each question, however many runs and events it is about.

    Of a Dagster whose storage is another than Postgres nothing can be said: ask `readable` first.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._storage: Any = instance.event_log_storage

    @property
    def readable(self) -> bool:
        return isinstance(self._storage, PostgresEventLogStorage)

    def newest(self, runs: Collection[str], failed: Collection[str]) -> Mapping[str, list[int]]:
        """Run -> its events that still say how a partition is; runs without any are not in it.

        `failed`: those of the runs that ended as failures. The last run of an asset is in it too: its page is linked.
        """
        found: dict[str, list[int]] = defaultdict(list)
        with self._connection() as database:
            for run_id, event_id in database.execute(_NEWEST, {"runs": list(runs), "failed": list(failed)}):
                found[run_id].append(event_id)
            for run_id in database.execute(_LAST_OF_AN_ASSET, {"runs": list(runs)}).scalars():
                found[run_id] += []
        return found

    def thin(self, kept: Mapping[str, Collection[int]]) -> int:
        """Delete what else these runs hold, but for their beginnings, ends and failures; how many events that were.

        Not only for room: an old plan that stays would show its partition as failed again once newer events are gone.
        """
        if not kept:
            return 0
        ids = [event_id for ids in kept.values() for event_id in ids]
        with self._connection() as database:
            return int(database.execute(_THIN, {"runs": list(kept), "kept": ids}).scalar_one())

    def forget_runless(
        self, assets: Collection[dg.AssetKey], before: datetime, after: int, most: int
    ) -> tuple[int, int | None]:
        """Delete events of these assets that belong to no run and are followed by a newer one of their partition.

        Looks at `most` events after the one numbered `after`. How many went, and where to go on: None at the end.
        """
        values = {"assets": _names(assets), "before": _naive(before), "after": after, "most": most}
        with self._connection() as database:
            gone, last, more = database.execute(_RUNLESS, values).one()
        return gone, last if more else None

    def forget_checks(self, assets: Collection[dg.AssetKey], before: datetime, most: int) -> int:
        """Delete evaluations of these assets' checks that are followed by newer ones; how many, at most `most`."""
        values = {"assets": _names(assets), "before": _naive(before), "most": most}
        with self._connection() as database:
            return int(database.execute(_CHECKS, values).scalar_one())

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._storage.index_connection() as database:
            yield database


def _names(assets: Collection[dg.AssetKey]) -> list[str]:
    return [asset.to_string() for asset in assets]


def _naive(moment: datetime) -> datetime:
    """As Dagster stores it: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
