"""A project's definitions: assets, jobs and sensors made from its configuration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from sync_pipelines.config import configuration_files
from sync_pipelines.config.source import read_sources
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.assets import Subject, multi_asset_of
from sync_pipelines.orchestration.checks import Checked, check_job_of, checks_of, checks_sensor, daily_check
from sync_pipelines.orchestration.executors import executor_of, queue_tags
from sync_pipelines.orchestration.jobs import job_of
from sync_pipelines.orchestration.live_changes import live_sensor
from sync_pipelines.orchestration.names import refuse_ambiguous_names
from sync_pipelines.orchestration.reloading import reload_sensor
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.orchestration.retention import retention_sensor
from sync_pipelines.orchestration.sensors import connections_sensor, due_sensor
from sync_pipelines.orchestration.steering import steering_job
from sync_pipelines.project import Project


def definitions_of(project: Project, resource: SyncProject | None = None) -> dg.Definitions:
    """ConfigurationError when two assets would have one name. `resource` is what runs open the project with."""
    syncs = [project.configuration.syncs[name] for name in sorted(project.configuration.syncs)]
    refuse_ambiguous_names(syncs)
    places = declared_places(project.settings.syncs_dir)
    executor = executor_of(project.settings)
    assets: list[dg.AssetsDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    jobs: list[Any] = []
    checks, schedules, checked = [], [], []
    keys: dict[tuple[str, str], dg.AssetKey] = {}
    for sync in syncs:
        subjects = subjects_of(project, sync, places)
        keys |= {(sync.name, subject.declared.object): subject.key for subject in subjects}
        job = job_of(sync, [subject.key for subject in subjects], executor)
        assets.append(multi_asset_of(sync, subjects, tags=queue_tags(project.settings, sync)))
        jobs.append(job)
        sensors.append(due_sensor(sync, subjects, job, project.settings))
        checks.append(checks_of(sync, subjects))
        jobs.append(check_job_of(sync, [subject.key for subject in subjects]))
        schedules.append(daily_check(sync, jobs[-1]))
        checked.append(Checked(sync=sync, subjects=subjects))
    if syncs:
        jobs.append(steering_job)
        sensors.append(connections_sensor(sorted({sync.provider for sync in syncs}), project.settings))
        sensors.append(retention_sensor())
        sensors.append(live_sensor(keys))
        sensors.append(checks_sensor(checked))
    sensors.append(reload_sensor(project.together.mark, project.settings, _try_out))
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        resources={"sync_project": resource or SyncProject()},
        executor=executor,
    )


def _try_out(project: Project) -> None:
    """Raises what loading these definitions would."""
    dg.Definitions.validate_loadable(definitions_of(project))


def subjects_of(project: Project, sync: Sync, places: Mapping[str, tuple[Path, int]]) -> Sequence[Subject]:
    return [
        Subject(
            sync=sync,
            declared=declared,
            vendor=project.configuration.providers[sync.provider].provider_name,
            destination_type=project.configuration.destinations[sync.destination].type,
            table=project.table(sync.name, declared.object),
            declared_in=places.get(sync.name),
        )
        for declared in sync.objects
    ]


def declared_places(folder: Path) -> Mapping[str, tuple[Path, int]]:
    """Sync name -> the file and line where it is declared, for those whose file says its name."""
    places = {}
    for file in configuration_files(folder):
        for source in read_sources(file):
            name = source.value.get("name") if isinstance(source.value, dict) else None
            if file.is_relative_to(folder / "syncs") and isinstance(name, str):
                places[name] = (file.absolute(), source.marks[source.find(("name",))][0])
    return places
