"""What customers map onto, who has mapped what, and what a mapping makes of sample records."""

from sync_pipelines_tests.api.test_access import refused
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

PREVIEW = f"/connections/{ACME}/salesforce/objects/contact/preview"
LEADS = {
    **{"name": "leads", "provider": "salesforce", "destination": "warehouse"},
    "objects": [
        {
            "object": "lead",
            "custom_schema": {
                "version": 3,
                "fields": [
                    {"name": "email", "required": True, "description": "Where to write"},
                    {"name": "company", "sources": {"salesforce": "Company"}, "locked": True},
                ],
            },
        }
    ],
}


def test_schemas_of_files_and_of_syncs_made_by_api_with_who_maps_them(everything, api):
    assert everything.post("/syncs", json=LEADS).status_code == 201
    place = api.place
    place.map(ACME, "salesforce", "contact", tier="Title", annual_revenue="Id")
    place.map(ACME, "salesforce", "contact", tier="Title")
    place.map(BRIGHTWATER, "salesforce", "lead", email="Email")
    crm, leads = everything.get("/custom-schemas").json()["items"]
    assert (crm["sync"], crm["origin"], crm["version"], leads["sync"], leads["origin"], leads["version"]) == (
        *("crm", "file", 1),
        *("leads", "api", 3),
    )
    email, company = leads["fields"]
    assert (email["required"], email["description"], email["default"]) == (True, "Where to write", None)
    assert (company["locked"], company["default"]) == (True, "Company")
    for filters, syncs in (({"object": "Lead"}, ["leads"]), ({"sync": "crm"}, ["crm"]), ({"provider": "hubspot"}, [])):
        assert [each["sync"] for each in everything.get("/custom-schemas", params=filters).json()["items"]] == syncs

    fields = {each["name"]: each["mapped"] for each in everything.get("/custom-schemas/crm/contact").json()["fields"]}
    assert fields == {"annual_revenue": 0, "tier": 1, "renewal_date": 0, "is_strategic": 0}
    first = everything.get("/custom-schemas/leads/lead/customers", params={"limit": 1}).json()
    rest = everything.get("/custom-schemas/leads/lead/customers", params={"cursor": first["next_cursor"]}).json()
    told = [
        (each["customer_id"], each["version"], each["mapped"], each["unmapped"], each["required"])
        for each in first["items"] + rest["items"]
    ]
    assert told == [(ACME, 0, [], ["email"], ["email"]), (BRIGHTWATER, 1, ["email"], [], [])]
    assert rest["next_cursor"] is None
    refused(everything.get("/custom-schemas/crm/lead"), 404)
    refused(everything.get("/custom-schemas/nothing/lead/customers"), 404)

    with api.as_(customer_id=BRIGHTWATER) as bound:
        mapped = {each["name"]: each["mapped"] for each in bound.get("/custom-schemas/crm/contact").json()["fields"]}
        assert set(mapped.values()) == {0}
        (own,) = bound.get("/custom-schemas/leads/lead/customers").json()["items"]
        assert own["customer_id"] == BRIGHTWATER


def test_a_preview_shows_before_and_after_and_writes_nothing(everything, api):
    place = api.place
    place.map(ACME, "salesforce", "contact", tier="Title", renewal_date="LastName")
    rows, mapping = place.content("crm_contact"), place.project.store.mappings.history(ACME, "salesforce", "contact")
    found = everything.post(PREVIEW, json={"limit": 2}).json()
    assert (found["sync"], found["customer_id"], found["version"], len(found["records"])) == ("crm", ACME, 1, 2)
    assert found["calls"] >= 1
    truth = {each["id"]: each["fields"] for each in place.control.truth(ACME, "Contact")}
    for record in found["records"]:
        fields = {each["column"]: each for each in record["fields"]}
        assert fields["tier"]["before"] == {"Title": truth[record["id"]]["Title"]}
        assert fields["tier"]["after"] == truth[record["id"]]["Title"]
        assert fields["renewal_date"]["after"] is None
        assert fields["renewal_date"]["problem"]

    id = found["records"][0]["id"]
    rule = {"source": "Title", "transform": {"name": "custom", "expression": "upper(value)"}}
    tried = everything.post(PREVIEW, json={"sync": "crm", "record": id, "fields": {"tier": rule, "renewal_date": None}})
    assert tried.status_code == 200, tried.text
    (after,), (before,) = tried.json()["records"], tried.json()["saved"]
    (made,) = [each for each in after["fields"] if each["column"] == "tier"]
    (kept,) = [each for each in before["fields"] if each["column"] == "tier"]
    assert (made["transforms"], made["after"]) == (["custom"], kept["after"].upper())
    assert not [each["problem"] for each in after["fields"] if each["problem"]]
    assert place.content("crm_contact") == rows
    assert place.project.store.mappings.history(ACME, "salesforce", "contact") == mapping
    assert everything.post(PREVIEW).status_code == 200


def test_what_cannot_be_previewed_says_why(everything, api):
    place = api.place
    for body, message in (
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"fields": {"nonsense": "Title"}}, "nonsense"),
        ({"fields": {"tier": {"source": "Title", "transform": "no_such"}}}, "no_such"),
        ({"sync": "other"}, "no sync other of salesforce"),
        ({"what": 1}, "what"),
    ):
        assert message in refused(everything.post(PREVIEW, json=body), 422), body
    assert "No sync of salesforce has an object" in refused(
        everything.post(PREVIEW.replace("contact", "opportunity")), 422
    )
    refused(everything.post(PREVIEW.replace(ACME, "nobody")), 404)
    place.control.fault(ACME, "status", status=400)
    refused(everything.post(PREVIEW), 502)
    place.control.clear_faults()
    place.control.revoke_tokens(ACME)
    answer = everything.post(PREVIEW)
    assert "must connect again" in refused(answer, 409)
    assert answer.json()["error_type"] == "auth_expired"
