from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER


def test_customers_and_connections_in_pages_without_credentials(everything, api):
    first = everything.get("/customers", params={"limit": 1}).json()
    rest = everything.get("/customers", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [each["id"] for each in first["items"] + rest["items"]] == [ACME, BRIGHTWATER]
    assert rest["next_cursor"] is None
    account = api.place.control.accounts()[0]
    listed = everything.get("/connections", params={"status": "connected", "provider": "salesforce"})
    assert [each["customer_id"] for each in listed.json()["items"]] == [ACME, BRIGHTWATER]
    assert account.access_token not in listed.text
    one = everything.get(f"/connections/{ACME}/salesforce").json()
    assert one == everything.get(f"/customers/{ACME}").json()["connections"][0] == listed.json()["items"][0]
    assert one["account_id"]


def test_connections_in_pages(everything):
    first = everything.get("/connections", params={"limit": 1}).json()
    rest = everything.get("/connections", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [each["customer_id"] for each in first["items"] + rest["items"]] == [ACME, BRIGHTWATER]


def test_a_connection_is_tested_at_the_vendor(everything, api):
    tested = everything.post(f"/connections/{ACME}/salesforce/test").json()
    assert tested["account_id"] == everything.get(f"/connections/{ACME}/salesforce").json()["account_id"]


def test_an_account_that_the_customer_has_left_says_to_reconnect(everything, api):
    api.place.control.revoke_tokens(ACME)
    answer = everything.post(f"/connections/{ACME}/salesforce/test")
    assert "must connect again" in refused(answer, 409)
    assert answer.json()["error_type"] == "auth_expired"
    assert everything.get(f"/connections/{ACME}/salesforce").json()["status"] == "expired"


def test_disconnecting_forgets_the_connection_alone(everything, api):
    rows = len(api.place.rows("crm_contact", ACME))
    left = everything.delete(f"/connections/{ACME}/salesforce")
    assert (left.status_code, left.json()) == (200, {"message": "Salesforce has ended the access."})
    assert "is not connected" in refused(everything.delete(f"/connections/{ACME}/salesforce"), 404)
    assert len(api.place.rows("crm_contact", ACME)) == rows > 0
    (entry,) = everything.get("/logs/audit", params={"action": "disconnect"}).json()["items"]
    assert (entry["actor"], entry["subject"]) == ("api:test", f"connection {ACME}/salesforce")


def test_what_is_configured_is_told_without_secrets(everything, api):
    providers = everything.get("/providers")
    assert [each["name"] for each in providers.json()["items"]] == ["hubspot", "salesforce"]
    assert "Contact" in providers.json()["items"][1]["objects"]
    destinations = everything.get("/destinations")
    (warehouse,) = destinations.json()["items"]
    assert (warehouse["name"], warehouse["type"], warehouse["origin"]) == ("warehouse", "postgres", "file")
    assert warehouse["file"] == "destinations/warehouse.yaml"
    assert api.place.environ["CLIENT_SECRET"] not in providers.text
