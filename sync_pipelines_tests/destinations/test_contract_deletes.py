"""What every destination answers for when a full read did not bring a row: marked or removed, behind the brake."""

from dataclasses import replace

import pytest

from sync_pipelines.model.errors import DeleteBrake
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    EVERY_DESTINATION_KIND,
    alive,
    at,
    full_read,
    ignore,
    incremental,
    load,
    reading,
    row,
    rows,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", EVERY_DESTINATION_KIND)


def test_what_a_full_read_did_not_bring_is_marked_deleted(landing):
    full_read(landing, rows(1, 2, 3))
    assert full_read(landing, rows(1, 3), name="second") == 1
    assert alive(landing) == ["1", "3"]
    gone = stored(landing)["2"]
    assert gone["is_deleted"] is True
    assert gone["last_modified_at"] == at(0)
    assert landing.checkpoint == replace(DONE, version=4)


def test_what_is_marked_deleted_already_is_not_counted_again(landing):
    full_read(landing, rows(1, 2, 3))
    full_read(landing, rows(1, 2), name="second")
    before = stored(landing)["3"]
    assert full_read(landing, rows(1, 2), name="third") == 0
    assert stored(landing)["3"] == before


def test_a_deleted_record_that_comes_back_unchanged_lives_again(landing):
    full_read(landing, rows(1, 2, 3))
    full_read(landing, rows(1, 2), name="second")
    assert load(landing, rows(3), DONE) == Counts(updated=1)
    assert alive(landing) == ["1", "2", "3"]


def test_hard_deletes_remove_rows_and_those_marked_deleted_too(landing):
    full_read(landing, [*rows(1, 2, 3), row("4", deleted=True), row("5", deleted=True)])
    assert full_read(landing, [*rows(1, 2), row("5", deleted=True)], name="second", hard=True) == 3
    assert sorted(stored(landing)) == ["1", "2"]


@pytest.mark.parametrize("hard", [False, True])
def test_more_deletes_than_the_brake_allows_change_nothing(landing, hard):
    full_read(landing, rows(1, 2, 3, 4))
    load(landing, rows(1), reading("second"))
    before, checkpoint = stored(landing), landing.checkpoint
    with pytest.raises(DeleteBrake, match=r"3 of 4 .*75%.*raise delete_brake"):
        landing.delete_unseen(DONE, hard=hard, brake=0.5)
    assert stored(landing) == before
    assert landing.checkpoint == checkpoint
    assert landing.delete_unseen(DONE, hard=hard, brake=0.75) == 3


def test_an_empty_full_read_of_an_account_that_had_rows_is_stopped_by_the_brake(landing):
    full_read(landing, rows(1, 2))
    with pytest.raises(DeleteBrake, match="2 of 2"):
        full_read(landing, [], name="second", brake=0.99)
    assert alive(landing) == ["1", "2"]


def test_an_empty_full_read_of_an_empty_account_is_fine(landing):
    assert full_read(landing, [], brake=0.0) == 0
    assert landing.checkpoint == replace(DONE, version=2)


def test_the_brake_counts_only_rows_that_are_not_deleted_yet(landing):
    full_read(landing, [*rows(1, 2), *(row(str(id), deleted=True) for id in range(10, 30))])
    with pytest.raises(DeleteBrake, match="2 of 2"):
        full_read(landing, [row("10", deleted=True)], name="second")


def test_a_full_read_goes_on_in_another_landing_with_the_ids_it_has_seen(destination):
    with destination.open(scope(), CONTACTS, "run-0", ignore) as landing:
        full_read(landing, rows(1, 2, 3, 4, 5), name="first")
        load(landing, rows(1, 2), reading("second", resume={"after": "2"}))
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        assert landing.checkpoint.reading.id == "second"
        assert landing.checkpoint.reading.resume == {"after": "2"}
        load(landing, rows(3), reading("second"))
        load(landing, rows(4), reading("second", complete=True))
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert landing.checkpoint.reading.complete
        assert landing.delete_unseen(DONE, hard=False, brake=0.5) == 1
        assert alive(landing) == ["1", "2", "3", "4"]


def test_ids_of_a_read_that_was_given_up_do_not_count_for_the_next(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        full_read(landing, rows(1, 2, 3))
        load(landing, rows(1, 2, 3), reading("given up"))
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert full_read(landing, rows(1, 2), name="anew") == 1
        assert alive(landing) == ["1", "2"]


def test_an_id_that_moved_to_another_page_and_came_twice_is_seen(landing):
    load(landing, rows(1, 2), reading())
    load(landing, rows(2, 3), reading())
    assert landing.delete_unseen(DONE, hard=False, brake=0.0) == 0


def test_deletes_without_a_full_read_are_refused_as_a_mistake_of_the_caller(landing):
    load(landing, rows(1), incremental())
    with pytest.raises(ValueError, match="full read"):
        landing.delete_unseen(DONE, hard=False, brake=1.0)
