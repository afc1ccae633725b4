"""Explanations: of any cell, why it holds what it holds; of a missing row, where it has gone."""

import json

import pytest
import yaml

from sync_pipelines.explain import explain
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, LUMEN

SCHEMA = {
    "version": 1,
    "fields": [
        {"name": "revenue", "type": "numeric"},
        {"name": "tier"},
        {"name": "contact_hash"},
        {"name": "Website", "type": "text"},
    ],
}
VENDORS = {
    "salesforce": (ACME, "Account", {"revenue": "AnnualRevenue", "tier": "Industry", "contact_hash": "Phone"}),
    "hubspot": (LUMEN, "companies", {"revenue": "annualrevenue", "tier": "industry", "contact_hash": "phone"}),
}
WAREHOUSE = {"crm": "warehouse"}
BOTH = {"crm": "warehouse", "files": "lake"}


class Told:
    """Accounts of one customer in one or both destinations, mapped with transforms."""

    def __init__(self, place, vendor, folder, destinations=WAREHOUSE, **options):
        self.place, self.vendor = place, vendor
        self.customer, self.object, self.names = VENDORS[vendor]
        self.destinations, self.options = destinations, options
        place.options["hash_key"] = "a key of this test, long enough to be one"
        (place.folder / "destinations" / "lake.yaml").write_text(
            yaml.safe_dump({"name": "lake", "type": "s3", "folder": str(folder)})
        )
        self.declare()
        place.connect(self.customer)
        self.map(
            revenue={
                "source": self.names["revenue"],
                "transform": [{"name": "calculation", "expression": "value * 2"}],
            },
            tier={
                "source": self.names["tier"],
                "transform": [
                    {"name": "default_value", "value": "none"},
                    {"name": "custom", "expression": "upper(value)"},
                ],
            },
            contact_hash={"source": self.names["contact_hash"], "transform": ["hash"]},
        )

    def declare(self, schema=SCHEMA, **options):
        for name, destination in self.destinations.items():
            account = {"object": "account", "custom_schema": schema, **self.options, **options}
            mode = account.pop("mode", "upsert")
            self.place.write_sync(name, self.vendor, [account], destination=destination, mode=mode)

    def map(self, **fields):
        self.place.map(self.customer, self.vendor, "account", **fields)

    def sync(self, **options):
        self.place.control.clock(advance=1200)
        for name in self.destinations:
            (run,) = self.place.sync(self.customer, name=name, **options)
            assert run.status == "success", run.error_message
        return run

    def alive(self):
        truth = self.place.control.truth(self.customer, self.object)
        return [entry["id"] for entry in truth if not entry["deleted"]]

    def write(self, id, **fields):
        self.place.control.record(self.customer, self.object, id=id, fields=fields)

    def __call__(self, id, column=None, *, sync="crm", **options):
        return explain(self.place.project, sync, "account", self.customer, id, column, **options)


@pytest.fixture
def told(unhurried, tmp_path):
    return lambda vendor="salesforce", destinations=WAREHOUSE, **options: Told(
        unhurried, vendor, tmp_path / "lake", destinations, **options
    )


def steps(found):
    return [(step.transform, step.value, step.hidden) for each in found.rules for step in each.rule.steps]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_cell_of_a_record_explains_itself_in_tables_and_files(told, vendor):
    scene = told(vendor, BOTH)
    id = scene.alive()[0]
    scene.write(
        id, **{scene.names["revenue"]: "12500.5", scene.names["tier"]: "", scene.names["contact_hash"]: "+1 555"}
    )
    run = scene.sync()
    (row,) = [row for row in scene.place.rows("crm_account") if row["id"] == id]
    calls = len(scene.place.control.calls(scene.customer))
    unasked = True
    for sync in BOTH:
        for column, stored in row.items():
            if column.startswith("_sync_"):
                with pytest.raises(ConfigurationError, match="no value of the record"):
                    scene(id, column, sync=sync)
                continue
            found = scene(id, column, sync=sync)
            assert (found.row.state, found.agreement.result, found.notices) == ("live", "same", ()), (column, found)
            assert (found.source, found.problem, found.misfit) == ("stored record", None, None)
            assert column == "raw_data" or found.stored == found.made == stored
            assert found.written.known
            assert found.written.run_id == (row["_sync_run_id"] if sync == "crm" else run.run_id)
            unasked = unasked and not found.notices
    assert len(scene.place.control.calls(scene.customer)) == calls, "what is stored is enough"

    tier = scene(id, "tier")
    assert [(each.by, value.field) for each in tier.rules for value in each.rule.sources] == [
        ("customer", scene.names["tier"])
    ]
    assert steps(tier) == [("default_value", "none", False), ("custom", "NONE", False)]
    assert (tier.mapping.version, tier.written_with.version, tier.mapping.actor) == (1, 1, "system")
    assert {each.by for each in scene(id, "Website").rules} == {"same name"}
    assert {each.by for each in scene(id, "name").rules} == {"common model"}
    assert {each.by for each in scene(id, "last_modified_at").rules} == {"record"}


def test_what_a_transform_hides_is_told_nowhere(told, command_line, monkeypatch):
    scene = told()
    id, phone = scene.alive()[0], "+1 555 0199 4242"
    scene.write(id, Phone=phone)
    scene.sync()
    found = scene(id, "contact_hash", live=True)
    assert [(step.transform, step.hidden) for each in found.rules for step in each.rule.steps] == [("hash", False)]
    assert found.stored == found.made == found.live.made != None  # noqa: E711
    assert [value.hidden for each in found.rules for value in each.rule.sources] == [True]
    command_line.set(SYNC_PIPELINES_HASH_KEY=scene.place.options["hash_key"])
    shown = command_line.at(scene.place)("explain", "crm", "account", scene.customer, id, "contact_hash", "--live")
    assert shown.code == 0, shown.text
    assert "personal, not shown" in shown.text
    assert phone not in repr(found) + shown.text


def test_a_value_that_did_not_fit_tells_what_it_was_and_why(told):
    scene = told()
    id = scene.alive()[0]
    scene.map(revenue="Name", contact_hash={"source": "Phone", "transform": ["hash"]})
    scene.sync()
    found = scene(id, "revenue")
    assert (found.stored, found.made, found.agreement.result) == (None, None, "same")
    assert found.misfit.field == "Name"
    assert found.misfit.reason == found.problem == "The value is not a plain number."
    assert found.misfit.value == found.rules[0].rule.sources[0].value


def test_a_mapping_that_was_changed_and_not_carried_out_yet_says_who_changed_it(told):
    scene = told()
    id = scene.alive()[0]
    scene.sync()
    store = scene.place.project.store.mappings
    store.save(scene.customer, "salesforce", "account", {"tier": "Name"}, actor="ops@acme")
    found = scene(id, "tier")
    assert (found.agreement.result, found.agreement.reason) == ("differs", "rule_changed")
    assert "ops@acme saved version 2" in found.agreement.message
    assert (found.mapping.version, found.written_with.version) == (2, 1)
    scene.sync()
    assert scene(id, "tier").agreement.result == "same"
    scene.place.execute("UPDATE crm.crm_account SET tier = 'by hand' WHERE id = %s", id)
    by_hand = scene(id, "tier")
    assert (by_hand.agreement.reason, by_hand.stored) == ("unexplained", "by hand")
    scene.declare(
        {**SCHEMA, "fields": [*SCHEMA["fields"][:1], {"name": "tier", "type": "jsonb"}, *SCHEMA["fields"][2:]]}
    )
    assert scene(id, "tier").agreement.reason == "rule_changed"
    assert "in the configuration" in scene(id, "tier").agreement.message


def test_without_a_stored_record_the_vendor_is_read_and_that_is_said(told, command_line):
    scene = told(raw_fields=False)
    id = scene.alive()[0]
    scene.write(id, Industry="Mining")
    scene.sync()
    same = scene(id, "tier")
    assert (same.source, same.stored, same.made, same.agreement.result) == ("vendor", "MINING", "MINING", "same")
    scene.write(id, Industry="Banking")
    moved = scene(id, "tier", live=True)
    assert (moved.stored, moved.made, moved.agreement.reason) == ("MINING", "BANKING", "vendor_moved_on")
    assert (moved.live.there, moved.live.made, moved.live.values[0].value) == (True, "BANKING", "Banking")
    with scene.place.store.connect() as connection:
        connection.execute("DELETE FROM runs")
        connection.execute("UPDATE connections SET status = 'expired'")
    alone = scene(id, "tier")
    assert (alone.source, alone.agreement, alone.written.known) == (None, None, False)
    assert "has expired: the customer must reconnect" in alone.notices[0]
    command_line.set(SYNC_PIPELINES_HASH_KEY=scene.place.options["hash_key"])
    shown = command_line.at(scene.place)("explain", "crm", "account", scene.customer, id, "tier")
    assert "no longer remembers" in shown.text
    assert "must reconnect" in shown.text


def test_a_row_that_is_marked_or_not_there_says_where_the_record_has_gone(told):
    scene = told(destinations=BOTH)
    deleted, purged, *_ = scene.alive()
    scene.sync()
    scene.place.control.record(scene.customer, scene.object, operation="delete", id=deleted)
    scene.place.control.record(scene.customer, scene.object, operation="purge", id=purged)
    run = scene.sync(full=True)
    (new,) = scene.place.control.change(scene.customer, scene.object, updated=0, created=1, deleted=0)["created"]
    for sync in BOTH:
        assert scene(deleted, sync=sync).row.reason == "told_by_vendor"
        gone = scene(purged, "is_deleted", sync=sync)
        assert (gone.row.state, gone.row.reason, gone.agreement.reason) == (
            "deleted",
            "not_in_full_read",
            "marked_deleted",
        )
        assert f"run {gone.written.run_id}" in gone.row.message
        assert sync == "crm" or gone.written.run_id == run.run_id
        not_yet = scene(new, "tier", sync=sync)
        assert (not_yet.row.reason, not_yet.stored, not_yet.made is not None) == ("not_read_yet", None, True)
        never = scene("001000000000000AAA", sync=sync)
        assert (never.row.state, never.row.reason) == ("missing", "unknown_to_vendor")
    scene.declare(mode="mirror")
    scene.sync(full=True)
    assert scene(deleted).row.reason == "deleted_at_vendor"
    assert scene(purged).row.reason == "unknown_to_vendor"
    assert "The last run that deleted rows is" in scene(purged).row.message
    removed = scene(deleted, sync="files")
    assert (removed.row.state, removed.row.reason) == ("removed", "removed")


def test_records_that_a_filter_or_history_leaves_out_and_those_that_were_rejected(told):
    scene = told()
    inside, outside, *_ = scene.alive()
    for id, industry in ((inside, "Mining"), (outside, "Mining")):
        scene.write(id, Industry=industry)
    wanted = {"field": "Industry", "equals": "Mining"}
    scene.declare(filter=wanted)
    scene.sync()
    scene.write(outside, Industry="Banking")
    scene.sync()
    left = scene(outside)
    assert (left.row.state, left.row.reason) == ("deleted", "left_filter")
    assert 'Industry equals "Mining"' in left.row.message
    scene.declare(filter=wanted, leaving="delete")
    scene.sync(full=True)
    assert (scene(outside).row.state, scene(outside).row.reason) == ("missing", "left_filter")
    with scene.place.store.connect() as connection:
        connection.execute(
            "UPDATE runs SET rejections = jsonb_build_array(jsonb_build_object('reason', 'It is not storable.', "
            "'record', jsonb_build_object('Id', %s::text)::text))",
            [outside],
        )
    rejected = scene(outside)
    assert rejected.row.reason == "rejected"
    assert "It is not storable." in rejected.row.message


def test_links_and_what_is_not_there_to_be_explained(told, unhurried):
    scene = told()
    unhurried.write_sync(
        "crm", "salesforce", [{"object": "account"}, {"object": "contact", "associations": ["account"]}]
    )
    unhurried.sync(scene.customer, object_name="contact.associations")
    row = unhurried.rows("salesforce_contact_association")[0]
    for column, stored in row.items():
        if not column.startswith("_sync_"):
            found = explain(unhurried.project, "crm", "contact.associations", scene.customer, row["id"], column)
            assert (found.row.state, found.stored) == ("live", stored), column
            assert found.agreement is None or found.agreement.result == "same", (column, found)
    for arguments, message in (
        (("nothing", "account", scene.customer, "1"), "There is no sync named nothing"),
        (("crm", "lead", scene.customer, "1"), "has no object lead"),
        (("crm", "account", BRIGHTWATER, "1"), "has no connection of"),
        (("crm", "account", scene.customer, "1", "no_such"), "has no column no_such. It has: "),
    ):
        with pytest.raises(ConfigurationError, match=message):
            explain(unhurried.project, *arguments)
    never = explain(unhurried.project, "crm", "account", scene.customer, "1")
    assert never.row.reason == "never_synced"


def test_for_people_and_for_programs(told, command_line):
    scene = told()
    id = scene.alive()[0]
    scene.write(id, AnnualRevenue="12500.5")
    scene.sync()
    command_line.set(SYNC_PIPELINES_HASH_KEY=scene.place.options["hash_key"])
    at = command_line.at(scene.place)
    shown = at("explain", "crm", "account", scene.customer, id, "revenue")
    assert shown.code == 0, shown.text
    for part in (
        "the customer's rule",
        "calculation(expression=value * 2)",
        "field AnnualRevenue",
        "exactly what is stored",
        "version 1",
    ):
        assert part in shown.text
    program = json.loads(at("explain", "crm", "account", scene.customer, id, "revenue", "--json").out)
    assert program["agreement"]["result"] == "same"
    assert program["rules"][0]["rule"]["sources"][0]["field"] == "AnnualRevenue"
    assert at("explain", "crm", "account", scene.customer, id, "no_such").code == 2
