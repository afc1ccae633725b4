"""A sync made by a call of the API runs, in Dagster's real processes, without anybody starting anything anew."""

import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import httpx
import pytest
from pydantic import SecretStr

from sync_pipelines.api.serving import serve
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.orchestration.environment import BATCHING
from sync_pipelines.orchestration.graphql import DagsterClient, DagsterRefused
from sync_pipelines.orchestration.processes import DagsterProcesses
from sync_pipelines.orchestration.resources import SyncProject
from sync_pipelines.project import open_project
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines.side_changes import change_side, make_side
from sync_pipelines.sync_changes import make_sync
from sync_pipelines_tests.fixtures.place import ACME
from sync_pipelines_tests.orchestration.fakes import giving

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 180
SYNC = {
    "name": "by api",
    "provider": "salesforce",
    "destination": "warehouse",
    "objects": ["contact"],
    "schedule": "hourly",
}
TICKS = """
query Ticks($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState { ticks { status error { message } } } } }
}
"""


@pytest.fixture
def running(place, make_database, tmp_path):
    """Dagster on a project whose files declare no sync at all; one customer is connected."""
    (place.folder / "syncs" / "crm.yaml").unlink()
    place.open()
    place.connect(ACME)
    processes = DagsterProcesses(
        tmp_path / "home",
        instance_file=ROOT / "dagster.yaml",
        environment={
            **BATCHING,
            **place.environ,
            "SYNC_PIPELINES_ENVIRONMENT": "development",
            "SYNC_PIPELINES_STORE_URL": place.store.url(),
            "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
            "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
            "SYNC_PIPELINES_DUE_EVERY_SECONDS": "2",
            "SYNC_PIPELINES_DAGSTER_URL": make_database().url("psycopg2"),
            "PYTHONPATH": str(ROOT),
        },
        working_directory=tmp_path,
    )
    with processes:
        yield processes


def until(what, condition):
    """What the condition gives, once that is true. While a location loads anew, Dagster's answers may be errors."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        with suppress(httpx.HTTPError, DagsterRefused):
            if found := condition():
                return found
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def landed(place, table):
    with place.warehouse.connect() as connection:
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"crm.{table}"]).fetchone()[0]
    return len(place.rows(table, ACME)) if there else 0


def test_a_sync_made_by_api_runs_changes_and_goes_and_nobody_starts_anything(place, running):
    wanted = {name: len(list(place.control.truth(ACME, name))) for name in ("Contact", "Lead")}
    _, token = place.project.store.tokens.create("test", ["syncs:read", "syncs:write", "syncs:run"])
    before = [each.pid for each in running.started]
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    with (
        serve(place.project) as url,
        httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60) as api,
        DagsterClient(running.url) as dagster,
    ):
        assert api.post("/syncs", json=SYNC).status_code == 201
        until("the contacts land", lambda: landed(place, "crm_contact") == wanted["Contact"])
        until("Dagster shows them", lambda: dagster.materializations(["by_api", "contact"]))

        assert api.put("/syncs/by api", json={**SYNC, "objects": ["contact", "lead"]}).status_code == 200
        until("Dagster shows the new object", lambda: dagster.partition_keys(["by_api", "lead"]) == [ACME])
        assert api.post("/syncs/by api/trigger", json={"objects": ["lead"]}).status_code == 202
        until("the leads land", lambda: landed(place, "crm_lead") == wanted["Lead"])

        until("the runs have ended", lambda: api.delete("/syncs/by api").status_code == 200)
        until("its assets go", lambda: not knows(dagster, ["by_api", "contact"]))
        assert landed(place, "crm_contact") == wanted["Contact"]
        running.check()
        assert [each.pid for each in running.started] == before
        selector = {"repositoryLocationName": "sync_pipelines", "repositoryName": "__repository__"}
        answer = dagster.ask(TICKS, sensor={**selector, "sensorName": "syncs_made_by_api"})
        ticks = answer["sensorOrError"]["sensorState"]["ticks"]
        assert ticks
        assert not [tick for tick in ticks if tick["status"] == "FAILURE"]


def knows(dagster, asset):
    try:
        return dagster.partition_keys(asset) is not None
    except DagsterRefused as refusal:
        if "AssetNotFoundError" not in str(refusal):
            raise
        return False


def test_the_sensor_says_what_a_person_can_do_and_a_broken_file_is_not_loaded(place):
    def tick():
        (sensor,) = [each for each in definitions.sensors if each.name == "syncs_made_by_api"]
        place.open()
        with dg.build_sensor_context(resources={"sync_project": giving(place.project)}) as context:
            return sensor(context).skip_reason.skip_message

    definitions = definitions_of(place.project)
    assert "has the syncs that there are" in tick()
    make_sync(place.project, {**SYNC, "objects": ["lead"]}, actor="test")
    assert "reload sync_pipelines under Deployment, or set SYNC_PIPELINES_CODE_SERVER" in tick()
    place.options["code_server"] = "/nowhere/code.sock"
    (place.folder / "syncs" / "twin.yaml").write_text((place.folder / "syncs" / "crm.yaml").read_text())
    with pytest.raises(ConfigurationError, match="another sync has this name"):
        tick()


def test_a_sync_whose_provider_and_destination_were_made_by_api_is_among_the_assets(place):
    def loads_anew(definitions):
        (sensor,) = [each for each in definitions.sensors if each.name == "syncs_made_by_api"]
        with dg.build_sensor_context(resources={"sync_project": giving(place.open())}) as context:
            return "other syncs" in sensor(context).skip_reason.skip_message

    loaded = definitions_of(place.project)
    provider = {"name": "own crm", "provider_name": "salesforce", "auth_type": "client_credentials"}
    database = {"host": "db.invalid", "database": "archive", "user": "sync", "password": "of-the-archive"}
    destination = {"name": "archive", "type": "postgres", "credentials": database}
    for kind, document in (("providers", provider), ("destinations", destination)):
        make_side(place.project, kind, document, actor="test")
        assert loads_anew(loaded)
    make_sync(place.project, {**SYNC, "provider": "own crm", "destination": "archive"}, actor="test")
    definitions = definitions_of(place.open())
    asset = definitions.resolve_asset_graph().get(dg.AssetKey(["by_api", "contact"]))
    assert asset.kinds == {"salesforce", "postgres"}
    assert not loads_anew(definitions)
    change_side(place.project, "providers", "own crm", {**provider, "reserve": 0.5}, actor="test")
    assert loads_anew(definitions)


def test_the_code_location_loads_while_the_store_is_down(place):
    away = SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/store")
    project = open_project(place.settings().model_copy(update={"store_url": away}), place.environ)
    definitions = definitions_of(project)
    assert definitions.resolve_job_def("sync_crm")


def test_while_a_file_is_broken_nothing_starts_and_nothing_fails_and_mending_it_is_enough(place):
    """The sensor says which file. What is due keeps its place, so that no customer pays for it with a failure."""

    class OpenedAnew(SyncProject):
        def open(self):
            return place.open()

    def tick():
        resources = {"sync_project": OpenedAnew()}
        with dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources) as context:
            return repository.get_sensor_def("crm_due").evaluate_tick(context)

    place.connect(ACME)
    repository = definitions_of(place.project).get_repository_def()
    unrelated = place.folder / "syncs" / "unrelated.yaml"
    with dg.DagsterInstance.ephemeral() as instance:
        place.project.plan("crm")
        due = place.project.store.due
        due.request("crm")
        before = due.list()
        unrelated.write_text("name: unrelated\nobjcts: [contact]\n")
        for _ in range(3):
            with pytest.raises(ConfigurationError, match=r"unrelated.yaml:2: objcts: is not known here"):
                tick()
        assert due.list() == before
        unrelated.unlink()
        [request] = tick().run_requests
        assert request.run_config["ops"]["objects_of_crm"]["config"]["connections"] == [ACME]
