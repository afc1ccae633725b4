"""Sensors: one per sync that launches what is due and can be switched off alone, and one that keeps the partitions."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.assets import Subject
from sync_pipelines.orchestration.claims import close_ended_claims
from sync_pipelines.orchestration.names import CLAIM_TAG, PROVIDER_TAG, SYNC_TAG, snake, step_name
from sync_pipelines.orchestration.partitions import connections_of, partitions_name, step_to
from sync_pipelines.orchestration.pulse import fail_silent_runs
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.settings import Settings
from sync_pipelines.store import Claim, Store

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

CLAIMED_AT_ONCE: Final = 1_000
"""Connections claimed by one tick."""
CONNECTIONS_PER_RUN: Final = 200
"""A run costs half a CPU second before it begins, so it is shared; one of these takes minutes and ends as one."""


def due_sensor(
    sync: Sync, subjects: Sequence[Subject], job: "UnresolvedAssetJobDefinition", settings: Settings
) -> dg.SensorDefinition:
    """Launches what is due of one sync. Switched off, the sync stands still: what is running ends, nothing starts."""

    @dg.sensor(
        name=f"{snake(sync.name)}_due",
        job=job,
        minimum_interval_seconds=settings.due_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Launches runs for the connections of {sync.name} that are due.",
    )
    def due(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        store = ready_store(sync_project)
        close_ended_claims(store, context.instance, sync)
        sync_project.open().refuse_unapplied(sync.name)
        sync_project.open().plan(sync.name)
        claims = store.due.claim(
            sync=sync.name,
            limit=CLAIMED_AT_ONCE,
            batch=CONNECTIONS_PER_RUN,
            # Longer than a run may be silent: what a run began comes back by its end, with all that is known of it.
            expires=timedelta(seconds=2 * settings.silent_after_seconds),
        )
        if not claims:
            return dg.SensorResult(skip_reason=f"Nothing of {sync.name} is due.")
        known = context.instance.get_dynamic_partitions(partitions_name(sync.provider))
        customers = {customer for claim in claims for customer in claim.customers}
        return dg.SensorResult(
            run_requests=[request_for(claim, sync, subjects) for claim in claims],
            dynamic_partitions_requests=_added(sync.provider, step_to(customers, known).added),
        )

    return due


def ready_store(sync_project: SyncProject) -> Store:
    """ConfigurationError, with what to do, when the store cannot be reached or is not migrated."""
    store = sync_project.open().store
    store.check_current()
    return store


def request_for(claim: Claim, sync: Sync, subjects: Sequence[Subject]) -> dg.RunRequest:
    """One run for a claim: its connections in each of its objects. The claim's id makes it launch once."""
    chosen = [subject for subject in subjects if not claim.objects or subject.declared.object in claim.objects]
    config: Mapping[str, Any] = {"connections": list(claim.customers), "full": claim.full}
    # A selection of assets would bring their checks along, which count everybody's records.
    part: dict[str, Any] = {"asset_selection": [subject.key for subject in chosen], "asset_check_keys": []}
    return dg.RunRequest(
        run_key=str(claim.id),
        run_config={"ops": {step_name(sync.name): {"config": config}}},
        tags={CLAIM_TAG: str(claim.id), SYNC_TAG: sync.name, PROVIDER_TAG: sync.provider},
        **(part if len(chosen) < len(subjects) else {}),
    )


def connections_sensor(providers: Sequence[str], settings: Settings) -> dg.SensorDefinition:
    """Keeps each provider's partitions in step with its connections: new ones appear, disconnected ones go.

    Also ends runs whose process is gone; one sensor does it for all. Its cursor is when it last looked.
    """

    @dg.sensor(
        name="connections",
        minimum_interval_seconds=settings.due_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a partition for every new connection, removes those of disconnected ones, ends dead runs.",
    )
    def connections(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        # Who looks rarely waits for longer, since a single look says too little.
        silent_after = max(settings.silent_after_seconds, 2 * settings.due_every_seconds)
        last_look = float(context.cursor) if context.cursor else None
        fail_silent_runs(context.instance, silent_after=silent_after, last_look=last_look)
        store = ready_store(sync_project)
        requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
        told = []
        for provider in providers:
            customers = [connection.customer_id for connection in store.connections.list(provider=provider)]
            step = step_to(customers, context.instance.get_dynamic_partitions(partitions_name(provider)))
            requests.extend(_added(provider, step.added))
            if step.removed:
                requests.append(connections_of(provider).build_delete_request(list(step.removed)))
            told.append(f"{provider}: {len(customers)} connected, {len(step.added)} new, {len(step.removed)} gone")
        return dg.SensorResult(
            dynamic_partitions_requests=requests, skip_reason="; ".join(told), cursor=f"{time.time():.0f}"
        )

    return connections


def _added(
    provider: str, customers: Sequence[str]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    return [connections_of(provider).build_add_request(list(customers))] if customers else []
