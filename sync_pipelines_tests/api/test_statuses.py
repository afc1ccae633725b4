"""Documented answers that no noun's own tests come by: what is badly written in a path, what others did wrong."""

import re

import pytest

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

OBJECT = f"/connections/{ACME}/salesforce/objects/contact"
NUL = "%00"
ASKING = (
    ("GET", f"{OBJECT}/fields", None),
    ("GET", f"{OBJECT}/mapping/suggestions", None),
    ("PUT", f"{OBJECT}/mapping", {"fields": {"tier": "Department"}}),
    ("POST", f"{OBJECT}/mapping/rollback", {"version": 1}),
    ("POST", f"/connections/{ACME}/salesforce/test", None),
)
"""Calls that ask the vendor."""


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
    for method, path, body in ASKING:
        refused(everything.request(method, path, json=body), 502)
    api.place.control.clear_faults()
    for refusal, path in ((None, OBJECT.replace("contact", "Nonsense__c")), (403, OBJECT)):
        if refusal is not None:
            api.place.control.fault(ACME, "status", status=refusal)
        answer = everything.get(f"{path}/fields")
        assert "does not let this connection read the object" in refused(answer, 404)
        assert answer.json()["error_type"] == "not_found"
    assert len(everything.get(f"{OBJECT}/mapping/versions").json()["items"]) == 1


def test_what_only_the_customer_can_mend_is_no_outage(everything, api):
    for field in ("Title", "Department"):
        assert everything.put(f"{OBJECT}/mapping", json={"fields": {"tier": field}}).json()["saved"]
    api.place.control.revoke_tokens(ACME)
    for method, path, body in (*ASKING, ("POST", f"{OBJECT}/preview", {})):
        answer = everything.request(method, path, json=body)
        told = refused(answer, 409)
        assert answer.json()["error_type"] == "auth_expired"
        assert re.search("must (re)?connect", told)
        assert "POST /api/v1/connect-sessions" in told
    assert everything.get(f"{OBJECT}/mapping").json()["version"] == 2


def test_what_whoever_runs_the_server_has_to_mend_is_not_the_callers_fault(everything, api, caplog):
    place = api.place
    assert everything.put(f"{OBJECT}/mapping", json={"fields": {"tier": "Title"}}).json()["saved"]
    settings = place.project.settings
    wish = {"customer_id": ACME, "provider": "salesforce"}
    place.project.settings = settings.model_copy(update={"environment": "production"})
    told = refused(everything.post("/connect-sessions", json=wish), 503)
    assert "whoever runs it" in told
    assert "set SYNC_PIPELINES_PUBLIC_URL" in told
    place.project.settings = settings

    place.control.revoke_tokens(ACME, "access")
    place.control.fault(ACME, "refresh_refused", error="invalid_client")
    told = refused(everything.post(f"/connections/{ACME}/salesforce/test"), 503)
    assert "check the provider's client id" in told
    place.control.clear_faults()

    with place.store.connect() as store:
        (row,) = store.execute(
            "UPDATE credentials SET key_id = 'forgotten' FROM connections AS c "
            "WHERE c.id = connection_id AND customer_id = %s RETURNING c.id, sealed",
            [ACME],
        ).fetchall()
    for method, path, body in ASKING:
        answer = everything.request(method, path, json=body)
        assert "not in SYNC_PIPELINES_ENCRYPTION_KEYS" in refused(answer, 503)
        assert not re.search(f"connection {row[0]}|forgotten|{row[1]}", answer.text)
    assert f"connection {row[0]}" in caplog.text
    assert everything.get(f"/connections/{ACME}/salesforce").json()["status"] == "connected"
    assert everything.post(f"/connections/{BRIGHTWATER}/salesforce/test").status_code == 200


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
