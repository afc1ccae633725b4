"""No secret reaches a log, an error, an event, the store in the clear, or what the command line prints."""

import json
import logging
import re
import shlex
import traceback

import dagster as dg
import httpx
import pytest
from typer.testing import CliRunner

from sync_pipelines.cli import app
from sync_pipelines.http_client.client import VendorSession
from sync_pipelines.http_client.wire import Wire
from sync_pipelines.logs import configure
from sync_pipelines.logs.setup import OURS
from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.secret import Secret
from sync_pipelines.orchestration.assembly import definitions_of
from sync_pipelines.settings import DEVELOPMENT_KEY, LogSettings
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN, QUILL
from sync_pipelines_tests.http_client.scripted import answered_by

PASSWORD = "warehouse-password-of-this-test"


@pytest.fixture
def heard(caplog):
    """Everything that any logger says, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield caplog
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)


def secrets_of(control):
    """Tokens by account, client secret, encryption key, password."""
    found = {DEVELOPMENT_KEY, PASSWORD}
    for account in control.accounts():
        found |= {account.access_token, account.refresh_token, account.client_secret}
    return found


def said(caplog):
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(formatter.format(record) + repr(record.args) for record in caplog.records)


def leaked(text, secrets):
    return [secret[:12] + "..." for secret in secrets if secret in text]


def test_a_whole_story_with_refreshes_and_failures_tells_no_secret(place, heard):
    secrets = secrets_of(place.control)
    place.write_sync(name="hub", provider="hubspot")
    place.connect(ACME, LUMEN, QUILL)
    place.control.expire_tokens(ACME)
    place.control.expire_tokens(LUMEN)
    place.control.revoke_tokens(QUILL)
    place.control.fault(ACME, "status", status=500, times=1, path="query")
    runs = [place.sync_one(ACME), *place.sync(LUMEN, QUILL, name="hub")]
    assert {run.customer_id: run.status for run in runs} == {ACME: "success", LUMEN: "success", QUILL: "error"}
    secrets |= {
        place.project.store.credentials(connection).read().access_token.reveal()
        for connection in place.project.store.connections.list(status="connected")
    }
    stored = repr(place.project.store.runs.list()) + repr(place.project.store.audit.list())
    stored += repr(place.project.settings) + repr(place.project.configuration) + repr(runs)
    assert len(said(heard)) > 1_000
    assert leaked(said(heard), secrets) == []
    assert leaked(stored, secrets) == []


def test_the_store_keeps_no_token_in_the_clear(place):
    place.connect(ACME)
    place.sync_one(ACME)
    secrets = secrets_of(place.control)
    with place.store.connect() as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        text = "".join(repr(connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()) for (name,) in tables)
    assert "credentials" in {name for (name,) in tables}
    assert leaked(text, secrets) == []


def test_a_wrong_destination_password_is_not_told(place, heard):
    place.environ = {**place.environ, "WAREHOUSE_PASSWORD": PASSWORD, "WAREHOUSE_DATABASE": "no_such_database"}
    place.open()
    place.connect(ACME)
    run = place.sync_one(ACME)
    assert (run.status, run.error_type) == ("error", "destination")
    assert leaked(said(heard) + repr(run), {PASSWORD}) == []


def test_a_vendor_that_echoes_the_token_does_not_make_us_tell_it(place, heard):
    """An error page that repeats the request's headers and form, as debugging proxies do."""
    account = place.control.account(ACME)
    place.connect(ACME)
    connection = place.project.store.connections.get(ACME, "salesforce")

    def echo(request):
        body = request.content.decode()
        return httpx.Response(500, text=f"{request.headers.get('authorization')} {body}", request=request)

    session = VendorSession(
        place.project.providers["salesforce"],
        connection,
        place.project.store.credentials(connection),
        OAuthClient(client_id="id", client_secret=Secret(account.client_secret)),
        attempts=2,
        transport=answered_by(echo),
        sleep=lambda seconds: None,
    )
    provider = place.project.providers["salesforce"]
    with pytest.raises(SyncError) as told:
        session.ask(provider.describe(provider.find_object("Contact")))
    session.close()
    everything = "".join(traceback.format_exception(told.value)) + str(told.value) + told.value.detail + said(heard)
    assert leaked(everything, secrets_of(place.control)) == []


def test_the_command_line_prints_no_secret_even_with_debug(place, monkeypatch, tmp_path, heard):
    account = place.control.account(ACME)
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({"access_token": account.access_token, "refresh_token": account.refresh_token}))
    values = {
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
        **place.environ,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    lines = (
        f"--debug connect salesforce {ACME} --tokens {tokens} --api-url {account.api_url}",
        f"--debug sync crm --customer {ACME}",
        "--debug connections",
        "--debug check --live",
        "--debug runs --details",
    )
    printed = ""
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line))
        assert done.exit_code == 0, done.output
        printed += done.output
    assert leaked(printed + said(heard), secrets_of(place.control)) == []


@pytest.mark.parametrize("where", ["while reading", "at the token endpoint", "in a bulk job"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
@pytest.mark.parametrize(("vendor", "customer"), [("salesforce", ACME), ("hubspot", LUMEN)])
def test_whatever_a_vendor_repeats_of_our_request_stays_out_of_everything(
    unhurried, heard, monkeypatch, vendor, customer, status, where
):
    place = unhurried
    place.write_sync(provider=vendor, bulk_above=0 if where == "in a bulk job" else 2000)
    place.connect(customer)
    if where == "at the token endpoint":
        place.control.expire_tokens(customer)
    usual = Wire.handle_request
    paths = {
        "while reading": r"/query|/objects/",
        "at the token endpoint": "/token$",
        "in a bulk job": "/jobs/query|/objects/",
    }

    def echo(transport, request):
        if not re.search(paths[where], request.url.path):
            return usual(transport, request)
        # Repeated, so that wherever a message is cut, it is cut inside a secret.
        said = f"{request.headers.get('authorization')} {request.content.decode()}" * 20
        told = {"error": "invalid_grant", "error_description": said, "message": said, "category": said, "status": said}
        errors = [{"errorCode": said, "message": said}]
        listed = vendor == "salesforce" and where != "at the token endpoint"
        return httpx.Response(status, json=errors if listed else told, request=request)

    monkeypatch.setattr(Wire, "handle_request", echo)
    (run,) = place.sync(customer)
    shown = CliRunner().invoke(app, ["runs", "--details"], env=shell_of(place)).output
    with place.store.connect() as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        stored = "".join(repr(connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()) for (name,) in tables)
    assert run.error_type or run.notices, "the vendor was heard"
    account = place.control.account(customer)
    secrets = {account.access_token, account.refresh_token, account.client_secret}
    parts = {secret[at : at + 16] for secret in secrets for at in (0, len(secret) // 2, len(secret) - 16)}
    assert leaked(repr(run) + said(heard) + stored + shown, parts) == []


def shell_of(place):
    """The variables of a shell in the place's project."""
    return {
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
        **place.environ,
    }


def test_a_run_of_dagster_tells_no_secret_in_its_events_and_output(place, heard, monkeypatch, capfd):
    """One vendor answers with what it was sent; on the way to the other one a bug raises an error with all of it."""
    project = place.write_sync()
    place.connect(ACME, BRIGHTWATER)
    monkeypatch.setattr(
        Wire, "handle_request", echoing_or_broken(Wire.handle_request, place.control.account(BRIGHTWATER).access_token)
    )
    for name, value in shell_of(place).items():
        monkeypatch.setenv(name, value)
    configure(LogSettings(log_level="DEBUG"), logger=OURS)
    definitions = definitions_of(project)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("salesforce_connections", [ACME, BRIGHTWATER])
        result = dg.materialize(
            list(definitions.assets),
            instance=instance,
            resources=definitions.resources,
            run_config={"ops": {"objects_of_crm": {"config": {"connections": [ACME, BRIGHTWATER]}}}},
            raise_on_error=False,
        )
        events = "".join(entry.to_json() for entry in instance.all_logs(result.run_id))
    written = capfd.readouterr()
    runs = place.project.store.runs.list()
    assert not result.success
    assert {run.status for run in runs} == {"error"}
    assert "An unexpected error (RuntimeError)" in events
    assert "it broke" in written.err
    everything = events + written.out + written.err + said(heard) + repr(runs)
    assert leaked(everything, secrets_of(place.control)) == []


def echoing_or_broken(usual, broken):
    """`broken`: the token of those who meet the bug."""

    def handle(transport, request):
        sent = request.headers.get("authorization", "")
        if "/query" not in request.url.path:
            return usual(transport, request)
        if broken in sent:
            raise RuntimeError(f"it broke: postgresql://u:{broken}@db, sent {sent} and {broken}")
        return httpx.Response(500, json=[{"errorCode": sent, "message": f"{sent} {request.url}"}], request=request)

    return handle
