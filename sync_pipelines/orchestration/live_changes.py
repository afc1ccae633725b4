"""Tells Dagster what vendors' events changed between runs: materialisations without a run, some at a time."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sync_pipelines.orchestration.reports import run_metadata
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.orchestration.sensors import ready_store
from sync_pipelines.store.live_runs import MINUTES, run_id_at

EVERY_SECONDS: Final = 60
LATE: Final = timedelta(minutes=1)
"""What was begun within a stretch of time may be counted so long after its end."""
LOOK_BACK: Final = timedelta(hours=6)
"""What is older when Dagster looks for the first time, or again after a long pause, is told by nobody."""
AT_ONCE: Final = 500


def live_sensor(keys: Mapping[tuple[str, str], dg.AssetKey]) -> dg.SensorDefinition:
    """`keys`: the asset of each (sync, object). The cursor is the last one told: its run id and its number."""

    @dg.sensor(
        name="live_changes",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells what `sync-pipelines live` changed, as materialisations without a run.",
    )
    def live_changes(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        run_id, _, number = (context.cursor or "").partition(" ")
        found = ready_store(sync_project).runs.of_executions(
            _ended(run_id, datetime.now(UTC)), after=(run_id, int(number or 0)), limit=AT_ONCE
        )
        if not found:
            return dg.SensorResult(skip_reason="Nothing was told that has not been reported.", cursor=context.cursor)
        told = [
            dg.AssetMaterialization(
                asset_key=keys[each.run.sync, each.run.object],
                partition=each.run.customer_id,
                description=f"Applied as the vendor told it, in {MINUTES} minutes.",
                metadata=run_metadata(each.run, None) | {"told_by_vendor": True},
            )
            for each in found
            if each.run.counts.changed and (each.run.sync, each.run.object) in keys
        ]
        return dg.SensorResult(asset_events=told, cursor=f"{found[-1].run.run_id} {found[-1].id}")

    return live_changes


def _ended(after: str, now: datetime) -> list[str]:
    """Run ids of all stretches of time that are over, from that of the cursor on."""
    stretch = timedelta(minutes=MINUTES)
    last = now - LATE - stretch
    ids = [run_id_at(last - stretch * number) for number in range(LOOK_BACK // stretch, -1, -1)]
    return [each for each in ids if each >= after]
