"""health, metrics and prune as a shell runs them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sync_pipelines.cli.printing import console
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL
from sync_pipelines_tests.orchestration.fakes import a_sync
from sync_pipelines_tests.orchestration.past import Past
from sync_pipelines_tests.store.standing import Standing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def standing(place):
    return Standing(place.project.store._engine)


@pytest.fixture
def customers(place, standing):
    """Customer -> connection: one is well, one fails in part, one's token expired."""
    place.connect(ACME, BRIGHTWATER, KESTREL)
    connections = {each.customer_id: each for each in place.project.connections("crm")}
    place.project.store.due.plan([place.project.sync("crm")])
    for connection in connections.values():
        standing.settled(connection)
    names = list(connections)
    standing.tried(connections[names[1]], "account", failing=2, last_error_message="Wait for the vendor. " * 30)
    place.project.store.connections.set_status(connections[names[2]], "expired", "revoked by the customer")
    return connections


@pytest.fixture
def shell(place, command_line):
    return command_line.at(place)


def test_health_says_what_is_wrong_why_and_what_to_do_in_100_columns(shell, customers, monkeypatch):
    monkeypatch.setattr(console, "width", 100)
    well, failing, expired = customers

    answer = shell("health")

    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0] == "🟡 crm (salesforce): warning. Of 3 connections 1 in error, 1 with a warning."
    assert f"🔴 {expired}: error. The customer's tokens no longer work: revoked by the customer." in answer.text
    assert f"→ The customer reconnects: sync-pipelines connect salesforce {expired}." in answer.text
    assert f"🟡 {failing}: warning. Failing: account: Wait for the vendor." in answer.text
    assert f"{well}:" not in answer.out
    assert "3 connections: 1 healthy, 1 warning, 1 error · last success " in answer.text
    assert max(len(line) for line in lines) <= 100
    assert f"🟢 {well}: healthy." in shell("health", "--all").text


def test_health_is_asked_of_a_customer_or_a_state_and_the_exit_code_is_about_those(shell, customers):
    well, failing, expired = customers

    assert [shell("health", "crm", "-c", name).code for name in (well, failing, expired)] == [0, 0, 1]
    assert f"🟢 {well}: healthy." in shell("health", "--customer", well).text
    only = shell("health", "--status", "warning")
    assert only.code == 0
    assert failing in only.text
    assert expired not in only.text
    assert shell("health", "--status", "warning,error").code == 1
    assert "There is no health broken: use healthy, warning" in shell("health", "--status", "broken").text
    assert shell("health", "crm", "--status", "inactive").text.startswith("There is nothing to tell")
    assert "There is no sync named nothing" in shell("health", "nothing").text


def test_health_as_json_has_every_number(shell, customers):
    answer = shell("health", "--json", "--all")

    told = json.loads(answer.out)
    assert answer.code == 1
    assert told["syncs"][0] | {"error": 1, "healthy": 1, "warning": 1} == told["syncs"][0]
    assert {each["customer_id"] for each in told["connections"]} == set(customers)
    assert told["connections"][0]["last_success_at"].endswith("+00:00")


def test_metrics_go_into_a_file_or_nowhere_without_a_place(shell, customers, tmp_path, place):
    file = tmp_path / "sync.prom"

    assert shell("metrics", "--textfile", file).code == 0
    families = {family.name for family in text_string_to_metric_families(file.read_text())}
    assert "sync_pipelines_connections" in families
    assert "sync_pipelines_connection_health" not in families

    assert shell("metrics", "--textfile", file, "--per-connection").code == 0
    assert "sync_pipelines_connection_health" in file.read_text()
    assert "Say where the metrics go" in shell("metrics").text
    assert "Say where the metrics go" in shell("metrics", "--serve", "--textfile", file).text
    lost = shell("metrics", "--textfile", tmp_path / "no folder" / "sync.prom")
    assert (lost.code, "cannot be written: No such file or directory." in lost.text) == (2, True)
    shell.set(SYNC_PIPELINES_STORE_URL="postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    away = shell("metrics", "--textfile", file)
    assert (away.code, "cannot be reached" in away.text) == (2, True)
    assert "sync_pipelines_store_up 0.0" in file.read_text()


def test_metrics_are_served_until_the_process_is_asked_to_end(place, customers):
    environment = {
        **os.environ,
        **place.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
    }
    command = [sys.executable, "-c", "from sync_pipelines.cli import app; app()", "metrics", "--serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().split()[-1]
            assert url.startswith("http://127.0.0.1:")
            with urlopen(url) as answer:
                families = {each.name: each for each in text_string_to_metric_families(answer.read().decode())}
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    states = {sample.labels["health"]: sample.value for sample in families["sync_pipelines_connections"].samples}
    assert states == {"healthy": 1, "warning": 1, "error": 1, "inactive": 0}


def test_a_port_that_is_taken_is_told(place, shell):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        answer = shell("metrics", "--serve", "--port", taken.getsockname()[1])

    assert answer.code == 2
    assert "Nothing can be served on 127.0.0.1:" in answer.text


def test_prune_shows_what_would_go_and_then_deletes_it(place, shell, postgres_instance):
    place.write_sync("hubspot_crm", "hubspot", ["contact", "account"])
    assert a_sync().name == "hubspot_crm"
    past = Past(postgres_instance)
    stays, goes, young = past.run(30, ["customer-000"]), past.run(29), past.run(1)

    dry = shell("prune", "--dry-run")
    assert dry.code == 0
    assert "Would be forgotten" in dry.text
    assert "Dagster runs 1 " in dry.text
    assert past.runs() == {stays, goes, young}

    assert "Dagster runs 1 " in shell("prune").text
    assert past.runs() == {stays, young}


def test_prune_leaves_dagster_alone_where_nothing_says_where_it_is(shell, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)

    answer = shell("prune")

    assert answer.code == 0
    assert "set DAGSTER_HOME to look there too" in answer.text
