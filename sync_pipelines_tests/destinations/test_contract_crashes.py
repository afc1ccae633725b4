"""What every destination answers for when a process dies in the middle of it."""

import pytest

from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    EVERY_DESTINATION_KIND,
    Crash,
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


LOAD_STEPS = ["load.fenced", "load.keys_sent", "load.staged", "load.upserted", "load.checkpointed"]


@pytest.mark.parametrize("step", LOAD_STEPS)
def test_a_load_that_dies_leaves_all_as_it_was(destination, step):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), reading())
        before = stored(landing)
    chunk = [row("2", name="Bea", minute=1), row("3")]
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at(step)) as landing:
        load(landing, chunk, reading(), merged=[("1", "3")])
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert stored(landing) == before
        assert landing.checkpoint.version == 1
        assert load(landing, chunk, reading()) == Counts(created=1, updated=1)
        assert landing.delete_unseen(DONE, hard=False, brake=0.0) == 0


@pytest.mark.parametrize("step", ["delete.marked", "delete.checkpointed"])
@pytest.mark.parametrize("hard", [False, True])
def test_a_delete_that_dies_leaves_all_as_it_was(destination, step, hard):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        full_read(landing, rows(1, 2, 3))
        load(landing, rows(1, 2), reading("second"))
        before = stored(landing)
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at(step)) as landing:
        landing.delete_unseen(DONE, hard=hard, brake=0.5)
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        assert stored(landing) == before
        assert landing.delete_unseen(DONE, hard=hard, brake=0.5) == 1


@pytest.mark.parametrize("step", ["load.committed", "delete.committed"])
def test_what_was_committed_before_a_death_is_there(destination, step):
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-1", crash_at(step)) as landing:
        full_read(landing, rows(1))
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert names(landing) == {"1": "Ann"}
        assert landing.checkpoint.version == (1 if step == "load.committed" else 2)


def test_every_step_is_told_in_its_order(destination):
    steps = []
    with destination.open(scope(), CONTACTS, "run-1", steps.append) as landing:
        full_read(landing, rows(1))
    assert steps == [
        "destination.table_ready",
        "destination.opened",
        *LOAD_STEPS,
        "load.committed",
        "delete.marked",
        "delete.checkpointed",
        "delete.committed",
    ]
