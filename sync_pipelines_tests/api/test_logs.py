"""What happened to a record, over HTTP; and what the API's process says of itself."""

import base64
import json
import os
import subprocess
import sys

import httpx

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA

EXPLAIN = "/syncs/crm/explain"


def test_a_cell_explains_itself(api, everything):
    row = api.place.rows("crm_contact", ACME)[0]
    asked = {"object": "Contact", "customer_id": ACME, "record": row["id"]}
    cell = everything.get(EXPLAIN, params={**asked, "column": "last_name", "live": True})
    assert cell.status_code == 200, cell.text
    told = cell.json()
    assert (told["stored"], told["made"], told["live"]["made"]) == (row["last_name"],) * 3
    assert (told["agreement"]["result"], told["written"]["run_id"]) == ("same", row["_sync_run_id"])
    assert told["rules"][0]["rule"]["sources"][0]["field"] == "LastName"
    whole = everything.get(EXPLAIN, params=asked).json()
    assert (whole["column"], whole["row"]["state"], whole["rules"]) == (None, "live", [])
    with api.as_("logs:read", customer_id=ACME) as client:
        own = client.get(EXPLAIN, params=without(asked, column="last_name"))
        assert own.json()["stored"] == row["last_name"]
    with api.as_("logs:read", customer_id=BRIGHTWATER) as client:
        assert client.get(EXPLAIN, params=asked).status_code == 404
        others = client.get(EXPLAIN, params={**asked, "customer_id": BRIGHTWATER, "column": "last_name"}).json()
        assert (others["row"]["state"], others["stored"], others["made"]) == ("missing", None, None)


def test_a_cell_that_there_is_not(everything):
    asked = {"object": "contact", "customer_id": ACME, "record": "1"}
    for changes, status, message in (
        ({"column": "no_such"}, 422, "has no column no_such"),
        ({"object": "lead"}, 422, "has no object lead"),
        ({"customer_id": "nobody"}, 404, "no customer nobody"),
        ({"customer_id": ""}, 422, "query.customer_id"),
        ({"record": ""}, 422, "query.record"),
    ):
        answer = everything.get(EXPLAIN, params={**asked, **changes})
        assert (answer.status_code, message in answer.text) == (status, True), answer.text
    assert "Send `customer_id`" in everything.get(EXPLAIN, params=without(asked)).json()["detail"]
    assert everything.get("/syncs/nothing/explain", params=asked).status_code == 404


def without(asked, **more):
    """The same question, and whose record it is left out."""
    return {name: value for name, value in {**asked, **more}.items() if name != "customer_id"}


def test_the_process_writes_lines_of_json_under_the_callers_number_and_without_secrets(place, command_line, tmp_path):
    _, token = place.project.store.tokens.create("caller", ["syncs:read"])
    command_line.at(place).set(SYNC_PIPELINES_LOG_FORMAT="json", SYNC_PIPELINES_LOG_LEVEL="DEBUG")
    command = [sys.executable, "-c", "from sync_pipelines.cli import app; app()", "api", "--port", "0"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=dict(os.environ), stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            url = process.stdout.readline().split()[1]
            headers = {"Authorization": f"Bearer {token.reveal()}", "X-Request-ID": "call-17"}
            with httpx.Client(headers=headers, timeout=60) as client:
                assert client.get(f"{url}/syncs", params={"access_token": token.reveal()}).status_code == 422
                with place.store.connect() as connection:
                    connection.execute("ALTER TABLE sync_states RENAME TO moved_away")
                assert client.get(f"{url}/syncs").status_code == 503
        finally:
            process.terminate()
    said = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    told = [(line["level"], line["message"]) for line in lines if line.get("request_id") == "call-17"]
    assert told == [
        ("INFO", "GET /api/v1/syncs -> 422"),
        ("ERROR", "The store failed: UndefinedTable"),
        ("INFO", "GET /api/v1/syncs -> 503"),
    ]
    assert token.reveal() not in said


def test_what_happened_comes_in_pages_by_filter_and_of_the_own_customer_alone(api, everything):
    place = api.place
    place.map(ACME, "salesforce", "contact", tier="Department")
    place.write_sync(
        objects=[{"object": "contact", "custom_schema": CUSTOM_SCHEMA}], record_log="changes", schedule={"every": "1h"}
    )
    place.control.clock(advance=1200)
    place.control.change(ACME, "Contact", updated=3, created=1, deleted=0)
    place.sync(ACME, BRIGHTWATER)
    with place.store.connect() as connection:
        connection.execute(
            'UPDATE runs SET rejected = 2, rejections = \'[{"reason": "one", "record": "secret record"},'
            ' {"reason": "two", "record": ""}]\' WHERE id = (SELECT max(id) FROM runs WHERE customer_id = %s)',
            [ACME],
        )
    whole = everything.get("/logs", params={"limit": 200}).json()
    assert whole["next_cursor"] is None
    ids = [each["id"] for each in whole["items"]]
    assert len(ids) == len(set(ids))
    assert [each["at"] for each in whole["items"]] == sorted((each["at"] for each in whole["items"]), reverse=True)
    assert "secret record" not in str(whole)
    paged, cursor = [], None
    while True:
        answer = everything.get("/logs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        paged += [each["id"] for each in answer["items"]]
        if (cursor := answer["next_cursor"]) is None:
            break
    assert paged == ids

    def found(client=everything, **params):
        return client.get("/logs", params=params).json()["items"]

    rejected = found(operation="rejected")
    assert {(each["kind"], each["message"], each["customer_id"]) for each in rejected} == {
        ("error", "one", ACME),
        ("error", "two", ACME),
    }
    updated = found(operation="updated", customer_id=ACME)
    assert len(updated) >= 3
    assert all(change["old"] != change["new"] for each in updated for change in each["changes"])
    (run,) = {each["run_id"] for each in updated}
    of_run = found(run_id=run, limit=200)
    assert {each["operation"] for each in of_run} >= {"completed", "created", "updated", "rejected"}
    assert {each["record"] for each in found(record=updated[0]["record"])} == {updated[0]["record"]}
    completed = found(operation="completed", sync="crm", object="contact", customer_id=BRIGHTWATER)
    assert completed[0]["counts"]["read"] >= 0
    assert found(kind="conflict") == []
    assert found(until="2020-01-01T00:00:00Z") == found(since="2200-01-01T00:00:00Z") == []
    audited = found(kind="audit", customer_id=ACME)
    assert {each["subject"] for each in audited} == {
        f"connection {ACME}/salesforce",
        f"mapping {ACME}/salesforce/contact",
    }
    assert {each["actor"] for each in audited} == {"system"}
    with api.as_("logs:read", customer_id=BRIGHTWATER) as client:
        own = found(client, limit=200)
        assert {each["customer_id"] for each in own} == {BRIGHTWATER}
        assert {each["kind"] for each in own} == {"success", "audit"}
        assert client.get("/logs", params={"customer_id": ACME}).status_code == 404
    assert everything.get("/logs", params={"kind": "nonsense"}).status_code == 422
    assert everything.get("/logs", params={"cursor": cursor_of(["no time", "run", 1, 0])}).status_code == 422


def test_the_audit_is_found_by_customer_and_object_whatever_was_changed(api, everything):
    place = api.place
    place.map(ACME, "salesforce", "contact", tier="Department")
    place.map(ACME, "salesforce", "account", tier="Department")
    with api.as_(customer_id=ACME) as own:
        assert own.post("/syncs/crm/pause").json() == {"customers": [ACME]}
        hook = {"url": "https://hooks.invalid/in", "events": ["sync.error"]}
        endpoint = own.post("/webhooks", json=hook).json()["id"]
        own.patch(f"/webhooks/{endpoint}", json={"description": "ours"})
    for token in place.project.store.tokens.list():
        if token.customer_id == ACME:
            place.project.store.tokens.revoke(token.id)
    everything.post("/syncs/crm/pause", json={"customers": [BRIGHTWATER, ACME]})
    named = {"name": "named", "provider": "salesforce", "destination": "warehouse", "objects": ["lead"]}
    assert everything.post("/syncs", json={**named, "customers": [ACME, BRIGHTWATER]}).status_code == 201

    def found(client=everything, **params):
        answer = client.get("/logs", params={"kind": "audit", "limit": 200, **params})
        return [(each["operation"], each["subject"].split(" ")[0]) for each in answer.json()["items"]]

    of_acme = found(customer_id=ACME)
    everything_changed = [
        *[("create", "sync"), ("pause", "sync"), ("revoke", "token"), ("update", "endpoint"), ("create", "endpoint")],
        *[("pause", "sync"), ("create", "token"), ("map", "mapping"), ("map", "mapping")],
        *[("account", "connection"), ("connect", "connection")],
    ]
    assert of_acme == everything_changed
    assert found(customer_id=BRIGHTWATER) == [("create", "sync"), ("pause", "sync"), *everything_changed[-2:]]
    assert found(object="Contact") == found(object="contact", customer_id=ACME) == [("map", "mapping")]
    assert found(object="contact", customer_id=BRIGHTWATER) == []
    audit = everything.get("/logs/audit", params={"customer_id": ACME}).json()["items"]
    assert [each["action"] for each in audit] == [operation for operation, _ in of_acme]
    assert audit[0]["customers"] == [ACME, BRIGHTWATER]

    with api.as_(customer_id=ACME) as own:
        entries = own.get("/logs", params={"kind": "audit", "limit": 200}).json()["items"]
        assert [(each["operation"], each["subject"].split(" ")[0]) for each in entries] == [
            ("create", "token"),
            *everything_changed,
        ]
        assert {each["customer_id"] for each in entries} == {ACME}
        assert BRIGHTWATER not in str(entries)

    removed = everything.delete(f"/customers/{ACME}").json()["removed"]["store"]
    assert removed["audit"] == len(everything_changed) + 1 - 3
    assert found(customer_id=ACME) == []
    assert ("create", "sync") in found(customer_id=BRIGHTWATER)


def cursor_of(key):
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()
