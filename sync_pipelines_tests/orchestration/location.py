"""A code location on the fake project, for tests that start Dagster's processes: customer `bad` always fails."""

import dagster as dg

from sync_pipelines.orchestration.assets import Subject, asset_of
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_failed_run, a_sync, giving

project = FakeProject(a_sync(objects=("contact",)), customers=["acme", "bolt", "corvo", "bad", "delta"])
project.outcomes["bad"] = a_failed_run("bad")
sync = project.configuration.syncs["hubspot_crm"]

defs = dg.Definitions(
    assets=[
        asset_of(
            Subject(
                sync=sync,
                declared=sync.objects[0],
                vendor="hubspot",
                destination_type="postgres",
                table=project.table("hubspot_crm", "contact"),
            )
        )
    ],
    resources={"sync_project": giving(project)},
    executor=dg.in_process_executor,
)
