"""Documented answers that no noun's own tests come by: what is badly written in a path, what others did wrong."""

import re

import pytest

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME

OBJECT = f"/connections/{ACME}/salesforce/objects/contact"
NUL = "%00"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/connections/a{NUL}/salesforce/objects/contact/fields"),
        ("GET", f"/connections/a{NUL}/salesforce/objects/contact/mapping"),
        ("GET", f"/connections/a{NUL}/salesforce/objects/contact/mapping/versions"),
        ("GET", f"{OBJECT}/failed?limit=0"),
        ("GET", f"/custom-schemas/crm/con{NUL}tact"),
        ("GET", "/webhooks/first"),
        ("DELETE", "/webhooks/first"),
        ("DELETE", "/hooks/first"),
    ],
)
def test_a_path_that_names_nothing_possible(everything, method, path):
    assert refused(everything.request(method, path), 422)


def test_what_the_vendor_does_not_understand_is_not_the_callers_fault(everything, api):
    assert everything.put(f"{OBJECT}/mapping", json={"fields": {"tier": "Title"}}).json()["saved"]
    api.place.control.fault(ACME, "status", status=400)
    calls = [
        ("GET", f"{OBJECT}/fields", None),
        ("PUT", f"{OBJECT}/mapping", {"fields": {"tier": "Department"}}),
        ("POST", f"{OBJECT}/mapping/rollback", {"version": 1}),
        ("POST", f"/connections/{ACME}/salesforce/test", None),
    ]
    for method, path, body in calls:
        refused(everything.request(method, path, json=body), 502)
    assert len(everything.get(f"{OBJECT}/mapping/versions").json()["items"]) == 1


def test_what_a_destination_refuses_is_told_and_changes_nothing(everything, api, served):
    place = api.place
    before = place.content("crm_contact")
    written = place.folder / "destinations" / "warehouse.yaml"
    right = written.read_text()
    written.write_text(re.sub(r"user: .*", "user: nobody_of_this_name", right))
    place.open()
    where = {"object": "contact", "customer_id": ACME, "record": "003"}
    with served().as_() as caller:
        refused(caller.get(f"{OBJECT}/failed"), 502)
        refused(caller.get("/syncs/crm/explain", params=where), 502)
        refused(caller.delete(f"/customers/{ACME}"), 502)
    assert place.content("crm_contact") == before
    written.write_text(right)
    place.open()
    with served().as_() as caller:
        assert caller.delete(f"/customers/{ACME}").json()["finished_at"]
    assert place.rows("crm_contact", ACME) == []


def test_going_back_asks_whether_the_mapping_has_moved_on(everything):
    etag = {"If-Match": everything.get(f"{OBJECT}/mapping").headers["etag"]}
    for field in ("Title", "Department"):
        assert everything.put(f"{OBJECT}/mapping", json={"fields": {"tier": field}}).json()["saved"]
    assert "moved on" in refused(everything.post(f"{OBJECT}/mapping/rollback", json={}, headers=etag), 412)


def test_a_link_to_the_connect_page(everything):
    answer = everything.post("/connect-sessions", json={"customer_id": ACME, "provider": "salesforce"})
    assert answer.status_code == 201
    assert "/connect/open/" in answer.json()["url"]
