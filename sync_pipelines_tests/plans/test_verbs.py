"""plan, apply and config on the command line, and runs that insist on an applied configuration."""

import json
import uuid
from pathlib import Path

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.plans.conftest import CONTACT

SECRET = "written-out-and-never-to-be-kept"


def test_a_change_from_plan_to_rollback(settled, command_line):
    place, run = settled, command_line.at(settled)
    answer = run("plan", "--exit-code")
    assert (answer.code, "Nothing changes" in answer.text) == (0, True)
    assert "Nothing changes" in run("apply").text
    place.write_sync(objects=[CONTACT, "account"], mode="mirror")
    answer = run("plan", "--exit-code", "--out", "plan.json")
    assert answer.code == 2
    assert "table crm_account in warehouse (crm) is created" in answer.text
    assert run("plan").code == 0
    whole = json.loads(run("plan", "--json").out)
    assert whole["reads"][0]["customers"] == [ACME, "brightwater-clinics"]
    assert whole["tables"][0]["statements"][0].startswith('CREATE TABLE "crm"."crm_account"')
    refused = run("apply")
    assert (refused.code, "say --yes" in refused.text) == (2, True)
    done = run("apply", "plan.json")
    assert (done.code, "Version 2 is in effect" in done.text) == (0, True)
    assert "crm account is due for 2 customer(s)" in done.text
    again = run("apply", "plan.json")
    assert (again.code, "Another version is in effect: 2" in again.text) == (2, True)

    history = json.loads(run("config", "history", "--json").out)
    assert [each["version"] for each in history] == [2, 1]
    assert "mode" in history[0]["summary"][0]
    assert "what changed" in run("config", "history").text
    files = json.loads(run("config", "show", 1, "--json").out)["files"]
    assert "phone_text" in files["syncs/crm.yaml"]
    (place.folder / "transforms").mkdir()
    (place.folder / "transforms" / "ours.py").write_text("# nothing yet\n")
    answer = run("config", "rollback", 1)
    assert "sync crm is changed in objects.account" in answer.text
    assert "rows of crm account" in answer.text
    assert place.project.store.configurations.newest().version == 2
    assert run("config", "rollback", 1).code == 2, "the folder is not empty any more"
    assert Path("syncs-version-1/transforms/ours.py").is_file()
    run.set(SYNC_PIPELINES_SYNCS_DIR="syncs-version-1")
    assert "Version 3 is in effect" in run("apply", "--yes").text
    first, last = (place.project.store.configurations.get(version) for version in (1, 3))
    assert (first.parts, first.digest) == (last.parts, last.digest)


def test_an_error_with_exit_code_is_1_as_others_know_it(settled, command_line):
    run = command_line.at(settled)
    assert run("plan", "--sync", "nothing").code == 2
    assert run("plan", "--sync", "nothing", "--exit-code").code == 1
    assert "cannot be read" in run("apply", "nowhere.json").text


def test_no_secret_is_in_a_version_a_plan_or_what_is_shown(unhurried, command_line):
    place, run = unhurried, command_line.at(unhurried)
    file = place.folder / "providers" / "salesforce.yaml"
    file.write_text(file.read_text().replace("${CLIENT_SECRET}", SECRET))
    warehouse = place.folder / "destinations" / "warehouse.yaml"
    warehouse.write_text(warehouse.read_text().replace("${WAREHOUSE_PASSWORD:-}", f"${{WAREHOUSE_PASSWORD:-{SECRET}}}"))
    told = [run("plan", "--json"), run("apply", "--yes"), run("config", "show", 1, "--json"), run("config", "show", 1)]
    assert [each.code for each in told] == [0, 0, 0, 0]
    for each in told:
        assert SECRET not in each.text
        assert place.environ["CLIENT_SECRET"] not in each.text
    assert "client_secret: ${SALESFORCE_CLIENT_SECRET}" in told[-1].out
    assert "password: ${WAREHOUSE_PASSWORD}" in told[-1].out
    with place.store.connect() as connection:
        stored = connection.execute("SELECT c::text FROM configuration_versions c").fetchall()
        noted = connection.execute("SELECT a::text FROM audit a").fetchall()
    assert SECRET not in repr((stored, noted))
    assert place.environ["CLIENT_SECRET"] not in repr((stored, noted))


def test_where_it_is_required_nothing_runs_that_was_not_applied(settled, command_line):
    place, run = settled, command_line.at(settled)
    place.options["require_apply"] = True
    run.set(SYNC_PIPELINES_REQUIRE_APPLY="true")
    place.open()
    assert place.sync_one(ACME).status == "success"
    place.write_sync(objects=[CONTACT], schedule={"every": "5 minutes"})
    before = place.project.store.configurations.planned()["crm"]
    with pytest.raises(ConfigurationError, match="not configured as in version 1, which ann applied"):
        place.project.sync_objects("crm", {"contact": [ACME]}, run_id=uuid.uuid4().hex)
    for verb in ("sync", "trigger"):
        answer = run(verb, "crm")
        assert (answer.code, "run `sync-pipelines apply`" in answer.text) == (2, True)
    assert run("pause", "crm").code == 0, "people can still steer"
    assert run("resume", "crm").code == 0
    assert place.project.store.configurations.planned()["crm"] == before, "and nothing of it is taken up"
    assert run("apply", "--yes").code == 0
    assert place.project.store.configurations.planned()["crm"]["every_seconds"] == 300
    assert place.sync_one(ACME).status == "success"
    place.write_sync("other", objects=["account"])
    assert place.sync_one(ACME).status == "success", "an unapplied sync does not stop the others"
    with pytest.raises(ConfigurationError, match="The sync other is not configured"):
        place.sync(ACME, name="other")


def test_a_hidden_value_that_is_loaded_all_the_same_is_warned_of_wherever_it_is_decided(settled, command_line):
    place, run = settled, command_line.at(settled)
    hidden = {"name": "secret", "sources": {"salesforce": {"source": "LastName", "transform": "mask"}}}
    contact = {"object": "contact", "custom_schema": {"version": 2, "fields": [hidden, {"name": "size"}]}}
    place.write_sync(objects=[contact])
    masked = {"source": "Fax", "transform": "drop"}
    told = run("mapping", "set", ACME, "salesforce", "contact", f"size={json.dumps(masked)}")
    assert (told.code, "size: the rule hides Fax" in told.text) == (0, True)
    for verb in (["check"], ["check", "--live"], ["plan"]):
        answer = run(*verb)
        assert answer.code == 0, answer.text
        assert "secret: the rule hides LastName" in answer.text
        assert "Set `raw_fields: false` and `common_schema: false` for contact" in answer.text
        assert (f"{ACME}" in answer.text and "size: the rule hides Fax" in answer.text) == (verb != ["check"])
    place.write_sync(objects=[{**contact, "raw_fields": False, "common_schema": False}])
    for verb in (["check"], ["check", "--live"], ["plan"]):
        assert "the rule hides" not in run(*verb).text


def test_without_the_setting_runs_use_what_is_written(settled):
    settled.write_sync(objects=[CONTACT, "account"])
    assert settled.sync_one(ACME, object_name="account").status == "success"


def test_rows_that_a_filter_or_a_rule_for_its_field_may_take_away_are_told_where_it_is_decided(settled, command_line):
    place, run = settled, command_line.at(settled)
    filtered = {**CONTACT, "filter": {"field": "phone_text", "contains": "1"}, "leaving": "delete"}
    place.write_sync(objects=[filtered])
    rows = {customer: len(place.rows("crm_contact", customer)) for customer in (ACME, BRIGHTWATER)}
    those = "those whose records do not fit filter or history"
    told = f"Rows go: crm contact: at most {sum(rows.values()):,} row(s) of 2 customer(s) are removed by the next run"
    assert told in " ".join(run("plan").text.split())
    done = " ".join(run("apply", "--yes").text.split())
    assert (told in done, f"{those}." in done, "Version 2 is in effect" in done) == (True, True, True)
    place.sync(ACME, BRIGHTWATER)
    before = len(place.rows("crm_contact", ACME))
    assert 0 < before < rows[ACME]

    changed = run("mapping", "set", ACME, "salesforce", "contact", "phone_text=MobilePhone")
    assert f"Rows go: at most {before:,}: those whose records do not fit the filter by the new values are removed." in (
        " ".join(changed.text.split())
    )
    waiting = " ".join(run("plan").text.split())
    assert "Nothing changes" in waiting
    assert f"Rows go: crm contact: at most {before:,} row(s) of 1 customer(s) are removed by the next run" in waiting
    assert f"{those} (waiting already)." in waiting
    size = run("mapping", "set", ACME, "salesforce", "contact", "size=NumberOfEmployees__c", "--no-check", "--dry-run")
    assert "Rows go" not in size.text
