"""The only place that writes by Dagster's private API: many materialisations in one write, and failed partitions.

Both are checked against the installed version when this module is first used. Where a name or a parameter differs, the
public API is used instead: slower by a connection per event, and failed partitions show through the failed run alone.
"""

import importlib
import inspect
import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import dagster as dg

PRIVATE_MODULE = "dagster._core.events"

_NEEDED: dict[str, tuple[str, ...]] = {
    "generate_event_batch_id": (),
    "DagsterEventBatchMetadata": ("id", "is_end"),
    "DagsterEvent.asset_materialization": ("step_context", "materialization", "batch_metadata"),
    "DagsterEvent.build_asset_materialization_planned_event": (
        "job_name",
        "step_key",
        "asset_materialization_planned_data",
    ),
    "AssetMaterializationPlannedData": ("asset_key", "partition", "partitions_subset"),
}


def record_materializations(
    context: dg.AssetExecutionContext, materializations: Sequence[dg.AssetMaterialization]
) -> None:
    """Write one event per partition, all in one batch (of DAGSTER_EVENT_BATCH_SIZE) where the version allows.

    Each is an event of the asset that it names, not of the step, which may have several.
    """
    if private_api_differs():
        for materialization in materializations:
            context.log_event(materialization)
        return
    events: Any = importlib.import_module(PRIVATE_MODULE)
    batch = events.generate_event_batch_id()
    step = context.op_execution_context.get_step_execution_context()
    for position, materialization in enumerate(materializations, start=1):
        is_end = position == len(materializations)
        events.DagsterEvent.asset_materialization(
            step, materialization, events.DagsterEventBatchMetadata(batch, is_end)
        )


def record_failed_partitions(
    context: dg.AssetExecutionContext, asset_key: dg.AssetKey, partitions: Sequence[str]
) -> None:
    """Make exactly these partitions of one of the step's assets show as failed, once the run has ended as a failure.

    Dagster calls a partition failed when it was planned by a failed run and not materialised after that.
    """
    if private_api_differs():
        context.log.warning(
            "This Dagster version cannot mark single partitions as failed: look for the failed connections in this run."
        )
        return
    events: Any = importlib.import_module(PRIVATE_MODULE)
    step_key = context.op_execution_context.get_step_execution_context().step.key
    for partition in partitions:
        planned = events.DagsterEvent.build_asset_materialization_planned_event(
            context.run.job_name,
            step_key,
            events.AssetMaterializationPlannedData(asset_key, partition=partition, partitions_subset=None),
        )
        context.instance.report_dagster_event(planned, context.run.run_id, logging.DEBUG)


def keep_connected(instance: dg.DagsterInstance) -> None:
    """Let what this process asks of Dagster's storage share a connection, as the webserver's questions do.

    Otherwise every event and every question opens one of its own, for which Postgres starts a process: a run's events
    and its look at the status of partitions cost the server eight to ten times as much. A connection is used again for
    a few seconds only, so that one which did not survive a restart of the server is hardly ever met.
    """
    share = getattr(instance, "optimize_for_webserver", None)
    if share is not None and takes(share, ("statement_timeout", "pool_recycle", "max_overflow")):
        share(statement_timeout=STATEMENT_MILLISECONDS, pool_recycle=REUSED_SECONDS, max_overflow=5)


STATEMENT_MILLISECONDS: Final = 60_000
REUSED_SECONDS: Final = 5


@cache
def private_api_differs() -> tuple[str, ...]:
    """What this Dagster version names differently from the one we were tested with; empty where all is there."""
    try:
        module = importlib.import_module(PRIVATE_MODULE)
    except ImportError:
        return (PRIVATE_MODULE,)
    missing = [name for name, parameters in _NEEDED.items() if not takes(_find(module, name), parameters)]
    if not takes(getattr(dg.DagsterInstance, "report_dagster_event", None), ("dagster_event", "run_id", "log_level")):
        missing.append("DagsterInstance.report_dagster_event")
    if not hasattr(dg.OpExecutionContext, "get_step_execution_context"):
        missing.append("OpExecutionContext.get_step_execution_context")
    return tuple(missing)


def _find(module: object, dotted: str) -> Callable[..., Any] | None:
    found: Any = module
    for part in dotted.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None


def takes(function: Callable[..., Any] | None, parameters: Sequence[str]) -> bool:
    """Whether it is there and has these parameters, in the version of Dagster that is installed."""
    if function is None:
        return False
    names = inspect.signature(function).parameters
    return all(parameter in names for parameter in parameters)
