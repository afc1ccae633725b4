"""Forgets what is old: the store's history, and of Dagster's the runs and events of our assets."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import dagster as dg
from pydantic import BaseModel

from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.erasing import erase_waiting
from sync_pipelines.orchestration.names import SYNC_TAG, snake
from sync_pipelines.orchestration.old_events import OldEvents
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import Project

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 300
ROWS_PER_TICK: Final = 20_000
"""Of each kind in the store: 60,000 idle attempts an hour are 5,000 in one tick."""
RUNS_PER_TICK: Final = 200
SECONDS_PER_TICK: Final = 20.0
"""A tick that takes a minute is given up by Dagster."""

ENDED: Final = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class Place(BaseModel):
    """How far the old runs and the events without a run have been looked through. The end leads back to the start."""

    after_run: str = ""
    after_event: int = 0


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What one look at Dagster's storage came to. `through`: it reached the newest of what is old."""

    runs: int = 0
    thinned: int = 0
    events: int = 0
    checks: int = 0
    through: bool = True

    def __add__(self, other: "Forgotten") -> "Forgotten":
        names = ("runs", "thinned", "events", "checks")
        return Forgotten(**{name: getattr(self, name) + getattr(other, name) for name in names}, through=other.through)


@dataclass(frozen=True)
class Ours:
    """Tells our runs from those of other assets and jobs in the same Dagster, which are not ours to delete."""

    assets: frozenset[dg.AssetKey]

    @classmethod
    def of(cls, syncs: Iterable[Sync]) -> "Ours":
        return cls(
            frozenset(
                dg.AssetKey([snake(sync.name), snake(declared.object)]) for sync in syncs for declared in sync.objects
            )
        )

    def has(self, run: dg.DagsterRun) -> bool:
        assets = {*(run.asset_selection or ()), *(key.asset_key for key in run.asset_check_selection or ())}
        return SYNC_TAG in run.tags or (bool(assets) and assets <= self.assets)


def prune_dagster(
    instance: dg.DagsterInstance,
    ours: Ours,
    before: datetime,
    place: Place,
    *,
    most: int = RUNS_PER_TICK,
    seconds: float = SECONDS_PER_TICK,
    dry: bool = False,
) -> tuple[Forgotten, Place]:
    """Look at `most` of the runs that began before a time and have ended; forget them but for what still counts.

    A run that holds the newest event of a partition stays, without its other events; every other one goes, with its
    events and captured logs. Gives up after so many `seconds`. Answers where to go on. `dry`: only counts runs.
    """
    events = OldEvents(instance)
    if not events.readable:
        log.warning("Dagster's storage is not Postgres: its runs and events are left alone.")
        return Forgotten(), Place()
    deadline = time.monotonic() + seconds
    filters = dg.RunsFilter(statuses=list(ENDED), created_before=before.astimezone(UTC))
    after = place.after_run if place.after_run and instance.get_run_by_id(place.after_run) is not None else None
    runs = [
        record.dagster_run for record in instance.get_run_records(filters, limit=most, ascending=True, cursor=after)
    ]
    mine = [run for run in runs if ours.has(run)]
    failed = [run.run_id for run in mine if run.status == dg.DagsterRunStatus.FAILURE]
    kept = events.newest([run.run_id for run in mine], failed) if mine else {}
    gone = [run.run_id for run in mine if run.run_id not in kept]
    stays = [run.run_id for run in runs if run.run_id not in set(gone)]
    through = len(runs) < most
    seen = Place(after_run="" if through else stays[-1] if stays else after or "", after_event=place.after_event)
    if dry:
        return Forgotten(runs=len(gone), thinned=len(kept), through=through), seen
    thinned = events.thin(kept)
    deleted = _delete(instance, gone, deadline)
    if deleted < len(gone):
        # Older runs go before newer ones: an old failure must not outlive what came after it.
        return Forgotten(runs=deleted, thinned=len(kept), events=thinned, through=False), place
    loose, next_event = events.forget_runless(ours.assets, before, place.after_event, most * 10)
    forgotten = Forgotten(
        runs=deleted,
        thinned=len(kept),
        events=thinned + loose,
        checks=events.forget_checks(ours.assets, before, most * 10),
        through=through and next_event is None,
    )
    return forgotten, seen.model_copy(update={"after_event": next_event or 0})


def _delete(instance: dg.DagsterInstance, runs: Iterable[str], deadline: float) -> int:
    count = 0
    for run_id in runs:
        if time.monotonic() > deadline:
            break
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        count += 1
    return count


def forget_in_store(project: Project, *, most: int | None = None) -> dict[str, int]:
    """Rows that went, by what they were."""
    declared = {sync.name: [each.object for each in sync.objects] for sync in project.configuration.syncs.values()}
    gone = dict(project.store.retention.prune(project.settings.keep, most=most))
    return {**gone, "objects": project.store.retention.forget_objects(declared)}


def retention_sensor() -> dg.SensorDefinition:
    """Forgets what is old, a little in every tick, without a run. Switched off, everything is kept."""

    @dg.sensor(
        name="retention",
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deletes old history: the store's, and Dagster's runs and events of these syncs. How long each is "
        "kept: SYNC_PIPELINES_KEEP_... The newest event of every partition stays.",
    )
    def retention(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        project = sync_project.open()
        project.store.check_current()
        rows = forget_in_store(project, most=ROWS_PER_TICK)
        before = datetime.now(UTC) - project.settings.keep.dagster_runs
        place = Place.model_validate_json(context.cursor) if context.cursor else Place()
        ours = Ours.of(project.configuration.syncs.values())
        rows["erased customers"] = erase_waiting(context.instance, project, ours)
        forgotten, place = prune_dagster(context.instance, ours, before, place)
        return dg.SensorResult(skip_reason=in_words(rows, forgotten), cursor=place.model_dump_json())

    return retention


def in_words(rows: dict[str, int], forgotten: Forgotten) -> str:
    """What went, for a person."""
    told = [f"{number} {name}" for name, number in rows.items() if number]
    told += [
        f"{number} {name}"
        for name, number in (
            ("Dagster runs", forgotten.runs),
            ("other Dagster events", forgotten.events),
            ("check results", forgotten.checks),
        )
        if number
    ]
    return f"Forgotten: {', '.join(told)}." if told else "Nothing is old enough to be forgotten."
