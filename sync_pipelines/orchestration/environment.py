"""What the processes of Dagster find in their environment."""

from collections.abc import Mapping
from typing import Final

from sync_pipelines.settings import Settings

EVENT_BATCH_SIZE: Final = 1_000
"""Materialisations written together. Without it each one costs a connection to Dagster's storage."""

BATCHING: Final[Mapping[str, str]] = {
    "DAGSTER_EVENT_BATCH_SIZE": str(EVENT_BATCH_SIZE),
    # One planned event per asset instead of one per partition: those are written inside the click on "Materialize",
    # ten seconds for a thousand partitions. Failed partitions are marked by our own events instead.
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1",
}


def dagster_environment(settings: Settings) -> dict[str, str]:
    """For the webserver, the daemon and the code server alike.

    DAGSTER_EVENT_BATCH_SIZE and DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS decide what a run with many partitions
    costs; everything works without them, slower.
    """
    return {**BATCHING, "DAGSTER_DISABLE_TELEMETRY": "yes", "SYNC_PIPELINES_LOG_LEVEL": settings.log_level}
