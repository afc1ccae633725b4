"""What every destination answers for where rows are told in groups, each of which replaces all it told before."""

from dataclasses import replace

import pytest

from sync_pipelines.model.common_model import Column
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DESTINATION_KINDS,
    DONE,
    Crash,
    crash_at,
    ignore,
    load,
    reading,
    row,
    scope,
    stored,
)

pytestmark = pytest.mark.parametrize("destination_kind", DESTINATION_KINDS)


GROUPED = replace(
    CONTACTS, name="links", columns=(*CONTACTS.columns, Column("source_id", "text")), grouped_by="source_id"
)


def told(**groups):
    return [(*row(f"{owner}:{id}", name=owner), owner) for owner, ids in groups.items() for id in ids]


def ids_in(landing):
    return sorted(id.rpartition(":")[2] for id in stored(landing))


def put(landing, checkpoint=DONE, regrouped=(), **groups):
    return load(landing, told(**groups), checkpoint, table=GROUPED, regrouped=regrouped)


@pytest.fixture
def grouped(destination):
    with destination.open(scope(), GROUPED, "run-1", ignore) as landing:
        put(landing, a=["a1", "a2"], b=["b1"], c=["c1"])
        yield landing


def test_a_group_keeps_nothing_that_it_no_longer_tells(grouped):
    counts = put(grouped, regrouped=["a", "b"], a=["a2", "a3"])
    assert (counts.created, counts.unchanged, counts.deleted) == (1, 1, 2)
    assert ids_in(grouped) == ["a2", "a3", "c1"]
    assert put(grouped, regrouped=["a", "b"], a=["a2", "a3"]).changed == 0
    assert put(grouped, regrouped=["c"]).deleted == 1
    assert ids_in(grouped) == ["a2", "a3"]


def test_hostile_groups_are_only_groups(grouped):
    names = ["'; DROP TABLE x; --", "{a,b}", 'a"b', "a\\", "NULL", "%s", "a:", "a:a", ":"]
    for name in names:
        put(grouped, regrouped=[name], **{name: [f"of {name}"]})
    assert len(stored(grouped)) == 4 + len(names)
    assert put(grouped, regrouped=names).deleted == len(names)


@pytest.mark.parametrize("other", [{"customer_id": "zeta"}, {"application_id": "other"}, {"provider": "salesforce"}])
def test_groups_of_another_scope_are_left_alone(destination, grouped, other):
    with destination.open(scope(**other), GROUPED, "run-1", ignore) as landing:
        put(landing, a=["a1"])
        put(landing, regrouped=["a", "b"])
        assert stored(landing) == {}
    assert ids_in(grouped) == ["a1", "a2", "b1", "c1"]


@pytest.mark.parametrize("step", ["load.fenced", "load.upserted", "load.checkpointed"])
def test_a_crash_leaves_a_group_as_it_was(destination, step):
    with destination.open(scope(), GROUPED, "run-1", ignore) as landing:
        put(landing, a=["a1", "a2"])
    with (
        pytest.raises(Crash),
        destination.open(scope(), GROUPED, "run-2", crash_at(step)) as landing,
    ):
        put(landing, regrouped=["a"], a=["a3"])
    with destination.open(scope(), GROUPED, "run-3", ignore) as landing:
        assert ids_in(landing) == ["a1", "a2"]
        put(landing, regrouped=["a"], a=["a3"])
        assert ids_in(landing) == ["a3"]


def test_groups_are_replaced_while_a_full_read_goes_on(grouped):
    put(grouped, reading(), regrouped=["a"], a=["a9"])
    assert grouped.delete_unseen(DONE, hard=True, brake=1.0) == 2
    assert ids_in(grouped) == ["a9"]
