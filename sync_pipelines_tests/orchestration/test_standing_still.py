"""Work that stands still, because somebody paused it or because its connection expired, and what brings it back."""

import json

import dagster as dg
import pytest

from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.orchestration.fakes import giving

PARTITIONS = dg.DynamicPartitionsDefinition(name="salesforce_connections")
INTERVAL_MINUTES = 15


class Dagster:
    """The daemon's part: sensors are looked at, and what they ask for is run. Nobody else touches it."""

    def __init__(self, place, instance):
        self._place = place
        self._instance = instance

    def tick(self):
        """The runs that one look at the sync's sensor asks for."""
        project = self._place.project
        repository = definitions_of(project, giving(project)).get_repository_def()
        resources = {"sync_project": giving(project)}
        with dg.build_sensor_context(
            instance=self._instance, repository_def=repository, resources=resources
        ) as context:
            return repository.get_sensor_def("crm_due").evaluate_tick(context).run_requests or []

    def run(self):
        """Run what is due now: by run, the customers that it is for."""
        asked = self.tick()
        for request in asked:
            job = definitions_of(self._place.project, giving(self._place.project)).resolve_job_def("sync_crm")
            job.execute_in_process(
                run_config=request.run_config,
                tags=request.tags,
                asset_selection=request.asset_selection,
                instance=self._instance,
                raise_on_error=False,
            )
        assert self.tick() == []  # closes the claims, and nothing is due twice
        return [request.run_config["ops"]["objects_of_crm"]["config"]["connections"] for request in asked]

    def statuses(self):
        found = self._instance.get_status_by_partition(dg.AssetKey(["crm", "contact"]), [ACME, BRIGHTWATER], PARTITIONS)
        return {customer: status and status.value for customer, status in found.items()}


@pytest.fixture
def dagster(place, tmp_path):
    place.write_sync(objects=["contact"], schedule={"every": f"{INTERVAL_MINUTES} minutes"})
    place.connect(ACME, BRIGHTWATER)
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield Dagster(place, instance)


@pytest.fixture
def shell(command_line, place):
    return command_line.at(place)


def minutes_pass(place, minutes):
    """Everything that is planned comes nearer by so much."""
    moved = [
        f"{name} = {name} - make_interval(mins => {minutes})" for name in ("regular_at", "scheduled_at", "retry_at")
    ]
    with place.store.connect() as connection:
        connection.execute(f"UPDATE due SET {', '.join(moved)}")


def test_a_paused_sync_with_three_due_intervals_runs_once_when_it_is_resumed(place, dagster, shell):
    assert dagster.run() == [[ACME, BRIGHTWATER]]
    place.control.change(ACME, "Contact", updated=5, created=2)
    assert shell("pause", "crm").code == 0
    for _ in range(3):
        minutes_pass(place, INTERVAL_MINUTES)
        assert dagster.tick() == []
    assert shell("resume", "crm").code == 0
    assert dagster.run() == [[ACME, BRIGHTWATER]]
    assert len(place.project.store.runs.list(sync="crm", customer_id=ACME)) == 2
    assert place.differences(ACME, BRIGHTWATER) == []
    minutes_pass(place, INTERVAL_MINUTES)
    assert len(dagster.run()) == 1


def test_one_customer_that_is_paused_waits_alone(place, dagster, shell):
    dagster.run()
    assert shell("pause", "crm", "--customer", ACME).code == 0
    minutes_pass(place, 3 * INTERVAL_MINUTES)
    assert dagster.run() == [[BRIGHTWATER]]
    assert shell("resume", "crm", "--customer", ACME).code == 0
    assert dagster.run() == [[ACME]]


def test_an_expired_token_stops_its_own_connection_until_the_customer_reconnects(place, dagster, shell, tmp_path):
    dagster.run()
    place.control.change(ACME, "Contact", updated=5, created=2)
    place.control.change(BRIGHTWATER, "Contact", updated=5, created=2)
    place.control.revoke_tokens(ACME)
    minutes_pass(place, INTERVAL_MINUTES)
    assert dagster.run() == [[ACME, BRIGHTWATER]]
    assert place.project.store.connections.get(ACME, "salesforce").status == "expired"
    assert dagster.statuses() == {ACME: "FAILED", BRIGHTWATER: "MATERIALIZED"}
    assert place.differences(BRIGHTWATER) == []

    minutes_pass(place, 3 * INTERVAL_MINUTES)
    assert dagster.run() == [[BRIGHTWATER]]

    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps(place.control.new_tokens(ACME)))
    account = place.control.account(ACME)
    connected = shell("connect", "salesforce", ACME, "--tokens", tokens, "--api-url", account.api_url)
    assert connected.code == 0, connected.text
    assert dagster.run() == [[ACME]]
    assert dagster.statuses() == {ACME: "MATERIALIZED", BRIGHTWATER: "MATERIALIZED"}
    assert place.differences(ACME, BRIGHTWATER) == []
