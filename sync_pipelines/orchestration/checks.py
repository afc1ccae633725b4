"""Asset checks: `complete`, counted by a job of its own, and `fresh`. A sensor tells both without a run."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from sync_pipelines.model.completeness import Comparison
from sync_pipelines.model.sync import Sync
from sync_pipelines.orchestration.assets import Subject
from sync_pipelines.orchestration.names import PROVIDER_TAG, SYNC_TAG, snake
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.orchestration.verdicts import (
    Verdict,
    completeness_verdict,
    freshness_verdict,
    objectives_in_words,
)
from sync_pipelines.project import Project
from sync_pipelines.store import Standing, Store
from sync_pipelines.verifying import repair, verify

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

COMPLETE: Final = "complete"
FRESH: Final = "fresh"
NIGHT_HOURS: Final = 6
"""The daily check of a sync begins in one of so many hours after midnight, UTC."""
TICK_SECONDS: Final = 60
TOLD_AGAIN_AFTER: Final = timedelta(hours=1)
"""A result that stays the same is written so often."""


class CheckedConnections(dg.Config):
    """Whom a check is about."""

    connections: list[str] = Field(default_factory=list, description="Customer ids; empty: everybody")
    repair: bool = Field(default=True, description="Ask for a full read where rows are missing or too many")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A sync with its assets."""

    sync: Sync
    subjects: Sequence[Subject]


def checks_of(sync: Sync, subjects: Sequence[Subject]) -> dg.AssetChecksDefinition:
    """The checks of a sync's assets, any of which a run may choose. None of them blocks anything."""
    by_key = {subject.key: subject for subject in subjects}

    @dg.multi_asset_check(name=f"checks_of_{snake(sync.name)}", specs=[*_specs(sync, subjects)], can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext, config: CheckedConnections, sync_project: SyncProject
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = context.op_execution_context.selected_asset_check_keys
        project = sync_project.open()
        project.store.check_current()
        for key, subject in by_key.items():
            if dg.AssetCheckKey(key, COMPLETE) in chosen:
                verdict = _count(context, project, subject, config)
                yield _result(subject, COMPLETE, verdict)
        late = freshness_verdicts(project.store, Checked(sync=sync, subjects=subjects), datetime.now(UTC))
        for key, verdict in late.items():
            if dg.AssetCheckKey(key, FRESH) in chosen:
                yield _result(by_key[key], FRESH, verdict)

    return checks


def _specs(sync: Sync, subjects: Sequence[Subject]) -> Iterator[dg.AssetCheckSpec]:
    for subject in subjects:
        if not subject.declared.is_associations:
            yield dg.AssetCheckSpec(
                COMPLETE,
                asset=subject.key,
                description="As many records in the account as rows in the destination, for every customer.",
            )
        if objectives := sync.objectives_of(subject.declared):
            yield dg.AssetCheckSpec(
                FRESH,
                asset=subject.key,
                description=f"No customer's last successful sync is older than {objectives_in_words(objectives)}.",
            )


def check_job_of(sync: Sync, keys: Sequence[dg.AssetKey]) -> "UnresolvedAssetJobDefinition":
    tags = {SYNC_TAG: sync.name, PROVIDER_TAG: sync.provider}
    return dg.define_asset_job(
        f"check_{snake(sync.name)}",
        selection=dg.AssetSelection.checks_for_assets(*keys),
        description=f"Counts every object of {sync.name} at the source and in the destination, and repairs gaps.",
        executor_def=dg.in_process_executor,
        tags=tags,
        run_tags=tags,
    )


def daily_check(sync: Sync, job: "UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    """Once a night: it costs one call for each customer and object."""
    digest = hashlib.blake2s(sync.name.encode(), digest_size=4).digest()
    minute = int.from_bytes(digest, "big") % (NIGHT_HOURS * 60)
    return dg.ScheduleDefinition(
        name=f"check_{snake(sync.name)}_daily",
        job=job,
        cron_schedule=f"{minute % 60} {minute // 60} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Checks the completeness of {sync.name} once a day.",
    )


def checks_sensor(checked: Sequence[Checked]) -> dg.SensorDefinition:
    """Tells what the store knows of these syncs. Starts no run.

    `complete` too: a run of single partitions plans the checks of its asset but leaves them out, which would hide the
    last result, and the command line counts without Dagster.
    """

    @dg.sensor(
        name="checks",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the checks of completeness and freshness when their results change, without a run.",
    )
    def checks(context: dg.SensorEvaluationContext, sync_project: SyncProject) -> dg.SensorResult:
        store = sync_project.open().store
        store.check_current()
        events, cursor = tick(store, checked, context.cursor, datetime.now(UTC))
        return dg.SensorResult(
            asset_events=events, cursor=cursor, skip_reason=None if events else "Nothing has changed."
        )

    return checks


def tick(
    store: Store, checked: Sequence[Checked], cursor: str | None, now: datetime
) -> tuple[list[dg.AssetCheckEvaluation], str]:
    """The results that are worth an event, and what to remember until the next tick."""
    remembered: dict[str, Any] = json.loads(cursor) if cursor else {}
    told: dict[str, Any] = {}
    events = []
    for key, check, verdict in _verdicts(store, checked, now):
        name = f"{key.to_user_string()} {check}"
        before, at = remembered.get(name, (None, None))
        if before == verdict.mark and now - datetime.fromisoformat(at) < TOLD_AGAIN_AFTER:
            told[name] = [before, at]
            continue
        told[name] = [verdict.mark, now.isoformat()]
        events.append(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=check,
                passed=verdict.passed,
                severity=verdict.severity,
                description=verdict.description,
                metadata=verdict.metadata,
                blocking=False,
            )
        )
    return events, json.dumps(told)


def _verdicts(store: Store, checked: Sequence[Checked], now: datetime) -> Iterator[tuple[dg.AssetKey, str, Verdict]]:
    for each in checked:
        standings = store.completeness.standings(each.sync.name)
        rest = store.freshness.rest(each.sync.name)
        for subject in each.subjects:
            if (standing := standings.get(subject.declared.object)) is not None:
                yield subject.key, COMPLETE, completeness_verdict(standing, rest)
        for key, verdict in freshness_verdicts(store, each, now).items():
            yield key, FRESH, verdict


def freshness_verdicts(store: Store, checked: Checked, now: datetime) -> Mapping[dg.AssetKey, Verdict]:
    """Nothing for what has no objective."""
    sync = checked.sync
    held = [each for each in checked.subjects if sync.objectives_of(each.declared)]
    if not held:
        return {}
    late, rest = store.freshness.late(sync, now), store.freshness.rest(sync.name)
    return {
        each.key: freshness_verdict(
            [one for one in late if one.object == each.declared.object], rest, sync.objectives_of(each.declared), now
        )
        for each in held
    }


def _count(
    context: dg.AssetCheckExecutionContext, project: Project, subject: Subject, config: CheckedConnections
) -> Verdict:
    """Count the chosen customers, ask for repairs, and judge all that is known of the object."""
    sync, name = subject.sync.name, subject.declared.object

    def tell(counted: Sequence[Comparison]) -> None:
        context.log.info(f"Counted {subject.spoken} of {len(counted)} customers.")

    found = verify(project, sync, [name], config.connections, run_id=context.run.run_id, on_counted=tell)
    asked = repair(project, sync, found) if config.repair else []
    standing = project.store.completeness.standings(sync).get(name, Standing())
    return completeness_verdict(standing, project.store.freshness.rest(sync), len(asked))


def _result(subject: Subject, check: str, verdict: Verdict) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=subject.key,
        check_name=check,
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.description,
        metadata=verdict.metadata,
    )
