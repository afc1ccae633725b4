"""Filtered syncs over real HTTP into real Postgres: which records land, and what becomes of those that leave."""

from sync_pipelines_tests.filters.scene import LEAVING, ONE_OF_EACH, VENDORS, WAYS, Scene


def everything(way):
    return {"any": [{"field": way.field, "is_set": True}, {"field": way.field, "is_not_set": True}]}


@WAYS
def test_only_fitting_records_land_and_the_vendor_was_asked_for_them(place, way):
    scene = Scene(place, way)
    run = scene.sync()
    assert scene.alive() == sorted(scene.inside)
    assert run.counts.created >= len(scene.inside)
    assert run.counts.read < len(scene.outside), "what does not fit was not even sent"
    assert run.notices[0] == f"The filter is applied by {place.project.providers[way.provider].title}: " + (
        f'{way.field} equals "{way.wanted.lower()}".'
    )


@LEAVING
def test_a_changed_record_leaves_and_returns(place, way, leaving):
    scene = Scene(place, way, leaving=leaving)
    scene.sync()
    leaver, *stay = scene.inside
    before = scene.rows()[leaver]
    scene.set(leaver, way.other)
    scene.set(scene.outside[0], way.other)
    place.control.record(way.customer, way.object, operation="delete", id=scene.outside[1])
    run = scene.sync()
    assert not run.full
    rows = scene.rows()
    if leaving == "keep":
        assert rows[leaver]["raw_data"] == before["raw_data"]
        assert not rows[leaver]["is_deleted"]
    elif leaving == "mark":
        assert rows[leaver]["is_deleted"]
        assert run.counts.deleted == 1
    else:
        assert leaver not in rows
        assert run.counts.deleted == 1
    assert not {*scene.outside} & rows.keys(), "who never was inside has no row, deleted or not"
    # HubSpot shows archived records in every read.
    archived = scene.archived if way.provider == "hubspot" else 0
    assert run.counts.skipped == archived + (1 if leaving == "keep" else 3)
    assert set(stay) <= set(scene.alive())

    scene.set(leaver, way.wanted)
    scene.sync()
    assert scene.alive() == sorted(scene.inside)


@LEAVING
def test_a_full_read_notices_who_left_and_who_was_deleted(place, way, leaving):
    scene = Scene(place, way, leaving=leaving)
    scene.sync()
    leaver, deleted, purged, *stay = scene.inside
    place.control.record(way.customer, way.object, operation="delete", id=deleted)
    place.control.record(way.customer, way.object, operation="purge", id=purged)
    scene.set(leaver, way.other)
    scene.sync(full=True)
    rows = scene.rows()
    assert rows[deleted]["is_deleted"]
    assert rows[purged]["is_deleted"]
    if leaving == "delete":
        assert leaver not in rows
    else:
        assert rows[leaver]["is_deleted"] is (leaving == "mark")
    assert scene.alive() == sorted([*stay, *([leaver] if leaving == "keep" else [])])


@ONE_OF_EACH
def test_narrowing_a_filter_reads_everything_and_trips_no_brake(place, way, leaving):
    scene = Scene(place, way, filter=everything(way), leaving=leaving)
    scene.sync()
    everybody = scene.alive()
    assert everybody == sorted([*scene.inside, *scene.outside])
    scene.declare(leaving=leaving)
    run = scene.sync()
    assert run.full
    assert scene.alive() == (everybody if leaving == "keep" else sorted(scene.inside))
    if leaving == "delete":
        assert sorted(scene.rows()) == sorted(scene.inside)
    run = scene.sync()
    assert not run.full, "once is enough"


@VENDORS
def test_widening_a_filter_brings_the_others(place, way):
    scene = Scene(place, way)
    scene.sync()
    scene.declare(filter=everything(way))
    assert scene.sync().full
    assert scene.alive() == sorted([*scene.inside, *scene.outside])


@VENDORS
def test_many_leavers_between_two_full_reads_trip_no_brake(place, way):
    scene = Scene(place, way, strategy="full refresh")
    scene.sync()
    for id in scene.inside[:10]:
        scene.set(id, way.other)
    run = scene.sync()
    assert scene.alive() == sorted(scene.inside[10:])
    assert any("Many records left" in notice for notice in run.notices)


@VENDORS
def test_records_that_are_gone_trip_the_brake_as_before(place, way):
    scene = Scene(place, way, strategy="full refresh")
    scene.sync()
    for id in scene.inside[:10]:
        place.control.record(way.customer, way.object, operation="purge", id=id)
    place.control.clock(advance=1200)
    run = place.sync_one(way.customer)
    assert run.status == "error"
    assert "delete_brake" in run.error_message
    assert scene.alive() == sorted(scene.inside)


@ONE_OF_EACH
def test_mirror_mode_keeps_no_row_of_who_left_unless_told_so(place, way, leaving):
    scene = Scene(place, way, leaving=leaving, mode="mirror")
    scene.sync()
    leaver, deleted, *stay = scene.inside
    scene.set(leaver, way.other)
    place.control.record(way.customer, way.object, operation="delete", id=deleted)
    kept = sorted([*stay, *([leaver] if leaving == "keep" else [])])
    scene.sync()
    assert sorted(scene.rows()) == kept
    scene.sync(full=True)
    assert sorted(scene.rows()) == kept


@VENDORS
def test_a_kept_row_is_deleted_when_its_record_is(place, way):
    scene = Scene(place, way, leaving="keep")
    scene.sync()
    leaver = scene.inside[0]
    scene.set(leaver, way.other)
    scene.sync()
    place.control.record(way.customer, way.object, operation="delete", id=leaver)
    scene.sync()
    assert scene.rows()[leaver]["is_deleted"]


@VENDORS
def test_one_customer_has_a_filter_of_its_own_or_none(place, way):
    scene = Scene(place, way)
    own = {"contact": {"field": way.field, "not_equals": way.wanted}}
    scene.declare(overrides={way.customer: {"filters": own}})
    scene.sync()
    assert scene.alive() == sorted(scene.outside)
    scene.declare(overrides={way.customer: {"filters": {"contact": None}}})
    scene.sync()
    assert scene.alive() == sorted([*scene.inside, *scene.outside])


@VENDORS
def test_without_raw_fields_what_the_filter_asks_for_is_read_all_the_same(place, way):
    scene = Scene(place, way)
    condition = {"field": way.field, "contains": way.wanted[1:4]}
    contact = {"object": "contact", "raw_fields": False, "filter": condition}
    place.write_sync(provider=way.provider, bulk_above=way.bulk_above, objects=[contact])
    run = scene.sync()
    assert scene.alive() == sorted(scene.inside)
    assert run.counts.skipped == scene.archived + (len(scene.outside) if way.provider == "hubspot" else 0)
