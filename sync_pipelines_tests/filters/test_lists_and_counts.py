"""Lists, moving times, completeness, crashes and what people are told, for filtered syncs."""

import importlib
from datetime import timedelta

import pytest

from sync_pipelines.model.filter import moves
from sync_pipelines.verifying import verify
from sync_pipelines_tests.filters.scene import VENDORS, HubSpot, Salesforce, Scene

LIST = {"salesforce": "701Hk0000000001", "hubspot": "12"}


def with_list(scene, members, **more):
    way = scene.way
    name = LIST[way.provider]
    known = name if way.provider == "hubspot" else name + "IAA"
    scene.place.control.settings(way.customer, lists={known: members})
    scene.declare(filter={"list": name}, **more)
    return known


@VENDORS
def test_members_of_a_list(place, way):
    scene = Scene(place, way)
    known = with_list(scene, scene.inside)
    scene.sync()
    assert scene.alive() == sorted(scene.inside)
    # Who joins without a change of the record is met by the next full read; so is who leaves.
    place.control.settings(way.customer, lists={known: [*scene.inside[1:], scene.outside[0]]})
    scene.sync()
    assert scene.alive() == sorted(scene.inside)
    scene.sync(full=True)
    assert scene.alive() == sorted([*scene.inside[1:], scene.outside[0]])


def test_a_long_hubspot_list_is_read_page_by_page(place, monkeypatch):
    monkeypatch.setattr(importlib.import_module("sync_pipelines.providers.hubspot.lists"), "PAGE", 5)
    scene = Scene(place, HubSpot)
    for members in (scene.inside[:10], scene.inside[:11]):
        with_list(scene, members)
        scene.sync(full=True)
        assert scene.alive() == sorted(members)


@VENDORS
def test_a_list_that_is_not_there_fails_the_run_and_deletes_nothing(place, way):
    scene = Scene(place, way)
    scene.sync()
    scene.declare(filter={"list": "999"})
    place.control.clock(advance=1200)
    run = place.sync_one(way.customer)
    assert (run.status, run.error_type) == ("error", "configuration")
    assert "999" in run.error_message
    assert scene.alive() == sorted(scene.inside)


@VENDORS
def test_a_field_that_is_gone_fails_the_run_and_deletes_nothing(place, way):
    scene = Scene(place, way)
    scene.sync()
    place.control.fault(way.customer, "field_vanished", object=way.object, field=way.field)
    place.control.clock(advance=1200)
    run = place.sync_one(way.customer, full=True)
    assert (run.status, run.error_type) == ("error", "configuration")
    assert way.field in run.error_message
    assert scene.alive() == sorted(scene.inside)


@VENDORS
def test_the_last_activity_moves_out_of_the_period(place, way):
    scene = Scene(place, way)
    field = "LastActivityDate" if way.provider == "salesforce" else "notes_last_updated"
    now = place.control.now()
    recent = {
        record["id"]: record["fields"][field]
        for record in place.control.truth(way.customer, way.object)
        if not record["deleted"] and record["fields"].get(field)
    }
    scene.declare(filter={"activity": "90 days"})
    scene.sync()
    active = scene.alive()
    assert 0 < len(active) < len(recent)
    bound = (now - timedelta(days=90)).date().isoformat()
    assert all(recent[id][:10] >= bound for id in active)
    # Nothing changes but the time.
    place.control.clock(advance=80 * 86_400)
    place.connect(way.customer)
    scene.sync()
    assert scene.alive() == active
    scene.sync(full=True)
    assert set(scene.alive()) < set(active)
    assert moves(place.project.sync("crm").objects[0].filter)


@VENDORS
def test_a_count_at_the_vendor_goes_by_the_same_filter(place, way):
    scene = Scene(place, way)
    scene.sync()
    (found,) = verify(place.project, "crm", run_id="verify")
    assert (found.status, found.source, found.destination) == ("complete", 12, 12)
    # A row that vanishes is a gap all the same.
    place.execute("DELETE FROM crm.crm_contact WHERE id = %s", scene.inside[0])
    (found,) = verify(place.project, "crm", run_id="verify")
    assert (found.source, found.destination) == (12, 11)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"filter": {"list": LIST["hubspot"]}}, "cannot count by its filter (in list 12)"),
        ({"leaving": "keep"}, "are kept"),
        ({"filter": {"activity": "90 days"}}, "as time passes"),
        ({"history": "incremental"}, "history"),
    ],
)
def test_what_cannot_be_counted_is_said(place, declared, reason):
    scene = Scene(place, HubSpot)
    place.control.settings(HubSpot.customer, lists={"12": scene.inside})
    scene.declare(**declared)
    scene.sync()
    (found,) = verify(place.project, "crm", run_id="verify")
    assert found.status == "unknown"
    assert reason in found.message


@pytest.mark.parametrize("way", [Salesforce, HubSpot], ids=["salesforce", "hubspot"])
@pytest.mark.parametrize("leaving", ["mark", "keep"])
def test_a_crash_between_any_two_chunks_changes_nothing(place, way, leaving):
    """The read goes on as it began: filtered by the vendor or not, with the same bounds."""
    scene = Scene(place, way, leaving=leaving)
    place.control.fault(way.customer, "short_pages", size=5)
    place.options = {"chunk_rows": 5}
    place.open()

    class Killed(Exception):
        pass

    def killer(after):
        passed = 0

        def observe(step):
            nonlocal passed
            passed += step == "chunk.stored"
            if passed == after and step == "chunk.stored":
                raise Killed

        return observe

    for after in (1, 1, 1):
        run = place.sync_one(way.customer, observe=killer(after))
        assert run.status == "error"
        assert set(scene.alive()) <= set(scene.inside)
    scene.set(scene.inside[0], way.other)
    scene.sync()
    scene.sync()
    wanted = scene.inside if leaving == "keep" else scene.inside[1:]
    assert scene.alive() in (sorted(wanted), sorted(scene.inside[1:])), "it may have left before it was ever read"


@VENDORS
def test_check_and_runs_say_who_applies_what(place, way, command_line):
    parts = [{"field": way.field, "equals": way.wanted}, {"any": [{"field": way.field, "contains": "É"}]}]
    scene = Scene(place, way, filter=parts)
    run = scene.sync()
    title = place.project.providers[way.provider].title
    assert run.notices[0].startswith(f"The filter is applied by {title}: {way.field} equals")
    assert "and before load:" in run.notices[0]
    told = command_line.at(place)("check", "--live")
    assert told.code == 0, told.text
    assert f"by {title}" in told.text
    assert "before load" in told.text
    assert command_line("sync", "crm", "--first", 3).code == 0
    told = command_line("runs", "--details", "--limit", 1)
    assert "skipped" in told.text
    assert "A test run: at most 3 records" in told.text
    assert command_line("sync", "crm", "--first", 3, "--full").code == 2
