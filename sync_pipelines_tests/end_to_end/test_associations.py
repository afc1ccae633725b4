"""Links between records, in a table of their own: every one that the vendor tells, none that it no longer tells."""

import pytest

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN, QUILL

OF = {"object_name": "contact.associations"}
TABLES = {"hubspot": "hubspot_contact_association", "salesforce": "salesforce_contact_association"}
CUSTOMERS = {"hubspot": (LUMEN, QUILL), "salesforce": (ACME, BRIGHTWATER)}
USUAL = {"hubspot": ["companies", "deals"], "salesforce": ["account", "user"]}
every_vendor = pytest.mark.parametrize("vendor", TABLES)


def declare(place, vendor, associations=None, **rest):
    wanted = USUAL[vendor] if associations is None else associations
    place.write_sync(provider=vendor, objects=[{"object": "contact", "associations": wanted}], **rest)


def sync(place, customer, **options):
    run = place.sync_one(customer, **OF, **options)
    assert (run.status, run.counts.rejected, run.counts.invalid) == ("success", 0, 0)
    return run


def stored(place, vendor, customer):
    """What is there, as (from, to object, to, type)."""
    rows = place.rows(TABLES[vendor], customer)
    found = [(row["from_id"], row["to_object"], row["to_id"], row["type_id"]) for row in rows]
    assert len(set(found)) == len(found)
    assert not any(row["is_deleted"] for row in rows)
    return set(found)


def told(place, vendor, customer):
    """The same by the stand-in's own books."""
    found = set()
    for entry in place.control.truth(customer, "contacts" if vendor == "hubspot" else "Contact"):
        if entry["deleted"]:
            continue
        if vendor == "hubspot":
            for target in USUAL["hubspot"]:
                kinds = entry["associations"].get(target, ())
                found |= {(entry["id"], target, to, str(kind)) for to, kind in kinds}
        else:
            for field, target in (("AccountId", "Account"), ("OwnerId", "User")):
                if entry["fields"].get(field):
                    found.add((entry["id"], target, entry["fields"][field], field))
    return found


@every_vendor
def test_every_link_is_a_row_and_a_second_run_changes_nothing(unhurried, vendor):
    declare(unhurried, vendor)
    unhurried.connect(*CUSTOMERS[vendor])
    runs = unhurried.sync(**OF)
    assert [(run.status, run.full) for run in runs] == [("success", True)] * 2
    for customer in CUSTOMERS[vendor]:
        assert stored(unhurried, vendor, customer) == told(unhurried, vendor, customer) != set()
    for row in unhurried.rows(TABLES[vendor]):
        assert row["from_object"] == {"hubspot": "contacts", "salesforce": "Contact"}[vendor]
        assert row["source_id"] == row["from_id"]
        assert row["category"] == {"hubspot": "HUBSPOT_DEFINED", "salesforce": "LOOKUP"}[vendor]
        if vendor == "hubspot":
            assert row["label"] == ("Primary" if row["type_id"] == "1" else None)
        assert row["_sync_run_id"] == runs[0].run_id
    before = unhurried.content(TABLES[vendor])
    assert [(run.full, run.counts.changed) for run in unhurried.sync(**OF)] == [(False, 0)] * 2
    assert unhurried.content(TABLES[vendor]) == before


def change_links(place, vendor, customer):
    """One record gets other links, one loses all of its, one is deleted, one is new. The ids of the first two."""
    if vendor == "salesforce":
        entries = [entry for entry in place.control.truth(customer, "Contact") if entry["fields"]["AccountId"]]
        accounts = [entry["id"] for entry in place.control.truth(customer, "Account")]
        moved, parted, deleted = (entry["id"] for entry in entries[:3])
        place.control.record(
            customer,
            "Contact",
            id=moved,
            fields={"AccountId": next(one for one in accounts if one != entries[0]["fields"]["AccountId"])},
        )
        place.control.record(customer, "Contact", id=parted, fields={"AccountId": None, "OwnerId": None})
        place.control.record(customer, "Contact", operation="delete", id=deleted)
        place.control.record(customer, "Contact", fields={"LastName": "New", "AccountId": accounts[0]})
        return moved, parted
    entries = [one for one in place.control.truth(customer, "contacts") if one["associations"].get("companies")]
    companies = [entry["id"] for entry in place.control.truth(customer, "companies")]
    moved, parted, deleted = (entry["id"] for entry in entries[:3])
    for entry in entries[:2]:
        for target, kinds in entry["associations"].items():
            for to in {to for to, _ in kinds}:
                place.control.unlink(customer, ("contacts", entry["id"]), (target, to))
    place.control.link(customer, ("contacts", moved), ("companies", companies[-1]))
    for one in (moved, parted):
        place.control.record(customer, "contacts", id=one, fields={"jobtitle": "Changed"})
    place.control.record(customer, "contacts", operation="delete", id=deleted)
    new = place.control.record(customer, "contacts", fields={"lastname": "New"})
    place.control.link(customer, ("contacts", new), ("companies", companies[0]))
    return moved, parted


@pytest.mark.parametrize(("vendor", "mode"), [("hubspot", "upsert"), ("salesforce", "mirror")])
def test_an_incremental_read_takes_the_links_of_changed_records_and_leaves_no_old_one(unhurried, vendor, mode):
    customer, other = CUSTOMERS[vendor]
    declare(unhurried, vendor, mode=mode)
    unhurried.connect(customer, other)
    unhurried.sync(**OF)
    others = [row for row in unhurried.content(TABLES[vendor]) if row["_sync_customer_id"] == other]
    moved, parted = change_links(unhurried, vendor, customer)
    run = sync(unhurried, customer)
    assert not run.full
    assert run.counts.deleted >= 3
    found = stored(unhurried, vendor, customer)
    assert found == told(unhurried, vendor, customer)
    assert any(one == moved for one, *_ in found)
    assert not any(one == parted for one, *_ in found)
    assert [row for row in unhurried.content(TABLES[vendor]) if row["_sync_customer_id"] == other] == others
    assert sync(unhurried, customer).counts.changed == 0


def test_a_link_that_changed_alone_is_seen_by_the_next_full_read(unhurried):
    declare(unhurried, "hubspot")
    unhurried.connect(LUMEN)
    sync(unhurried, LUMEN)
    unhurried.control.clock(advance=3600)
    entry = next(one for one in unhurried.control.truth(LUMEN, "contacts") if one["associations"].get("companies"))
    (to, _), *_ = entry["associations"]["companies"]
    unhurried.control.unlink(LUMEN, ("contacts", entry["id"]), ("companies", to))
    sync(unhurried, LUMEN)
    sync(unhurried, LUMEN, full=True)
    assert stored(unhurried, "hubspot", LUMEN) == told(unhurried, "hubspot", LUMEN)


@every_vendor
def test_a_full_read_sweeps_what_is_no_link_any_more_behind_the_brake(unhurried, vendor):
    customer = CUSTOMERS[vendor][0]
    declare(unhurried, vendor)
    unhurried.connect(customer)
    sync(unhurried, customer)
    unhurried.execute(
        f"INSERT INTO crm.{TABLES[vendor]} SELECT (jsonb_populate_record(t, jsonb_build_object("
        f"'id', t.id || 'x', 'to_id', 'nobody'))).* FROM crm.{TABLES[vendor]} t LIMIT 5"
    )
    run = sync(unhurried, customer, full=True)
    assert (run.full, run.counts.deleted) == (True, 5)
    assert stored(unhurried, vendor, customer) == told(unhurried, vendor, customer)
    declare(unhurried, vendor, ["deals"] if vendor == "hubspot" else ["user"], delete_brake=0.1)
    before = unhurried.content(TABLES[vendor])
    run = unhurried.sync_one(customer, full=True, **OF)
    assert (run.status, run.counts.deleted) == ("error", 0)
    assert "delete_brake" in run.error_message
    assert unhurried.content(TABLES[vendor]) == before


@every_vendor
def test_records_that_were_read_twice_in_one_chunk_keep_their_newest_links_alone(unhurried, vendor):
    """A record that changes while changes are read comes a second time; small pages make that likely to be met."""
    customer = CUSTOMERS[vendor][0]
    declare(unhurried, vendor)
    unhurried.connect(customer)
    unhurried.control.fault(customer, "short_pages", size=7)
    sync(unhurried, customer)
    change_links(unhurried, vendor, customer)
    seen = []

    def watch(step):
        seen.append(step)
        if step == "page.read" and seen.count(step) == 1:
            change_links(unhurried, vendor, customer)

    sync(unhurried, customer, observe=watch)
    unhurried.control.clock(advance=1)
    sync(unhurried, customer)
    assert stored(unhurried, vendor, customer) == told(unhurried, vendor, customer)


@every_vendor
def test_associations_are_an_object_of_their_own_with_a_name_for_command_line_and_overrides(unhurried, vendor):
    customer, other = CUSTOMERS[vendor]
    declare(
        unhurried,
        vendor,
        {"to": USUAL[vendor], "strategy": "full refresh", "table": "links"},
        overrides={other: {"objects": ["contact"]}},
    )
    unhurried.connect(customer, other)
    sync_declared = unhurried.project.sync("crm")
    assert [each.object for each in sync_declared.objects] == ["contact", "contact.associations"]
    assert len(sync_declared.objects_of(other)) == 2
    sync(unhurried, customer)
    assert sync(unhurried, customer).full
    assert len(unhurried.rows("links", customer)) == len(told(unhurried, vendor, customer))


def test_true_means_all_that_there_usually_are(unhurried):
    declare(unhurried, "salesforce", True)
    unhurried.connect(ACME)
    assert sync(unhurried, ACME).notices == ()
    kinds = {row["type_id"] for row in unhurried.rows("salesforce_contact_association")}
    assert kinds == {"AccountId", "OwnerId"}
    declare(unhurried, "hubspot", True)
    unhurried.connect(LUMEN)
    assert sync(unhurried, LUMEN).notices == ()
    assert {row["to_object"] for row in unhurried.rows("hubspot_contact_association")} >= {"companies", "deals"}


def test_what_no_lookup_leads_to_is_told(unhurried):
    declare(unhurried, "salesforce", ["account", "Campaign", "Invoice__c"])
    unhurried.connect(ACME)
    notices = sync(unhurried, ACME).notices
    assert any("no lookup to Invoice__c" in notice for notice in notices)
    assert any("CampaignMember are left out" in notice for notice in notices)


def test_hubspot_is_asked_for_a_thousand_records_at_a_time(unhurried):
    declare(unhurried, "hubspot")
    unhurried.connect(LUMEN)
    before = unhurried.control.calls(LUMEN)[-1]["number"] if unhurried.control.calls(LUMEN) else 0
    sync(unhurried, LUMEN)
    asked = [call for call in unhurried.control.calls(LUMEN, since=before) if call["path"].endswith("/batch/read")]
    assert len(asked) == len(USUAL["hubspot"])


class Died(Exception):
    """As if the process had been killed: whatever was not committed is rolled back."""


@every_vendor
def test_a_run_that_dies_at_any_step_leaves_each_records_links_whole_and_the_next_one_ends_it(unhurried, vendor):
    customer = CUSTOMERS[vendor][0]
    unhurried.options["chunk_rows"] = 20
    declare(unhurried, vendor)
    unhurried.connect(customer)
    unhurried.control.fault(customer, "short_pages", size=20)
    steps = []
    sync(unhurried, customer, observe=steps.append)
    for step in (step for step in dict.fromkeys(steps) if step.startswith("load.")):
        before = stored(unhurried, vendor, customer)
        change_links(unhurried, vendor, customer)
        after = told(unhurried, vendor, customer)

        def die(passed, at=step):
            if passed == at:
                raise Died(at)

        assert unhurried.sync_one(customer, observe=die, **OF).status == "error"
        whole(before, stored(unhurried, vendor, customer), after)
        sync(unhurried, customer)
        assert stored(unhurried, vendor, customer) == after


def whole(before, between, after):
    """Every record has its links from before or those from after, all of them."""
    for one in {one for one, *_ in before | between | after}:
        of_it = [{link for link in links if link[0] == one} for links in (before, between, after)]
        assert of_it[1] in (of_it[0], of_it[2])
