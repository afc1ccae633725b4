"""What runs did to single records: the same from tables and files, and what `sync-pipelines logs` makes of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import yaml

from sync_pipelines.explain import explain
from sync_pipelines.model import record_log
from sync_pipelines.store.logs import Wanted
from sync_pipelines_tests.destinations.reading_files import latest
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER

SCHEMA = {"version": 1, "fields": [{"name": "tier"}, {"name": "phone_hash"}]}
RULES = {"tier": "Industry", "phone_hash": {"source": "Phone", "transform": [{"name": "hash"}]}}
BOTH = ("crm", "files")


class Logged:
    def __init__(self, place, folder, **options):
        self.place = place
        place.options["hash_key"] = "a key of this test, long enough to be one"
        (place.folder / "destinations" / "lake.yaml").write_text(
            yaml.safe_dump({"name": "lake", "type": "s3", "folder": str(folder)})
        )
        self.folder = folder
        self.declare(record_log="changes", **options)
        place.connect(ACME, BRIGHTWATER)
        place.map(ACME, "salesforce", "account", **RULES)

    def declare(self, **options):
        for name, destination in (("crm", "warehouse"), ("files", "lake")):
            self.place.write_sync(
                name, objects=[{"object": "account", "custom_schema": SCHEMA}], destination=destination, **options
            )

    def sync(self, **options):
        self.place.control.clock(advance=1200)
        for name in BOTH:
            for run in self.place.sync(name=name, **options):
                assert run.status == "success", run.error_message
        return run

    def entries(self, sync="crm", **wanted):
        found = self.place.project.store.logs.page(Wanted(sync=sync, **wanted), limit=10_000)
        return [entry for entry in found if entry.record is not None]

    def rows(self):
        return {row["id"]: row for row in self.place.rows("crm_account", ACME)}


@pytest.fixture
def logged(unhurried, tmp_path):
    return lambda **options: Logged(unhurried, tmp_path / "lake", **options)


def told(entries):
    """By record, without what differs from run to run."""
    return sorted((entry.record, entry.operation, entry.message, dict(entry.fields or {})) for entry in entries)


def as_json(value):
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return float(value) if isinstance(value, Decimal) else value


def test_what_changed_is_told_record_by_record_alike_by_tables_and_files(logged):
    scene = logged()
    scene.sync()
    assert scene.entries() == scene.entries("files") == [], "a first load adds rows, be it millions"
    before = scene.rows()
    one, other, *_ = [id for id, row in before.items() if not row["is_deleted"]]
    scene.place.control.record(
        ACME, "Account", id=one, fields={"Industry": "Mining", "Phone": "+1 555 0100", "AnnualRevenue": "12.5"}
    )
    made = scene.place.control.change(ACME, "Account", updated=3, created=2, deleted=2)
    scene.sync()
    after = scene.rows()
    changed = {id for id, row in after.items() if id in before and row["_sync_run_id"] != before[id]["_sync_run_id"]}
    found = {entry.record: entry for entry in scene.entries()}
    assert found.keys() == changed | set(made["created"])
    assert {id for id, entry in found.items() if entry.operation == "created"} == set(made["created"])
    for id in changed:
        entry = found[id]
        assert (entry.operation, entry.kind, entry.customer_id) == ("updated", "success", ACME)
        differing = {name for name in after[id] if after[id][name] != before[id][name] and name[0] != "_"} - {
            "raw_data"
        }
        assert entry.fields.keys() == differing
        for name, (old, new) in entry.fields.items():
            if old != "***":
                assert same(old, before[id][name]), name
                assert same(new, after[id][name]), name
    assert set(made["deleted"]) <= {id for id in changed if found[id].fields.get("is_deleted") == [False, True]}
    assert found[one].fields["tier"][1] == "Mining"
    assert found[one].fields["phone_hash"] == ["***", "***"]
    assert found[one].fields["phone_numbers"] == ["***", "***"], "made of the field that is hashed elsewhere"
    assert "555 0100" not in repr(scene.entries()) + repr(scene.entries("files"))
    assert normal(scene.entries("files")) == normal(scene.entries())
    assert {entry.run_id for entry in scene.entries()} == {after[one]["_sync_run_id"]}

    scene.place.control.record(ACME, "Account", operation="purge", id=other)
    scene.sync(full=True)
    for sync in BOTH:
        (gone,) = scene.entries(sync, record=other, operation="deleted")
        assert not gone.fields
    size = len(scene.entries())
    scene.sync(full=True)
    assert len(scene.entries()) == size, "what is read again and is the same is told by nobody"
    assert {row["id"] for row in latest(scene.folder, "crm_account")} == set(scene.rows()) | {
        row["id"] for row in scene.place.rows("crm_account", BRIGHTWATER)
    }


def same(told, stored):
    if isinstance(stored, datetime):
        return datetime.fromisoformat(told) == stored
    if isinstance(stored, Decimal):
        return float(told) == float(stored)
    return told == stored


def normal(entries):
    """Times and numbers in one spelling."""

    def one(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC).isoformat() if isinstance(value, str) else value
        except ValueError:
            return value

    return [
        (record, operation, message, {name: [one(each) for each in pair] for name, pair in fields.items()})
        for record, operation, message, fields in told(entries)
    ]


def test_values_can_be_left_out_the_log_is_bounded_and_off_is_off(logged, monkeypatch):
    scene = logged(log_values=False)
    scene.sync()
    monkeypatch.setattr(record_log.RecordLog.__init__, "__kwdefaults__", {"values": True, "most": 3})
    scene.place.control.change(ACME, "Account", updated=6, created=2, deleted=0)
    run = {run.customer_id: run for run in scene.place.sync(name="crm")}[ACME]
    assert len(scene.entries()) == 3
    assert any("5 more records changed than the 3" in notice for notice in run.notices), run.notices
    assert {part for entry in scene.entries() for pair in entry.fields.values() for part in pair} <= {"***"}
    scene.declare(mode="mirror")
    scene.place.control.change(ACME, "Account", updated=4, created=0, deleted=1)
    scene.sync(full=True)
    assert len(scene.entries()) == 3


def test_a_sync_that_removes_rows_tells_which(logged):
    scene = logged(mode="mirror")
    scene.sync()
    told_deleted, purged, *_ = [id for id, row in scene.rows().items() if not row["is_deleted"]]
    scene.place.control.record(ACME, "Account", operation="delete", id=told_deleted)
    scene.sync()
    scene.place.control.record(ACME, "Account", operation="purge", id=purged)
    scene.sync(full=True)
    for sync in BOTH:
        assert {entry.record for entry in scene.entries(sync, operation="deleted")} == {told_deleted, purged}
        row = explain(scene.place.project, sync, "account", ACME, purged).row
        assert (row.state, row.reason) == ("removed", "removed")


def test_the_command_line_shows_filters_and_follows(logged, command_line):
    scene = logged()
    scene.sync()
    id = next(id for id, row in scene.rows().items() if not row["is_deleted"])
    scene.place.control.record(ACME, "Account", id=id, fields={"Industry": "Mining"})
    scene.sync()
    command_line.set(SYNC_PIPELINES_HASH_KEY=scene.place.options["hash_key"])
    at = command_line.at(scene.place)
    shown = at("logs", "--customer", ACME, "--sync", "crm")
    assert shown.code == 0, shown.text
    assert "updated crm account" in shown.text
    assert '-> "Mining"' in shown.text
    lines = [json.loads(line) for line in at("logs", "--record", id, "--sync", "crm", "--json").out.splitlines()]
    assert [(line["operation"], line["record"]) for line in lines] == [("updated", id)]
    assert {"field": "tier", "new": "Mining"}.items() <= {
        key: change[key] for change in lines[0]["changes"] if change["field"] == "tier" for key in ("field", "new")
    }.items()
    kinds = {json.loads(line)["kind"] for line in at("logs", "--kind", "audit", "--json").out.splitlines()}
    assert kinds == {"audit"}
    assert "Nothing of that kind" in at("logs", "--kind", "conflict").text
    assert at("logs", "--kind", "nonsense").code == 2
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    assert "Nothing of that kind" in at("logs", "--since", later).text


def test_who_follows_is_told_each_entry_once(logged, monkeypatch):
    from sync_pipelines.cli import logs

    scene = logged()
    store, wanted = scene.place.project.store, Wanted(sync="crm")
    happenings = iter([scene.sync, lambda: None, scene.sync])
    monkeypatch.setattr(logs.time, "sleep", lambda seconds: next(happenings)())
    scene.sync()
    known = store.logs.page(wanted, limit=1)
    seen = []
    new_ones = logs._new_ones(store, wanted, known)
    with pytest.raises(RuntimeError, match="StopIteration"):
        seen.extend(iter(lambda: next(new_ones), None))
    places = [entry.place for entry in seen]
    assert len(places) == len(set(places)) == 4, "two customers, two more runs each"
    assert known[0].place not in places
