"""What becomes of a customer's copy when the vendor's fields change, and when the developer's do."""

import pytest

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN, QUILL

VENDORS = {
    "salesforce": (ACME, BRIGHTWATER, "Contact", "Title"),
    "hubspot": (LUMEN, QUILL, "contacts", "jobtitle"),
}
every_vendor = pytest.mark.parametrize("vendor", VENDORS)


def custom(type, source, vendor, name="score"):
    field = {"name": name, "type": type, "sources": {vendor: source}}
    return {"object": "contact", "custom_schema": {"fields": [field]}}


def counting(place, customer, vendor_object, field):
    """Give the field 12, "a few" and nothing in turn. What each record then has."""
    values = {}
    for number, entry in enumerate(place.control.truth(customer, vendor_object)):
        values[entry["id"]] = ("12", "a few", None)[number % 3]
        place.control.record(
            customer, vendor_object, operation="upsert", id=entry["id"], fields={field: values[entry["id"]]}
        )
    return values


@every_vendor
def test_a_developers_new_type_fills_a_new_column_and_keeps_the_old_one_for_every_customer(unhurried, vendor):
    place, (one, other, vendor_object, field) = unhurried, VENDORS[vendor]
    place.write_sync(provider=vendor, objects=[custom("text", field, vendor)])
    place.connect(one, other)
    told = {who: counting(place, who, vendor_object, field) for who in (one, other)}
    assert [run.status for run in place.sync()] == ["success"] * 2
    place.write_sync(provider=vendor, objects=[custom("numeric", field, vendor)])
    run = place.sync_one(one)
    # Of the stored records: the vendor is not asked for them again.
    assert (run.status, run.full) == ("success", False)
    assert run.counts.invalid >= list(told[one].values()).count("a few")
    for row in place.rows("crm_contact"):
        value = told[row["_sync_customer_id"]][row["id"]]
        assert row["score__was_text"] == value
        if row["_sync_customer_id"] == one:
            assert row["score"] == (12 if value == "12" else None)
            kept = (row["_sync_errors"] or {}).get("score", {})
            assert kept.get("value") == ("a few" if value == "a few" else None)
        else:
            assert row["score"] is None
    assert place.sync_one(other).status == "success"
    for row in place.rows("crm_contact"):
        assert row["score"] == (12 if told[row["_sync_customer_id"]][row["id"]] == "12" else None)
    before = place.content("crm_contact")
    assert [(run.full, run.counts.changed) for run in place.sync()] == [(False, 0)] * 2
    assert place.content("crm_contact") == before


@every_vendor
def test_a_column_that_somebody_altered_by_hand_is_filled_again_without_losing_what_it_held(unhurried, vendor):
    place, (one, _, vendor_object, field) = unhurried, VENDORS[vendor]
    place.write_sync(provider=vendor, objects=[custom("text", field, vendor)])
    place.connect(one)
    told = counting(place, one, vendor_object, field)
    place.sync_one(one)
    place.execute("ALTER TABLE crm.crm_contact ALTER COLUMN score TYPE jsonb USING to_jsonb(score)")
    run = place.sync_one(one)
    assert (run.status, run.full) == ("success", False)
    for row in place.rows("crm_contact"):
        assert row["score"] == row["score__was_jsonb"] == told[row["id"]]
    assert place.sync_one(one).counts.changed == 0


@every_vendor
def test_values_of_a_field_whose_type_the_vendor_changed_are_kept_until_they_fit_again(unhurried, vendor):
    place, (one, _, vendor_object, field) = unhurried, VENDORS[vendor]
    place.write_sync(provider=vendor, objects=[custom("numeric", field, vendor)])
    place.connect(one)
    ids = [entry["id"] for entry in place.control.truth(one, vendor_object)]

    def become(type, value):
        place.control.fault(one, "field_type_changed", object=vendor_object, field=field, type=type)
        for id in ids:
            place.control.record(one, vendor_object, operation="upsert", id=id, fields={field: value})
        run = place.sync_one(one)
        assert (run.status, run.full) == ("success", False)
        return place.rows("crm_contact", one)

    place.sync_one(one)
    number = {"salesforce": "double", "hubspot": "number"}[vendor]
    text = {"salesforce": "string", "hubspot": "string"}[vendor]
    moment = {"salesforce": "datetime", "hubspot": "datetime"}[vendor]
    as_number = 12.5 if vendor == "salesforce" else "12.5"
    assert {row["score"] for row in become(number, as_number)} == {12.5}
    for type, value in ((text, "a few"), (moment, "2026-05-01T07:25:37.000+0000")):
        for row in become(type, value):
            assert row["score"] is None
            assert row["_sync_errors"]["score"]["value"] == value
            assert "reason" in row["_sync_errors"]["score"]
    for row in become(number, as_number):
        assert (row["score"], row["_sync_errors"]) == (12.5, None)
    assert len(place.rows("crm_contact", one)) == len(ids)
