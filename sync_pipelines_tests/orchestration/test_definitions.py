import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.sync import Schedule
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.environment import dagster_environment
from sync_pipelines.orchestration.names import snake
from sync_pipelines.project import open_project
from sync_pipelines.settings import Settings
from sync_pipelines.store.sealing import new_key
from sync_pipelines_tests.orchestration.fakes import FakeProject, a_sync, giving

ROOT = Path(__file__).parents[2]
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
VALUES = {
    "SYNC_PIPELINES_STORE_URL": NOWHERE,
    "SYNC_PIPELINES_ENCRYPTION_KEYS": new_key(),
    "HUBSPOT_CLIENT_ID": "app",
    "HUBSPOT_CLIENT_SECRET": "hubspot-secret",
    "SALESFORCE_CLIENT_ID": "app",
    "SALESFORCE_CLIENT_SECRET": "salesforce-secret",
    "WAREHOUSE_USER": "sync",
    "WAREHOUSE_PASSWORD": "warehouse-password",
}


def command(*arguments, cwd=ROOT, **values):
    """Run a tool of this Python's environment as an engineer would, without anything of theirs in the environment."""
    bin_folder = Path(sys.executable).parent
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SYNC_PIPELINES_", "DAGSTER_"))
    }
    environment |= VALUES | {"DAGSTER_DISABLE_TELEMETRY": "yes", "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(bin_folder / arguments[0]), *arguments[1:]],
        cwd=cwd,
        env=environment | values,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy_of_the_project(tmp_path):
    """The files that an engineer's own project has, in a folder of its own."""
    for name in ("workspace.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "syncs", tmp_path / "syncs")
    return tmp_path


def test_the_example_project_has_an_asset_per_sync_and_object_with_its_connections_as_partitions():
    project = open_project(Settings(syncs_dir=ROOT / "syncs", _env_file=None), VALUES)
    graph = definitions_of(project).resolve_asset_graph()
    found = {
        "/".join(key.path): (graph.get(key).group_name, graph.get(key).partitions_def.name)
        for key in graph.get_all_asset_keys()
    }
    crm = ("account", "contact", "opportunity", "user")
    marketing = ("campaign", "email_template", "task")
    assert found == {
        **{f"hubspot_crm/{name}": ("hubspot_crm", "hubspot_connections") for name in crm},
        **{f"salesforce_crm/{name}": ("salesforce_crm", "salesforce_connections") for name in (*crm, "lead")},
        **{f"salesforce_marketing/{name}": ("salesforce_marketing", "salesforce_connections") for name in marketing},
    }


def test_associations_are_an_asset_of_their_own_that_nobody_can_count(copy_of_the_project):
    file = copy_of_the_project / "syncs" / "syncs" / "hubspot_crm.yaml"
    file.write_text(
        "name: hubspot_crm\nprovider: hubspot\ndestination: warehouse\nfreshness: 1 day\n"
        "objects: [{object: contact, associations: [company]}]\n"
    )
    project = open_project(Settings(syncs_dir=copy_of_the_project / "syncs", _env_file=None), VALUES)
    graph = definitions_of(project).resolve_asset_graph()
    keys = {name: dg.AssetKey(["hubspot_crm", name]) for name in ("contact", "contact_associations")}
    checks = {name: {each.name for each in graph.get(key).check_keys} for name, key in keys.items()}
    assert checks == {"contact": {"complete", "fresh"}, "contact_associations": {"fresh"}}


def test_every_sync_has_a_job_and_a_running_sensor_of_its_own():
    definitions = definitions_of(FakeProject(a_sync(), a_sync("Nightly Leads", "salesforce", ("Lead",))))
    repository = definitions.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "hubspot_crm_due",
        "nightly_leads_due",
        "connections",
        "checks",
        "retention",
        "syncs_made_by_api",
        "live_changes",
    }
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}
    often = [sensor for sensor in repository.sensor_defs if sensor.name != "retention"]
    assert {sensor.minimum_interval_seconds for sensor in often} == {30, 60}
    job = definitions.resolve_job_def("sync_nightly_leads")
    assert job.executor_def.name == "in_process"
    assert job.run_tags == {"sync_pipelines/sync": "Nightly Leads", "sync_pipelines/provider": "salesforce"}


def test_an_asset_says_where_it_was_declared():
    project = open_project(Settings(syncs_dir=ROOT / "syncs", _env_file=None), VALUES)
    graph = definitions_of(project).resolve_asset_graph()
    metadata = graph.get(dg.AssetKey(["salesforce_marketing", "task"])).metadata
    [place] = metadata["dagster/code_references"].code_references
    assert place.file_path.endswith("syncs/syncs/salesforce_marketing.yaml")
    assert (ROOT / place.file_path).read_text().splitlines()[place.line_number - 1] == "name: salesforce_marketing"
    assert metadata["schedule"] == "cron 0 5 * * * (Europe/Paris)"


@pytest.mark.parametrize(
    ("schedule", "words"),
    [(Schedule(cron="0 5 * * *"), "cron 0 5 * * * (UTC)"), (Schedule(), "when asked")],
)
def test_the_schedule_is_told_in_words(schedule, words):
    project = FakeProject(replace(a_sync(), schedule=schedule))
    graph = definitions_of(project, giving(project)).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["hubspot_crm", "contact"])).metadata["schedule"] == words


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("EmailMessage", "email_message"),
        ("Employee__c", "employee__c"),
        ("2-123", "2_123"),
        ("p123_car", "p123_car"),
        ("contact", "contact"),
    ],
)
def test_vendors_names_become_names_that_dagster_takes(name, key):
    assert snake(name) == key


def test_two_objects_with_one_asset_name_are_refused_by_both_their_names():
    with pytest.raises(ConfigurationError, match=r"'Email-Message' of sync 'crm'.*'EmailMessage' of sync 'crm'"):
        definitions_of(FakeProject(a_sync("crm", objects=("EmailMessage", "Email-Message"))))


def test_two_syncs_with_one_name_in_dagster_are_refused_by_both_their_names():
    with pytest.raises(ConfigurationError, match=r"sync 'nightly-leads'.*sync 'Nightly_Leads'"):
        definitions_of(FakeProject(a_sync("Nightly_Leads"), a_sync("nightly-leads", objects=("lead",))))


def test_names_that_look_like_each_others_jobs_and_steps_load_together():
    syncs = [a_sync(name) for name in ("crm", "sync_crm", "objects_of_crm")]
    definitions = definitions_of(FakeProject(*syncs))
    dg.Definitions.validate_loadable(definitions)
    assert len(definitions.resolve_asset_graph().get_all_asset_keys()) == 6


def test_the_project_loads_with_its_own_instance_settings_while_the_store_is_down(database):
    """The store's URL leads nowhere; Dagster's own storage is there."""
    result = command("dagster", "definitions", "validate", SYNC_PIPELINES_DAGSTER_URL=database.url("psycopg2"))
    assert result.returncode == 0, result.stderr
    told = result.stderr + result.stdout
    assert "All code locations passed validation" in told
    assert "BetaWarning" not in told
    assert not [secret for secret in ("hubspot-secret", "warehouse-password") if secret in told]


def test_dg_check_defs_passes_without_any_database(tmp_path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    result = command("dg", "check", "defs", DAGSTER_HOME=str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "All definitions loaded successfully" in result.stdout + result.stderr


def test_a_broken_configuration_is_told_with_file_line_and_field(copy_of_the_project):
    file = copy_of_the_project / "syncs" / "syncs" / "hubspot_crm.yaml"
    lines = file.read_text().splitlines()
    line = next(number for number, text in enumerate(lines) if text.startswith("strategy:"))
    lines[line] = "strategy: sometimes"
    file.write_text("\n".join(lines))
    result = command("dagster", "definitions", "validate", cwd=copy_of_the_project)
    assert result.returncode == 1
    assert f"syncs/syncs/hubspot_crm.yaml:{line + 1}: strategy" in result.stdout + result.stderr


def test_a_missing_variable_is_told_by_its_name(copy_of_the_project):
    result = command("dagster", "definitions", "validate", cwd=copy_of_the_project, WAREHOUSE_USER="")
    assert result.returncode == 1
    assert "WAREHOUSE_USER" in result.stdout + result.stderr


def test_dagsters_processes_write_events_in_batches():
    values = dagster_environment(Settings(_env_file=None))
    assert values["DAGSTER_EVENT_BATCH_SIZE"] == "1000"
    assert values["DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"] == "1"


def test_definitions_stay_short():
    lines = (ROOT / "sync_pipelines" / "orchestration" / "definitions.py").read_text().splitlines()
    assert len(lines) <= 60
