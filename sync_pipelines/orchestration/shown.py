"""What partitions show in Dagster, asked for those of one run alone.

Dagster's own question sums up every partition of the asset and stores the sum. With thousands of partitions, of which a
run has a hundred, that is a sixth of all that runs cost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import dagster as dg

from sync_pipelines.orchestration.events import takes

MATERIALIZED: Final = "MATERIALIZED"
FAILED: Final = "FAILED"
IN_PROGRESS: Final = "IN_PROGRESS"

MOST_DOUBTFUL: Final = 20
"""Each takes a question of its own. Where there are more, Dagster's sum is the cheaper answer."""

_ENDED_OTHERWISE: Final = frozenset({dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED})


def shown(
    instance: dg.DagsterInstance,
    asset_key: dg.AssetKey,
    customers: Sequence[str],
    partitions: dg.DynamicPartitionsDefinition,
) -> dict[str, str]:
    """Customer -> what its partition of the asset shows, of those that show anything."""
    if not customers:
        return {}
    latest: Any = getattr(instance.event_log_storage, "get_latest_storage_id_by_partition", None)
    planned_for: Any = getattr(instance, "get_latest_planned_materialization_info", None)
    as_tested = takes(latest, ("asset_key", "event_type", "partitions")), takes(planned_for, ("asset_key", "partition"))
    if not all(as_tested):
        return _by_the_sum(instance, asset_key, customers, partitions)
    materialized: Mapping[str, int] = latest(asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(customers))
    planned: Mapping[str, int] = latest(asset_key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, set(customers))
    # Planned and not materialised after it: what shows is decided by what became of the run that planned it.
    doubtful = [customer for customer, at in planned.items() if at > materialized.get(customer, 0)]
    if len(doubtful) > MOST_DOUBTFUL:
        return _by_the_sum(instance, asset_key, customers, partitions)
    found = dict.fromkeys(materialized, MATERIALIZED)
    found.update(_by_their_runs(instance, {customer: planned_for(asset_key, customer) for customer in doubtful}))
    return found


def _by_their_runs(instance: dg.DagsterInstance, planned: Mapping[str, Any]) -> dict[str, str]:
    run_of = {customer: each.run_id for customer, each in planned.items() if each is not None}
    if not run_of:
        return {}
    runs = instance.get_runs(filters=dg.RunsFilter(run_ids=sorted(set(run_of.values()))))
    status_of = {run.run_id: run.status for run in runs}
    found = {}
    for customer, run_id in run_of.items():
        status = status_of.get(run_id)
        if status == dg.DagsterRunStatus.FAILURE:
            found[customer] = FAILED
        elif status is not None and status not in _ENDED_OTHERWISE:
            found[customer] = IN_PROGRESS
    return found


def _by_the_sum(
    instance: dg.DagsterInstance,
    asset_key: dg.AssetKey,
    customers: Sequence[str],
    partitions: dg.DynamicPartitionsDefinition,
) -> dict[str, str]:
    statuses = instance.get_status_by_partition(asset_key, customers, partitions) or {}
    return {customer: status.value for customer, status in statuses.items() if status is not None}
