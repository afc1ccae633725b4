"""evolve, freeze, discard field and discard record, when a vendor's account gets, loses or changes a field."""

import pytest

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN, QUILL

VENDORS = {
    "salesforce": (ACME, BRIGHTWATER, "Contact", "Title", "Extra__c"),
    "hubspot": (LUMEN, QUILL, "contacts", "jobtitle", "extra"),
}
every_vendor = pytest.mark.parametrize("vendor", VENDORS)


class Account:
    """Two customers of one vendor and their sync; the first one's account is changed."""

    def __init__(self, place, vendor, policy, **schema):
        self.place, self.vendor = place, vendor
        self.one, self.other, self.vendor_object, self.field, self.new = VENDORS[vendor]
        self.schema = schema
        self.declare(policy)
        place.connect(self.one, self.other)
        self.ids = [entry["id"] for entry in place.control.truth(self.one, self.vendor_object)]

    def declare(self, policy):
        self.place.write_sync(
            provider=self.vendor, schema_policy=policy, objects=[{"object": "contact", **self.schema}]
        )

    def fault(self, kind, field, **options):
        return self.place.control.fault(self.one, kind, object=self.vendor_object, field=field, **options)

    def add_field(self, *ids, value="given"):
        """A new custom field with a value in these records alone, which count as changed."""
        self.fault("field_added", self.new, value="")
        for id in self.ids:
            self.write(id, **{self.new: None})
        for id in ids:
            self.write(id, **{self.new: value})

    def write(self, id, **fields):
        self.place.control.record(self.one, self.vendor_object, operation="upsert", id=id, fields=fields)

    def sync(self, customer=None, **options):
        return self.place.sync_one(customer or self.one, **options)

    def rows(self):
        return {row["id"]: row for row in self.place.rows("crm_contact", self.one)}

    def raw(self, id):
        raw = self.rows()[id]["raw_data"]
        return raw.get("properties", raw)

    def accept(self):
        store = self.place.project.store
        return store.schemas.accept(store.connections.get(self.one, self.vendor), "contact")

    def changes(self):
        store = self.place.project.store
        found = store.schemas.changes(store.connections.get(self.one, self.vendor), "Contact")
        return [(each.change.kind, each.change.field, each.policy) for each in found]


@every_vendor
def test_evolve_follows_a_new_and_a_vanished_field_and_remembers_both(unhurried, vendor):
    account = Account(unhurried, vendor, "evolve")
    assert account.sync().notices == ()
    assert account.changes() == []
    account.add_field(account.ids[0])
    run = account.sync()
    assert run.status == "success"
    assert any(account.new in notice and "new" in notice for notice in run.notices)
    assert account.raw(account.ids[0])[account.new] == "given"
    account.fault("field_vanished", account.new)
    run = account.sync()
    assert (run.status, run.full) == ("success", False)
    assert any("is gone" in notice for notice in run.notices)
    assert account.changes() == [("vanished", account.new, "evolve"), ("added", account.new, "evolve")]
    assert account.sync().notices == ()


@every_vendor
@pytest.mark.parametrize("kind", ["field_added", "field_vanished", "field_type_changed"])
def test_freeze_fails_before_anything_is_written_until_the_change_is_accepted(unhurried, vendor, kind):
    account = Account(unhurried, vendor, "freeze")
    account.sync()
    before = unhurried.content("crm_contact")
    field = account.new if kind == "field_added" else account.field
    account.fault(kind, field, **({"type": "number" if vendor == "hubspot" else "double"} if "type" in kind else {}))
    account.write(account.ids[0], **{"LastName" if vendor == "salesforce" else "lastname": "Changed"})
    for _ in range(2):
        run = account.sync()
        assert (run.status, run.error_type, run.counts.read) == ("error", "configuration", 0)
        for part in (field, "freeze", "Nothing was read", f"schema accept {account.one} {vendor} contact"):
            assert part in run.error_message
        assert unhurried.content("crm_contact") == before
        assert account.sync(account.other).status == "success"
        before = unhurried.content("crm_contact")
    assert len(account.changes()) == 1
    assert [change.field for change in account.accept()["crm"]] == [field]
    assert account.accept()["crm"] == ()
    assert account.sync().status == "success"
    # The new field's values came without a change of the records.
    assert account.sync(full=True).status == "success"
    assert unhurried.differences(account.one, account.other) == []


@every_vendor
def test_a_change_that_is_undone_in_the_account_needs_no_accepting(unhurried, vendor):
    account = Account(unhurried, vendor, "freeze")
    account.sync()
    account.fault("field_added", account.new)
    assert account.sync().status == "error"
    account.fault("field_vanished", account.new)
    assert account.sync().status == "success"
    assert [kind for kind, _, _ in account.changes()] == ["vanished", "added"]


@every_vendor
def test_discard_field_leaves_new_fields_out_until_they_are_accepted(unhurried, vendor):
    source = {"name": "extra", "sources": {vendor: VENDORS[vendor][4]}}
    account = Account(unhurried, vendor, "discard field", custom_schema={"fields": [source]})
    account.sync()
    account.add_field(account.ids[0])
    for options in ({}, {"full": True}):
        run = account.sync(**options)
        assert run.status == "success"
        assert any("Left out" in notice and account.new in notice for notice in run.notices)
        assert not any("not in this account" in notice for notice in run.notices)
        assert all(account.new not in account.raw(id) for id in account.ids)
        assert account.rows()[account.ids[0]]["extra"] is None
    account.accept()
    run = account.sync()
    assert (run.status, run.full, run.notices) == ("success", True, ())
    assert account.raw(account.ids[0])[account.new] == "given"
    assert account.rows()[account.ids[0]]["extra"] == "given"
    assert account.sync().counts.changed == 0


@every_vendor
def test_discard_field_keeps_what_is_stored_of_a_field_whose_type_changed(unhurried, vendor):
    account = Account(unhurried, vendor, "discard_field")
    account.sync()
    kept = {id: account.raw(id)[account.field] for id in account.ids}
    account.fault("field_type_changed", account.field, type="number" if vendor == "hubspot" else "double")
    account.write(account.ids[0], **{account.field: "7"})
    run = account.sync()
    assert run.status == "success"
    assert account.field not in account.raw(account.ids[0])
    # Records of the last minutes are read again with it.
    left = {id: raw[account.field] for id in account.ids if account.field in (raw := account.raw(id))}
    assert left == {id: kept[id] for id in left}
    assert len(left) > len(account.ids) / 2
    account.accept()
    assert account.sync().full
    assert account.raw(account.ids[0])[account.field] == "7"


@every_vendor
def test_discard_record_rejects_records_with_a_value_in_an_unexpected_field(unhurried, vendor):
    account = Account(unhurried, vendor, "discard record")
    account.sync()
    before = account.rows()
    held, deleted, fine = account.ids[:3]
    account.add_field(held, deleted)
    unhurried.control.record(account.one, account.vendor_object, operation="delete", id=deleted)
    run = account.sync()
    assert run.status == "success"
    assert run.counts.rejected == 1
    (rejection,) = run.rejections
    assert account.new in rejection.reason
    assert "is new" in rejection.reason
    assert held in rejection.record
    rows = account.rows()
    assert rows[held] == before[held]
    assert rows[deleted]["is_deleted"]
    assert rows[fine]["raw_data"] != before[fine]["raw_data"]
    # A full read may not take the rejected ones for deleted.
    run = account.sync(full=True)
    assert (run.status, run.counts.rejected, run.counts.deleted) == ("success", 1, 0)
    account.accept()
    run = account.sync()
    assert (run.full, run.counts.rejected) == (True, 0)
    assert account.raw(held)[account.new] == "given"
    assert unhurried.differences(account.one) == []


@every_vendor
def test_another_policy_later_takes_the_schema_that_is_there_then(unhurried, vendor):
    account = Account(unhurried, vendor, "discard field")
    account.sync()
    account.add_field(account.ids[0])
    account.sync()
    account.declare("evolve")
    assert account.sync().full
    assert account.raw(account.ids[0])[account.new] == "given"
    account.declare("freeze")
    assert account.sync().status == "success"


def test_hundreds_of_hostile_fields_are_remembered_and_discarded(unhurried):
    account = Account(unhurried, "hubspot", "discard field")
    account.sync()
    names = unhurried.control.fault(account.one, "hostile_fields", object="contacts", value="kept")["fields"]
    run = account.sync(full=True)
    assert run.status == "success"
    assert not set(names) & account.raw(account.ids[0]).keys()
    assert {field for _, field, _ in account.changes()} == set(names)
    account.accept()
    assert account.sync().full
    assert set(names) <= account.raw(account.ids[0]).keys()


def test_two_syncs_of_an_object_decide_apart(unhurried):
    account = Account(unhurried, "salesforce", "evolve")
    unhurried.write_sync(
        "strict", objects=[{"object": "contact", "table": "strict_contact", "schema_policy": "freeze"}]
    )
    account.sync()
    account.sync(name="strict")
    account.add_field(account.ids[0])
    assert account.sync().status == "success"
    assert account.sync(name="strict").status == "error"
