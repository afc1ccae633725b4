"""What Dagster holds of an erased customer: its partition, the events of that partition, the runs for it alone."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import text

from sync_pipelines.orchestration.partitions import partitions_name
from sync_pipelines.project import Project

if TYPE_CHECKING:
    from sync_pipelines.orchestration.retention import Ours

PARTITION_TAG: Final = "dagster/partition"

_EVENTS: Final = text(
    """
    WITH gone AS (
        DELETE FROM event_logs
        WHERE partition = :partition AND asset_key = ANY(CAST(:assets AS text[]))
        RETURNING id
    ),
    tags AS (DELETE FROM asset_event_tags USING gone WHERE asset_event_tags.event_id = gone.id)
    SELECT count(*) FROM gone
    """
)
_CHECKS: Final = text(
    "DELETE FROM asset_check_executions WHERE partition = :partition AND asset_key = ANY(CAST(:assets AS text[]))"
)


def erase_waiting(instance: dg.DagsterInstance, project: Project, ours: "Ours") -> int:
    """Do Dagster's part of every erasure that waits for it; of how many that was."""
    waiting = project.store.erasing.waiting()
    for each in waiting:
        assert each.customer_id is not None
        counts = erase_in_dagster(instance, project, ours, each.customer_id)
        project.store.erasing.finish(each.id, dagster=counts)
    return len(waiting)


def erase_in_dagster(
    instance: dg.DagsterInstance, project: Project, ours: "Ours", customer_id: str
) -> Mapping[str, int]:
    """What went, by what it was. Messages of runs that worked for several customers stay until they are old."""
    partitions = 0
    for provider in sorted(project.configuration.providers):
        name = partitions_name(provider)
        if instance.has_dynamic_partition(name, customer_id):
            instance.delete_dynamic_partition(name, customer_id)
            partitions += 1
    runs = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: customer_id}))
    alone = [run.run_id for run in runs if ours.has(run) and run.is_finished]
    for run_id in alone:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    events = _events_gone(instance, ours.assets, customer_id)
    return {"partitions": partitions, "runs": len(alone), "events": events}


def _events_gone(instance: dg.DagsterInstance, assets: Collection[dg.AssetKey], customer_id: str) -> int:
    storage: Any = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        return 0
    values = {"partition": customer_id, "assets": [asset.to_string() for asset in assets]}
    with storage.index_connection() as database:
        gone = int(database.execute(_EVENTS, values).scalar_one())
        database.execute(_CHECKS, values)
    return gone
