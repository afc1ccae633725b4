"""A code location on the fake project, for tests that start Dagster's processes: the contacts of `bad` always fail."""

import dagster as dg

from sync_pipelines.orchestration.assets import multi_asset_of
from sync_pipelines.orchestration.forking import fork_runs
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_failed_run, a_sync, giving, subjects_of

project = FakeProject(a_sync(), customers=["acme", "bolt", "corvo", "bad", "delta"])
project.outcomes["contact", "bad"] = a_failed_run("bad")
sync = project.configuration.syncs["hubspot_crm"]

fork_runs()
defs = dg.Definitions(
    assets=[multi_asset_of(sync, subjects_of(project, sync))],
    resources={"sync_project": giving(project)},
    executor=dg.in_process_executor,
)
