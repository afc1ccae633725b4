"""The documents that a sync made by API had, and going back to one of them."""

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.api.test_sync_documents import CONTACTS, OF_THE_SEED, parts
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

SYNC = "/syncs/by api"


def versions(client, sync=SYNC, **query):
    answer = client.get(f"{sync}/versions", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_going_back_is_a_change_to_the_older_document(everything, api):
    """With the audit's entry and the planned work of a change."""
    project = api.place.project
    first = everything.post("/syncs", json={**CONTACTS, "schedule": "hourly"})
    second = {**CONTACTS, "schedule": "daily", "customers": [ACME]}
    with api.as_("syncs:write") as other:
        changed = other.put(SYNC, json=second)
    assert [each.customer_id for each in project.store.due.list("by api")] == [ACME]

    stale = {"If-Match": first.headers["etag"]}
    wanted = {"version": 1, "reason": " The nights were too late. "}
    assert "moved on to version 2" in refused(everything.post(f"{SYNC}/rollback", json=wanted, headers=stale), 412)
    back = everything.post(f"{SYNC}/rollback", json=wanted, headers={"If-Match": changed.headers["etag"]})
    assert (back.status_code, back.json()["version"], back.json()["connections"]) == (200, 3, 2)
    assert back.json()["document"] == first.json()["document"]
    assert back.headers["etag"] == everything.get(SYNC).headers["etag"] != first.headers["etag"]
    assert [each.customer_id for each in project.store.due.list("by api")] == [ACME, BRIGHTWATER]
    assert project.sync("by api").schedule.every.total_seconds() == 3600

    newest, middle, oldest = versions(everything)["items"]
    assert newest == {
        "version": 3,
        "saved_at": newest["saved_at"],
        "actor": "api:test",
        "restored": 1,
        "reason": "The nights were too late.",
        "document": oldest["document"],
    }
    assert (middle["version"], middle["document"], middle["restored"], middle["reason"]) == (2, second, None, "")
    assert newest["saved_at"] > middle["saved_at"] > oldest["saved_at"]
    told = everything.get("/logs/audit", params={"subject": "sync by api"}).json()["items"]
    assert [each["action"] for each in told] == ["roll back", "update", "create"]
    assert told[0]["new"] == {
        "version": 3, "direction": "inbound", "document": oldest["document"], "restored": 1
    }  # fmt: skip
    assert (told[0]["old"]["document"], told[0]["customers"]) == (second, [ACME])

    again = everything.post(f"{SYNC}/rollback", json={"version": 1})
    assert (again.json()["version"], again.headers["etag"]) == (3, back.headers["etag"])
    there_is_not = refused(everything.post(f"{SYNC}/rollback", json={"version": 9}), 422)
    assert "The sync by api has no version 9. There are: 3, 2, 1." in there_is_not
    assert len(versions(everything)["items"]) == 3


def test_what_may_not_be_saved_today_is_not_gone_back_to(caller):
    """Another sync has taken the rows since, or the destination went from the files."""
    caller.post("/syncs", json=CONTACTS)
    moved = caller.put(SYNC, json={**CONTACTS, "objects": ["user"]})
    assert caller.post("/syncs", json={**CONTACTS, "name": "faster"}).status_code == 201
    told = parts(caller.post(f"{SYNC}/rollback", json={"version": 1}))
    assert 'writes the same rows of table "crm_lead" as faster, lead' in told["body.objects[0]"]
    assert caller.get(SYNC).headers["etag"] == moved.headers["etag"]
    caller.delete("/syncs/faster")
    assert caller.post(f"{SYNC}/rollback", json={"version": 1}).json()["objects"][0]["object"] == "lead"


def test_an_outbound_sync_goes_back_too(caller):
    place = f"/syncs/{OF_THE_SEED['name']}"
    caller.post("/syncs", json=OF_THE_SEED)
    caller.put(place, json={**OF_THE_SEED, "mode": "mirror"})
    assert caller.post(f"{place}/rollback", json={"version": 1}).json()["document"] == OF_THE_SEED
    assert [each["document"]["mode"] for each in versions(caller, place)["items"]] == ["upsert", "mirror", "upsert"]


def test_versions_come_in_pages(caller):
    caller.post("/syncs", json=CONTACTS)
    for hours in range(1, 5):
        caller.put(SYNC, json={**CONTACTS, "schedule": {"every": f"{hours}h"}})
    seen, page = [], versions(caller, limit=2)
    while True:
        seen.append([each["version"] for each in page["items"]])
        if page["next_cursor"] is None:
            break
        # What is added meanwhile moves nothing.
        caller.put(SYNC, json={**CONTACTS, "schedule": {"every": f"{len(seen)}d"}})
        page = versions(caller, limit=2, cursor=page["next_cursor"])
    assert seen == [[5, 4], [3, 2], [1]]
    refused(caller.get(f"{SYNC}/versions", params={"cursor": "nonsense"}), 422)


def test_versions_go_with_their_sync_and_a_file_has_its_own(caller):
    for method, place in (("GET", "versions"), ("POST", "rollback")):
        body = {"json": {"version": 1}} if method == "POST" else {}
        assert "declared in syncs/crm.yaml" in refused(caller.request(method, f"/syncs/crm/{place}", **body), 409)
        refused(caller.request(method, f"{SYNC}/{place}", **body), 404)
    caller.post("/syncs", json=CONTACTS)
    caller.put(SYNC, json={**CONTACTS, "mode": "mirror"})
    caller.delete(SYNC)
    refused(caller.get(f"{SYNC}/versions"), 404)
    caller.post("/syncs", json=CONTACTS)
    assert [each["version"] for each in versions(caller)["items"]] == [1]
    assert "no version 2" in refused(caller.post(f"{SYNC}/rollback", json={"version": 2}), 422)
