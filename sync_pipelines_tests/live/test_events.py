"""What vendors tell becomes rows: created, changed, deleted, merged and restored, by the same rules as in a run."""

from datetime import UTC, datetime

import pytest

from sync_pipelines.erasing import nobody_works
from sync_pipelines.model.run import Counts
from sync_pipelines.store.logs import Wanted
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA, LUMEN

SALESFORCE = {"provider": "salesforce", "objects": [{"object": "contact", "custom_schema": CUSTOM_SCHEMA}]}
HUBSPOT = {"provider": "hubspot", "objects": ["contact"]}


@pytest.fixture
def acme(living):
    living.write_sync(**SALESFORCE)
    return living.connect_and_sync(ACME)


@pytest.fixture
def lumen(living):
    living.write_sync(**HUBSPOT)
    return living.connect_and_sync(LUMEN)


def row_of(living, table, id):
    return next((row for row in living.rows(table) if row["id"] == id), None)


def position(living):
    return living.execute("SELECT state, version FROM crm._sync_checkpoints")


def test_a_changed_and_a_new_record_are_there_without_a_run_and_the_position_stays(living, acme):
    before = position(living)
    first, other = (row["id"] for row in living.rows("crm_contact")[:2])
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    new = living.control.record(ACME, "Contact", fields={"LastName": "Okafor"})
    assert living.tell(acme, "Contact", first, other, new, first, "003000000000000AAA", "no id").stored == 6
    living.apply_all()
    assert living.differences(ACME) == []
    assert row_of(living, "crm_contact", first)["last_name"] == "Moreau"
    assert position(living) == before
    (run,) = living.live_runs()
    assert (run.counts.created, run.counts.updated, run.counts.unchanged) == (1, 1, 1)
    assert run.vendor_calls > 0
    again = living.sync_one(ACME)
    assert again.counts.changed == 0


def test_records_that_are_deleted_or_purged_without_a_trace_become_deleted_rows(living, lumen):
    gone, purged, kept = (row["id"] for row in living.rows("crm_contact")[:3])
    living.control.record(LUMEN, "contacts", operation="delete", id=gone)
    living.control.record(LUMEN, "contacts", operation="purge", id=purged)
    living.tell(lumen, "contact", gone, purged, kept)
    living.apply_all()
    assert [row_of(living, "crm_contact", id)["is_deleted"] for id in (gone, purged, kept)] == [True, True, False]
    assert [run.counts.deleted + run.counts.updated for run in living.live_runs()] == [2]
    assert living.sync_one(LUMEN, full=True).counts.changed == 0


def test_a_merge_marks_the_loser_and_a_restored_record_lives_again(living, lumen):
    winner, loser, other = (row["id"] for row in living.rows("crm_contact")[:3])
    living.control.record(LUMEN, "contacts", operation="merge", id=loser, into=winner)
    living.control.record(LUMEN, "contacts", operation="delete", id=other)
    living.tell(lumen, "contact", winner, loser, other)
    living.apply_all()
    merged = row_of(living, "crm_contact", loser)
    assert (merged["is_deleted"], merged["_sync_merged_into"]) == (True, winner)
    living.control.record(LUMEN, "contacts", operation="restore", id=other)
    living.tell(lumen, "contact", other)
    living.apply_all()
    assert row_of(living, "crm_contact", other)["is_deleted"] is False
    assert living.differences(LUMEN) == []


def test_in_mirror_mode_rows_of_deleted_records_go(living):
    living.write_sync(**HUBSPOT, mode="mirror")
    lumen = living.connect_and_sync(LUMEN)
    gone, purged = (row["id"] for row in living.rows("crm_contact")[:2])
    living.control.record(LUMEN, "contacts", operation="delete", id=gone)
    living.control.record(LUMEN, "contacts", operation="purge", id=purged)
    living.tell(lumen, "contact", gone, purged)
    living.apply_all()
    assert {gone, purged}.isdisjoint(row["id"] for row in living.rows("crm_contact"))


def test_links_follow_where_the_association_table_is_on(living):
    living.write_sync(provider="hubspot", objects=[{"object": "contact", "associations": ["company"]}])
    lumen = living.connect_and_sync(LUMEN)
    links = living.rows("hubspot_contact_association")
    contact = links[0]["from_id"]
    company = next(link["to_id"] for link in links if link["from_id"] != contact and link["to_id"] != links[0]["to_id"])
    living.control.link(LUMEN, ["contacts", contact], ["companies", company])
    living.tell(lumen, "contact.associations", contact)
    living.tell(lumen, "contact", contact)
    living.apply_all()
    now = {link["to_id"] for link in living.rows("hubspot_contact_association") if link["from_id"] == contact}
    assert company in now
    living.control.unlink(LUMEN, ["contacts", contact], ["companies", company])
    living.tell(lumen, "contact.associations", contact)
    living.apply_all()
    left = {link["to_id"] for link in living.rows("hubspot_contact_association") if link["from_id"] == contact}
    assert company not in left


def test_a_filter_holds_for_what_is_told(living):
    wanted = [{"field": "LastName", "operator": "=", "value": "Wanted"}]
    living.write_sync(provider="salesforce", objects=[{"object": "contact", "filter": wanted}])
    acme = living.connect_and_sync(ACME)
    assert living.rows("crm_contact") == []
    made = [living.control.record(ACME, "Contact", fields={"LastName": name}) for name in ("Wanted", "Other")]
    living.tell(acme, "Contact", *made)
    living.apply_all()
    assert [row["id"] for row in living.rows("crm_contact")] == [made[0]]
    living.control.record(ACME, "Contact", id=made[0], fields={"LastName": "No more"})
    living.tell(acme, "Contact", made[0])
    living.apply_all()
    assert [row["is_deleted"] for row in living.rows("crm_contact")] == [True]


def test_what_is_told_of_what_stands_still_or_nobody_copies_is_left_to_the_run(living, acme):
    first = living.rows("crm_contact")[0]["id"]
    before = living.content("crm_contact")
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    store = living.project.store
    living.project.plan("crm")
    store.lifecycle.pause("crm", [ACME])
    living.tell(acme, "Contact", first)
    living.tell(acme, "Opportunity", first)
    living.tell(acme, "§ no object", first)
    living.apply_all()
    assert (living.waiting(), living.content("crm_contact"), living.live_runs()) == (0, before, [])
    store.lifecycle.resume("crm", [ACME])
    store.connections.set_status(acme, "expired")
    living.tell(acme, "Contact", first)
    living.apply_all()
    assert (living.waiting(), living.content("crm_contact")) == (0, before)
    store.connections.set_status(acme, "connected")
    living.sync_one(ACME)
    assert living.differences(ACME) == []


def test_whoever_erases_a_customer_is_not_written_behind(living, acme):
    first = living.rows("crm_contact")[0]["id"]
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    with nobody_works(living.project, ACME):
        living.tell(acme, "Contact", first)
        store, still = living.project.store, living.content("crm_contact")
        # As if it were not paused, which comes first but stops nothing that is under way.
        living.execute_in_store("UPDATE due SET paused_at = NULL")
        living.apply_all()
        (standing,) = store.vendor_events.standing()
        assert (standing.put_off, living.content("crm_contact")) == (1, still)
    living.execute_in_store("UPDATE vendor_events SET next_at = now()")
    living.apply_all()
    assert living.differences(ACME) == []


def test_before_the_first_run_nothing_is_applied(living):
    living.write_sync(**SALESFORCE)
    living.connect(ACME)
    store = living.project.store
    acme = store.connections.set_account(store.connections.get(ACME, "salesforce"), "00D000000000001AAA")
    living.tell(acme, "Contact", "003000000000000AAA")
    living.apply_all()
    assert (living.waiting(), living.live_runs()) == (0, [])


def test_a_changed_mapping_is_followed_by_a_run_before_events_are_applied(living, acme):
    first = living.rows("crm_contact")[0]["id"]
    living.map(ACME, "salesforce", "contact", tier="Title")
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    living.tell(acme, "Contact", first)
    living.apply_all()
    assert living.waiting() == 1
    living.sync_one(ACME)
    living.execute_in_store("UPDATE vendor_events SET next_at = now()")
    living.apply_all()
    assert living.waiting() == 0
    assert living.differences(ACME) == []


def test_what_the_vendor_or_the_budget_holds_up_comes_back_by_itself(living, acme):
    first = living.rows("crm_contact")[0]["id"]
    living.control.record(ACME, "Contact", id=first, fields={"LastName": "Moreau"})
    living.control.fault(ACME, "status", status=503, times=2)
    living.tell(acme, "Contact", first)
    living.apply_all()
    (standing,) = living.project.store.vendor_events.standing()
    assert (standing.waiting, standing.put_off) == (1, 1)
    living.execute_in_store("UPDATE vendor_events SET next_at = now()")
    living.apply_all()
    assert living.differences(ACME) == []
    assert [run.counts for run in living.live_runs()] == [Counts(read=1, updated=1)]


def test_what_could_not_be_applied_for_an_hour_is_left_to_the_poll_and_kept_for_people(living, acme):
    living.control.fault(ACME, "status", status=503)
    living.tell(acme, "Contact", "003000000000000AAA")
    living.execute_in_store("UPDATE vendor_events SET received_at = now() - interval '61 minutes'")
    living.apply_all()
    (standing,) = living.project.store.vendor_events.standing()
    assert (standing.waiting, standing.given_up) == (0, 1)
    (kept,) = living.project.store.vendor_events.given_up()
    assert kept["customer_id"] == ACME
    assert kept["problem"]
    living.execute_in_store("UPDATE vendor_events SET received_at = now() - interval '8 days'")
    keep = living.project.settings.keep
    assert living.project.store.retention.prune(keep, datetime.now(UTC))["vendor events"] == 1


def test_many_events_are_one_run_and_are_counted_once(living, acme):
    ids = [row["id"] for row in living.rows("crm_contact")]
    living.project.store.endpoints.create("https://example.com/hook", ["sync.completed"])
    for number in range(3):
        fields = {"LastName": f"Name {number}"}
        for id in ids[:5]:
            living.control.record(ACME, "Contact", id=id, fields=fields)
        living.control.clock(advance=1)
        living.tell(acme, "Contact", *ids[:5], *ids[:5])
        living.apply_all()
    runs = living.live_runs()
    assert sum((run.counts for run in runs), Counts()) == Counts(read=15, updated=15)
    assert len(runs) <= 2
    told = living.project.store.deliveries.recent_events("sync.completed", ACME)
    assert sum(event.subject["counts"]["updated"] for event in told) == 15
    assert {event.subject["execution_id"] for event in told} <= {run.run_id for run in runs}
    assert living.differences(ACME) == []


def test_what_was_applied_stands_in_the_record_log(living):
    living.write_sync(**SALESFORCE, record_log="changes")
    connection = living.connect_and_sync(ACME)
    changed = living.rows("crm_contact")[0]["id"]
    living.control.record(ACME, "Contact", id=changed, fields={"LastName": "Moreau"})
    new = living.control.record(ACME, "Contact", fields={"LastName": "Okafor"})
    living.tell(connection, "Contact", changed, new)
    living.apply_all()
    found = {entry.record: entry for entry in living.project.store.logs.page(Wanted()) if entry.record}
    assert {id: entry.operation for id, entry in found.items()} == {changed: "updated", new: "created"}
    assert found[changed].fields["last_name"][1] == "Moreau"
    assert {entry.run_id for entry in found.values()} == {run.run_id for run in living.live_runs()}
