"""HubSpot: listing, reading by id, associations, and what a portal consists of."""

import pytest

FAMILIES = ("/crm/v3/objects", "/crm/objects/2026-03")


def ids(pages):
    return [record["id"] for page in pages for record in page["results"]]


def truth(sandbox, object="contacts"):
    return {record["id"]: record for record in sandbox.truth("lumen-bakery", object)}


def live(sandbox, object="contacts"):
    return [id for id, record in truth(sandbox, object).items() if not record["deleted"]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["contacts", "contact", "0-1", "Contacts"])
def test_an_object_has_several_names_and_two_path_families(hubspot, family, name):
    answer = hubspot.get(f"{family}/{name}").json()
    assert len(answer["results"]) == 10
    assert set(answer["results"][0]) >= {"id", "properties", "createdAt", "updatedAt", "archived"}
    assert set(answer["results"][0]["properties"]) == {
        "createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname",
    }  # fmt: skip


@pytest.mark.parametrize("limit", [1, 97, 98, 99, 100])
def test_pages_hold_every_live_record_once_in_the_order_of_ids(sandbox, listing, limit):
    if limit == 1:
        pages = listing("deals", limit=1)
        assert ids(pages) == live(sandbox, "deals")
    else:
        pages = listing(limit=limit)
        assert ids(pages) == live(sandbox)
    assert all(len(page["results"]) == limit for page in pages[:-1])


def test_the_last_full_page_has_no_paging(sandbox, hubspot):
    wanted = live(sandbox, "deals")
    answer = hubspot.get("/crm/v3/objects/deals", params={"limit": len(wanted)}).json()
    assert ids([answer]) == wanted
    assert "paging" not in answer


@pytest.mark.parametrize(("limit", "status"), [("100", 200), ("101", 400), ("0", 400), ("x", 400)])
def test_limits_of_a_page(hubspot, limit, status):
    answer = hubspot.get("/crm/v3/objects/contacts", params={"limit": limit})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["category"] == "VALIDATION_ERROR"
        assert answer.json()["correlationId"]


@pytest.mark.parametrize("asked", [["arr", "tier", "nope"], ["arr,tier,nope"]])
def test_properties_are_asked_both_ways_and_unknown_ones_ignored(hubspot, asked):
    record = hubspot.get("/crm/v3/objects/contacts", params={"properties": asked}).json()["results"][0]
    assert set(record["properties"]) == {"arr", "tier", "hs_object_id", "createdate", "lastmodifieddate"}


def test_every_value_is_a_text_or_null_and_the_worlds(sandbox, listing, hubspot):
    names = [known["name"] for known in hubspot.get("/crm/v3/properties/contacts").json()["results"]]
    known = truth(sandbox)
    for page in listing(limit=100, properties=",".join(names)):
        for record in page["results"]:
            assert all(value is None or isinstance(value, str) for value in record["properties"].values())
            assert record["properties"] == {name: known[record["id"]]["fields"][name] for name in names}
            assert record["createdAt"] == known[record["id"]]["created"] == record["properties"]["createdate"]
            assert record["updatedAt"] == known[record["id"]]["modified"]


@pytest.mark.parametrize("spelling", ["true", "True"])
def test_archived_records_are_listed_on_their_own(sandbox, listing, spelling):
    known = truth(sandbox)
    pages = listing(limit=100, archived=spelling)
    assert ids(pages) == [id for id, record in known.items() if record["deleted"]]
    for page in pages:
        for record in page["results"]:
            assert record["archived"]
            assert record["archivedAt"] == known[record["id"]]["archived_at"]


def test_archiving_does_not_move_the_modified_stamp(sandbox, hubspot):
    id = live(sandbox)[5]
    before = truth(sandbox)[id]
    assert hubspot.delete(f"/crm/v3/objects/contacts/{id}").status_code == 204
    assert hubspot.delete(f"/crm/v3/objects/contacts/{id}").status_code == 204
    after = truth(sandbox)[id]
    assert after["deleted"]
    assert after["modified"] == before["modified"]
    assert hubspot.get(f"/crm/v3/objects/contacts/{id}").status_code == 404
    assert hubspot.get(f"/crm/v3/objects/contacts/{id}", params={"archived": "true"}).status_code == 200


def test_ids_order_as_numbers_not_as_texts(sandbox):
    found = live(sandbox)
    assert found == sorted(found, key=int)
    assert found != sorted(found)


def test_associations_show_in_lists_with_their_types(sandbox, listing):
    known = truth(sandbox)
    for page in listing(limit=100, associations="companies"):
        for record in page["results"]:
            expected = known[record["id"]]["associations"].get("companies", [])
            if not expected:
                assert "associations" not in record
                continue
            told = record["associations"]["companies"]
            names = {1: "contact_to_company", 279: "contact_to_company_unlabeled"}
            assert told["results"] == [{"id": id, "type": names[type_id]} for id, type_id in expected[:100]]
            assert ("paging" in told) == (len(expected) > 100)


def test_many_associations_are_behind_nested_paging(sandbox, hubspot):
    first = live(sandbox)[0]
    told = hubspot.get(f"/crm/v3/objects/contacts/{first}", params={"associations": "companies"}).json()
    nested = told["associations"]["companies"]
    rest = hubspot.get(nested["paging"]["next"]["link"]).json()
    assert "paging" not in rest
    expected = truth(sandbox)[first]["associations"]["companies"]
    assert len(expected) > 100
    assert [known["id"] for known in nested["results"] + rest["results"]] == [id for id, _ in expected]


@pytest.mark.parametrize("family", ["/crm/v4/associations", "/crm/associations/2026-03"])
def test_associations_are_read_in_batches_with_labels(sandbox, hubspot, family):
    known = truth(sandbox)
    several = next(id for id, record in known.items() if 1 < len(record["associations"].get("companies", [])) < 9)
    none = next(id for id, record in known.items() if "companies" not in record["associations"])
    answer = hubspot.post(f"{family}/contacts/companies/batch/read", json={"inputs": [{"id": several}, {"id": none}]})
    assert answer.status_code == 207
    told = answer.json()
    assert told["numErrors"] == 1
    assert told["errors"][0]["context"]["fromObjectId"] == [none]
    [entry] = told["results"]
    flat = [[one["toObjectId"], kind["typeId"]] for one in entry["to"] for kind in one["associationTypes"]]
    assert flat == known[several]["associations"]["companies"]
    labels = {kind["typeId"]: kind["label"] for one in entry["to"] for kind in one["associationTypes"]}
    assert labels == {1: "Primary", 279: None}


def test_records_can_be_linked_and_unlinked(sandbox, hubspot):
    deal, contact = live(sandbox, "deals")[1], live(sandbox)[1]
    path = f"/crm/v4/objects/deals/{deal}/associations"
    assert hubspot.put(f"{path}/default/contacts/{contact}").status_code == 200
    assert [contact, 3] in truth(sandbox, "deals")[deal]["associations"]["contacts"]
    assert [deal, 4] in truth(sandbox)[contact]["associations"]["deals"]
    assert hubspot.delete(f"{path}/contacts/{contact}").status_code == 204
    assert [contact, 3] not in truth(sandbox, "deals")[deal]["associations"].get("contacts", [])
    company = live(sandbox, "companies")[0]
    body = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}]
    assert hubspot.put(f"{path}/companies/{company}", json=body).status_code == 201
    assert [company, 5] in truth(sandbox, "deals")[deal]["associations"]["companies"]


def test_properties_tell_standard_and_own_ones_but_not_sensitive_ones(hubspot):
    told = {known["name"]: known for known in hubspot.get("/crm/v3/properties/contacts").json()["results"]}
    assert (told["arr"]["type"], told["arr"]["hubspotDefined"]) == ("number", False)
    assert told["email"]["hasUniqueValue"]
    assert told["hs_object_id"]["modificationMetadata"]["readOnlyValue"]
    assert [option["value"] for option in told["tier"]["options"]] == ["gold", "silver"]
    assert "hs_health_note" not in told
    dated = hubspot.get("/crm/properties/2026-03/0-1", params={"dataSensitivity": "sensitive"}).json()["results"]
    assert [known["name"] for known in dated] == ["hs_health_note"]


def test_stage_ids_are_unique_and_their_labels_are_not(hubspot):
    for path in ("/crm/v3/pipelines/deals", "/crm/pipelines/2026-03/deals"):
        stages = [stage for pipeline in hubspot.get(path).json()["results"] for stage in pipeline["stages"]]
        assert len({stage["id"] for stage in stages}) == len(stages)
        assert len({stage["label"] for stage in stages}) < len(stages)
        assert {"probability", "isClosed"} == set(stages[0]["metadata"])


def test_owners_that_left_are_listed_only_when_asked_for(sandbox, hubspot):
    known = truth(sandbox, "owners")
    active = hubspot.get("/crm/v3/owners", params={"limit": 3}).json()
    assert len(active["results"]) == 3
    after = active["paging"]["next"]["after"]
    rest = hubspot.get("/crm/v3/owners/", params={"limit": 500, "after": after}).json()
    assert ids([active, rest]) == [id for id, record in known.items() if not record["deleted"]]
    gone = hubspot.get("/crm/owners/2026-03", params={"archived": "true"}).json()["results"]
    assert [owner["id"] for owner in gone] == [id for id, record in known.items() if record["deleted"]]
    assert all(owner["userId"] is None and owner["userIdIncludingInactive"] for owner in gone)


def test_a_custom_object_has_a_schema_and_three_names(hubspot):
    for path in ("/crm-object-schemas/v3/schemas", "/crm/v3/schemas", "/crm-object-schemas/2026-03/schemas"):
        [schema] = hubspot.get(path).json()["results"]
        assert schema["fullyQualifiedName"] == "p4410101_car"
        assert schema["objectTypeId"].startswith("2-")
    for name in ("p4410101_car", schema["objectTypeId"], "car"):
        assert hubspot.get(f"/crm/v3/objects/{name}").status_code == 200


def test_the_account_tells_its_portal(hubspot):
    for path in ("/account-info/v3/details", "/account-info/2026-03/details"):
        assert hubspot.get(path).json()["portalId"] == 4410101


def test_batch_read_tells_what_is_missing(sandbox, hubspot):
    wanted = live(sandbox)[:3]
    body = {"inputs": [{"id": id} for id in (*wanted, "5")], "properties": ["arr"], "propertiesWithHistory": []}
    answer = hubspot.post("/crm/v3/objects/contacts/batch/read", json=body)
    assert answer.status_code == 207
    assert ids([answer.json()]) == wanted
    assert answer.json()["errors"][0]["context"] == {"ids": ["5"]}
    too_many = {"inputs": [{"id": str(n)} for n in range(101)], "properties": []}
    assert hubspot.post("/crm/v3/objects/contacts/batch/read", json=too_many).status_code == 400
    by_email = {"inputs": [{"id": "person3@contacts.example"}], "idProperty": "email", "properties": ["email"]}
    [found] = hubspot.post("/crm/v3/objects/contacts/batch/read", json=by_email).json()["results"]
    assert found["properties"]["email"] == "person3@contacts.example"


def test_rate_limit_headers_are_on_all_answers_but_searches(hubspot):
    headers = hubspot.get("/crm/v3/objects/contacts").headers
    assert headers["X-HubSpot-RateLimit-Max"] == "110"
    assert headers["X-HubSpot-RateLimit-Interval-Milliseconds"] == "10000"
    assert int(headers["X-HubSpot-RateLimit-Remaining"]) < 110
    assert "X-HubSpot-RateLimit-Max" not in hubspot.post("/crm/v3/objects/contacts/search", json={}).headers


def test_kept_limits_end_in_429(sandbox, hubspot):
    sandbox.clock(frozen=True)
    sandbox.settings("lumen-bakery", enforce_limits=True)
    statuses = [hubspot.post("/crm/v3/objects/contacts/search", json={}).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    sandbox.clock(advance=1)
    assert hubspot.post("/crm/v3/objects/contacts/search", json={}).status_code == 200
    statuses = [hubspot.get("/crm/v3/owners").status_code for _ in range(111)]
    assert statuses == [200] * 110 + [429]
    sandbox.clock(frozen=False)


@pytest.mark.parametrize("path", ["/crm/v3/objects/nope", "/crm/v3/objects/owners", "/crm/v3/properties/nope"])
def test_an_unknown_object_is_refused(hubspot, path):
    answer = hubspot.get(path)
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")


def test_too_many_properties_make_the_address_too_long(hubspot):
    names = ",".join(f"property_number_{n:06d}" for n in range(800))
    assert hubspot.get("/crm/v3/objects/contacts", params={"properties": names}).status_code == 414
