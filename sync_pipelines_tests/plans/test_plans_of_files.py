"""Plans look into files as they look into a database: what they tell of them is what the next runs do."""

import json
import uuid
from pathlib import Path

import pytest
import yaml

from sync_pipelines.plans.applying import PlanRefused, apply_plan
from sync_pipelines.plans.sentences import summary
from sync_pipelines_tests.destinations.reading_files import filesystem_of, latest
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL
from sync_pipelines_tests.plans.conftest import CONTACT, SCHEMA
from sync_pipelines_tests.plans.observing import due, nothing_is_asked_for, planned, reads

BOTH = {ACME, BRIGHTWATER}
EVERY_HOUR = {"every": "1 hour"}
PHONE, SIZE = SCHEMA["fields"]
TITLE = {"name": "title", "sources": {"salesforce": "Title"}}
SIZE_TEXT = {**SIZE, "type": "text"}
MOBILE = {"name": "phone_text", "sources": {"salesforce": "MobilePhone"}}


def contact(*fields, **rest):
    return {"object": "contact", "custom_schema": {"version": 2, "fields": list(fields)}, **rest}


def write(place, **document):
    place.write_sync(**{"schedule": EVERY_HOUR, "destination": "lake"} | document)


def lake_of(place, **document):
    path = place.folder / "destinations" / "lake.yaml"
    path.write_text(yaml.safe_dump({"name": "lake", "type": "s3", **document}))


def apply(place, plan):
    done = apply_plan(place.project, plan, actor="ann")
    assert not planned(place).changes
    return done


def settle(place):
    """Two customers in effect and synced, as in a database."""
    write(place, objects=[CONTACT])
    place.connect(ACME, BRIGHTWATER)
    apply(place, planned(place))
    run(place)
    nothing_is_asked_for(place)
    return place


def run(place, *customers):
    """{(object, kind): customers} by what the runs of the sync did; no kind: a plain read."""
    found = {}
    objects = {each.object: list(customers or BOTH) for each in place.project.sync("crm").objects}
    for done in place.project.sync_objects("crm", objects, run_id=uuid.uuid4().hex):
        assert done.status == "success", done.error_message
        kind = "full read" if done.full else None
        if any("made anew for" in notice for notice in done.notices):
            kind = "remap"
        found.setdefault((done.object, kind), set()).add(done.customer_id)
    return found


@pytest.fixture
def settled_files(unhurried, tmp_path):
    """The folder of two customers' files."""
    lake_of(unhurried, folder=str(tmp_path / "lake"))
    settle(unhurried)
    return tmp_path / "lake"


def counted(root, table="crm_contact"):
    found = {}
    for entry in latest(root, table):
        found[entry["_sync_customer_id"]] = found.get(entry["_sync_customer_id"], 0) + 1
    return found


def test_every_change_of_files_does_what_its_plan_says(settled_files, unhurried):
    place, stored = unhurried, counted(settled_files)
    assert set(stored) == BOTH
    write(place, objects=[CONTACT, "account"])
    plan = planned(place)
    (created,) = plan.tables
    assert (created.action, created.table, created.statements) == ("create", "crm_account", ())
    assert created.database == str(settled_files)
    assert reads(plan) == {("crm", "account", "first read"): BOTH}
    assert any(each.endswith("is created by the next load") for each in summary(plan))
    done = apply(place, plan)
    assert (done.tables, done.asked) == (0, {("crm", "account"): 2})
    assert due(place) == {("crm", customer): {"account"} for customer in BOTH}
    assert run(place) == {("account", "full read"): BOTH, ("contact", None): BOTH}
    assert not planned(place).tables
    nothing_is_asked_for(place)

    write(place, objects=[contact(PHONE, SIZE, TITLE), "account"])
    plan = planned(place)
    (altered,) = plan.tables
    assert (altered.action, dict(altered.added)) == ("alter", {"title": "text"})
    (read,) = plan.reads
    assert (read.kind, read.columns, set(read.customers)) == ("remap", ("title",), BOTH)
    assert (read.rows, read.sure) == (sum(stored.values()), True)
    apply(place, plan)
    assert run(place) == {("contact", "remap"): BOTH, ("account", None): BOTH}
    assert (planned(place).tables, planned(place).reads) == ((), ())

    write(place, objects=[contact(PHONE, SIZE_TEXT, TITLE), "account"])
    plan = planned(place)
    (retyped,) = plan.tables
    assert {name: tuple(pair) for name, pair in retyped.retyped.items()} == {"size": ("bigint", "text")}
    assert dict(retyped.renamed) == {"size": "size__was_bigint"}
    assert any("what it held stays as size__was_bigint" in each for each in summary(plan))
    assert [(each.kind, set(each.customers), each.columns) for each in plan.reads] == [("remap", BOTH, ("size",))]
    assert apply(place, plan).tables == 1
    assert all("size__was_bigint" in entry for entry in latest(settled_files))
    assert [(each.caused, each.columns) for each in planned(place).reads] == [(False, ("size",))]
    assert run(place) == {("contact", "remap"): BOTH, ("account", None): BOTH}
    assert (planned(place).tables, planned(place).reads) == ((), ())

    place.map(BRIGHTWATER, "salesforce", "contact", phone_text="Phone")
    write(place, objects=[contact(MOBILE, SIZE_TEXT, TITLE), "account"])
    (read,) = planned(place).reads
    assert (read.kind, set(read.customers), read.rows) == ("remap", {ACME}, stored[ACME])

    write(place, objects=[contact(SIZE_TEXT, TITLE), "account"], mode="mirror")
    plan = planned(place)
    (columns,) = plan.stays
    assert (columns.what, columns.table, columns.columns) == ("columns", "lake crm_contact", ("phone_text",))
    assert (columns.customers, columns.rows) == (2, sum(stored.values()))
    marked = sum(
        entry["is_deleted"] for table in ("crm_contact", "crm_account") for entry in latest(settled_files, table)
    )
    assert marked > 0
    assert {(each.object, each.fate, each.why) for each in plan.removals} == {
        (name, "delete", ("mirror",)) for name in ("contact", "account")
    }
    assert sum(each.known for each in plan.removals) == marked
    assert max(each.most for each in plan.removals) == sum(stored.values())

    write(place, objects=["account"])
    (rows,) = planned(place).stays
    assert (rows.what, rows.customers, rows.rows) == ("rows of crm contact", 2, sum(stored.values()))


def test_a_plan_of_files_that_have_moved_is_refused(settled_files, unhurried):
    place = unhurried
    write(place, objects=[contact(PHONE, SIZE, TITLE), "account"])
    for move, says in (
        (lambda: add_column(settled_files), ("The table lake .*lake.crm_contact has other columns.",)),
        (lambda: run(place, ACME), ("Customers of crm contact stand elsewhere", "table lake crm_account")),
        (lambda: place.connect(KESTREL), (f"crm account, first read: would be done for {KESTREL}.",)),
        (
            lambda: forget(settled_files, "crm_account"),
            ("Something else is to be done to the table lake crm_account.",),
        ),
    ):
        plan = planned(place)
        move()
        with pytest.raises(PlanRefused) as refused:
            apply_plan(place.project, plan)
        for text in says:
            refused.match(text)
        assert place.project.store.configurations.newest().version == 1
    assert apply_plan(place.project, planned(place)).version == 2


def forget(root, table):
    for path in [*(root / "_manifests" / table).glob("*.json"), *(root / table).rglob("*.parquet")]:
        path.unlink()


def add_column(root):
    """As a later release, or a person, would."""
    for path in (root / "_manifests" / "crm_contact").glob("*.json"):
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({**manifest, "columns": {**manifest["columns"], "by_hand": "text"}}))


def test_files_that_cannot_be_written_to_are_in_the_way(settled_files, unhurried):
    place = unhurried
    lake_of(place, folder=str(settled_files), format="jsonl")
    write(place, objects=[CONTACT])
    (problem,) = planned(place).problems
    assert "keep the format" in problem
    with pytest.raises(PlanRefused, match="In the way"):
        apply_plan(place.project, planned(place))


def test_customers_with_folders_of_their_own_are_told_together(unhurried, tmp_path):
    place = unhurried
    lake_of(place, folder=str(tmp_path / "lakes" / "${CUSTOMER_ID}"))
    write(place, overrides={BRIGHTWATER: {"schema": "own"}})
    place.connect(ACME, BRIGHTWATER)
    assert {(each.database, each.schemas) for each in planned(place).tables} == {
        (str(tmp_path / "lakes" / ACME), ("",)),
        (str(tmp_path / "lakes" / BRIGHTWATER), ("own",)),
    }
    run(place)
    assert planned(place).tables == ()
    write(place, objects=[CONTACT], overrides={BRIGHTWATER: {"schema": "own"}})
    (read,) = planned(place).reads
    assert (read.kind, set(read.customers)) == ("remap", BOTH)
    assert read.rows == sum(
        sum(counted(Path(root)).values())
        for root in (tmp_path / "lakes" / ACME, tmp_path / "lakes" / BRIGHTWATER / "own")
    )


def test_a_plan_looks_into_a_bucket(unhurried, bucket):
    place = unhurried
    credentials = {name: value for name, value in bucket.configuration.items() if name != "secret_access_key"}
    place.environ["LAKE_KEY"] = bucket.configuration["secret_access_key"].reveal()
    lake_of(place, credentials={**credentials, "secret_access_key": "${LAKE_KEY}", "prefix": "crm"})
    settle(place)
    stored = latest(f"s3://{bucket.name}/crm", filesystem=filesystem_of(bucket))
    write(place, objects=[contact(PHONE, SIZE, TITLE)])
    plan = planned(place)
    (altered,) = plan.tables
    assert (altered.database, altered.schemas, dict(altered.added)) == (bucket.name, ("crm",), {"title": "text"})
    assert [(each.kind, set(each.customers), each.rows) for each in plan.reads] == [("remap", BOTH, len(stored))]
    run(place, ACME)
    with pytest.raises(PlanRefused, match="stand elsewhere"):
        apply_plan(place.project, plan)
    apply(place, planned(place))
    assert run(place) == {("contact", "remap"): {BRIGHTWATER}, ("contact", None): {ACME}}
