"""What every destination answers for where rows are only added."""

from dataclasses import replace

import pytest

from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    EVERY_DESTINATION_KIND,
    Crash,
    alive,
    another_hash,
    crash_at,
    full_read,
    ignore,
    load,
    names,
    reading,
    row,
    rows,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", EVERY_DESTINATION_KIND)


ONLY_ADDED = replace(CONTACTS, append=True)


def test_rows_are_only_added_to_a_table_that_is_append(destination):
    """New versions, merges and deletes change no byte of what is stored, not even its run."""
    with destination.open(scope(), ONLY_ADDED, "run-1", ignore) as landing:
        first = [row("1"), row("2", errors=b'{"a": {}, "b": {}}'), row("3")]
        assert load(landing, first, DONE) == Counts(created=3)
        before = stored(landing)
    with destination.open(scope(), ONLY_ADDED, "run-2", ignore) as landing:
        again = [
            row("1", minute=5, name="Bea"),
            row("2", minute=5, deleted=True, errors=b'{"a": {}}'),
            row("4"),
            another_hash(first[2]),
        ]
        found = load(landing, again, DONE, merged=[("1", "4"), ("2", "4")], removed=["3"])
        assert found == Counts(created=1, unchanged=3, invalid=2)
        now = stored(landing)
        assert now.pop("4")["_sync_run_id"] == "run-2"
        assert now == before


def test_a_full_read_of_a_table_that_is_append_deletes_nothing(destination):
    """It goes on in another landing as any other, and ends without a delete by difference."""
    with destination.open(scope(), ONLY_ADDED, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading("first", resume={"after": "2"}))
    with destination.open(scope(), ONLY_ADDED, "run-2", ignore) as landing:
        assert landing.checkpoint.reading.id == "first"
        assert landing.checkpoint.reading.resume == {"after": "2"}
        assert load(landing, rows(2, 3), reading("first")) == Counts(created=1, unchanged=1)
        with pytest.raises(ValueError, match="full read"):
            landing.delete_unseen(DONE, hard=True, brake=1.0)
        load(landing, [], DONE)
        load(landing, rows(3), reading("second"))
        load(landing, [], DONE)
        assert alive(landing) == ["1", "2", "3"]


def test_a_table_may_become_append_and_be_an_ordinary_one_again(destination):
    """Also in the middle of a full read; then each version that comes is taken again."""
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        full_read(landing, rows(1, 2))
        load(landing, rows(1), reading("second"))
    with destination.open(scope(), ONLY_ADDED, "run-2", ignore) as landing:
        assert landing.checkpoint.reading.id == "second"
        assert load(landing, rows(2, minute=1, name="Bea"), reading("second")) == Counts(unchanged=1)
        load(landing, rows(3), DONE)
        assert alive(landing) == ["1", "2", "3"]
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert full_read(landing, rows(2, 3, minute=1, name="Bea"), name="third") == 1
        assert names(landing) == {"1": "Ann", "2": "Bea", "3": "Bea"}
        assert alive(landing) == ["2", "3"]


@pytest.mark.parametrize("step", ["load.keys_sent", "load.upserted", "load.checkpointed"])
def test_what_is_added_to_an_append_table_is_added_once_whatever_crashes(destination, step):
    with (
        destination.open(scope(), ONLY_ADDED, "run-1", crash_at(step)) as landing,
        pytest.raises(Crash),
    ):
        load(landing, rows(1, 2), DONE)
    with destination.open(scope(), ONLY_ADDED, "run-2", ignore) as landing:
        assert landing.checkpoint is None
        assert load(landing, rows(1, 2, 3), DONE) == Counts(created=3)
        assert load(landing, rows(3, 2, 1), DONE) == Counts(unchanged=3)
