"""Records that share one time, that become visible late, or that change while they are read: none lost, none twice."""

from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest

from sync_pipelines.engine import ahead
from sync_pipelines.engine.ahead import read_ahead
from sync_pipelines.providers.salesforce import bulk
from sync_pipelines.sandbox.serving import serve
from sync_pipelines.sandbox.world import Recipe
from sync_pipelines_tests.fixtures.place import ACME, LUMEN, made_place

BOTH = pytest.mark.parametrize(
    ("customer", "provider", "vendor_object"),
    [(ACME, "salesforce", "Contact"), (LUMEN, "hubspot", "contacts")],
    ids=["salesforce", "hubspot"],
)
NAMES = {"Contact": "LastName", "contacts": "lastname"}
SEARCH_CAP = 10_000


@pytest.fixture(scope="module")
def big_world():
    sizes = {ACME: {"Contact": 5_400}, LUMEN: {"contacts": SEARCH_CAP + 900}}
    with serve(Recipe(seed=3, scale=0.01, sizes=sizes)) as control:
        yield control


@pytest.fixture
def big_place(big_world, make_database, tmp_path):
    big_world.reset()
    with made_place(big_world, make_database, tmp_path / "syncs") as made:
        made.sleep = lambda seconds: None
        yield made


def few_fields(vendor_object):
    """The object in a table of its own, so that many records are read quickly."""
    schema = {"version": 1, "fields": ["name"]}
    return [{"object": vendor_object, "common_schema": False, "raw_fields": False, "custom_schema": schema}]


def held(place, customer):
    """What the destination holds, by id."""
    (item,) = place.project.sync("crm").objects
    rows = place.rows(place.project.table("crm", item.object).name, customer)
    found = {row["id"]: (row["last_modified_at"], row["is_deleted"], row["name"]) for row in rows}
    assert len(found) == len(rows)
    return found


def true(place, customer, vendor_object):
    """What the CRM holds, by id."""
    return {
        one["id"]: (datetime.fromisoformat(one["modified"]), one["deleted"], one["fields"][NAMES[vendor_object]])
        for one in place.control.truth(customer, vendor_object)
    }


def connect(place, customer, provider, *, chunk_rows=5_000, **sync):
    place.options["chunk_rows"] = chunk_rows
    place.sleep = lambda seconds: None
    place.write_sync(provider=provider, **sync)
    place.connect(customer)


def held_ids(place, customer):
    return [row["id"] for row in place.rows("crm_contact", customer) if not row["is_deleted"]]


def settles(place, customer):
    """The next runs have nothing to do."""
    return [place.sync_one(customer).counts.changed for _ in range(2)] == [0, 0]


class PowerCut(Exception):
    pass


def power_cut_at(step, passing):
    def cut():
        raise PowerCut

    return once(step, cut, passing)


def once(step, act, passing=0):
    """An observer that acts at the n-th passing of a step."""
    passings = count()

    def observe(now):
        if now == step and next(passings) == passing:
            act()

    return observe


@pytest.fixture
def one_chunk_ahead(monkeypatch):
    """What is done when a chunk is stored comes before the vendor is asked for the chunk after the next."""
    monkeypatch.setattr(ahead, "read_ahead", partial(read_ahead, most=1))


@pytest.mark.parametrize(
    ("customer", "provider", "vendor_object", "ties", "bulk_above", "pages"),
    [
        (ACME, "salesforce", "Contact", 5_000, 100_000, 4),
        (ACME, "salesforce", "Contact", 5_000, 2_000, 4),
        (LUMEN, "hubspot", "contacts", SEARCH_CAP + 500, 2_000, 20),
    ],
    ids=["salesforce rest", "salesforce bulk", "hubspot above the search cap"],
)
def test_thousands_of_records_with_one_time_are_read_once_each_although_the_read_is_cut_off_among_them(
    big_place, monkeypatch, customer, provider, vendor_object, ties, bulk_above, pages
):
    place = big_place
    monkeypatch.setattr(bulk, "MOST_ROWS", 500)
    place.control.fault(customer, "short_pages", size=500)
    place.options["chunk_rows"] = 700
    place.write_sync(provider=provider, bulk_above=bulk_above, objects=few_fields(vendor_object))
    place.connect(customer)
    place.map(customer, provider, vendor_object, name=NAMES[vendor_object])
    place.sync_one(customer)
    ids = place.control.ties(customer, vendor_object, ties)
    expected = true(place, customer, vendor_object)
    assert len({expected[id][0] for id in ids}) == 1
    assert place.sync_one(customer, observe=power_cut_at("page.read", pages)).status == "error"
    so_far = held(place, customer)
    landed = Counter(so_far[id] == expected[id] for id in ids)
    assert landed[True] >= 700
    assert landed[False] >= 700
    rest = place.sync_one(customer)
    assert (rest.status, rest.full, rest.counts.updated) == ("success", False, landed[False])
    assert held(place, customer) == expected
    assert settles(place, customer)


@BOTH
def test_the_ties_of_a_first_read_are_read_once_each_over_short_pages(place, customer, provider, vendor_object):
    connect(place, customer, provider, chunk_rows=9)
    place.control.ties(customer, vendor_object, 40)
    place.control.fault(customer, "short_pages", size=7)
    run = place.sync_one(customer)
    assert (run.counts.created, run.counts.updated) == (len(list(place.control.truth(customer, vendor_object))), 0)
    assert place.differences(customer) == []
    assert settles(place, customer)


@BOTH
@pytest.mark.parametrize("late_by", [1, 60, 590], ids=lambda seconds: f"{seconds} s late")
def test_a_record_that_becomes_visible_after_the_cursor_passed_its_time_is_read(
    place, customer, provider, vendor_object, late_by
):
    connect(place, customer, provider)
    place.sync_one(customer)
    (known,) = place.control.change(customer, vendor_object, updated=1)["updated"]
    visible = place.control.now() + timedelta(seconds=late_by)
    for record in ({"id": known, "fields": {NAMES[vendor_object]: "Late"}}, {"fields": {NAMES[vendor_object]: "New"}}):
        place.control.record(customer, vendor_object, visible=visible, **record)
    place.control.clock(advance=late_by - 0.5)
    assert place.sync_one(customer).counts.created == 0
    place.control.clock(advance=1)
    late = place.sync_one(customer)
    assert (late.counts.created, late.counts.updated) == (1, 1)
    assert place.differences(customer) == []
    assert settles(place, customer)


def test_what_hubspots_search_shows_late_is_read_when_it_shows(place):
    connect(place, LUMEN, "hubspot")
    place.sync_one(LUMEN)
    place.control.settings(LUMEN, search_lag=30)
    place.control.change(LUMEN, "contacts", updated=6, created=4)
    assert place.sync_one(LUMEN).counts.changed == 0
    place.control.clock(advance=40)
    assert place.sync_one(LUMEN).counts.changed == 10
    assert place.differences(LUMEN) == []
    assert settles(place, LUMEN)


def change_all_kinds(place, customer, vendor_object, seed):
    """Each time the vendor's clock goes on by a second, which is all that the syncs here look back."""
    place.control.change(customer, vendor_object, seed=seed, updated=5, created=2, deleted=1, merged=1)


def change_at_every_page(place, customer, vendor_object):
    """An observer: records before and behind the place of the read are changed while it goes on."""
    seeds = count(1)

    def observe(step):
        if step == "page.read":
            change_all_kinds(place, customer, vendor_object, next(seeds))

    return observe


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@pytest.mark.parametrize(
    ("customer", "provider", "vendor_object", "bulk_above"),
    [
        (ACME, "salesforce", "Contact", 100_000),
        (ACME, "salesforce", "Contact", 0),
        (LUMEN, "hubspot", "contacts", 2_000),
    ],
    ids=["salesforce rest", "salesforce bulk", "hubspot"],
)
def test_records_that_change_while_they_are_read_are_true_after_the_next_run(
    place, monkeypatch, one_chunk_ahead, customer, provider, vendor_object, full, bulk_above
):
    monkeypatch.setattr(bulk, "CELLS_PER_PAGE", 1)
    connect(place, customer, provider, chunk_rows=15, bulk_above=bulk_above, overlap="1 s")
    place.sync_one(customer)
    place.control.change(customer, vendor_object, updated=60)
    place.control.fault(customer, "short_pages", size=10)
    disturb = change_at_every_page(place, customer, vendor_object)
    assert place.sync_one(customer, full=full, observe=disturb).status == "success"
    assert place.sync_one(customer).status == "success"
    assert place.differences(customer) == []
    assert settles(place, customer)


@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
@BOTH
def test_records_that_change_before_a_read_that_was_cut_off_goes_on_are_true_after_the_next_run(
    place, customer, provider, vendor_object, full
):
    connect(place, customer, provider, chunk_rows=15, overlap="1 s")
    place.sync_one(customer)
    place.control.change(customer, vendor_object, updated=60)
    place.control.fault(customer, "short_pages", size=10)
    for seed in (1, 2):
        cut = place.sync_one(customer, full=full, observe=power_cut_at("chunk.stored", 1))
        assert cut.status == "error"
        change_all_kinds(place, customer, vendor_object, seed)
        place.control.clock(advance=60)
    assert [place.sync_one(customer).status for _ in range(2)] == ["success"] * 2
    assert place.differences(customer) == []
    assert settles(place, customer)


@BOTH
@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_vendor_whose_clock_is_wrong_is_read_by_its_own_clock(place, customer, provider, vendor_object, minutes):
    place.control.clock(advance=60 * minutes)
    connect(place, customer, provider)
    place.sync_one(customer)
    for seed in range(1, 4):
        place.control.change(customer, vendor_object, seed=seed, updated=4, created=2, deleted=1)
        run = place.sync_one(customer)
        assert (run.counts.created, run.counts.updated) == (2, 5)
    assert place.differences(customer) == []
    assert settles(place, customer)


@BOTH
@pytest.mark.parametrize("overlap", ["10 minutes", "1 s"])
def test_changes_within_the_very_second_of_a_read_are_read(place, customer, provider, vendor_object, overlap):
    connect(place, customer, provider, overlap=overlap)
    place.control.clock(set=place.control.now().replace(microsecond=400_000), frozen=True)
    place.sync_one(customer)
    (id, *_) = held_ids(place, customer)
    for word in ("one", "two", "three"):
        place.control.record(customer, vendor_object, id=id, fields={NAMES[vendor_object]: word})
        place.control.record(customer, vendor_object, fields={NAMES[vendor_object]: word})
        run = place.sync_one(customer)
        assert (run.counts.created, run.counts.updated) == (1, 1)
    place.control.record(customer, vendor_object, id=id, fields={NAMES[vendor_object]: "last"})
    place.control.clock(advance=900)
    assert place.sync_one(customer).counts.updated == 1
    assert place.differences(customer) == []
    assert settles(place, customer)


@BOTH
def test_a_record_that_vanishes_during_a_full_read_is_deleted_and_no_other(
    place, one_chunk_ahead, customer, provider, vendor_object
):
    connect(place, customer, provider, chunk_rows=15)
    place.sync_one(customer)
    place.control.fault(customer, "short_pages", size=10)
    last = held_ids(place, customer)[-1]
    vanish = once("chunk.stored", lambda: place.control.record(customer, vendor_object, operation="purge", id=last))
    runs = [place.sync_one(customer, full=True, observe=vanish), place.sync_one(customer, full=True)]
    assert runs[1].status == "success"
    assert sum(run.counts.deleted for run in runs) == 1
    assert {row["id"] for row in place.rows("crm_contact") if row["is_deleted"]} == {
        last,
        *(truth["id"] for truth in place.control.truth(customer, vendor_object) if truth["deleted"]),
    }
    assert settles(place, customer)


def test_what_a_short_read_did_not_bring_is_not_deleted_by_the_next_run(place, one_chunk_ahead):
    connect(place, ACME, "salesforce", chunk_rows=15)
    place.sync_one(ACME)
    place.control.fault(ACME, "short_pages", size=10)
    hidden = held_ids(place, ACME)[60:65]
    fields = {truth["id"]: truth["fields"] for truth in place.control.truth(ACME, "Contact")}

    def hide():
        for id in hidden:
            place.control.record(ACME, "Contact", operation="purge", id=id)

    short = place.sync_one(ACME, full=True, observe=once("chunk.stored", hide))
    assert (short.status, short.error_type) == ("error", "vendor_error")
    assert "Nothing was deleted" in short.error_message
    for id in hidden:
        place.control.record(ACME, "Contact", id=id, fields={"LastName": fields[id]["LastName"]})
    again = place.sync_one(ACME)
    assert (again.status, again.full, again.counts.deleted) == ("success", True, 0)
    assert set(hidden) <= set(held_ids(place, ACME))
    assert place.differences(ACME) == []


@BOTH
def test_after_the_brake_the_next_run_looks_again(place, customer, provider, vendor_object):
    connect(place, customer, provider)
    place.sync_one(customer)
    gone = held_ids(place, customer)[::2] + held_ids(place, customer)[1::4]
    for id in gone:
        place.control.record(customer, vendor_object, operation="purge", id=id)
    assert "delete_brake" in place.sync_one(customer, full=True).error_message
    assert "delete_brake" in place.sync_one(customer).error_message
    for id in gone:
        place.control.record(customer, vendor_object, id=id, fields={NAMES[vendor_object]: "Back"})
    back = place.sync_one(customer)
    assert (back.status, back.full, back.counts.deleted) == ("success", True, 0)
    assert place.differences(customer) == []
    assert settles(place, customer)
