"""One asset per sync and object, partitioned by connection.

All assets of a sync are one step, of which a run may choose some: steps of one process follow each other, while the
objects and connections of one step are synced side by side.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg
from dagster import AssetExecutionContext
from pydantic import Field

from sync_pipelines.model.destination import Table
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.run import SyncRun
from sync_pipelines.model.sync import Sync, SyncObject
from sync_pipelines.orchestration.claims import claim_of, refuse_ended_run, somebody_waits
from sync_pipelines.orchestration.events import keep_connected, record_failed_partitions, record_materializations
from sync_pipelines.orchestration.keeping import Keeping, kept
from sync_pipelines.orchestration.names import snake, step_name
from sync_pipelines.orchestration.partitions import connections_of
from sync_pipelines.orchestration.pulse import pulse
from sync_pipelines.orchestration.reports import (
    Failed,
    failure_of,
    in_words,
    not_connected,
    reason_of,
    run_metadata,
    sample_table,
    schedule_in_words,
    table_schema,
)
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.orchestration.shown import FAILED, MATERIALIZED, shown
from sync_pipelines.project import Project

log = logging.getLogger(__name__)

SAMPLED_CONNECTIONS = 10
"""How many connections of one run get a sample of their rows: each costs a query and a place in the event log.

Where many customers have changed a little in every hour, samples and columns would be most of that log. So what changes
by a schedule and was shown before is told in numbers alone.
"""


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
    def spoken(self) -> str:
        return f"{self.declared.object} of {self.sync.name}"


@dataclass
class Results:
    """What became of one object in one run, for the `customers` that it was asked for.

    `failures` is customer -> reason, in words for a person; `waiting` are those without any result yet; `overtaken` are
    those whose newer result another run has told. `shown` is customer -> what its partition showed before. `trouble` is
    what went wrong when Dagster was `told`.
    """

    subject: Subject
    customers: Sequence[str]
    runs: list[SyncRun] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    waiting: set[str] = field(init=False)
    overtaken: frozenset[str] = frozenset()
    told: bool = False
    materialized: int = 0
    shown: Mapping[str, str] = field(default_factory=dict)
    trouble: Exception | None = None

    def __post_init__(self) -> None:
        self.waiting = set(self.customers)

    def take(self, run: SyncRun) -> None:
        self.runs.append(run)
        self.waiting.discard(run.customer_id)
        if run.status == "error":
            self.failures[run.customer_id] = reason_of(run)

    def fail(self, customer: str, reason: str) -> None:
        self.waiting.discard(customer)
        self.failures[customer] = reason

    def keep(self, customers: Sequence[str]) -> None:
        """The run is for this object of these customers only."""
        self.customers = customers
        self.waiting.intersection_update(customers)

    def fail_the_rest(self, reason: str) -> None:
        """Whoever has no result yet shares the fate of the run."""
        for customer in list(self.waiting):
            self.fail(customer, reason)

    @property
    def summary(self) -> str:
        through = sum(run.status == "success" for run in self.runs)
        told = f"{self.subject.spoken}: {through} connections got through, {self.materialized} with something to show."
        later = sum(run.gave_way for run in self.runs)
        return f"{told} {later} made room for others and come back." if later else told

    @property
    def failed(self) -> Failed:
        """Its failures in the order in which the customers were asked for."""
        failures = {customer: self.failures[customer] for customer in self.customers if customer in self.failures}
        return Failed(what=self.subject.spoken, failures=failures, attempted=len(self.customers))


def multi_asset_of(
    sync: Sync, subjects: Sequence[Subject], *, tags: Mapping[str, str] | None = None
) -> dg.AssetsDefinition:
    """A sync's assets, any of which a run may choose. `tags` are those of their step.

    They yield no output: the body writes its own events, one for each object and partition that got through.
    """
    partitions = connections_of(sync.provider)

    @dg.multi_asset(
        name=step_name(sync.name),
        specs=[_spec(subject, partitions) for subject in subjects],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=f"provider_{snake(sync.provider)}",
        op_tags=tags,
    )
    def sync_objects(
        context: AssetExecutionContext, config: ChosenConnections, sync_project: SyncProject
    ) -> Iterator[None]:
        chosen = [subject for subject in subjects if subject.key in context.selected_asset_keys]
        run_objects(context, config, sync_project, chosen, partitions)
        yield from ()

    return sync_objects


def run_objects(
    context: AssetExecutionContext,
    config: ChosenConnections,
    sync_project: SyncProject,
    subjects: Sequence[Subject],
    partitions: dg.DynamicPartitionsDefinition,
) -> None:
    """Sync these objects of this run's connections, and tell Dagster of each. dg.Failure at the end when any failed."""
    keep_connected(context.instance)
    refuse_ended_run(context)
    customers = _customers(context, config)
    claim = claim_of(context.run)
    results = [Results(subject, _having(subject, customers)) for subject in subjects]
    cause: Exception | None = None

    def tell(each: Results) -> None:
        _tell(context, sync_project, partitions, each, everything=claim is None)

    try:
        project = sync_project.open()
        signs = pulse(context.instance, context.run.run_id, silent_after=project.settings.silent_after_seconds)
        wanted = partial(somebody_waits, context.instance)
        with signs, kept(project, subjects[0].sync.name, claim, wanted=wanted) as keeping:
            attempt(context, project, results, partitions, full=config.full, on_settled=tell, keeping=keeping)
            for each in results:
                each.overtaken = keeping.overtaken(each.runs)
    except Exception as error:
        cause = error
        for each in results:
            each.fail_the_rest(in_words(error))
    for each in results:
        tell(each)
    context.log.info("\n".join(each.summary for each in results))
    _end(context, results, cause)


def attempt(
    context: AssetExecutionContext,
    project: Project,
    results: Sequence[Results],
    partitions: dg.DynamicPartitionsDefinition,
    *,
    full: bool,
    on_settled: Callable[[Results], None],
    keeping: Keeping,
) -> None:
    """Sync those that are connected; who is not is a failure of that one alone. `on_settled`: an object is through."""
    project.store.check_current()
    sync = results[0].subject.sync
    project.store.lifecycle.refuse_archived(sync.name)
    held = keeping.begin(sync)
    connected = {connection.customer_id for connection in project.connections(sync.name)}
    present: dict[str, list[str]] = {}
    for each in results:
        if held is not None:
            each.keep([customer for customer in each.customers if held.is_for(customer, each.subject.declared.object)])
        for stranger in (customer for customer in each.customers if customer not in connected):
            each.fail(stranger, not_connected(sync, stranger))
        if here := [customer for customer in each.customers if customer in connected]:
            present[each.subject.declared.object] = here
    by_object = {each.subject.declared.object: each for each in results}

    def take(run: SyncRun) -> None:
        each = by_object[run.object]
        each.take(run)
        keeping.take(run)
        if not each.waiting:
            each.overtaken = keeping.overtaken(each.runs)
            on_settled(each)

    if present:
        # Dagster forgets events of partitions that it does not know when it sums up, so they must be there before.
        everybody = dict.fromkeys(customer for customers in present.values() for customer in customers)
        context.instance.add_dynamic_partitions(str(partitions.name), list(everybody))
        due_at = held.due_at if held is not None else {}
        project.sync_objects(
            sync.name,
            present,
            run_id=context.run.run_id,
            full=full,
            due_at=due_at,
            on_done=take,
            on_begun=keeping.took_up,
        )


def _having(subject: Subject, customers: Sequence[str]) -> list[str]:
    """Those for whom this object is synced: a customer may have only some of them."""
    overrides = subject.sync.overrides
    return [
        customer
        for customer in customers
        if customer not in overrides or subject.declared in subject.sync.objects_of(customer)
    ]


def _end(context: AssetExecutionContext, results: Sequence[Results], cause: Exception | None) -> None:
    """Mark what failed, and fail the run where anything did. What showed as failed already stays so."""
    trouble = next((each.trouble for each in results if each.trouble is not None), None)
    failed = [each for each in results if each.failures]
    for each in failed:
        customers = [customer for customer in each.failed.failures if customer not in each.overtaken]
        unmarked = [customer for customer in customers if each.shown.get(customer) != FAILED]
        record_failed_partitions(context, each.subject.key, unmarked)
    if failed:
        raise failure_of([each.failed for each in failed]) from cause or trouble
    if trouble is not None:
        raise trouble


def _customers(context: AssetExecutionContext, config: ChosenConnections) -> list[str]:
    if config.connections:
        return list(dict.fromkeys(config.connections))
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys)
    raise dg.Failure(
        description="This run names no connection: choose partitions, or give `connections` in the run config.",
        allow_retries=False,
    )


def _tell(
    context: AssetExecutionContext,
    sync_project: SyncProject,
    partitions: dg.DynamicPartitionsDefinition,
    results: Results,
    *,
    everything: bool,
) -> None:
    """Write an object's events, once. Others may still be at work, so trouble with Dagster's storage has to wait."""
    if results.told:
        return
    results.told = True
    try:
        for run in results.runs:
            if run.status in ("skipped", "cancelled") and not run.gave_way:
                context.log.warning(f"{run.object} of {run.customer_id} was {run.status}: {run.error_message}")
        if not everything:
            results.shown = shown(context.instance, results.subject.key, results.customers, partitions)
        _materialize(context, sync_project, results)
    except Exception as error:
        log.exception("Dagster could not be told what became of %s", results.subject.spoken)
        results.trouble = error


def _materialize(context: AssetExecutionContext, sync_project: SyncProject, results: Results) -> None:
    """One event per connection that got through. Attempts that changed nothing count in the store, not here.

    Except where the partition does not show as materialised: the first time, and after a failure, which only a
    materialisation clears; and where a person started the run, who sees everything.
    """
    subject = results.subject
    through = [run for run in results.runs if run.status == "success" and run.customer_id not in results.overtaken]
    shown = results.shown
    told = [run for run in through if run.counts.changed or shown.get(run.customer_id) != MATERIALIZED]
    told.sort(key=lambda run: run.counts.changed, reverse=True)
    if not told:
        return
    materializations = []
    sample_rows = sync_project.open().settings.sample_rows
    for position, run in enumerate(told):
        brief = shown.get(run.customer_id) == MATERIALIZED
        metadata = run_metadata(run, None if brief else subject.table)
        if position < SAMPLED_CONNECTIONS and sample_rows and not brief:
            metadata["sample"] = _sample(sync_project, subject, run.customer_id, sample_rows)
        materializations.append(
            dg.AssetMaterialization(asset_key=subject.key, partition=run.customer_id, metadata=metadata)
        )
    record_materializations(context, materializations)
    results.materialized = len(materializations)


def _sample(sync_project: SyncProject, subject: Subject, customer: str, limit: int) -> dg.MarkdownMetadataValue:
    try:
        columns, rows = sync_project.open().sample(subject.sync.name, subject.declared.object, customer, limit)
    except SyncError as error:
        # The data is in place; that it cannot be looked at now must not turn a success into a failure.
        return dg.MetadataValue.md(f"Not available: {error}")
    return sample_table(columns, rows)


def _spec(subject: Subject, partitions: dg.DynamicPartitionsDefinition) -> dg.AssetSpec:
    return dg.AssetSpec(
        subject.key,
        description=_description(subject),
        metadata=_metadata(subject),
        group_name=snake(subject.sync.name),
        kinds={subject.vendor, subject.destination_type},
        partitions_def=partitions,
        skippable=True,
    )


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
