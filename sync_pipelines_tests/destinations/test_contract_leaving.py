"""The contract of every destination, for records that left a filter and for those that are passed over."""

from dataclasses import replace

import pytest

from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DESTINATION_KINDS,
    DONE,
    Crash,
    alive,
    crash_at,
    ignore,
    incremental,
    load,
    reading,
    row,
    rows,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", DESTINATION_KINDS)


@pytest.fixture
def landing(destination):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as opened:
        yield opened


def test_rows_of_who_is_gone_are_marked_once_and_none_is_made(landing):
    load(landing, rows(1, 2, 3), incremental())
    before = stored(landing)
    assert load(landing, [], incremental(landing.checkpoint), gone=["1", "9"]) == Counts(deleted=1)
    found = stored(landing)
    assert found.keys() == before.keys()
    assert alive(landing) == ["2", "3"]
    passing = {"is_deleted": None, "_sync_hash": None, "_sync_emitted_at": None}
    assert found["1"] | passing == before["1"] | passing, "the content stays"
    assert load(landing, [], incremental(landing.checkpoint), gone=["1", "9"]) == Counts()


def test_who_is_gone_comes_back_unchanged(landing):
    load(landing, rows(1, 2), incremental())
    load(landing, [], incremental(landing.checkpoint), gone=["1"])
    assert load(landing, rows(1, 2), incremental(landing.checkpoint)) == Counts(updated=1, unchanged=1)
    assert alive(landing) == ["1", "2"]


def test_only_the_scopes_own_rows_are_marked(destination):
    for customer in ("acme", "globex"):
        with destination.open(scope(customer), CONTACTS, "run-1", ignore) as landing:
            load(landing, rows(1), incremental())
    with destination.open(scope("acme"), CONTACTS, "run-2", ignore) as landing:
        load(landing, [], incremental(landing.checkpoint), gone=["1"])
        assert alive(landing) == []
    with destination.open(scope("globex"), CONTACTS, "run-2", ignore) as landing:
        assert alive(landing) == ["1"]


def test_rows_are_loaded_marked_and_removed_together(landing):
    load(landing, rows(1, 2, 3), incremental())
    found = load(landing, [row("4")], incremental(landing.checkpoint), gone=["1"], removed=["2"])
    assert found == Counts(created=1, deleted=2)
    assert alive(landing) == ["3", "4"]
    assert sorted(stored(landing)) == ["1", "3", "4"]


def test_who_is_passed_counts_as_seen(landing):
    load(landing, rows(1, 2, 3, 4), incremental())
    known = landing.checkpoint
    load(landing, rows(1), replace(reading("full"), version=known.version), passed=["2", "99"])
    load(landing, [], replace(reading("full"), version=landing.checkpoint.version), passed=["3"])
    assert landing.delete_unseen(DONE, hard=False, brake=1.0) == 1
    assert alive(landing) == ["1", "2", "3"]
    assert "99" not in stored(landing)


def test_who_is_passed_is_nothing_to_an_incremental_read(landing):
    load(landing, rows(1), incremental())
    assert load(landing, [], incremental(landing.checkpoint), passed=["1", "2"]) == Counts()
    assert alive(landing) == ["1"]


def test_who_is_gone_does_not_count_for_the_brake(landing):
    load(landing, rows(1, 2, 3, 4), incremental())
    known = landing.checkpoint
    load(landing, rows(1), replace(reading("full"), version=known.version), gone=["2", "3", "4"])
    assert landing.delete_unseen(DONE, hard=False, brake=0.0) == 0
    assert alive(landing) == ["1"]


@pytest.mark.parametrize("step", ["load.fenced", "load.upserted", "load.checkpointed"])
def test_a_marking_that_dies_leaves_all_as_it_was(destination, step):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), incremental())
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at(step)) as landing:
        load(landing, [], incremental(landing.checkpoint), gone=["1"])
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert alive(landing) == ["1", "2"]
