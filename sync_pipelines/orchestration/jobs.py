"""One job per sync: all its objects in one process and step, objects and connections side by side inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.names import PROVIDER_TAG, SYNC_TAG, snake

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def job_name(sync: str) -> str:
    return f"sync_{snake(sync)}"


def job_of(
    sync: Sync, keys: Sequence[dg.AssetKey], executor: dg.ExecutorDefinition = dg.in_process_executor
) -> UnresolvedAssetJobDefinition:
    """Without partitions in its launch: the connections come in the run config, so that any of them fit one run."""
    return dg.define_asset_job(
        job_name(sync.name),
        selection=dg.AssetSelection.assets(*keys).without_checks(),
        description=f"Every object of {sync.name} for the connections that the run config names.",
        executor_def=executor,
        tags={SYNC_TAG: sync.name, PROVIDER_TAG: sync.provider},
        run_tags={SYNC_TAG: sync.name, PROVIDER_TAG: sync.provider},
    )
