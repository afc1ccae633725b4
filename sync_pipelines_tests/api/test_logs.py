"""What happened to a record, over HTTP; and what the API's process says of itself."""

import json
import os
import subprocess
import sys

import httpx

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

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
                assert client.get(f"{url}/syncs", params={"access_token": token.reveal()}).status_code == 200
                with place.store.connect() as connection:
                    connection.execute("ALTER TABLE sync_states RENAME TO moved_away")
                assert client.get(f"{url}/syncs").status_code == 503
        finally:
            process.terminate()
    said = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in said.splitlines()]
    told = [(line["level"], line["message"]) for line in lines if line.get("request_id") == "call-17"]
    assert told == [
        ("INFO", "GET /api/v1/syncs -> 200"),
        ("ERROR", "The store failed: UndefinedTable"),
        ("INFO", "GET /api/v1/syncs -> 503"),
    ]
    assert token.reveal() not in said
