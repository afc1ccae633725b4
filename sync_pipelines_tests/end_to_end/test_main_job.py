"""The main job over real HTTP into real Postgres: what a customer's table holds after each kind of run."""

import pytest

from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA, LUMEN, QUILL

SALESFORCE_FIELDS = {"annual_revenue": "ARR__c", "tier": "Tier__c"}


def test_the_first_sync_brings_all_history_and_the_second_nothing(place):
    place.connect(ACME)
    truth = list(place.control.truth(ACME, "Contact"))
    first = place.sync_one(ACME)
    assert (first.status, first.full, first.counts.created) == ("success", True, len(truth))
    before = place.rows("crm_contact")
    second = place.sync_one(ACME)
    assert (second.status, second.full, second.counts.changed) == ("success", False, 0)
    assert place.rows("crm_contact") == before


@pytest.mark.parametrize(
    ("customer", "provider", "vendor_object"), [(ACME, "salesforce", "Contact"), (LUMEN, "hubspot", "contacts")]
)
def test_an_incremental_run_brings_just_what_changed(place, customer, provider, vendor_object):
    place.write_sync(provider=provider)
    place.connect(customer)
    place.sync_one(customer)
    changed = place.control.change(customer, vendor_object, updated=7, created=5, deleted=3)
    run = place.sync_one(customer)
    assert run.full is False
    assert (run.counts.created, run.counts.updated) == (5, 7 + 3)
    rows = {row["id"]: row for row in place.rows("crm_contact")}
    assert all(rows[id]["is_deleted"] for id in changed["deleted"])
    assert set(changed["created"]) <= rows.keys()


@pytest.mark.parametrize(("customer", "provider"), [(ACME, "salesforce"), (QUILL, "hubspot")])
def test_a_full_refresh_of_unchanged_records_writes_no_row(place, customer, provider):
    place.write_sync(provider=provider)
    place.connect(customer)
    place.sync_one(customer)
    before = place.rows("crm_contact")
    run = place.sync_one(customer, full=True)
    assert (run.full, run.counts.changed) == (True, 0)
    assert place.rows("crm_contact") == before


def test_every_nth_run_reads_everything_again(place):
    place.write_sync(full_refresh_every=2)
    place.connect(ACME)
    assert [place.sync_one(ACME).full for _ in range(6)] == [True, False, False, True, False, False]


def test_records_that_vanish_without_a_trace_are_deleted_by_the_next_full_read(place):
    place.connect(ACME)
    place.sync_one(ACME)
    gone = [row["id"] for row in place.rows("crm_contact")][:4]
    for id in gone:
        place.control.record(ACME, "Contact", operation="purge", id=id)
    assert place.sync_one(ACME).counts.deleted == 0
    assert place.sync_one(ACME, full=True).counts.deleted == 4
    assert [row["id"] for row in place.rows("crm_contact") if row["is_deleted"]] == gone
    assert place.sync_one(ACME, full=True).counts.changed == 0


@pytest.mark.parametrize(
    ("customer", "provider", "vendor_object"), [(ACME, "salesforce", "Contact"), (LUMEN, "hubspot", "contacts")]
)
def test_mirror_mode_creates_updates_and_removes_rows_and_a_repetition_changes_nothing(
    place, customer, provider, vendor_object
):
    place.write_sync(provider=provider, mode="mirror")
    place.connect(customer)
    place.sync_one(customer)

    def living():
        return {truth["id"] for truth in place.control.truth(customer, vendor_object) if not truth["deleted"]}

    for full in (False, True):
        place.control.change(customer, vendor_object, created=2, updated=4, deleted=3, merged=1, seed=7 + full)
        counts = place.sync_one(customer, full=full).counts
        assert counts.created == 2
        assert counts.updated >= 4
        assert {row["id"] for row in place.rows("crm_contact")} == living()
        assert place.differences(customer) == []
    assert place.sync_one(customer, full=True).counts.changed == 0


def test_the_brake_refuses_to_delete_most_of_a_customers_rows(place):
    place.connect(ACME)
    place.sync_one(ACME)
    before = place.content("crm_contact")
    for row in before[: len(before) * 2 // 3]:
        place.control.record(ACME, "Contact", operation="purge", id=row["id"])
    run = place.sync_one(ACME, full=True)
    assert (run.status, run.error_type) == ("error", "configuration")
    assert "delete_brake" in run.error_message
    assert place.content("crm_contact") == before


def test_each_customers_own_fields_land_in_the_developers_columns(place):
    place.write_sync(objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", **SALESFORCE_FIELDS)
    place.sync_one(ACME)
    rows = {row["id"]: row for row in place.rows("crm_account")}
    for truth in place.control.truth(ACME, "Account"):
        row, fields = rows[truth["id"]], truth["fields"]
        assert row["tier"] == fields["Tier__c"]
        assert (row["annual_revenue"] is None) == (fields["ARR__c"] is None)
        assert row["renewal_date"] is None


def test_values_that_do_not_fit_keep_the_row_the_text_and_the_reason(place):
    place.write_sync(provider="hubspot", objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    place.connect(QUILL)
    place.map(QUILL, "hubspot", "account", annual_revenue="rev_text", renewal_date="renewal_text")
    run = place.sync_one(QUILL)
    assert run.status == "success"
    assert run.counts.invalid > 0
    texts = {truth["id"]: truth["fields"]["rev_text"] for truth in place.control.truth(QUILL, "companies")}
    odd = [row for row in place.rows("crm_account") if "annual_revenue" in (row["_sync_errors"] or {})]
    assert odd
    for row in odd:
        kept = row["_sync_errors"]["annual_revenue"]
        assert (row["annual_revenue"], kept["value"], kept["field"]) == (None, texts[row["id"]], "rev_text")


def test_a_new_mapping_makes_its_columns_anew_and_only_for_its_customer(place):
    place.write_sync(objects=[{"object": "account", "custom_schema": CUSTOM_SCHEMA}])
    place.connect(ACME, "brightwater-clinics")
    place.sync()
    other = place.rows("crm_account", "brightwater-clinics")
    place.map(ACME, "salesforce", "account", **SALESFORCE_FIELDS)
    by_customer = {run.customer_id: run for run in place.sync()}
    assert by_customer[ACME].full is False
    assert by_customer[ACME].counts.updated > 0
    assert by_customer["brightwater-clinics"].full is False
    assert place.rows("crm_account", "brightwater-clinics") == other


def test_an_object_by_its_vendor_name_lands_as_raw_data_in_its_own_table(place):
    place.write_sync(objects=["EmailMessage", "Employee__c"])
    place.connect(ACME)
    for name, table in (("EmailMessage", "salesforce_email_message"), ("Employee__c", "salesforce_employee__c")):
        assert place.sync_one(ACME, object_name=name).status == "success"
        table = place.project.table("crm", name).name
        rows = place.rows(table)
        assert [row["id"] for row in rows] == [truth["id"] for truth in place.control.truth(ACME, name)]
        assert rows[0]["raw_data"]["Id"] == rows[0]["id"]


def test_without_raw_fields_only_what_is_needed_is_asked_for(place):
    place.write_sync(
        objects=[
            {
                "object": "Contact",
                "common_schema": False,
                "raw_fields": False,
                "custom_schema": {"version": 1, "fields": ["FirstName", "LastName"]},
            }
        ]
    )
    place.connect(ACME)
    place.sync_one(ACME)
    rows = place.rows("salesforce_contact")
    names = {truth["id"]: truth["fields"]["LastName"] for truth in place.control.truth(ACME, "Contact")}
    assert {row["id"]: row["last_name"] for row in rows} == names
    assert "raw_data" not in rows[0]
    asked = [str(call["params"]) for call in place.control.calls(ACME)]
    assert any("LastName" in text for text in asked)
    assert not any("MailingCity" in text for text in asked)


def test_a_merge_points_the_loser_at_its_survivor(place):
    place.connect(ACME, LUMEN)
    place.sync_one(ACME)
    place.write_sync(name="hub", provider="hubspot")
    place.sync_one(LUMEN, name="hub")
    for customer, vendor_object, sync in ((ACME, "Contact", "crm"), (LUMEN, "contacts", "hub")):
        ids = [truth["id"] for truth in place.control.truth(customer, vendor_object) if not truth["deleted"]]
        place.control.record(customer, vendor_object, operation="merge", id=ids[0], into=ids[1])
        place.sync_one(customer, name=sync)
        rows = {row["id"]: row for row in place.rows("crm_contact", customer)}
        assert (rows[ids[0]]["is_deleted"], rows[ids[0]]["_sync_merged_into"]) == (True, ids[1])
        after = place.content("crm_contact", customer)
        assert place.sync_one(customer, name=sync, full=True).counts.changed == 0
        assert place.content("crm_contact", customer) == after
