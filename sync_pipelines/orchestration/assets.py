"""One asset per sync and object, partitioned by connection; its body syncs the connections of one run, side by side."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster import AssetExecutionContext
from pydantic import Field

from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Schedule, Sync, SyncObject
from sync_pipelines.orchestration.claims import claim_of, kept
from sync_pipelines.orchestration.events import record_failed_partitions, record_materializations
from sync_pipelines.orchestration.names import snake, step_name
from sync_pipelines.orchestration.partitions import connections_of
from sync_pipelines.orchestration.reports import failure_of, reason_of, run_metadata, sample_table, table_schema
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import Project

SAMPLED_CONNECTIONS = 10
"""How many connections of one run get a sample of their rows: each costs a query and a place in the event log."""


class ChosenConnections(dg.Config):
    """Which connections a run is for, where partitions do not say it."""

    connections: list[str] = Field(
        default_factory=list, description="Customer ids, one per connection; empty: the partitions of the run"
    )
    full: bool = Field(default=False, description="Read everything again instead of what changed")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one asset is about. `vendor` and `destination_type` become its kinds; `declared_in` is a file and a line."""

    sync: Sync
    declared: SyncObject
    vendor: str
    destination_type: str
    table: Table
    declared_in: tuple[Path, int] | None = None

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey([snake(self.sync.name), snake(self.declared.object)])

    @property
    def step(self) -> str:
        return step_name(self.sync.name, self.declared.object)

    @property
    def spoken(self) -> str:
        return f"{self.declared.object} of {self.sync.name}"


@dataclass
class Results:
    """What became of the connections of one run: `failures` is customer -> reason, in words for a person."""

    runs: list[SyncRun] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, run: SyncRun) -> None:
        self.runs.append(run)
        if run.status == "error":
            self.failures[run.customer_id] = reason_of(run)

    def fail_the_rest(self, customers: Sequence[str], reason: str) -> None:
        """Whoever has no result yet shares the fate of the run."""
        settled = {run.customer_id for run in self.runs} | self.failures.keys()
        self.failures.update({customer: reason for customer in customers if customer not in settled})


def asset_of(subject: Subject) -> dg.AssetsDefinition:
    """The asset. It yields no output: its body writes its own events, one for each partition that got through."""
    partitions = connections_of(subject.sync.provider)
    spec = dg.AssetSpec(
        subject.key,
        description=_description(subject),
        metadata=_metadata(subject),
        group_name=snake(subject.sync.name),
        kinds={subject.vendor, subject.destination_type},
        partitions_def=partitions,
        skippable=True,
    )

    @dg.multi_asset(
        name=subject.step,
        specs=[spec],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"provider_{snake(subject.sync.provider)}",
    )
    def sync_connections(
        context: AssetExecutionContext, config: ChosenConnections, sync_project: SyncProject
    ) -> Iterator[None]:
        run_connections(context, config, sync_project, subject, partitions)
        yield from ()

    return sync_connections


def run_connections(
    context: AssetExecutionContext,
    config: ChosenConnections,
    sync_project: SyncProject,
    subject: Subject,
    partitions: dg.DynamicPartitionsDefinition,
) -> None:
    """Sync the connections of this run, and tell Dagster of each. dg.Failure at the end when any of them failed."""
    customers = _customers(context, config)
    claim = claim_of(context.run)
    results = Results()
    cause: Exception | None = None
    try:
        project = sync_project.open()
        with kept(project, claim):
            attempt(context, project, subject, customers, results, full=config.full)
    except SyncError as error:
        cause = error
        results.fail_the_rest(customers, f"{error.error_type}: {error}")
    except Exception as error:
        cause = error
        results.fail_the_rest(customers, f"{type(error).__name__}: its trace is in the log of this run")
    _materialize(context, sync_project, subject, partitions, results, everything=claim is None)
    if results.failures:
        failures = {customer: results.failures[customer] for customer in customers if customer in results.failures}
        record_failed_partitions(context, list(failures))
        raise failure_of(failures, len(customers), subject.spoken) from cause


def attempt(
    context: AssetExecutionContext,
    project: Project,
    subject: Subject,
    customers: Sequence[str],
    results: Results,
    *,
    full: bool,
) -> None:
    """Sync those that are connected; who is not is a failure of that one alone."""
    project.store.check_current()
    sync, name = subject.sync.name, subject.declared.object
    connected = {connection.customer_id for connection in project.connections(sync)}
    for customer in customers:
        if customer not in connected:
            results.failures[customer] = (
                f"configuration: this sync has no connection of {customer} to {subject.sync.provider}; connect it with "
                f"`sync-pipelines connect {subject.sync.provider} {customer}`"
            )
    present = [customer for customer in customers if customer in connected]
    if present:
        project.sync_connections(sync, name, present, run_id=context.run.run_id, full=full, on_done=results.take)
    for run in results.runs:
        if run.status == "skipped":
            context.log.warning(f"{run.customer_id} was skipped: {run.error_message}")


def _customers(context: AssetExecutionContext, config: ChosenConnections) -> list[str]:
    if config.connections:
        return list(dict.fromkeys(config.connections))
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    raise dg.Failure(
        description="This run names no connection: choose partitions, or give `connections` in the run config.",
        allow_retries=False,
    )


def _materialize(
    context: AssetExecutionContext,
    sync_project: SyncProject,
    subject: Subject,
    partitions: dg.DynamicPartitionsDefinition,
    results: Results,
    *,
    everything: bool,
) -> None:
    """One event per connection that got through. Attempts that changed nothing count in the store, not here.

    Except where a person started the run (`everything`), and where the partition does not show as materialised: the
    first time, and after a failure, which only a materialisation clears.
    """
    through = [run for run in results.runs if run.status == "success"]
    if not through:
        return
    # Dagster forgets events of partitions that it does not know when it sums up, so they must be there before.
    context.instance.add_dynamic_partitions(str(partitions.name), [run.customer_id for run in through])
    shown = {} if everything else _shown(context, partitions, [run.customer_id for run in through])
    told = [run for run in through if run.counts.changed or not shown.get(run.customer_id, False)]
    told.sort(key=lambda run: run.counts.changed, reverse=True)
    materializations = []
    sample_rows = sync_project.open().settings.sample_rows
    for position, run in enumerate(told):
        metadata = run_metadata(run, subject.table)
        if position < SAMPLED_CONNECTIONS and sample_rows:
            metadata["sample"] = _sample(sync_project, subject, run.customer_id, sample_rows)
        materializations.append(
            dg.AssetMaterialization(asset_key=subject.key, partition=run.customer_id, metadata=metadata)
        )
    record_materializations(context, materializations)
    context.log.info(f"{len(through)} connections got through, {len(told)} of them with something to show.")


def _sample(sync_project: SyncProject, subject: Subject, customer: str, limit: int) -> dg.MarkdownMetadataValue:
    try:
        columns, rows = sync_project.open().sample(subject.sync.name, subject.declared.object, customer, limit)
    except SyncError as error:
        # The data is in place; that it cannot be looked at now must not turn a success into a failure.
        return dg.MetadataValue.md(f"Not available: {error}")
    return sample_table(columns, rows)


def _shown(
    context: AssetExecutionContext, partitions: dg.DynamicPartitionsDefinition, customers: Sequence[str]
) -> dict[str, bool]:
    """Customer -> whether its partition shows as materialised."""
    statuses = context.instance.get_status_by_partition(context.asset_key, customers, partitions) or {}
    return {customer: status is not None and status.value == "MATERIALIZED" for customer, status in statuses.items()}


def _metadata(subject: Subject) -> Mapping[str, object]:
    metadata: dict[str, object] = {
        "dagster/table_name": subject.table.name,
        "dagster/column_schema": table_schema(subject.table),
        "provider": subject.sync.provider,
        "destination": subject.sync.destination,
        "strategy": subject.declared.strategy or subject.sync.strategy,
        "mode": subject.sync.mode,
        "schedule": schedule_in_words(subject.sync.schedule),
    }
    if subject.declared_in is not None:
        metadata["dagster/code_references"] = _code_reference(*subject.declared_in)
    return metadata


def _code_reference(file: Path, line: int) -> dg.CodeReferencesMetadataValue:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        place = dg.LocalFileCodeReference(file_path=str(file), line_number=line, label="declared here")
        return dg.CodeReferencesMetadataValue(code_references=[place])


def _description(subject: Subject) -> str:
    return (
        f"{subject.declared.object} of every customer connected to {subject.sync.provider}, in the table "
        f"`{subject.table.name}` of {subject.sync.destination}. One partition per connection, named by the customer."
    )


def schedule_in_words(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return f"cron {schedule.cron} ({schedule.timezone})"
    if schedule.every is not None:
        return f"every {schedule.every}"
    return "when asked"
