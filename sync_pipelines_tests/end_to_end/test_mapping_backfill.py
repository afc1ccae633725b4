"""A changed mapping makes exactly its columns anew, of the stored records; the vendor is not read again for it."""

from collections import Counter

import pytest

from sync_pipelines_tests.end_to_end.scenes import BEFORE, WAYS, Scene, made_scene, points, world_for_scenes
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, CUSTOM_SCHEMA, LUMEN, QUILL

OBJECTS = {"salesforce": "Account", "hubspot": "companies"}
PAIRS = [("salesforce", ACME, BRIGHTWATER), ("hubspot", QUILL, LUMEN)]
ACCOUNTS = [{"object": "account", "custom_schema": CUSTOM_SCHEMA}]


def fields_of(place, customer, vendor):
    return place.control.account(customer).meanings[OBJECTS[vendor]]


def calls(place, customer, since):
    """Calls of a customer that read records."""
    found = place.control.calls(customer, since=since)
    words = ("/query", "/jobs/", "/search", "/objects/companies")
    return [call for call in found if any(word in call["path"] for word in words)]


def last_call(place):
    found = place.control.calls()
    return found[-1]["number"] if found else 0


def checkpoints(place, customer):
    ((state,),) = place.execute("SELECT state FROM crm._sync_checkpoints WHERE customer_id = %s", customer)
    return state


def changed_columns(before, after):
    assert [row["id"] for row in before] == [row["id"] for row in after]
    return {name for one, other in zip(before, after, strict=True) for name in one if one[name] != other[name]}


@pytest.fixture
def mapped(unhurried, request):
    """(place, vendor, customer, another customer of the vendor), both mapped and synced."""
    vendor, customer, other = request.param
    unhurried.write_sync(provider=vendor, objects=ACCOUNTS)
    unhurried.connect(customer, other)
    for each in (customer, other):
        unhurried.map(each, vendor, "account", **fields_of(unhurried, each, vendor))
    assert {run.status for run in unhurried.sync()} == {"success"}
    return unhurried, vendor, customer, other


@pytest.mark.parametrize("mapped", PAIRS, ids=[pair[0] for pair in PAIRS], indirect=True)
def test_a_changed_mapping_fills_its_column_anew_and_touches_nothing_else(mapped):
    place, vendor, customer, other = mapped
    before, others, since = place.content("crm_account", customer), place.rows("crm_account", other), last_call(place)
    fields = fields_of(place, customer, vendor)

    place.map(customer, vendor, "account", **{**fields, "tier": fields["annual_revenue"]})
    runs = {run.customer_id: run for run in place.sync()}

    assert (runs[customer].status, runs[customer].full) == ("success", False)
    assert len(calls(place, customer, since)) == len(calls(place, other, since)), "no call more than for what is new"
    assert runs[customer].counts.read < len(before)
    after = place.content("crm_account", customer)
    assert changed_columns(before, after) <= {"tier", "_sync_errors"}
    assert [row["tier"] for row in after] != [row["tier"] for row in before]
    assert runs[customer].counts.updated == sum(one != two for one, two in zip(before, after, strict=True))
    assert any("tier changed" in notice for notice in runs[customer].notices)
    assert place.differences(customer) == []
    assert place.rows("crm_account", other) == others, "another customer's bytes, and when they were written"
    assert place.sync_one(customer, full=True).counts.updated == 0
    assert place.content("crm_account", customer) == after, "hashes too: nothing has to be compared again"

    store = place.project.store.mappings
    store.save(customer, vendor, "account", store.history(customer, vendor, "account")[1].fields)
    assert place.sync_one(customer).full is False
    assert place.content("crm_account", customer) == before, "rolling back restores every byte"
    assert place.rows("crm_account", other) == others
    assert place.sync_one(customer, full=True).counts.updated == 0, "nor does a full read find anything to change"
    assert place.content("crm_account", customer) == before


@pytest.mark.parametrize("mapped", PAIRS, ids=[pair[0] for pair in PAIRS], indirect=True)
def test_what_a_backfill_left_is_what_a_full_read_would_have_left(mapped):
    place, vendor, customer, _ = mapped
    fields = fields_of(place, customer, vendor)
    place.map(customer, vendor, "account", tier=fields["annual_revenue"], annual_revenue=fields["renewal_date"])
    place.sync_one(customer)
    made = place.content("crm_account", customer)
    place.execute("UPDATE crm.crm_account SET _sync_hash = NULL, tier = 'x', _sync_errors = NULL")
    place.sync_one(customer, full=True)
    assert place.content("crm_account", customer) == made


def test_a_mapping_changed_back_before_anybody_ran_changes_nothing(unhurried):
    place = unhurried
    place.write_sync(objects=ACCOUNTS)
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    place.sync_one(ACME)
    before = place.rows("crm_account")
    place.map(ACME, "salesforce", "account", tier="Name")
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    run = place.sync_one(ACME)
    assert (run.full, run.counts.updated) == (False, 0)
    assert place.rows("crm_account") == before


@pytest.mark.parametrize("mapped", PAIRS, ids=[pair[0] for pair in PAIRS], indirect=True)
def test_a_field_that_the_stored_records_do_not_hold_is_read_from_the_vendor(mapped):
    place, vendor, customer, _ = mapped
    object_name, field = OBJECTS[vendor], {"salesforce": "Level__c", "hubspot": "level"}[vendor]
    place.control.fault(customer, "field_added", object=object_name, field=field, value="gold")
    place.map(customer, vendor, "account", **{**fields_of(place, customer, vendor), "tier": field})
    run = place.sync_one(customer)
    assert (run.status, run.full) == ("success", True)
    assert any("everything is read again" in notice for notice in run.notices)
    assert {row["tier"] for row in place.rows("crm_account", customer) if not row["is_deleted"]} == {"gold"}
    assert place.differences(customer) == []
    state = checkpoints(place, customer)
    assert (state.get("backfill"), place.sync_one(customer).full) == (None, False)


def test_without_stored_records_a_changed_mapping_reads_everything(unhurried):
    place = unhurried
    place.write_sync(objects=[{**ACCOUNTS[0], "raw_fields": False}])
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    place.sync_one(ACME)
    place.map(ACME, "salesforce", "account", tier="Name")
    run = place.sync_one(ACME)
    assert (run.status, run.full) == ("success", True)
    assert [row["tier"] for row in place.rows("crm_account")] == [row["name"] for row in place.rows("crm_account")]


def test_a_position_from_before_columns_were_told_apart_reads_nothing_again_unless_something_changed(unhurried):
    place = unhurried
    place.write_sync(objects=ACCOUNTS)
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    place.sync_one(ACME)
    older = "UPDATE crm._sync_checkpoints SET state = state - 'ground' - 'mapped' - 'seed' - 'backfill' - 'backfills'"
    place.execute(older)
    rows = place.rows("crm_account")
    assert place.sync_one(ACME).full is False
    assert place.sync_one(ACME, full=True).counts.updated == 0
    assert place.rows("crm_account") == rows
    assert checkpoints(place, ACME)["mapped"].keys() >= {"tier", "annual_revenue"}

    place.execute(older)
    place.map(ACME, "salesforce", "account", tier="Name")
    assert place.sync_one(ACME).full is True


def test_a_schema_that_grows_and_shrinks_fills_new_columns_of_what_is_stored(unhurried):
    place = unhurried
    rules = {"extra": {"name": "extra", "sources": {"salesforce": "Name"}}, "odd": {"name": "odd", "type": "bigint"}}
    place.write_sync(objects=[{"object": "account", "custom_schema": {"fields": ["tier", rules["odd"]]}}])
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", tier="Tier__c", odd="Name")
    place.sync_one(ACME)
    before = place.content("crm_account")
    assert all("odd" in row["_sync_errors"] for row in before)

    place.map(ACME, "salesforce", "account", tier="Tier__c")
    schema = {"version": 2, "fields": ["tier", rules["extra"]]}
    place.write_sync(objects=[{"object": "account", "custom_schema": schema}])
    run = place.sync_one(ACME)
    assert (run.status, run.full, run.counts.updated) == ("success", False, len(before))
    after = place.content("crm_account")
    assert [row["extra"] for row in after] == [row["name"] for row in after]
    assert {row["_sync_errors"] for row in after} == {None}
    assert [row["tier"] for row in after] == [row["tier"] for row in before]


def test_values_that_did_not_fit_are_tried_again_when_the_mapping_or_the_type_changes(unhurried):
    place = unhurried

    def schema(kind):
        return {"fields": [{"name": "size", "type": kind}, "tier"]}

    place.write_sync(objects=[{"object": "account", "custom_schema": schema("bigint")}])
    place.connect(ACME)
    ids = [truth["id"] for truth in place.control.truth(ACME, "Account") if not truth["deleted"]][:6]
    for id, text in zip(ids, ("12", "12.5", "many", "7.25", "", "9"), strict=True):
        place.control.record(ACME, "Account", operation="upsert", id=id, fields={"Tier__c": text})
    place.map(ACME, "salesforce", "account", size="Tier__c")
    place.sync_one(ACME)

    def sizes():
        rows = {row["id"]: row for row in place.rows("crm_account")}
        return [(rows[id]["size"], bool(rows[id]["_sync_errors"])) for id in ids]

    assert sizes() == [(12, False), (None, True), (None, True), (None, True), (None, False), (9, False)]

    place.write_sync(objects=[{"object": "account", "custom_schema": schema("numeric")}])
    run = place.sync_one(ACME)
    assert (run.status, run.full) == ("success", False)
    assert [(None if size is None else float(size), odd) for size, odd in sizes()] == [
        (12, False),
        (12.5, False),
        (None, True),
        (7.25, False),
        (None, False),
        (9, False),
    ]
    place.map(ACME, "salesforce", "account", size="NumberOfEmployees")
    assert place.sync_one(ACME).counts.invalid == 0
    assert {row["_sync_errors"] for row in place.rows("crm_account")} == {None}


def test_a_column_of_another_type_is_filled_of_the_stored_records_and_tells_what_does_not_fit(unhurried):
    place = unhurried

    def schema(kind):
        return [{"object": "account", "custom_schema": {"fields": [{"name": "size", "type": kind}]}}]

    place.write_sync(objects=schema("text"))
    place.connect(ACME)
    ids = [truth["id"] for truth in place.control.truth(ACME, "Account") if not truth["deleted"]][:2]
    for id, text in zip(ids, ("12.50", "many"), strict=True):
        place.control.record(ACME, "Account", operation="upsert", id=id, fields={"Tier__c": text})
    place.map(ACME, "salesforce", "account", size="Tier__c")
    place.sync_one(ACME)

    place.write_sync(objects=schema("numeric"))
    run = place.sync_one(ACME)
    assert (run.status, run.full) == ("success", False)
    rows = {row["id"]: row for row in place.rows("crm_account")}
    assert str(rows[ids[0]]["size"]) == "12.50"
    assert (rows[ids[1]]["size"], rows[ids[1]]["_sync_errors"]["size"]["value"]) == (None, "many")

    place.write_sync(objects=schema("text"))
    assert place.sync_one(ACME).full is False
    rows = {row["id"]: row for row in place.rows("crm_account")}
    assert [(rows[id]["size"], rows[id]["_sync_errors"]) for id in ids] == [("12.50", None), ("many", None)]


def test_deleted_rows_are_made_anew_too_and_stay_deleted(unhurried):
    place = unhurried
    place.write_sync(objects=ACCOUNTS)
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", tier="Tier__c")
    place.sync_one(ACME)
    gone = place.control.change(ACME, "Account", deleted=2)["deleted"]
    place.sync_one(ACME)
    place.map(ACME, "salesforce", "account", tier="Name")
    run = place.sync_one(ACME)
    rows = {row["id"]: row for row in place.rows("crm_account")}
    assert run.full is False
    assert all(rows[id]["is_deleted"] and rows[id]["tier"] == rows[id]["raw_data"]["Name"] for id in gone)


def test_additional_fields_are_one_column(unhurried):
    place = unhurried
    place.write_sync(objects=[{"object": "account", "custom_schema": {"fields": [], "allow_additional_fields": True}}])
    place.connect(ACME)
    place.map(ACME, "salesforce", "account", one="Tier__c")
    place.sync_one(ACME)
    before = place.content("crm_account")
    place.map(ACME, "salesforce", "account", one="Tier__c", two="Name")
    run = place.sync_one(ACME)
    after = place.content("crm_account")
    assert (run.full, changed_columns(before, after)) == (False, {"additional_fields"})
    assert all(row["additional_fields"] == {"one": row["raw_data"]["Tier__c"], "two": row["name"]} for row in after)


# A backfill beside everything else that a run does, ended at any step.


class Ended(Exception):
    pass


@pytest.fixture(scope="module")
def world():
    with world_for_scenes() as control:
        yield control


@pytest.fixture
def scene(world, make_database, tmp_path, request):
    with made_scene(Scene, WAYS[request.param], world, make_database, tmp_path / "syncs") as made:
        yield made


def swap(scene, *names):
    way = scene.way
    fields = dict(scene.place.control.account(way.customer).meanings[way.vendor_object])
    one, other = names
    scene.place.map(way.customer, way.provider, "contact", **{**fields, one: fields[other], other: fields[one]})


def changed_meanwhile(scene):
    """The customer maps otherwise, and records change before the next run."""
    scene.sync(BEFORE)
    scene.before = scene.content(BEFORE)
    way = scene.way
    scene.place.control.change(way.customer, way.vendor_object, updated=way.updated, created=40, deleted=25)
    swap(scene, "tier", "annual_revenue")


def ends_at(step, passing):
    left = Counter({step: passing})

    def observe(passed):
        if passed == step:
            if not left[step]:
                raise Ended(step)
            left[step] -= 1

    return observe


@pytest.mark.parametrize("scene", ["salesforce rest", "hubspot"], indirect=True)
def test_a_backfill_that_ends_at_any_step_goes_on_and_nothing_newer_is_lost(scene):
    changed_meanwhile(scene)
    steps, expected = scene.undisturbed()
    assert Counter(steps)["backfill.stored"] >= 4
    for turn, (step, passing) in enumerate(points(steps, 1)):
        scope = f"{turn} {step}"
        scene.stand_as_before(scope)
        assert scene.sync(scope, ends_at(step, passing)).status == "error"
        done_before = steps.index("chunk.ready") < steps.index(step)
        run = scene.sync(scope)
        assert run.status == "success"
        if step == "backfill.stored":
            assert Counter(scene.passed)[step] == Counter(steps)[step] - passing - 1, "it went on where it was"
        if done_before:
            assert "backfill.stored" not in scene.passed
        assert scene.content(scope) == expected


@pytest.mark.parametrize("scene", ["hubspot"], indirect=True)
def test_a_mapping_that_changes_again_in_the_middle_of_a_backfill_wins(scene):
    changed_meanwhile(scene)
    scene.stand_as_before("twice")
    assert scene.sync("twice", ends_at("backfill.stored", 1)).status == "error"
    swap(scene, "tier", "renewal_date")
    assert scene.sync("twice").status == "success"
    assert scene.place.differences(scene.way.customer) == []
    kept = scene.content("twice")

    scene.stand_as_before("once")
    assert scene.sync("once").status == "success"
    assert {id: without_hash(row) for id, row in scene.content("once").items()} == {
        id: without_hash(row) for id, row in kept.items()
    }


@pytest.mark.parametrize("scene", ["hubspot"], indirect=True)
def test_a_mapping_that_is_rolled_back_in_the_middle_of_a_backfill_leaves_what_was(scene):
    scene.sync(BEFORE)
    before = scene.content(BEFORE)
    scene.before = before
    scene.stand_as_before("back")
    fields = dict(scene.place.control.account(scene.way.customer).meanings[scene.way.vendor_object])
    swap(scene, "tier", "annual_revenue")
    assert scene.sync("back", ends_at("backfill.stored", 1)).status == "error"
    assert scene.content("back") != before
    scene.place.map(scene.way.customer, scene.way.provider, "contact", **fields)
    run = scene.sync("back")
    assert (run.status, run.full) == ("success", False)
    assert scene.content("back") == before


@pytest.mark.parametrize("scene", ["hubspot"], indirect=True)
def test_a_full_read_under_way_goes_on_behind_a_backfill(scene):
    scene.sync(BEFORE)
    scene.before = scene.content(BEFORE)
    scene.stand_as_before("full")
    assert scene.sync("full", ends_at("chunk.stored", 1), full=True).status == "error"
    read = Counter(scene.passed)["page.read"]
    swap(scene, "tier", "annual_revenue")
    run = scene.sync("full")
    assert (run.status, run.full) == ("success", True)
    assert Counter(scene.passed)["page.read"] < scene.way.records / 20, f"of which {read} had been read"
    assert scene.place.differences(scene.way.customer) == []
    assert sum(row["is_deleted"] for row in scene.content("full").values()) == sum(
        row["is_deleted"] for row in scene.before.values()
    )


def without_hash(row):
    return {name: value for name, value in row.items() if name != "_sync_hash"}
