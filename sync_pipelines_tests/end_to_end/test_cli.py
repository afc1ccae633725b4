"""What the command line does with what people and vendors write wrongly or cleverly: it says so and stays readable."""

import json
from datetime import UTC, datetime

import pytest

from sync_pipelines.model.run import Counts, Rejection, SyncRun
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r"
MARKUP = "[red]not[/] [/bold] objects[0] [link=http://x]y[/link]"


@pytest.fixture
def shell(place, command_line):
    return command_line.at(place)


def record(place, **values):
    """A run as another process would have stored it."""
    now = datetime.now(UTC)
    told = {"sync": "crm", "object": "contact", "provider": "salesforce", "customer_id": ACME, "status": "error"}
    run = SyncRun(**{"run_id": "r", "started_at": now, "finished_at": now, **told, **values})
    place.project.store.runs.record([run])


@pytest.mark.parametrize("hostile", [ESCAPES, MARKUP])
def test_what_vendors_say_is_printed_as_text_and_never_steers_the_terminal(place, shell, hostile):
    record(
        place,
        error_type="vendor_error",
        error_message=f"before {hostile} after",
        notices=(f"noticed {hostile} indeed",),
        rejections=(Rejection(reason=f"because {hostile}", record=hostile),),
        counts=Counts(rejected=1),
    )
    for line in (["runs"], ["runs", "--details"]):
        answer = shell(*line)
        assert answer.code == 0
        assert not set("\x1b\x07\x9b\r") & set(answer.out)
    assert "before" in answer.text
    assert "rejected: because" in answer.text
    if hostile is MARKUP:
        assert answer.text.count(MARKUP) == 4


def test_hostile_names_of_fields_are_shown_as_they_are(place, shell):
    schema = {"version": 1, "fields": ["[red]tier[/]"], "allow_additional_fields": True}
    place.write_sync(objects=[{"object": "account", "custom_schema": schema}])
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", **{"[red]tier[/]": "Tier__c", "[/x] [link=http://x]": "Tier__c"})
    answer = shell("mapping", "show", ACME, "salesforce", "account")
    assert answer.code == 0
    assert "[red]tier[/] Tier__c customer" in answer.text
    assert "[/x] [link=http://x] Tier__c customer, additional" in answer.text


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"access_token": "secret-tok', "not JSON"),
        ("[]", "must be an object with access_token or refresh_token"),
        ('{"token": "secret-token"}', "must be an object with access_token or refresh_token"),
        ('{"access_token": "", "refresh_token": null}', "must be an object with access_token or refresh_token"),
        ('{"access_token": ["secret-token"]}', "must be texts"),
        ('{"access_token": "secret-token", "instance_url": 5}', "must be texts"),
        ('{"access_token": "secret-token\\nx: y"}', "is not a token"),
        ('"secret-token"', "must be an object with access_token or refresh_token"),
    ],
)
def test_tokens_that_are_none_are_refused_without_being_shown(place, shell, tokens, says):
    answer = shell("connect", "salesforce", "new-customer", "--tokens", "-", stdin=tokens)
    assert answer.code == 2
    assert says in answer.text
    assert "secret-tok" not in answer.text
    assert "Traceback" not in answer.text


def test_a_token_file_that_is_not_there_is_told(place, shell):
    answer = shell("connect", "salesforce", "new-customer", "--tokens", "nowhere.json")
    assert answer.code == 2
    assert "nowhere.json cannot be read" in answer.text
    assert place.project.store.connections.list() == []


@pytest.mark.parametrize("name", ["", "a/b", "x" * 201, "a\nb", "$HOME"])
def test_a_name_that_cannot_be_a_customers_is_refused(place, shell, name):
    answer = shell("connect", "salesforce", name, "--tokens", "-", stdin='{"access_token": "t"}')
    assert answer.code == 2
    assert "cannot be a customer's id" in answer.text
    assert place.project.store.connections.list() == []


@pytest.mark.parametrize("option", ["--access-token", "--refresh-token", "--token"])
def test_tokens_are_not_taken_as_arguments_where_every_process_could_read_them(place, shell, option):
    answer = shell("connect", "salesforce", "new-customer", option, "abc")
    assert answer.code == 2
    assert "No such option" in answer.text
    assert place.project.store.connections.list() == []


def test_connecting_with_tokens_that_the_vendor_refuses_says_so(place, shell):
    account = place.control.account(ACME)
    given = json.dumps({"access_token": "made-up-access", "refresh_token": "made-up-refresh"})
    answer = shell("connect", "salesforce", ACME, "--tokens", "-", "--api-url", account.api_url, stdin=given)
    assert answer.code == 2
    assert "connect again" in answer.text
    assert "made-up" not in answer.text
    assert "expired" in shell("connections").text
    good = json.dumps({"access_token": account.access_token, "refresh_token": account.refresh_token})
    answer = shell("connect", "salesforce", ACME, "--tokens", "-", "--api-url", account.api_url, stdin=good)
    assert (answer.code, account.account_id in answer.text) == (0, True)
    assert place.project.store.connections.get(ACME, "salesforce").status == "connected"


def test_only_a_refresh_token_is_enough(place, shell):
    account = place.control.account(LUMEN)
    given = json.dumps({"refresh_token": account.refresh_token})
    answer = shell("connect", "hubspot", LUMEN, "--tokens", "-", stdin=given)
    assert (answer.code, account.account_id in answer.text) == (0, True)


def test_nobody_connected_is_said_with_the_verb_that_connects(place, shell):
    answer = shell("sync", "crm")
    assert (answer.code, "sync-pipelines connect" in answer.text) == (1, True)
    answer = shell("sync", "crm", "--customer", ACME)
    assert answer.code == 2
    assert f"no connection of {ACME} to salesforce: connect it with `sync-pipelines connect" in answer.text


def test_sync_takes_just_the_customers_and_objects_that_are_named(place, shell):
    place.write_sync(objects=["contact", "account", "User"])
    place.connect()
    answer = shell("sync", "crm", "-c", ACME, "-o", "ACCOUNT", "-o", "user", "--full")
    assert answer.code == 0
    runs = place.project.store.runs.list()
    assert {(run.customer_id, run.object, run.full) for run in runs} == {(ACME, "account", True), (ACME, "User", True)}
    assert len({run.run_id for run in runs}) == 1


def test_a_skipped_object_is_shown_with_what_to_do_and_is_no_failure(place, shell):
    place.write_sync(objects=["contact", "Nothing__c"])
    place.connect(ACME)
    answer = shell("sync", "crm")
    assert answer.code == 0
    assert "skipped (not_found)" in answer.text
    assert f"{ACME}, Nothing__c: Salesforce does not let this connection read the object Nothing__c" in answer.text


def test_runs_can_be_narrowed_and_told_in_detail(place, shell):
    place.connect(ACME, BRIGHTWATER)
    place.control.fault(ACME, "record_without_id")
    place.control.fault(BRIGHTWATER, "status", status=500)
    shell("sync", "crm")
    assert "vendor_error" in shell("runs", "--status", "error").text
    assert ACME not in shell("runs", "--status", "error").text
    unknown = shell("runs", "--sync", "other")
    assert (unknown.code, "There is no sync named other. Known are: crm." in unknown.text) == (2, True)
    assert shell("runs", "--sync", "crm", "--object", "lead").text == shell("runs", "--object", "lead").text
    short, detailed = shell("runs", "-c", ACME), shell("runs", "-c", ACME, "--details")
    assert "rejected: The record has no id at Id." in detailed.text
    assert "rejected: The record has no id at Id." not in short.text
    (told,) = json.loads(shell("runs", "-c", ACME, "--json").out)
    assert told["rejections"][0]["reason"] == "The record has no id at Id."
    assert (told["counts"]["rejected"], told["customer_id"]) == (1, ACME)
    assert told["duration_seconds"] >= 0
    of_run = json.loads(shell("runs", "--run", told["run_id"], "--json").out)
    assert {run["customer_id"] for run in of_run} == {ACME, BRIGHTWATER}
    assert json.loads(shell("runs", "--since", "2200-01-01", "--json").out) == []
    logged = [json.loads(line) for line in shell("logs", "--kind", "error", "--json").out.splitlines()]
    assert {(entry["customer_id"], entry["operation"]) for entry in logged} == {
        (ACME, "rejected"),
        (BRIGHTWATER, "failed"),
    }
    answer = shell("runs", "--status", "broken")
    assert answer.code == 2
    assert "success, error, skipped or cancelled" in answer.text


def test_a_mapping_is_only_made_for_a_customer_who_is_connected(place, shell):
    place.write_sync(objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    answer = shell("mapping", "set", "nobody", "salesforce", "account", "tier=Tier__c")
    assert answer.code == 2
    assert "sync-pipelines connect salesforce nobody" in answer.text
    answer = shell("mapping", "set", ACME, "salesforce", "contact", "tier=Tier__c")
    assert answer.code == 2
    assert "No sync of salesforce has an object contact with a custom_schema" in answer.text


def test_disconnecting_asks_first(place, shell):
    place.connect(ACME)
    assert shell("disconnect", "salesforce", ACME, stdin="n\n").code == 1
    assert [item.customer_id for item in place.project.store.connections.list()] == [ACME]
    assert shell("disconnect", "salesforce", ACME, stdin="y\n").code == 0
    assert place.project.store.connections.list() == []


def test_a_key_that_is_missing_from_the_ring_is_told_before_anything_is_lost(place, shell):
    place.connect(ACME)
    shell.set(SYNC_PIPELINES_ENCRYPTION_KEYS="another-key-that-is-not-the-one-which-sealed")
    answer = shell("sync", "crm")
    assert answer.code in (1, 2)
    assert "SYNC_PIPELINES_ENCRYPTION_KEYS" in answer.text
    answer = shell("key", "rotate")
    assert answer.code == 2
    assert "SYNC_PIPELINES_ENCRYPTION_KEYS" in answer.text
    shell.at(place)
    assert shell("sync", "crm").code == 0
