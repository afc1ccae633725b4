"""Syncs made, changed and deleted by API: what a file would mean, in the same words."""

import json
import os
import shutil
import subprocess
import threading
import uuid

import pytest
import yaml
from pydantic import SecretStr

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.project import open_project
from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

CONTACTS = {"name": "by api", "provider": "salesforce", "destination": "warehouse", "objects": ["lead"]}
PRINTED = r"""
curl -X POST https://your-workspace.example/api/v1/syncs \
  -H "Authorization: Bearer $API_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Active Customers to Salesforce",
    "model_id": "mod_abc123",
    "destination_id": "dst_xyz789",
    "mode": "upsert",
    "schedule": {
      "type": "interval",
      "interval_minutes": 60
    },
    "field_mappings": [
      {"source": "email", "destination": "Email"},
      {"source": "first_name", "destination": "FirstName"},
      {"source": "last_name", "destination": "LastName"},
      {"source": "lifetime_value", "destination": "LTV__c"}
    ]
  }'
"""
OF_THE_SEED = json.loads(PRINTED.split("'")[1])


def parts(answer):
    refused(answer, 422)
    return {part["at"]: part["message"] for part in answer.json()["parts"]}


def test_the_printed_outbound_sync_is_stored_and_says_that_it_does_not_run(caller, bare):
    answer = caller.post("/syncs", json=OF_THE_SEED)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == "/api/v1/syncs/Active%20Customers%20to%20Salesforce"
    assert {name: made[name] for name in ("name", "model_id", "destination_id", "mode", "field_mappings")} == {
        name: OF_THE_SEED[name] for name in ("name", "model_id", "destination_id", "mode", "field_mappings")
    }
    assert (made["state"], made["direction"], made["origin"], made["document"]) == (
        *("created", "outbound", "api"),
        OF_THE_SEED,
    )
    assert made["schedule"]["interval_minutes"] == 60
    later, model, destination = made["notices"]
    assert "comes with a later version" in later
    assert "mod_abc123" in model
    assert "dst_xyz789" in destination
    assert caller.get(f"/syncs/{made['id']}").json() == made
    for verb in ("trigger", "pause", "resume", "cancel", "archive", "restore"):
        assert "comes with a later version" in refused(caller.post(f"/syncs/{made['id']}/{verb}"), 409)
    assert caller.get(f"/syncs/{made['id']}/runs").json()["items"] == []
    assert caller.get(f"/syncs/{made['id']}/connections").json()["items"] == []
    cell = {"object": "contact", "record": "1", "customer_id": ACME}
    assert "is outbound" in refused(caller.get(f"/syncs/{made['id']}/explain", params=cell), 409)
    changed = caller.put(f"/syncs/{made['id']}", json={**OF_THE_SEED, "destination_id": "salesforce"}).json()
    assert (changed["version"], len(changed["notices"])) == (2, 2)
    assert caller.delete(f"/syncs/{made['id']}").json() == {"id": made["id"], "kept": ""}
    refused(caller.get(f"/syncs/{made['id']}"), 404)


WRONG_OUTBOUND = [
    ({"mode": "replace"}, "body.mode", "is not known here"),
    ({"schedule": {"type": "interval"}}, "body.schedule", "takes `interval_minutes`"),
    ({"schedule": {"type": "interval", "interval_minutes": 0}}, "body.schedule.interval_minutes", "more than 0"),
    ({"schedule": {"cron": "61 * * * *"}}, "body.schedule.cron", "must be a cron line"),
    ({"field_mappings": []}, "body.field_mappings", "must not be empty"),
    ({"field_mappings": None}, "body.field_mappings", "must be a list"),
    ({"field_mappings": [{"source": "a", "destination": "X"}] * 2}, "body.field_mappings", "more than once"),
    (
        {"field_mappings": [{"source": "a", "destination": "X"}, {"source": "b", "destination": "x"}]},
        "body.field_mappings",
        "more than once",
    ),
    ({"field_mappings": [{"source": "", "destination": "X"}]}, "body.field_mappings[0].source", "1 to 200"),
    ({"field_mappings": [{"source": "a\nb", "destination": "X"}]}, "body.field_mappings[0].source", "printable"),
    ({"field_mappings": [{"source": "a\x00", "destination": "X"}]}, "body.field_mappings[0].source", "NUL"),
    ({"field_mappings": [{"source": "a", "to": "X"}]}, "body.field_mappings[0].to", "is not known here"),
    ({"model_id": "x" * 201}, "body.model_id", "1 to 200"),
    ({"model_id": None}, "body.model_id", "must be text"),
    ({"name": "a/b"}, "body.name", "no /"),
    ({"name": " a"}, "body.name", "no blank"),
    ({"name": 5}, "body.name", "must be text"),
    ({"password": "p"}, "body.password", "is not known here"),
    ({"destination_id": "${WAREHOUSE_HOST}"}, "body.destination_id", "environment of the server"),
]


WRONG_INBOUND = [
    ({"provider": "salesfroce"}, "body.provider", 'Did you mean "salesforce"?'),
    ({"destination": "nowhere"}, "body.destination", "Known: warehouse"),
    ({"objects": []}, "body.objects", "must not be empty"),
    ({"objects": ["contact"]}, "body.objects[0]", 'writes the same rows of table "crm_contact" as crm, contact'),
    ({"mode": "merge"}, "body.mode", "is not known here"),
    ({"direction": "bidirectional"}, "body.direction", "is not there yet"),
    ({"strategy": "${WAREHOUSE_HOST}"}, "body.strategy", "cannot take ${WAREHOUSE_HOST} from the environment"),
    ({"strategy": "${WAREHOUSE_HOST:-x}"}, "body.strategy", "environment of the server"),
    ({"strategy": "${CUSTOMER_ID}"}, "body.strategy", "cannot hold"),
    ({"id": "a\ud800"}, "body.id", "half surrogate"),
    ({"customers": ["a/b"]}, "body.customers[0]", "is not a customer id"),
]


def test_what_is_wrong_is_told_in_the_words_of_check_and_nothing_is_stored(caller, bare):
    for usual, wrong in ((OF_THE_SEED, WRONG_OUTBOUND), (CONTACTS, WRONG_INBOUND)):
        for change, at, message in wrong:
            content = json.dumps({**usual, **change}).encode()
            told = parts(caller.post("/syncs", content=content, headers={"content-type": "application/json"}))
            assert any(each.startswith(at) and message in text for each, text in told.items()), (change, told)
            assert bare.place.environ["WAREHOUSE_HOST"] not in str(told)
    rule = {"source": "Title", "transform": "no_such_transform"}
    schema = {"fields": [{"name": "title", "sources": {"salesforce": rule}}]}
    answer = caller.post("/syncs", json={**CONTACTS, "objects": [{"object": "lead", "custom_schema": schema}]})
    assert "no_such_transform" in refused(answer, 422)
    refused(caller.post("/syncs", json=[CONTACTS]), 422)
    assert bare.place.project.store.api_syncs.list() == []


def test_an_inbound_sync_begins_at_once_runs_changes_and_goes_with_its_rows_staying(everything, api):
    project = api.place.project
    answer = everything.post("/syncs", json={**CONTACTS, "schedule": "hourly"})
    assert answer.status_code == 201, answer.text
    made, tag = answer.json(), answer.headers["etag"]
    assert (made["origin"], made["version"], made["state"], made["connections"]) == ("api", 1, "created", 2)
    assert [each["id"] for each in everything.get("/syncs").json()["items"]] == ["by api", "crm"]
    (claim,) = project.store.due.claim(sync="by api")
    assert claim.customers == (ACME, BRIGHTWATER)
    api.place.sync(ACME, name="by api")
    rows = api.place.rows("crm_lead", ACME)
    assert rows
    run = everything.get("/syncs/by api/runs").json()["items"][0]
    assert (run["sync"], run["counts"]["created"]) == ("by api", len(rows))
    assert "A run is at work" in refused(everything.delete("/syncs/by api"), 409)
    project.store.due.give_back(claim.id, dict.fromkeys(claim.customers, ()))

    same = everything.put("/syncs/by api", json={**CONTACTS, "schedule": "hourly"})
    assert (same.json()["version"], same.headers["etag"]) == (1, tag)
    changed = everything.put(
        "/syncs/by api", json={**CONTACTS, "schedule": "daily", "customers": [ACME]}, headers={"If-Match": tag}
    )
    assert (changed.status_code, changed.json()["version"], changed.json()["connections"]) == (200, 2, 1)
    for method in ("PUT", "DELETE"):
        body = {"json": CONTACTS} if method == "PUT" else {}
        stale = everything.request(method, "/syncs/by api", headers={"If-Match": tag}, **body)
        assert "has moved on to version 2" in refused(stale, 412)

    lease = (project.settings.application_id, "by api", ACME, "lead")
    with project.store.leases.hold(*lease):
        assert "A run is at work" in refused(everything.delete("/syncs/by api"), 409)
    gone = everything.delete("/syncs/by api", headers={"If-Match": changed.headers["etag"]})
    assert "rows stay" in gone.json()["kept"]
    assert api.place.rows("crm_lead", ACME) == rows
    assert project.store.due.list("by api") == []
    assert project.store.runs.page(sync="by api", limit=1)
    refused(everything.get("/syncs/by api"), 404)
    told = everything.get("/logs/audit", params={"subject": "sync by api"}).json()["items"]
    assert [each["action"] for each in told] == ["delete", "update", "create"]
    assert (told[1]["old"]["version"], told[1]["new"]["document"]["customers"]) == (1, [ACME])

    again = everything.post("/syncs", json=CONTACTS)
    # The history knows runs of that name.
    assert (again.json()["state"], again.json()["version"]) == ("active", 1)
    assert again.headers["etag"] != tag


def test_a_name_has_one_holder_in_files_and_store(caller, bare):
    assert "declared in syncs/crm.yaml" in refused(caller.post("/syncs", json={**CONTACTS, "name": "CRM"}), 409)
    assert caller.post("/syncs", json=OF_THE_SEED).status_code == 201
    taken = caller.post("/syncs", json={**CONTACTS, "name": "active customers to salesforce"})
    assert "made or changed it by API" in refused(taken, 409)
    for method in ("PUT", "DELETE"):
        body = {"json": {**CONTACTS, "name": "crm"}} if method == "PUT" else {}
        assert "declared in syncs/crm.yaml" in refused(caller.request(method, "/syncs/crm", **body), 409)
        refused(caller.request(method, "/syncs/nothing", **body), 404)
    renamed = caller.put(f"/syncs/{OF_THE_SEED['name']}", json={**OF_THE_SEED, "name": "other"})
    assert "must stay" in parts(renamed)["body.name"]
    turned = caller.put(f"/syncs/{OF_THE_SEED['name']}", json={**CONTACTS, "name": OF_THE_SEED["name"]})
    assert "must stay outbound" in parts(turned)["body.direction"]


def test_the_printed_call_works_as_it_stands_but_for_host_and_token(bare):
    if shutil.which("curl") is None:
        pytest.skip("NO curl FOUND: the printed call was not made.")
    _, token = bare.token("syncs:write")
    call = PRINTED.replace("https://your-workspace.example", bare.url)
    made = subprocess.run(
        ["sh", "-c", call],
        env={"PATH": os.environ["PATH"], "API_TOKEN": token.reveal(), "no_proxy": "*"},
        capture_output=True,
        check=True,
    )
    assert json.loads(made.stdout)["state"] == "created"


def test_names_that_dagster_could_not_tell_apart_are_refused(caller):
    assert caller.post("/syncs", json={**CONTACTS, "name": "客户"}).status_code == 201
    other = {**CONTACTS, "name": "联系", "objects": ["user"]}
    assert "the same asset name" in parts(caller.post("/syncs", json=other))["body.name"]


def test_a_repeated_key_makes_one_sync_also_when_many_come_at_once(caller, bare):
    start, answers = threading.Barrier(6), []

    def ask():
        start.wait()
        answers.append(caller.post("/syncs", json=CONTACTS, headers={"Idempotency-Key": "make-it"}))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [201] * 6
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == [""] + ["true"] * 5
    other = caller.post("/syncs", json={**CONTACTS, "mode": "mirror"}, headers={"Idempotency-Key": "make-it"})
    assert "made another sync" in refused(other, 409)
    assert len(bare.place.project.store.api_syncs.list()) == 1


def test_syncs_of_the_same_table_that_come_at_once_are_not_both_made(caller, bare):
    start, answers = threading.Barrier(4), []

    def ask(name):
        start.wait()
        answers.append(caller.post("/syncs", json={**CONTACTS, "name": name}).status_code)

    threads = [threading.Thread(target=ask, args=(f"sync {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 422, 422, 422]


def test_lists_are_filtered(caller):
    caller.post("/syncs", json=OF_THE_SEED)
    caller.post("/syncs", json={**CONTACTS, "provider": "hubspot", "objects": ["account"]})
    for filters, names in (
        ({"direction": "outbound"}, [OF_THE_SEED["name"]]),
        ({"direction": "inbound"}, ["by api", "crm"]),
        ({"provider": "hubspot"}, ["by api"]),
        ({"object": "Contact"}, ["crm"]),
        ({"state": "created", "provider": "salesforce"}, ["crm"]),
        ({"state": "archived"}, []),
    ):
        assert [each["id"] for each in caller.get("/syncs", params=filters).json()["items"]] == names, filters
    refused(caller.get("/syncs", params={"direction": "sideways"}), 422)


def test_every_process_sees_what_another_one_made(everything, api, command_line):
    """The command line makes a project of its own, the API has had one for a while."""
    other = open_project(api.place.settings(), api.place.environ)
    try:
        assert list(other.configuration.syncs) == ["crm"]
        everything.post("/syncs", json=CONTACTS)
        other.together.refresh()
        assert list(other.configuration.syncs) == ["crm", "by api"]
        (run,) = other.sync_connections("by api", "lead", [ACME], run_id=uuid.uuid4().hex)
        assert run.status == "success"
    finally:
        other.close()
    api.place.project.store.api_syncs.list()
    assert "by api" in command_line.at(api.place)("check").text
    with api.as_(customer_id=BRIGHTWATER) as bound:
        assert [each["id"] for each in bound.get("/syncs").json()["items"]] == ["by api", "crm"]


def test_a_file_that_takes_the_name_wins_and_the_stored_one_says_so(everything, api, command_line):
    everything.post("/syncs", json=CONTACTS)
    everything.post("/syncs", json=OF_THE_SEED)
    place = api.place
    (place.folder / "syncs" / "late.yaml").write_text(yaml.safe_dump({**CONTACTS, "name": "late"}))
    command_line.at(place)
    checked = command_line("check")
    assert checked.code == 2
    assert "The sync by api, made by API, does not run: sync by api (made by API): objects[0]" in checked.text
    assert "as late, lead" in checked.text
    (place.folder / "syncs" / "late.yaml").write_text(yaml.safe_dump({**CONTACTS, "name": "by api"}))
    checked = command_line("check")
    assert checked.code == 2
    assert "another sync has this name already" in checked.text
    project = place.open()
    assert project.sync("by api").objects[0].object == "lead"
    assert project.configuration.by_api == frozenset()
    assert "by api" in project.configuration.set_aside


def test_a_stored_sync_that_cannot_be_any_more_stops_no_other(place, served):
    """Its destination went from the files; nothing of it runs, and it can be mended or deleted by API."""
    place.connect(ACME)
    with served().as_() as client:
        client.post("/syncs", json=CONTACTS)
    with place.store.connect() as connection:
        changed = "UPDATE api_syncs SET version = 2, document = jsonb_set(document::jsonb, '{destination}', '\"gone\"')"
        connection.execute(changed)
    place.open()
    assert list(place.project.configuration.syncs) == ["crm"]
    with served().as_() as client:
        aside = client.get("/syncs/by api").json()
        assert (aside["state"], aside["origin"]) == ("error", "api")
        assert 'no destination has the name "gone"' in aside["reason"]
        assert "does not run" in refused(client.post("/syncs/by api/trigger"), 409)
        assert client.put("/syncs/by api", json=CONTACTS).json()["state"] == "created"
        assert client.post("/syncs/by api/trigger").status_code == 202


def test_what_the_files_declare_loads_without_the_store(place):
    away = SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/store")
    project = open_project(place.settings().model_copy(update={"store_url": away}), place.environ)
    try:
        assert list(project.configuration.syncs) == ["crm"]
        assert "could not be asked" in project.configuration.warnings[-1]
        assert project.together.mark is None
        with pytest.raises(ConfigurationError, match="The store does not answer"):
            project.sync("by api")
    finally:
        project.close()


def test_a_sync_made_by_api_needs_no_apply(place, served):
    place.options["require_apply"] = True
    place.open()
    place.connect(ACME)
    with served().as_() as client:
        client.post("/syncs", json=CONTACTS)
        assert place.sync_one(ACME, name="by api").status == "success"
