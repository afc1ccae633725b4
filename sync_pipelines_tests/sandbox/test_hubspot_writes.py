"""HubSpot: creating, updating, archiving, merging, one by one and in batches."""

import pytest

CONTACTS = "/crm/v3/objects/contacts"


def known(sandbox, id):
    return next((record for record in sandbox.truth("lumen-bakery", "contacts") if record["id"] == id), None)


def live(sandbox):
    return [record["id"] for record in sandbox.truth("lumen-bakery", "contacts") if not record["deleted"]]


def test_a_record_is_made_changed_and_archived(sandbox, hubspot):
    made = hubspot.post(
        CONTACTS,
        json={"properties": {"email": "ida@new.example", "arr": 12.5}, "associations": [], "objectWriteTraceId": "t"},
    )
    assert made.status_code == 201
    id = made.json()["id"]
    assert made.json()["properties"]["arr"] == "12.5"
    assert made.json()["objectWriteTraceId"] == "t"
    changed = hubspot.patch(f"{CONTACTS}/{id}", json={"properties": {"arr": "", "firstname": "Ida"}}).json()
    assert (changed["properties"]["arr"], changed["properties"]["firstname"]) == (None, "Ida")
    by_email = hubspot.patch(
        f"{CONTACTS}/ida@new.example", params={"idProperty": "email"}, json={"properties": {"lastname": "Holm"}}
    )
    assert by_email.json()["id"] == id
    assert known(sandbox, id)["fields"]["lastname"] == "Holm"
    assert hubspot.delete(f"{CONTACTS}/{id}").status_code == 204
    assert known(sandbox, id)["deleted"]


def test_one_email_is_one_contact(hubspot):
    first = hubspot.post(CONTACTS, json={"properties": {"email": "one@new.example"}}).json()["id"]
    again = hubspot.post(CONTACTS, json={"properties": {"email": "ONE@new.example"}})
    assert again.status_code == 409
    assert again.json()["category"] == "CONFLICT"
    assert again.json()["message"] == f"Contact already exists. Existing ID: {first}"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"nope": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"hs_object_id": "1"}, "READ_ONLY_VALUE"),
        ({"tier": "wood"}, "INVALID_OPTION"),
        ({"arr": "many"}, "INVALID_NUMBER"),
    ],
)
def test_values_that_do_not_fit_are_refused(hubspot, properties, code):
    answer = hubspot.post(CONTACTS, json={"properties": properties})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code


def test_a_batch_goes_on_past_what_it_cannot_do(sandbox, hubspot):
    inputs = [
        {"properties": {"email": "a@batch.example"}, "objectWriteTraceId": "one"},
        {"properties": {"email": "a@batch.example"}, "objectWriteTraceId": "two"},
    ]
    answer = hubspot.post(f"{CONTACTS}/batch/create", json={"inputs": inputs})
    assert answer.status_code == 207
    told = answer.json()
    assert [record["objectWriteTraceId"] for record in told["results"]] == ["one"]
    assert told["numErrors"] == 1
    assert told["errors"][0]["context"]["objectWriteTraceId"] == ["two"]
    one, other = live(sandbox)[:2]
    inputs = [{"id": one, "properties": {"firstname": "Q"}}, {"id": "5", "properties": {"firstname": "Q"}}]
    answer = hubspot.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
    assert answer.status_code == 207
    assert answer.json()["errors"][0]["context"]["ids"] == ["5"]
    whole = [{"id": one, "properties": {}}, {"id": other, "properties": {"nope": "1"}}]
    assert hubspot.post(f"{CONTACTS}/batch/update", json={"inputs": whole}).status_code == 400
    twice = [{"id": one, "properties": {}}, {"id": one, "properties": {}}]
    assert hubspot.post(f"{CONTACTS}/batch/update", json={"inputs": twice}).status_code == 400


def test_upsert_says_which_ones_are_new(hubspot):
    hubspot.post(CONTACTS, json={"properties": {"email": "old@batch.example"}})
    inputs = [
        {"id": f"{name}@batch.example", "idProperty": "email", "properties": {"firstname": name}}
        for name in ("old", "new")
    ]
    answer = hubspot.post(f"{CONTACTS}/batch/upsert", json={"inputs": inputs})
    assert answer.status_code == 200
    assert [record["new"] for record in answer.json()["results"]] == [False, True]


def test_a_merge_archives_the_loser_and_marks_the_winner(sandbox, hubspot):
    winner, loser = live(sandbox)[3:5]
    body = {"primaryObjectId": winner, "objectIdToMerge": loser}
    assert hubspot.post(f"{CONTACTS}/merge", json=body).status_code == 200
    assert known(sandbox, loser)["deleted"]
    assert known(sandbox, winner)["fields"]["hs_merged_object_ids"] == loser
    assert hubspot.get(f"{CONTACTS}/{loser}").json()["id"] == winner


def test_an_erased_contact_leaves_no_trace(sandbox, hubspot):
    id = live(sandbox)[0]
    assert hubspot.post(f"{CONTACTS}/gdpr-delete", json={"objectId": id}).status_code == 204
    assert known(sandbox, id) is None


def test_batch_archive(sandbox, hubspot):
    gone = live(sandbox)[:3]
    assert hubspot.post(f"{CONTACTS}/batch/archive", json={"inputs": [{"id": id} for id in gone]}).status_code == 204
    assert not set(gone) & set(live(sandbox))
