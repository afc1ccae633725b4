"""Runs of long ago in Dagster's real storage, and what its pages say of their partitions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field
from sqlalchemy import text

from sync_pipelines.orchestration.events import record_failed_partitions, record_materializations
from sync_pipelines.orchestration.names import SYNC_TAG

CONTACT, ACCOUNT = dg.AssetKey(["hubspot_crm", "contact"]), dg.AssetKey(["hubspot_crm", "account"])
FOREIGN = dg.AssetKey("somebody_elses")
PARTITIONS = dg.DynamicPartitionsDefinition(name="hubspot_connections")
EVERYBODY = [f"customer-{number:03}" for number in range(300)]


class Work(dg.Config):
    """Which customers got through, which failed, and whether the run ends well nevertheless."""

    through: list[str] = Field(default_factory=list)
    failed: list[str] = Field(default_factory=list)
    ends_well: bool = False


@dg.multi_asset(specs=[dg.AssetSpec(key, partitions_def=PARTITIONS, skippable=True) for key in (CONTACT, ACCOUNT)])
def objects(context, config: Work):
    context.log.info("a line of log")
    for key in (CONTACT, ACCOUNT):
        events = [
            dg.AssetMaterialization(key, partition=name, metadata={"run": context.run.run_id})
            for name in config.through
        ]
        record_materializations(context, events)
    record_failed_partitions(context, CONTACT, config.failed)
    yield from ()
    if config.failed and not config.ends_well:
        raise dg.Failure("some failed", allow_retries=False)


@dg.asset(key=FOREIGN)
def foreign():
    return None


class Past:
    """Runs of which each began so many days ago, and what Dagster's pages say now."""

    def __init__(self, instance):
        self.instance = instance
        instance.add_dynamic_partitions(PARTITIONS.name, EVERYBODY)

    def run(self, days, through=(), failed=(), **config):
        values = {"through": list(through), "failed": list(failed), **config}
        result = dg.materialize(
            [objects],
            instance=self.instance,
            run_config={"ops": {"objects": {"config": values}}},
            tags={SYNC_TAG: "hubspot_crm"},
            raise_on_error=False,
        )
        self.age(result.run_id, days)
        return result.run_id

    def age(self, run_id, days):
        then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=days)
        self.execute("UPDATE runs SET create_timestamp = :then WHERE run_id = :run_id", then=then, run_id=run_id)
        self.execute("UPDATE event_logs SET timestamp = :then WHERE run_id = :run_id", then=then, run_id=run_id)
        self.execute(
            "UPDATE asset_check_executions SET evaluation_event_timestamp = :then WHERE run_id = :run_id",
            then=then,
            run_id=run_id,
        )

    def unfinished(self, days, status):
        run = self.instance.create_run_for_job(
            dg.define_asset_job("all_objects", selection=[CONTACT, ACCOUNT]).resolve(
                asset_graph=dg.Definitions(assets=[objects]).resolve_asset_graph()
            ),
            status=status,
            tags={SYNC_TAG: "hubspot_crm"},
        )
        self.age(run.run_id, days)
        return run.run_id

    def execute(self, statement, **values):
        with self.instance.event_log_storage.index_connection() as database:
            result = database.execute(text(statement), values)
            return result.fetchall() if result.returns_rows else None

    def runs(self):
        return {run.run_id for run in self.instance.get_runs()}

    def captured_logs(self, run_id):
        """The files with what the run's process printed."""
        logs = self.instance.compute_log_manager
        folder = Path(logs.get_captured_local_path([run_id, "compute_logs", "step"], "out")).parent
        return list(folder.iterdir()) if folder.exists() else []

    def events(self, run_id):
        rows = self.execute("SELECT dagster_event_type, partition FROM event_logs WHERE run_id = :id", id=run_id)
        return [(kind, partition) for kind, partition in rows]

    def statuses(self, *, afresh=True):
        """Of every partition of both assets; `afresh` without what Dagster remembers of earlier answers."""
        found = {}
        for key in (CONTACT, ACCOUNT):
            if afresh:
                self.instance.event_log_storage.wipe_asset_cached_status(key)
            statuses = self.instance.get_status_by_partition(key, EVERYBODY, PARTITIONS) or {}
            found |= {(key.path[-1], name): status and status.value for name, status in statuses.items()}
        return found
