"""What each verb does, says and returns."""

import json
import shlex
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sync_pipelines.cli import app
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines.store.sealing import new_key
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA, KESTREL, LUMEN, QUILL

VERBS = (
    *("sync", "trigger", "runs", "connect", "connections", "disconnect", "demo", "dev", "sandbox", "check", "migrate"),
    *("erase", "erasures"),
    *("state", "pause", "resume", "cancel", "archive", "restore"),
    *("mapping set", "mapping show", "mapping rollback", "mapping suggest", "fields", "failed"),
    *("schema show", "schema changes", "schema accept", "key new", "key rotate", "key list", "verify", "fresh"),
    *("preview", "plan", "apply", "config history", "config show", "config rollback"),
    *("api", "token new", "token list", "token revoke", "token scopes"),
)
ACCOUNT = {"object": "account", "custom_schema": CUSTOM_SCHEMA}


@pytest.fixture
def cli(place, monkeypatch, tmp_path):
    """Runs a line of the command line on the place; the project's own errors end with code 2."""
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

    def run(line, **options):
        done = CliRunner().invoke(app, shlex.split(line), **options)
        return done.exit_code, " ".join(done.output.split())

    return run


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    done = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


def test_the_program_starts_without_loading_dagster():
    program = "import sys; from sync_pipelines.cli import app; sys.exit('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_sync_shows_what_became_of_every_customer(cli, place):
    place.connect(ACME, "brightwater-clinics")
    code, text = cli("sync crm")
    assert code == 0
    assert ACME in text
    assert "brightwater-clinics" in text
    assert len(place.rows("crm_contact")) > 100
    code, text = cli(f"runs --customer {ACME}")
    assert (code, ACME in text, "brightwater" in text) == (0, True, False)


def test_sync_ends_with_one_when_a_customer_failed_and_the_others_are_done(cli, place):
    place.write_sync(provider="hubspot")
    place.connect(LUMEN, QUILL)
    place.control.revoke_tokens(QUILL)
    code, text = cli("sync crm")
    assert code == 1
    assert "auth_expired" in text
    assert place.rows("crm_contact", LUMEN)
    code, text = cli("connections")
    assert "expired" in text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sync nothing", "There is no sync named nothing. Known are: crm."),
        ("runs --sync nothing", "There is no sync named nothing. Known are: crm."),
        ("sync crm --customer nobody", "no connection of nobody to salesforce"),
        ("sync crm --object Nothing", "has no object Nothing"),
        ("mapping show nobody salesforce", "nobody"),
        ("disconnect salesforce nobody --yes", "nobody"),
        ("connect nowhere acme --tokens tokens.json", "There is no provider named nowhere"),
        ("connect salesforce acme --tokens broken.json", "not JSON"),
        ("connect salesforce acme --tokens empty.json", "access_token or refresh_token"),
    ],
)
def test_what_cannot_be_done_says_so_and_ends_with_two(place, cli, tmp_path, capsys, line, says):
    (tmp_path / "tokens.json").write_text('{"access_token": "x"}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        app(shlex.split(line))
    assert ended.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_tokens_come_by_a_file_or_standard_input_and_never_as_arguments(cli, place):
    account = place.control.account(ACME)
    tokens = json.dumps({"access_token": account.access_token, "refresh_token": account.refresh_token})
    code, text = cli(f"connect salesforce {ACME} --tokens - --api-url {account.api_url}", input=tokens)
    assert (code, account.account_id in text) == (0, True)
    help_text = CliRunner().invoke(app, ["connect", "--help"]).output
    assert "--access-token" not in help_text
    assert "--refresh-token" not in help_text


def test_a_sandbox_organisation_is_connected_synced_and_told_apart(cli, place, capsys):
    account = place.control.account(KESTREL)
    tokens = json.dumps({"access_token": account.access_token, "refresh_token": account.refresh_token})
    connect = f"connect salesforce {KESTREL} --tokens - --api-url {account.api_url} --environment"
    assert cli(f"{connect} sandbox", input=tokens)[0] == 0
    place.control.expire_tokens(KESTREL)
    assert cli("sync crm")[0] == 0
    assert place.rows("crm_contact", KESTREL)
    code, text = cli("connections")
    assert (code, f"{KESTREL} salesforce sandbox" in text) == (0, True)
    (tokens_file := place.folder / "tokens.json").write_text(tokens)
    with pytest.raises(SystemExit) as ended:
        app(["connect", "salesforce", "other", "--tokens", str(tokens_file), "--environment", "staging"])
    assert ended.value.code == 2
    assert "There is no environment staging: use production or sandbox." in capsys.readouterr().err


def test_a_mapping_is_set_shown_and_remembered_by_version(cli, place):
    place.write_sync(objects=[ACCOUNT])
    place.connect(ACME)
    code, text = cli(f"mapping set {ACME} salesforce account annual_revenue=ARR__c tier=Tier__c")
    assert (code, "Version 1" in text) == (0, True)
    code, text = cli(f"mapping set {ACME} salesforce account tier=")
    assert (code, "Version 2" in text) == (0, True)
    code, text = cli(f"mapping show {ACME} salesforce account --history")
    assert code == 0
    assert "ARR__c" in text
    assert "version 1" in text
    assert "version 2" in text


@pytest.mark.parametrize("rule", ["annual_revenue=ARR_c", "annual_revenue=Strategic__c", "nonsense=ARR__c", "nonsense"])
def test_a_mapping_that_cannot_work_is_refused_and_nothing_is_saved(cli, place, rule, capsys):
    place.write_sync(objects=[ACCOUNT])
    place.connect(ACME)
    with pytest.raises(SystemExit) as ended:
        app(["mapping", "set", ACME, "salesforce", "account", rule])
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip()
    assert place.project.store.mappings.current(ACME, "salesforce", "account") is None


def test_check_tells_file_line_field_and_fix(cli, place, capsys):
    (place.folder / "syncs" / "crm.yaml").write_text(
        "name: crm\nprovider: salesfroce\ndestination: warehouse\nobjects: [contact]\n"
    )
    with pytest.raises(SystemExit) as ended:
        app(["check"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "crm.yaml:2" in said
    assert "provider" in said
    assert "salesforce" in said


def test_check_live_asks_every_account(cli, place):
    place.write_sync(objects=["contact", "Nothing__c"])
    place.connect(ACME)
    code, text = cli("check --live")
    assert code == 2
    assert "Nothing__c" in text
    place.write_sync(objects=["contact"])
    assert cli("check --live")[0] == 0


def test_keys_are_made_and_rotated(cli, place, monkeypatch):
    place.connect(ACME)
    code, key = cli("key new")
    assert (code, len(key)) == (0, len(new_key()))
    monkeypatch.setenv("SYNC_PIPELINES_ENCRYPTION_KEYS", f"{key},{DEVELOPMENT_KEY}")
    code, text = cli("key rotate")
    assert (code, text) == (0, "credentials: 1 sealed anew 1 sealed text(s) sealed with the newest key.")
    code, text = cli("key list")
    assert code == 0
    assert "1 credentials" in text
    assert "nothing: it can be taken away" in text
    monkeypatch.setenv("SYNC_PIPELINES_ENCRYPTION_KEYS", new_key())
    code, text = cli("key list")
    assert (code, "missing: add it again" in text) == (1, True)
    monkeypatch.setenv("SYNC_PIPELINES_ENCRYPTION_KEYS", key)
    assert cli("sync crm")[0] == 0


def test_trigger_makes_a_sync_due_for_dagster(cli, place):
    place.connect(ACME)
    code, text = cli("trigger crm --full")
    assert (code, "1 customer(s)" in text) == (0, True)
    (claim,) = place.project.store.due.claim()
    assert (claim.sync, claim.customers, claim.full) == ("crm", (ACME,), True)


def test_disconnect_forgets_the_credentials_and_keeps_the_rows(cli, place):
    place.connect(ACME)
    cli("sync crm")
    before = place.rows("crm_contact")
    assert cli(f"disconnect salesforce {ACME} --yes")[0] == 0
    assert place.project.store.connections.list() == []
    assert place.rows("crm_contact") == before


def test_a_sync_is_steered_from_the_command_line(cli, place):
    place.write_sync(schedule={"every": "1 hour"})
    place.connect(ACME, "brightwater-clinics")
    store = place.project.store

    code, text = cli("pause crm --reason 'the warehouse moves'")
    assert code == 0
    assert "crm is paused for 2 customer(s)" in text
    assert "the warehouse moves" in cli("state")[1]
    (told,) = json.loads(cli("state --json")[1])
    assert (told["sync"], told["state"], told["reason"]) == ("crm", "paused", "the warehouse moves")
    assert (
        "crm is paused (the warehouse moves). What is run by hand runs all the same." in cli(f"sync crm -c {ACME}")[1]
    )
    assert "it starts when the sync is resumed" in cli("trigger crm")[1]
    assert store.due.claim() == []
    assert "crm goes on for 2 customer(s)" in cli("resume crm")[1]
    assert "crm is paused for 1 customer(s)" in cli(f"pause crm --customer {ACME}")[1]
    assert [claim.customers for claim in store.due.claim()] == [("brightwater-clinics",)]
    assert "1 customer(s) are asked to stop" in cli("cancel crm")[1]
    told = cli("trigger crm")[1]
    assert (
        "crm is due for 2 customer(s). Dagster starts it at the sensor's next look. For 1 it starts when they" in told
    )
    resumed = cli("resume crm")[1]
    assert "crm goes on for 1 customer(s)" in resumed
    assert "1 customer(s) stay paused" in resumed
    cli("pause crm")
    assert "crm itself is paused" in cli(f"resume crm -c {ACME}")[1]
    assert "crm goes on for 2 customer(s)" in cli("resume crm --all")[1]
    store.connections.set_status(store.connections.get(ACME, "salesforce"), "expired", "access was revoked")
    told = cli(f"trigger crm -c {ACME}")[1]
    assert "next look" not in told
    assert "For 1 it starts when they have connected again" in told
    store.connections.set_status(store.connections.get(ACME, "salesforce"), "connected", "")

    assert "crm is archived" in cli("archive crm")[1]
    for line in ("trigger crm", "sync crm", "pause crm"):
        assert "sync-pipelines restore crm" in refusal_of(cli, line)
    assert "crm is active again" in cli("restore crm")[1]
    assert cli(f"trigger crm -c {ACME}")[0] == 0
    assert {entry.action for entry in store.audit.list("sync crm")} == {
        *("pause", "resume", "cancel", "archive", "restore")
    }


def test_steering_what_is_not_there_says_so(cli, place):
    place.connect(ACME)
    for line in ("pause nothing", "cancel nothing", "archive nothing"):
        assert "There is no sync named nothing" in refusal_of(cli, line)
    assert "does not cover nobody" in refusal_of(cli, "pause crm -c nobody")


def refusal_of(cli, line):
    """What a line that is refused says; the program itself prints it and ends with code 2."""
    with pytest.raises(ConfigurationError) as refused:
        cli(line, catch_exceptions=False)
    return str(refused.value)


def test_verify_shows_both_counts_and_ends_with_one_when_there_is_a_gap(cli, place):
    place.connect(ACME)
    place.sync()
    code, text = cli("verify crm")
    assert code == 0
    assert "complete" in text
    place.execute(
        "DELETE FROM crm.crm_contact WHERE id IN (SELECT id FROM crm.crm_contact WHERE NOT is_deleted LIMIT 2)"
    )
    code, text = cli(f"verify crm --customer {ACME} --object contact")
    assert code == 1
    assert "-2" in text
    assert "2 records of the account are not in the destination" in text
    assert "full read" not in text
    code, text = cli("verify crm --repair")
    assert (code, "A full read was asked for 1 of 1 gap(s)" in text) == (1, True)
    code, text = cli("verify crm --repair")
    assert (code, "not long ago" in text) == (1, True)
    (claim,) = place.project.store.due.claim()
    assert (claim.customers, claim.objects, claim.full) == ((ACME,), ("contact",), True)


def test_fresh_names_who_is_later_than_the_objective(cli, place):
    code, text = cli("fresh")
    assert (code, "No freshness objective is set" in text) == (0, True)
    place.write_sync(freshness="1 hour")
    place.connect(ACME, "brightwater-clinics")
    code, text = cli("fresh crm")
    assert (code, "Nobody is late." in text) == (0, True)
    with place.store.connect() as database:
        database.execute(
            "UPDATE connections SET connected_at = now() - interval '2 hours' WHERE customer_id = %s", [ACME]
        )
    code, text = cli("fresh")
    assert code == 1
    assert ACME in text
    assert "brightwater" not in text
    store = place.project.store
    store.connections.set_status(store.connections.get(ACME, "salesforce"), "expired", "access was revoked")
    code, text = cli("fresh")
    assert (code, "expired" in text, "access was revoked" in text) == (0, True, True)


def test_schema_shows_what_changed_and_accepts_it(cli, place):
    place.write_sync(schema_policy="freeze")
    place.connect(ACME)
    assert cli(f"schema show {ACME} salesforce contact") == (0, f"No sync has looked at contact of {ACME} yet.")
    assert cli("sync crm")[0] == 0
    place.control.fault(ACME, "field_type_changed", object="Contact", field="Title", type="double")
    code, text = cli("sync crm")
    assert code == 1
    assert "schema_policy is freeze" in text
    assert "Title double string retyped" in cli(f"schema show {ACME} salesforce Contact")[1]
    assert "crm Title retyped string double freeze" in cli(f"schema changes {ACME} salesforce contact")[1]
    assert cli(f"schema accept {ACME} salesforce contact") == (
        0,
        "crm: accepted that Title was string and is double now.",
    )
    assert cli(f"schema accept {ACME} salesforce contact")[1].startswith("Nothing waits to be accepted")
    assert cli("sync crm")[0] == 0
    assert "retyped" not in cli(f"schema show {ACME} salesforce contact")[1]
    assert any(entry.action == "accept" for entry in place.project.store.audit.list())
