"""What a plan says of rows that go is what the next runs take away, exactly or at most."""

import pytest

from sync_pipelines.plans.plan import BRAKE, FOLLOWING, LEAVING, LINKS, MIRRORING, NEXT_FULL_READ, NEXT_RUN, WHEN_ASKED
from sync_pipelines.plans.sentences import removals
from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER
from sync_pipelines_tests.plans.conftest import CONTACT
from sync_pipelines_tests.plans.observing import applied, planned

BOTH = (ACME, BRIGHTWATER)
EVERY_HOUR = {"every": "1 hour"}
SOME = {"field": "LastName", "contains": "a"}


def stock(place, *customers, table="crm_contact"):
    """({ids of rows}, {ids of those that are marked as deleted}), each with its customer."""
    rows = [row for customer in customers for row in place.rows(table, customer)]
    ids = {(row["_sync_customer_id"], row["id"]) for row in rows}
    return ids, {(row["_sync_customer_id"], row["id"]) for row in rows if row["is_deleted"]}


def write(place, **document):
    place.write_sync(**{"objects": [CONTACT], "schedule": EVERY_HOUR} | document)


def only(found):
    (one,) = found
    return one


def run(place, *customers, **options):
    for done in place.sync(*customers, **options):
        assert done.status == "success", done.error_message


def test_mirror_removes_exactly_what_is_marked_and_counts_that_move_refuse_nothing(settled):
    place = settled
    before, marked = stock(place, *BOTH)
    assert marked
    write(place, mode="mirror")
    plan = planned(place)
    told = only(plan.removals)
    assert (told.fate, told.why, told.by, told.customers) == ("delete", (MIRRORING,), WHEN_ASKED, BOTH)
    assert (told.known, told.most, told.caused) == (len(marked), len(before), True)
    assert removals(plan) == [
        f"crm contact: {len(marked):,} row(s) of 2 customer(s) that are marked as deleted are removed by a full read "
        f"that is asked for (none comes by itself), and of {len(before - marked):,} others those whose records are "
        "gone by then"
    ]
    write(place, mode="mirror", full_refresh_every=10)
    assert only(planned(place).removals).by == NEXT_FULL_READ
    write(place, mode="mirror", strategy="full refresh")
    plan = planned(place)
    assert only(plan.removals).by == NEXT_RUN
    one = sorted(before - marked)[0]
    place.execute("UPDATE crm.crm_contact SET is_deleted = true WHERE id = %s", one[1])
    assert only(planned(place).removals).known == len(marked) + 1
    applied(place, plan)
    place.execute("UPDATE crm.crm_contact SET is_deleted = false WHERE id = %s", one[1])
    assert not planned(place).removals, "what is in effect is no change"
    run(place, *BOTH)
    assert stock(place, *BOTH) == (before - marked, set())


def test_what_runs_remove_already_because_nothing_was_ever_applied_is_told_as_waiting(unhurried):
    place = unhurried
    place.connect(ACME)
    place.project.plan("crm")
    run(place, ACME)
    rows, marked = stock(place, ACME)
    place.write_sync(mode="mirror", strategy="full refresh")
    told = only(planned(place).removals)
    assert (told.why, told.known, told.most, told.caused) == ((MIRRORING,), len(marked), len(rows), False)
    run(place, ACME)
    assert stock(place, ACME) == (rows - marked, set())


@pytest.mark.parametrize("leaving", ["mark", "delete"])
def test_a_filter_takes_away_at_most_what_its_plan_says_and_waits_when_applied(settled, leaving):
    place = settled
    before, marked = stock(place, *BOTH)
    mine, my_marked = stock(place, ACME)
    filtered = [{**CONTACT, "filter": SOME, "leaving": leaving}]
    write(place, objects=filtered, overrides={BRIGHTWATER: {"filters": {"contact": None}}})
    plan = planned(place)
    told = only(plan.removals)
    assert (told.fate, told.why, told.by, told.customers) == (leaving, (LEAVING,), NEXT_RUN, (ACME,))
    most = mine if leaving == "delete" else mine - my_marked
    assert (told.known, told.most, told.caused) == (0, len(most), True)
    applied(place, plan)
    plan = planned(place)
    assert (plan.changes, only(plan.removals).caused, only(plan.removals).most) == (False, False, len(most))
    assert removals(plan)[0].endswith("those whose records do not fit filter or history (waiting already)")
    run(place, *BOTH)
    after, now_marked = stock(place, *BOTH)
    gone = before - after if leaving == "delete" else now_marked - marked
    assert gone
    assert gone <= most
    assert (before - after if leaving == "mark" else now_marked - marked) == set()
    assert not planned(place).removals

    other = "mark" if leaving == "delete" else "delete"
    write(place, objects=[{**filtered[0], "leaving": other}])
    plan = planned(place)
    assert {(each.fate, each.customers) for each in plan.removals} == {(other, BOTH)}
    left, left_marked = stock(place, *BOTH)
    most = left if other == "delete" else left - left_marked
    assert only(plan.removals).most == len(most)
    run(place, *BOTH)
    after, now_marked = stock(place, *BOTH)
    gone = left - after if other == "delete" else now_marked - left_marked
    assert gone
    assert gone <= most
    write(place, objects=[{**filtered[0], "filter": {"field": "LastName", "is_set": True}, "leaving": "keep"}])
    assert planned(place).reads
    assert not planned(place).removals, "whatever leaves, its row stays"


def test_a_filter_of_a_mirror_removes_leavers_and_what_is_marked(settled):
    place = settled
    before, marked = stock(place, *BOTH)
    write(place, objects=[{**CONTACT, "filter": SOME}], mode="mirror")
    told = only(planned(place).removals)
    assert (told.fate, told.why, told.by) == ("delete", (MIRRORING, LEAVING), NEXT_RUN)
    assert (told.known, told.most) == (len(marked), len(before))
    run(place, *BOTH)
    after, now_marked = stock(place, *BOTH)
    assert len(before - after) > len(marked)
    assert before - after >= marked
    assert not now_marked
    write(place, objects=[{**CONTACT, "filter": SOME, "leaving": "delete"}], mode="append")
    assert not planned(place).removals, "rows that are only added never go"


def test_a_sync_of_another_name_and_a_higher_brake_tell_what_they_may_take(settled):
    place = settled
    before, marked = stock(place, *BOTH)
    write(place, delete_brake=0.9)
    told = only(planned(place).removals)
    live = [len(ids - gone) for ids, gone in (stock(place, customer) for customer in BOTH)]
    assert (told.fate, told.why, told.most) == ("mark", (BRAKE,), sum(int(0.9 * rows) for rows in live))
    assert (told.caused, told.by) == (True, WHEN_ASKED)
    write(place, delete_brake=0.1)
    assert not planned(place).removals
    write(place, customers=[BRIGHTWATER])
    plan = planned(place)
    assert (plan.changes, plan.removals) == (True, ()), "rows of those who are taken out stay"
    applied(place, plan)
    run(place, BRIGHTWATER, full=True)
    assert stock(place, *BOTH) == (before, marked)
    (place.folder / "syncs" / "crm.yaml").unlink()
    write(place, name="people", objects=[{**CONTACT, "filter": SOME}], mode="mirror")
    told = only(planned(place).removals)
    assert (told.sync, told.why, told.by) == ("people", (MIRRORING, LEAVING), NEXT_RUN)
    assert (told.known, told.most) == (len(marked), len(before))
    run(place, *BOTH, name="people")
    after, _ = stock(place, *BOTH)
    assert marked < before - after


def test_rows_that_were_only_added_follow_their_records_in_another_mode(unhurried):
    place = unhurried
    write(place, mode="append")
    place.connect(ACME)
    applied(place, planned(place))
    run(place, ACME)
    before, marked = stock(place, ACME)
    gone = {(ACME, id) for id in sorted(id for _, id in before)[:3]}
    for _, id in gone:
        place.control.record(ACME, "Contact", operation="purge", id=id)
    write(place, mode="upsert")
    plan = planned(place)
    told = only(plan.removals)
    assert (told.fate, told.why, told.known, told.most) == ("mark", (FOLLOWING,), 0, len(before))
    assert not marked
    write(place, mode="mirror")
    assert (only(planned(place).removals).fate, only(planned(place).removals).known) == ("delete", 0)
    write(place, mode="upsert")
    applied(place, plan)
    run(place, ACME, full=True)
    assert stock(place, ACME)[1] >= gone


def test_links_to_objects_that_are_not_asked_for_any_more_go(settled):
    place = settled
    links = "contact.associations"
    write(place, objects=[{**CONTACT, "associations": True}])
    applied(place, planned(place))
    run(place, *BOTH, object_name=links)
    table = place.project.table("crm", links).name
    before = {(row["_sync_customer_id"], row["id"]): row["to_object"] for row in place.rows(table)}
    kept, *others = sorted({*before.values()} - {None})
    assert others
    write(place, objects=[{**CONTACT, "associations": [kept]}], delete_brake=1)
    told = only([each for each in planned(place).removals if each.object == links])
    assert (told.fate, told.why, told.most) == ("delete", (LINKS, BRAKE), len(before))
    run(place, *BOTH, object_name=links, full=True)
    after = {(row["_sync_customer_id"], row["id"]): row["to_object"] for row in place.rows(table)}
    assert set(after.values()) == {kept}
    assert before.keys() > after.keys()
