import json
import re
import threading
from pathlib import Path

import yaml

from sync_pipelines.store.rescheduling import Outcome
from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER


def test_a_sync_tells_what_is_configured_and_its_state(everything, api):
    (listed,) = everything.get("/syncs").json()["items"]
    one = everything.get("/syncs/crm").json()
    assert one == {**listed, "document": None, "notices": []}
    assert (one["origin"], one["file"], one["direction"]) == ("file", "syncs/crm.yaml", "inbound")
    assert one["schedule"] == {"type": "interval", "interval_minutes": 60.0, "cron": None, "timezone": "UTC"}
    assert (one["id"], one["provider"], one["mode"], one["state"], one["connections"]) == (
        *("crm", "salesforce", "upsert"),
        *("created", 2),
    )
    assert [(each["object"], each["custom_schema_version"]) for each in one["objects"]] == [("contact", 1)]


def test_a_sync_that_is_not_there_names_those_that_are(everything):
    assert refused(everything.get("/syncs/nothing"), 404) == "There is no sync named nothing. Known are: crm."
    assert refused(everything.get("/nothing"), 404).startswith("There is no such page")
    refused(everything.patch("/syncs/crm"), 405)


def test_runs_come_newest_first_in_pages_and_one_by_one(everything, api):
    for _ in range(3):
        api.place.sync(ACME, BRIGHTWATER)
    seen, cursor = [], None
    while True:
        page = everything.get("/syncs/crm/runs", params={"limit": 3, **({"cursor": cursor} if cursor else {})}).json()
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 8
    assert len({each["id"] for each in seen}) == 8
    assert [each["finished_at"] for each in seen] == sorted((each["finished_at"] for each in seen), reverse=True)
    first = next(each for each in reversed(seen) if each["customer_id"] == ACME)
    assert first["counts"]["created"] == len(api.place.rows("crm_contact", ACME))
    one = everything.get(f"/syncs/crm/runs/{first['id']}").json()
    assert one == {**first, "rejections": []}


def test_runs_are_filtered(everything):
    for filters, customers in (
        ({"customer_id": ACME}, {ACME}),
        ({"status": "error"}, set()),
        ({"status": "success", "object": "contact"}, {ACME, BRIGHTWATER}),
        ({"object": "account"}, set()),
        ({"since": "2100-01-01T00:00:00Z"}, set()),
    ):
        found = everything.get("/syncs/crm/runs", params=filters).json()["items"]
        assert {each["customer_id"] for each in found} == customers, filters


def test_wrong_filters_say_what_is_wrong(everything):
    for name, value in (
        *(("status", "nonsense"), ("limit", 0), ("limit", 1_000)),
        *(("since", "yesterday"), ("cursor", "x"), ("cursor", "WzFd")),
    ):
        assert name in refused(everything.get("/syncs/crm/runs", params={name: value}), 422)


def test_triggering_asks_for_work_that_a_run_can_claim(everything, api):
    answer = everything.post("/syncs/crm/trigger", json={"customers": [ACME], "objects": ["Contact"], "full": True})
    assert answer.status_code == 202
    asked = answer.json()
    assert (asked["customers"], asked["objects"], asked["full"], asked["waiting"]) == ([ACME], ["contact"], True, 1)
    assert answer.headers["location"] == f"/api/v1/requests/{asked['id']}"
    due = api.place.project.store.due
    claims = [claim for claim in due.claim() if ACME in claim.customers]
    assert claims[0].full
    assert claims[0].objects == ("contact",)
    running = everything.get(f"/requests/{asked['id']}").json()
    assert (running["waiting"], running["running"]) == (0, 1)


def test_requests_are_found_by_customer_status_and_time(everything, api):
    store = api.place.project.store
    for customers in ([ACME], [BRIGHTWATER]):
        everything.post("/syncs/crm/trigger", json={"customers": customers})
        for claim in store.due.claim():
            store.due.done(claim.id, [Outcome(customer_id=name) for name in claim.customers])
    everything.post("/syncs/crm/trigger", json={"customers": [ACME]})
    assert [each.customers for each in store.due.claim()] == [(ACME,)]
    everything.post("/syncs/crm/trigger")
    newest = [each["id"] for each in everything.get("/requests").json()["items"]]

    def places(**params):
        answer = everything.get("/requests", params=params)
        assert answer.status_code == 200, answer.text
        found = answer.json()["items"]
        assert {each["status"] for each in found} <= {params.get("status", each["status"]) for each in found}
        return [newest.index(each["id"]) for each in found]

    assert places(customer_id=ACME) == [0, 1, 3]
    assert places(customer_id=BRIGHTWATER) == [0, 2]
    assert places(customer_id="nobody") == []
    assert (places(status="waiting"), places(status="running"), places(status="done")) == ([0], [1], [2, 3])
    third = everything.get(f"/requests/{newest[1]}").json()["asked_at"]
    assert (places(since=third), places(until=third), places(until=third, customer_id=ACME)) == ([0, 1], [2, 3], [3])
    page = everything.get("/requests", params={"status": "done", "limit": 1}).json()
    assert places(status="done", cursor=page["next_cursor"]) == [3]
    with api.as_(customer_id=ACME) as bound:
        assert [each["id"] for each in bound.get("/requests", params={"customer_id": ACME}).json()["items"]] == [
            newest[1],
            newest[3],
        ]
        refused(bound.get("/requests", params={"customer_id": BRIGHTWATER}), 404)


def test_what_cannot_be_asked_for_is_refused_and_changes_nothing(everything, api):
    assert "does not cover nobody" in refused(
        everything.post("/syncs/crm/trigger", json={"customers": ["nobody"]}), 422
    )
    assert "has no object lead" in refused(everything.post("/syncs/crm/trigger", json={"objects": ["lead"]}), 422)
    assert "extra" in refused(everything.post("/syncs/crm/trigger", json={"customer": [ACME]}), 422).casefold()
    refused(everything.post("/syncs/crm/trigger", content="{", headers={"content-type": "application/json"}), 422)
    assert everything.get("/requests").json()["items"] == []


def test_a_key_that_is_repeated_asks_once(everything, api):
    key = {"Idempotency-Key": "order-1"}
    first = everything.post("/syncs/crm/trigger", json={"customers": [ACME]}, headers=key)
    again = everything.post("/syncs/crm/trigger", json={"customers": [ACME]}, headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    other = everything.post("/syncs/crm/trigger", json={"customers": [BRIGHTWATER]}, headers=key)
    assert "was used for another request" in refused(other, 409)
    with api.as_("syncs:run", "syncs:read") as another:
        assert another.post("/syncs/crm/trigger", headers=key).json()["id"] != first.json()["id"]
    assert len(everything.get("/requests").json()["items"]) == 2


def test_a_key_that_comes_from_many_at_once_asks_once(everything, api):
    start, answers = threading.Barrier(8), []

    def ask():
        start.wait()
        answer = everything.post("/syncs/crm/trigger", headers={"Idempotency-Key": "all-at-once"})
        answers.append((answer.status_code, answer.json()["id"]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert {status for status, _ in answers} == {202}
    assert len({id for _, id in answers}) == 1


def test_a_wrong_request_leaves_its_key_free(everything):
    key = {"Idempotency-Key": "order-2"}
    refused(everything.post("/syncs/crm/trigger", json={"customers": ["nobody"]}, headers=key), 422)
    assert everything.post("/syncs/crm/trigger", json={"customers": [ACME]}, headers=key).status_code == 202


def test_pause_resume_archive_and_restore(everything, api):
    assert everything.post("/syncs/crm/pause", json={"reason": "audit"}).json() == {"customers": [ACME, BRIGHTWATER]}
    paused = everything.get("/syncs/crm").json()
    assert (paused["state"], paused["reason"]) == ("paused", "audit")
    everything.post("/syncs/crm/pause", json={"customers": [ACME]})
    asked = everything.post("/syncs/crm/trigger").json()
    assert (asked["waiting"], asked["paused"], asked["expired"]) == (2, 2, 0)
    resumed = everything.post("/syncs/crm/resume").json()
    assert resumed == {"customers": [ACME, BRIGHTWATER], "still_paused": [ACME]}
    assert everything.get("/syncs/crm").json()["state"] == "active"
    assert everything.get(f"/requests/{asked['id']}").json()["paused"] == 1
    refused(everything.post("/syncs/crm/resume", json={"customers": [ACME], "all": True}), 422)
    assert everything.post("/syncs/crm/resume", json={"all": True}).json()["still_paused"] == []
    assert everything.post("/syncs/crm/archive", json={"reason": "done"}).json()["state"] == "archived"
    assert "is archived" in refused(everything.post("/syncs/crm/trigger"), 422)
    assert everything.post("/syncs/crm/restore").json()["state"] == "active"
    assert "is not archived" in refused(everything.post("/syncs/crm/restore"), 422)
    told = [
        (each["action"], each["actor"])
        for each in everything.get("/logs/audit", params={"subject": "sync crm"}).json()["items"]
    ]
    assert told == [(action, "api:test") for action in ("restore", "archive", "resume", "resume", "pause", "pause")]


def test_cancelling_names_whose_work_is_stopped(everything, api):
    assert everything.post("/syncs/crm/cancel").json() == {"customers": []}
    api.place.project.store.due.request("crm", [ACME])
    api.place.project.store.due.claim()
    assert ACME in everything.post("/syncs/crm/cancel", json={"customers": [ACME]}).json()["customers"]


def test_connections_of_a_sync_and_their_health(everything, api):
    found = everything.get("/syncs/crm/connections").json()["items"]
    assert [(each["customer_id"], each["health"]) for each in found] == [(ACME, "healthy"), (BRIGHTWATER, "healthy")]
    first = everything.get("/syncs/crm/connections", params={"limit": 1}).json()
    rest = everything.get("/syncs/crm/connections", params={"cursor": first["next_cursor"]}).json()
    assert [each["customer_id"] for each in first["items"] + rest["items"]] == [ACME, BRIGHTWATER]
    assert everything.get("/syncs/crm/connections", params={"health": ["error"]}).json()["items"] == []
    (sync,) = everything.get("/health").json()["items"]
    assert (sync["sync"], sync["health"], sync["healthy"]) == ("crm", "healthy", 2)


def test_the_printed_documents_are_accepted_also_beside_the_syncs_that_come_along(everything):
    root = Path(__file__).parents[2]
    printed = re.search(r"/api/v1/syncs .*?-d '(\{.*?\})'", (root / "docs/api.md").read_text(), re.DOTALL)
    described = everything.get("/openapi.json").json()["paths"]["/api/v1/syncs"]["post"]["requestBody"]
    example = described["content"]["application/json"]["examples"]["inbound"]["value"]
    shipped = [yaml.safe_load(file.read_text()) for file in (root / "syncs/syncs").glob("*.yaml")]
    taken = {(sync["provider"], _name(each)) for sync in shipped for each in sync["objects"]}
    for document in (json.loads(printed.group(1)), example):
        objects = [_name(each) for each in document["objects"]]
        assert not taken & {(document["provider"], each) for each in objects}
        made = everything.post("/syncs", json=document)
        assert made.status_code == 201, made.text
        assert everything.delete(f"/syncs/{document['name']}").status_code in (200, 204)


def _name(written):
    return written if isinstance(written, str) else written["object"]
