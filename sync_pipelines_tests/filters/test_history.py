"""What a first read brings of the records that exist already, and what later reads make of the others."""

from datetime import timedelta

import pytest

from sync_pipelines_tests.filters.scene import VENDORS, WAYS, Bulk, HubSpot, Salesforce, Scene


def everybody(scene):
    return sorted([*scene.inside, *scene.outside])


def without_filter(place, way, history, **more):
    """A scene whose contacts are all wanted, of a history."""
    scene = Scene(place, way)
    contact = {"object": "contact", "history": history}
    place.write_sync(provider=way.provider, bulk_above=way.bulk_above, objects=[contact], **more)
    return scene


def stamps(scene, which="created"):
    records = scene.place.control.truth(scene.way.customer, scene.way.object)
    return {record["id"]: record[which] for record in records if not record["deleted"]}


def test_all(place):
    scene = without_filter(place, Salesforce, "full import")
    scene.sync()
    assert scene.alive() == everybody(scene)


@WAYS
def test_only_what_changes_from_now_on(place, way):
    scene = without_filter(place, way, "incremental")
    run = scene.sync()
    assert run.full
    assert scene.alive() == []
    changed = scene.outside[:3]
    for id in changed:
        scene.set(id, "New")
    scene.sync()
    assert scene.alive() == sorted(changed)
    # What was not asked for is not there, and what was not seen is not deleted, whatever is read.
    run = scene.sync(full=True)
    assert scene.alive() == sorted(changed)
    assert run.counts.deleted == 0
    place.control.record(way.customer, way.object, operation="purge", id=changed[0])
    scene.sync(full=True)
    assert scene.alive() == sorted(changed[1:])


@pytest.mark.parametrize(("way", "on"), [(Bulk, "created"), (HubSpot, "created"), (Salesforce, "modified")])
def test_a_period(place, way, on):
    scene = Scene(place, way)
    found = stamps(scene, on)
    times = sorted(set(found.values()))
    low, high = times[len(times) // 4], times[len(times) * 3 // 4]
    history = {"from": low, "to": high, "on": on}
    place.write_sync(
        provider=way.provider, bulk_above=way.bulk_above, objects=[{"object": "contact", "history": history}]
    )
    expected = sorted(id for id, stamp in found.items() if low <= stamp < high)
    assert 0 < len(expected) < len(found)
    scene.sync()
    assert scene.alive() == expected

    outside = next(id for id in found if id not in expected)
    scene.set(outside, "Changed")
    scene.sync()
    assert scene.alive() == sorted([*expected, outside])
    run = scene.sync(full=True)
    assert scene.alive() == sorted([*expected, outside])
    assert run.counts.deleted == 0


@VENDORS
def test_selective(place, way):
    scene = without_filter(place, way, {"selective": {"field": way.field, "equals": way.wanted}})
    scene.sync()
    assert scene.alive() == sorted(scene.inside)
    # It is for the first read alone: what changes is wanted, and stays wanted.
    scene.set(scene.outside[0], "Changed")
    scene.set(scene.inside[0], "Changed")
    scene.sync()
    scene.sync(full=True)
    assert scene.alive() == sorted([*scene.inside, scene.outside[0]])


@VENDORS
def test_a_history_beside_a_filter(place, way):
    scene = Scene(place, way, history="incremental")
    scene.sync()
    assert scene.alive() == []
    scene.set(scene.inside[0], way.wanted)
    scene.set(scene.outside[0], way.other)
    scene.sync()
    assert scene.alive() == [scene.inside[0]]
    scene.set(scene.inside[0], way.other)
    scene.sync()
    assert scene.alive() == []
    assert scene.rows()[scene.inside[0]]["is_deleted"]


@VENDORS
def test_another_history_deletes_nothing(place, way):
    scene = Scene(place, way)
    contact = {"object": "contact"}
    place.write_sync(provider=way.provider, bulk_above=way.bulk_above, objects=[contact])
    scene.sync()
    place.write_sync(provider=way.provider, bulk_above=way.bulk_above, objects=[contact | {"history": "incremental"}])
    run = scene.sync()
    assert (run.full, run.counts.deleted) == (True, 0)
    assert scene.alive() == everybody(scene)
    place.control.record(way.customer, way.object, operation="purge", id=scene.inside[0])
    scene.sync(full=True)
    assert scene.alive() == sorted(set(everybody(scene)) - {scene.inside[0]})


@VENDORS
def test_mirror_mode_with_a_history(place, way):
    scene = without_filter(place, way, "from now on", mode="mirror", full_refresh_every=2)
    for run in range(5):
        scene.set(scene.outside[run], "Changed")
        scene.sync()
    assert sorted(scene.rows()) == sorted(scene.outside[1:5])


@WAYS
def test_the_first_few_records_and_then_the_whole_history(place, way):
    scene = without_filter(place, way, "all")
    run = first(scene, 5)
    asked = place.control.calls(way.customer)
    assert len(asked) <= 8
    assert not any("jobs/query" in call["path"] for call in asked)
    assert len(scene.rows()) == 5
    assert any("A test run: at most 5 records" in notice for notice in run.notices)
    run = scene.sync()
    assert run.full
    assert scene.alive() == everybody(scene)


@VENDORS
def test_the_first_few_of_those_that_fit(place, way):
    scene = Scene(place, way, filter={"field": way.field, "contains": way.wanted[1:]})
    first(scene, 5)
    assert len(scene.alive()) == 5
    assert set(scene.alive()) <= set(scene.inside)
    first(scene, 500)
    assert scene.alive() == sorted(scene.inside)


@VENDORS
def test_a_test_run_of_what_is_synced_already_moves_and_deletes_nothing(place, way):
    scene = Scene(place, way)
    scene.sync()
    query = "SELECT state - 'version' FROM crm._sync_checkpoints"
    before = place.execute(query)
    scene.set(scene.inside[0], way.other)
    place.control.record(way.customer, way.object, operation="purge", id=scene.inside[1])
    first(scene, 3)
    assert scene.alive() == sorted(scene.inside)
    assert place.execute(query) == before
    scene.sync()
    assert scene.inside[0] not in scene.alive()


def first(scene, most):
    project, way = scene.place.project, scene.way
    (run,) = project.first_records("crm", "contact", [way.customer], most, run_id="test")
    assert run.status == "success", run.error_message
    return run


@VENDORS
def test_records_of_the_overlap_count_as_changed(place, way):
    """A change that becomes visible late, with an earlier stamp, is one from now on."""
    scene = without_filter(place, way, "incremental")
    scene.sync()
    late = place.control.now() - timedelta(minutes=5)
    place.control.record(
        way.customer, way.object, operation="upsert", id=scene.outside[0], fields={way.field: "Late"}, modified=late
    )
    scene.sync(full=True)
    assert scene.alive() == [scene.outside[0]]
