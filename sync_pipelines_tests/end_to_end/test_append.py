"""Append mode over real HTTP into real Postgres: new records are added, what is stored is never touched again."""

import uuid

import pytest

from sync_pipelines.mapping_changes import NOTHING, plan_change
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.verifying import repair, verify
from sync_pipelines_tests.fixtures.place import ACME, CUSTOM_SCHEMA, LUMEN

A_WHILE = 3_600
OBJECTS = {"salesforce": (ACME, "Contact"), "hubspot": (LUMEN, "contacts")}


class Appended:
    """One customer's contacts, synced once in append mode. `first`: the rows that were added then."""

    def __init__(self, place, provider):
        self.place, self.provider = place, provider
        self.customer, self.object = OBJECTS[provider]
        self.write()
        place.connect(self.customer)
        self.sync()
        self.first = place.rows("crm_contact")

    def write(self, mode="append", **rest):
        self.place.write_sync(provider=self.provider, mode=mode, **rest)

    def sync(self, **options):
        run = self.place.sync_one(self.customer, **options)
        assert run.status == "success", run.error_message
        return run

    def change(self, **counts):
        return self.place.control.change(self.customer, self.object, **counts)

    def record(self, **change):
        return self.place.control.record(self.customer, self.object, **change)

    def alive(self):
        return {one["id"] for one in self.place.control.truth(self.customer, self.object) if not one["deleted"]}

    def added(self):
        """Ids of the rows that came after the first ones, which must be as they were, to the last byte."""
        rows = {row["id"]: row for row in self.place.rows("crm_contact")}
        assert [rows.pop(row["id"]) for row in self.first] == self.first
        return rows.keys()

    def verify(self):
        (found,) = verify(self.place.project, "crm", run_id=uuid.uuid4().hex)
        return found


@pytest.fixture(params=sorted(OBJECTS))
def appended(request, unhurried):
    return Appended(unhurried, request.param)


def test_the_first_sync_adds_the_records_that_are_alive(appended):
    assert {row["id"] for row in appended.first} == appended.alive()
    assert not any(row["is_deleted"] for row in appended.first)


@pytest.mark.parametrize("full", [False, True])
def test_new_records_are_added_and_no_other_change_reaches_a_row(appended, full):
    changed = appended.change(created=4, updated=6, deleted=3, merged=1)
    run = appended.sync(full=full)
    assert (run.full, run.counts.created, run.counts.updated, run.counts.deleted) == (full, 4, 0, 0)
    assert appended.added() == set(changed["created"])
    assert appended.sync(full=full).counts.changed == 0
    assert appended.added() == set(changed["created"])


def test_rows_of_records_that_vanished_stay_however_many_those_are(appended):
    """There is nothing that a brake would have to stop."""
    for id in sorted(appended.alive())[1:]:
        appended.record(operation="purge", id=id)
    run = appended.sync(full=True)
    assert (run.full, run.counts.changed) == (True, 0)
    assert appended.added() == set()


def test_a_record_that_came_and_went_between_two_runs_is_not_added(appended):
    gone = appended.record(fields={})
    appended.record(operation="delete", id=gone)
    stays = appended.record(fields={})
    assert appended.sync().counts.created == 1
    assert appended.added() == {stays}


def test_a_new_mapping_holds_for_new_rows_alone_and_says_so(unhurried):
    objects = [{"object": "contact", "custom_schema": CUSTOM_SCHEMA}]
    unhurried.write_sync(mode="append", objects=objects)
    unhurried.connect(ACME)
    unhurried.sync()
    before = unhurried.rows("crm_contact")
    connection = unhurried.project.store.connections.get(ACME, "salesforce")
    rules = {"tier": FieldRule(sources=("LastName",))}
    (effect,) = plan_change(unhurried.project, connection, "contact", rules, schema=None).effects
    assert (effect.rows, effect.source, [each.column for each in effect.columns]) == (0, NOTHING, ["tier"])
    unhurried.map(ACME, "salesforce", "contact", tier="LastName")
    new = unhurried.control.record(ACME, "Contact", fields={"LastName": "Gold"})
    run = unhurried.sync_one(ACME)
    assert (run.full, run.counts.created, run.counts.changed) == (False, 1, 1)
    assert any("append mode the rows that are stored stay" in notice for notice in run.notices)
    rows = {row["id"]: row for row in unhurried.rows("crm_contact")}
    assert rows.pop(new)["tier"] == "Gold"
    assert list(rows.values()) == before
    assert unhurried.sync_one(ACME).notices == ()


def test_columns_are_added_and_stay_empty_in_rows_that_are_there(unhurried):
    unhurried.write_sync(mode="append")
    unhurried.connect(ACME)
    unhurried.sync()
    before = unhurried.rows("crm_contact")
    schema = {"version": 1, "fields": [{"name": "family", "sources": {"salesforce": "LastName"}}]}
    unhurried.write_sync(mode="append", objects=[{"object": "contact", "custom_schema": schema}])
    new = unhurried.control.record(ACME, "Contact", fields={"LastName": "Gold"})
    unhurried.sync()
    rows = {row["id"]: row for row in unhurried.rows("crm_contact")}
    assert rows.pop(new)["family"] == "Gold"
    assert list(rows.values()) == [row | {"family": None} for row in before]


@pytest.mark.parametrize("mode", ["upsert", "mirror"])
def test_with_another_mode_the_next_run_brings_the_rows_up_to_date(appended, mode):
    appended.change(created=2, updated=5, deleted=3)
    appended.sync()
    appended.write(mode=mode)
    run = appended.sync()
    assert (run.full, run.counts.updated + run.counts.deleted) == (True, 5 + 3)
    assert appended.place.differences(appended.customer) == []


def test_rows_stay_as_they_are_when_the_mode_becomes_append(unhurried):
    unhurried.write_sync()
    unhurried.connect(ACME)
    unhurried.sync()
    before = unhurried.rows("crm_contact")
    unhurried.write_sync(mode="append")
    unhurried.control.change(ACME, "Contact", updated=4, deleted=2)
    run = unhurried.sync_one(ACME)
    assert (run.full, run.counts.changed) == (False, 0)
    assert unhurried.rows("crm_contact") == before


def test_rows_that_outlive_their_records_are_no_gap_and_missing_ones_are(appended):
    appended.change(created=2, deleted=3)
    appended.sync()
    found = appended.verify()
    assert (found.status, found.difference) == ("complete", 3)
    assert found.message == "3 rows are of records that are gone, which append keeps."
    appended.place.control.clock(advance=A_WHILE)
    lost = sorted(appended.alive())[:5]
    appended.place.execute("DELETE FROM crm.crm_contact WHERE id = ANY(%s)", lost)
    found = appended.verify()
    assert (found.status, found.difference) == ("gap", -2)


def test_the_repair_of_a_gap_adds_what_is_missing(appended):
    lost = sorted(appended.alive())[:2]
    appended.place.execute("DELETE FROM crm.crm_contact WHERE id = ANY(%s)", lost)
    found = appended.verify()
    assert (found.status, found.difference) == ("gap", -2)
    assert len(repair(appended.place.project, "crm", [found])) == 1
    assert appended.sync(full=True).counts.created == 2
    assert (appended.verify().status, appended.verify().difference) == ("complete", 0)
