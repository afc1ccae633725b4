"""Every kind of change: the plan tells it, applying does exactly that, and the next runs do what was told of them."""

from dataclasses import replace

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.plans.making import make_plan
from sync_pipelines.plans.plan import plan_from
from sync_pipelines.plans.sentences import summary
from sync_pipelines.store.tables import configuration_versions
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, KESTREL
from sync_pipelines_tests.plans.conftest import CONTACT, SCHEMA
from sync_pipelines_tests.plans.observing import (
    applied,
    carried_out,
    columns_of,
    due,
    nothing_is_asked_for,
    planned,
    reads,
)

BOTH = {ACME, BRIGHTWATER}


EVERY_HOUR = {"every": "1 hour"}
TITLE = {"name": "title", "sources": {"salesforce": "Title"}}
MOBILE = {"name": "phone_text", "sources": {"salesforce": "MobilePhone"}}
WIDE = {"name": "size", "type": "numeric"}
NAMED = {"field": "LastName", "is_set": True}
OTHER = {"name": "size", "type": "text"}


def contact(*fields, **rest):
    return {"object": "contact", "custom_schema": {"version": 2, "fields": list(fields)}, **rest}


PHONE, SIZE = SCHEMA["fields"]
CONTACTS = ("crm", "contact")
STEPS = {
    "new object": ({"objects": [CONTACT, "account"]}, {("crm", "account", "first read"): BOTH}),
    "new field": ({"objects": [contact(PHONE, SIZE, TITLE), "account"]}, {(*CONTACTS, "remap"): BOTH}),
    "other source": ({"objects": [contact(MOBILE, SIZE, TITLE), "account"]}, {(*CONTACTS, "remap"): {ACME}}),
    "wider type": ({"objects": [contact(MOBILE, WIDE, TITLE), "account"]}, {(*CONTACTS, "remap"): BOTH}),
    "other type": ({"objects": [contact(MOBILE, OTHER, TITLE), "account"]}, {(*CONTACTS, "remap"): BOTH}),
    "the type again": ({"objects": [contact(MOBILE, WIDE, TITLE), "account"]}, {(*CONTACTS, "remap"): BOTH}),
    "other case": (
        {"objects": [contact({**MOBILE, "sources": {"salesforce": "MOBILEPHONE"}}, WIDE, TITLE), "account"]},
        {},
    ),
    "a filter": (
        {"objects": [contact(MOBILE, WIDE, TITLE, filter=NAMED), "account"]},
        {(*CONTACTS, "full read"): BOTH},
    ),
    "no filter": ({"objects": [contact(MOBILE, WIDE, TITLE), "account"]}, {(*CONTACTS, "full read"): BOTH}),
    "removed field": ({"objects": [contact(MOBILE, WIDE), "account"]}, {(*CONTACTS, "remap"): BOTH}),
    "removed object": ({"objects": [contact(MOBILE, WIDE)]}, {}),
    "no raw fields": ({"objects": [contact(MOBILE, WIDE, raw_fields=False)]}, {(*CONTACTS, "full read"): BOTH}),
    "another field without raw fields": (
        {"objects": [contact(MOBILE, WIDE, TITLE, raw_fields=False)]},
        {(*CONTACTS, "full read"): BOTH},
    ),
    "another table": ({"objects": [contact(MOBILE, WIDE, table="people")]}, {(*CONTACTS, "full read"): BOTH}),
    "another mode": ({"mode": "mirror"}, {}),
    "a schema for one": ({"overrides": {ACME: {"schema": "acme_own"}}}, {(*CONTACTS, "first read"): {ACME}}),
}


def test_the_first_plan_tells_everything_and_changes_nothing(unhurried):
    place = unhurried
    place.connect(ACME, BRIGHTWATER)
    asked = [place.control.calls(customer) for customer in BOTH]
    plan = planned(place)
    assert (plan.basis.in_effect, plan.changes) == (0, True)
    assert {(each.kind, each.name, each.action) for each in plan.documents} == {
        ("provider", "salesforce", "recorded"),
        ("provider", "hubspot", "recorded"),
        ("destination", "warehouse", "recorded"),
        ("sync", "crm", "created"),
    }
    assert reads(plan) == {("crm", "contact", "first read"): BOTH}
    assert columns_of(place) == {}
    assert place.project.store.configurations.planned() == {}
    assert [place.control.calls(customer) for customer in BOTH] == asked
    done = applied(place, plan)
    assert (done.version, done.tables, done.asked) == (1, 1, {("crm", "contact"): 2})
    assert due(place) == {("crm", customer): {"contact"} for customer in BOTH}
    assert not planned(place).changes
    assert carried_out(place) == reads(plan)
    assert not planned(place).reads


def test_what_runs_already_do_is_recorded_and_not_done_again(unhurried):
    place = unhurried
    place.connect(ACME)
    place.project.plan("crm")
    place.sync_one(ACME)
    plan = planned(place)
    assert {(each.name, each.action) for each in plan.documents if each.kind == "sync"} == {("crm", "recorded")}
    assert (plan.tables, plan.schedules, plan.reads) == ((), (), ())
    assert applied(place, plan).asked == {}
    assert due(place) == {}


def test_every_change_does_what_its_plan_says(settled):
    """One after the other: the plan, the database before and after, and what the next runs do."""
    place, written = settled, {"schedule": EVERY_HOUR}
    place.map(BRIGHTWATER, "salesforce", "contact", phone_text="Phone")
    for number, (name, (change, wanted)) in enumerate(STEPS.items(), start=2):
        written |= change
        place.write_sync(**written)
        plan = planned(place)
        assert (name, plan.changes, reads(plan)) == (name, True, wanted)
        for read in plan.reads:
            if read.kind != "first read":
                assert read.sure, "what is remembered of the accounts is asked"
                stored = [len(place.rows("crm_contact", customer)) for customer in read.customers]
                assert (name, read.rows) == (name, sum(stored))
        assert (name, applied(place, plan).version) == (name, number)
        asked = {("crm", customer): {object} for (_, object, _), whom in wanted.items() for customer in whom}
        assert (name, due(place)) == (name, asked)
        assert (name, planned(place).changes) == (name, False)
        assert (name, carried_out(place)) == (name, wanted)
        assert (name, planned(place).reads) == (name, ())
        nothing_is_asked_for(place)


def test_columns_that_nobody_fills_any_more_stay_and_are_told(settled):
    settled.write_sync(objects=[contact(SIZE)], schedule=EVERY_HOUR)
    plan, rows = planned(settled), len(settled.rows("crm_contact"))
    (stays,) = plan.stays
    assert (stays.what, stays.table, stays.columns) == ("columns", "warehouse crm_contact", ("phone_text",))
    assert (stays.customers, stays.rows) == (2, rows)
    (read,) = plan.reads
    assert (read.kind, read.columns, read.left) == ("remap", (), ("phone_text",))
    (sentence,) = [each for each in summary(plan) if "phone_text" in each and each.startswith("crm contact")]
    assert sentence == f"crm contact does not fill phone_text any more for 2 customer(s), {rows:,} row(s)"
    before = {row["id"]: row["phone_text"] for row in settled.rows("crm_contact")}
    applied(settled, planned(settled))
    assert {row["id"]: row["phone_text"] for row in settled.rows("crm_contact")} == before


def test_a_removed_sync_leaves_its_rows_and_is_not_due_any_more(settled):
    place = settled
    place.write_sync("other", objects=["account"])
    applied(place, planned(place))
    rows = len(place.rows("crm_contact"))
    (place.folder / "syncs" / "crm.yaml").unlink()
    place.open()
    plan = planned(place)
    assert {(each.name, each.action) for each in plan.documents} == {("crm", "removed")}
    (stays,) = plan.stays
    assert (stays.what, stays.customers, stays.rows) == ("rows of crm contact", 2, rows)
    assert (plan.tables, plan.reads) == ((), ())
    applied(place, plan)
    assert place.project.store.configurations.planned().keys() == {"other"}
    assert len(place.rows("crm_contact")) == rows


def test_a_removed_object_leaves_its_rows(settled):
    place = settled
    rows = len(place.rows("crm_contact"))
    place.write_sync(objects=["account"], schedule=EVERY_HOUR)
    (stays,) = planned(place).stays
    assert (stays.what, stays.rows) == ("rows of crm contact", rows)


def test_a_renamed_sync_is_recognised_and_reads_everything_once(settled):
    place = settled
    (place.folder / "syncs" / "crm.yaml").unlink()
    place.write_sync("customers", objects=[CONTACT], schedule=EVERY_HOUR)
    plan = planned(place)
    (change,) = plan.documents
    assert (change.name, change.action, change.was) == ("customers", "renamed", "crm")
    assert reads(plan) == {("customers", "contact", "first read"): BOTH}
    assert any("recognised and stay" in notice for notice in plan.notices)
    before = place.content("crm_contact")
    applied(place, plan)
    assert place.project.store.configurations.planned().keys() == {"customers"}
    runs = place.sync(ACME, BRIGHTWATER, name="customers")
    assert {(run.full, run.counts.created) for run in runs} == {(True, 0)}
    assert [row["id"] for row in place.content("crm_contact")] == [row["id"] for row in before]


def test_a_schedule_change_tells_old_and_new_and_whom_it_concerns(settled):
    place = settled
    place.write_sync(
        objects=[CONTACT],
        schedule={"cron": "0 5 * * *", "timezone": "Europe/Paris"},
        overrides={ACME: {"schedule": {"every": "1 hour"}}},
    )
    plan = planned(place)
    (schedule,) = plan.schedules
    assert (schedule.old, schedule.new, schedule.customers) == ("every 1 hour", "cron 0 5 * * * (Europe/Paris)", 1)
    applied(place, plan)
    assert place.project.store.configurations.planned()["crm"]["cron"] == "0 5 * * *"


def test_a_saved_mapping_that_no_run_has_met_yet_waits_and_is_no_change(settled):
    settled.map(ACME, "salesforce", "contact", size="NumberOfEmployees__c")
    plan = planned(settled)
    assert plan.changes is False
    assert reads(plan, caused=False) == {("crm", "contact", "remap"): {ACME}}


def test_a_mapping_that_the_new_schema_does_not_take_is_told_with_its_customer(settled):
    settled.map(ACME, "salesforce", "contact", size="Fax")
    settled.write_sync(objects=[contact(PHONE)], schedule=EVERY_HOUR)
    (notice,) = [each for each in planned(settled).notices if "does not have size" in each]
    assert notice.startswith(f"crm contact, 1 customer(s) ({ACME}): ")


def test_a_type_that_the_column_cannot_take_is_in_the_way(settled):
    place = settled
    place.execute("ALTER TABLE crm.crm_contact ADD COLUMN title integer")
    place.write_sync(objects=[contact(PHONE, SIZE, {"name": "title"})], schedule=EVERY_HOUR)
    plan = planned(place)
    assert "title" in plan.problems[0]
    with pytest.raises(ConfigurationError, match="In the way"):
        applied(place, plan)
    assert place.project.store.configurations.newest().version == 1


def test_a_plan_of_one_sync_leaves_the_others_as_they_are_in_effect(settled):
    place = settled
    place.write_sync("other", objects=["account"])
    place.write_sync(objects=[CONTACT], schedule={"every": "5 minutes"})
    plan = planned(place, ["other"])
    assert {(each.name, each.action) for each in plan.documents} == {("other", "created")}
    applied(place, plan)
    parts = place.project.store.configurations.newest().parts
    assert parts["syncs"]["crm"]["schedule"] == {"every": "3600 s"}
    assert {(each.name, each.action) for each in planned(place).documents} == {("crm", "changed")}
    with pytest.raises(ConfigurationError, match="There is no sync named nothing"):
        planned(place, ["nothing"])


def test_customers_with_schemas_of_their_own_are_told_together(unhurried):
    place = unhurried
    file = place.folder / "destinations" / "warehouse.yaml"
    file.write_text(file.read_text().replace("schema: crm", "schema: crm_${CUSTOMER_ID}"))
    place.open()
    place.connect(ACME, BRIGHTWATER, KESTREL)
    (change,) = planned(place).tables
    assert len(change.schemas) == 3
    assert applied(place, planned(place)).tables == 3
    for customer in (ACME, BRIGHTWATER, KESTREL):
        assert place.sync_one(customer).status == "success"
    place.write_sync(objects=[CONTACT])
    plan = planned(place)
    assert reads(plan) == {("crm", "contact", "remap"): {ACME, BRIGHTWATER, KESTREL}}
    assert sum(each.rows for each in plan.reads) == sum(
        len(place.rows("crm_contact", schema=f"crm_{customer}")) for customer in (ACME, BRIGHTWATER, KESTREL)
    )


def test_every_change_is_a_sentence_of_the_version(settled):
    settled.write_sync(objects=[CONTACT, "account"], schedule=EVERY_HOUR)
    plan = planned(settled)
    applied(settled, plan)
    newest = settled.project.store.configurations.newest()
    assert list(newest.summary) == summary(plan)
    assert any("crm_account" in sentence and "created" in sentence for sentence in newest.summary)
    (entry, *_) = settled.project.store.audit.list("configuration")
    assert (entry.action, entry.actor, entry.new["version"]) == ("apply", "ann", 2)


def test_a_plan_file_that_was_touched_is_refused(settled):
    settled.write_sync(objects=[CONTACT, "account"], schedule=EVERY_HOUR)
    text = make_plan(settled.project).json()
    with pytest.raises(ConfigurationError, match="changed after it was made"):
        plan_from(text.replace(b"brightwater-clinics", b"somebody-else"))
    with pytest.raises(ConfigurationError, match="not a plan"):
        plan_from(b"[]")
    with pytest.raises(ConfigurationError, match="another version of sync_pipelines"):
        plan_from(replace(plan_from(text), format=0).sealed().json())


@pytest.fixture
def statements(monkeypatch):
    from sqlalchemy import Engine, event

    sent = []

    def note(connection, cursor, statement, *rest):
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield sent
    event.remove(Engine, "before_cursor_execute", note)


def test_a_plan_asks_the_store_and_the_destination_as_often_for_many_connections_as_for_few(
    settled, statements, monkeypatch
):
    import psycopg

    place, sent = settled, []
    usual = psycopg.Connection.execute

    def execute(connection, query, *rest, **options):
        sent.append(query)
        return usual(connection, query, *rest, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    place.write_sync(objects=[contact(PHONE, SIZE, TITLE, filter=NAMED)], schedule=EVERY_HOUR, mode="mirror")
    few = (len(statements), len(sent))
    planned(place)
    few = (len(statements) - few[0], len(sent) - few[1])
    with place.store.connect() as connection:
        connection.execute(
            "INSERT INTO connections (customer_id, provider, environment, status) "
            "SELECT 'customer-' || n, 'salesforce', 'production', 'connected' FROM generate_series(1, 3000) n"
        )
    place.execute(
        "INSERT INTO crm._sync_checkpoints (application_id, provider_name, customer_id, sync, object, state, version, "
        "seen, updated_at) SELECT application_id, provider_name, 'customer-' || n, sync, object, state, version, seen, "
        "updated_at FROM crm._sync_checkpoints, generate_series(1, 3000) n WHERE customer_id = %s",
        ACME,
    )
    del statements[:], sent[:]
    plan = planned(place)
    assert sum(len(each.customers) for each in plan.reads) == 3002
    assert sum(len(each.customers) for each in plan.removals) == 3002
    assert (len(statements), len([each for each in sent if "SELECT 1" not in str(each)])) <= few
    assert configuration_versions.name in " ".join(statements)
