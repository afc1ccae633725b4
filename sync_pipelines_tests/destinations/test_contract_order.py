"""What every destination answers for in whatever order versions of records come."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    KINDS_THAT_ORDER,
    ignore,
    load,
    names,
    row,
    scope,
)

pytestmark = pytest.mark.parametrize("destination_kind", KINDS_THAT_ORDER)

ONLY_ADDED = replace(CONTACTS, append=True)
customers = count(1)
version = st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 5))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.lists(version, max_size=3, unique_by=lambda pair: pair[0]), max_size=8))
def test_whatever_the_order_the_newest_version_of_each_record_stays(destination, loads):
    # One content per version, so that what must remain does not depend on the order of equal timestamps.
    with destination.open(scope(f"customer {next(customers)}"), CONTACTS, "run-1", ignore) as landing:
        for versions in loads:
            load(landing, [row(id, minute=minute, name=f"{id}{minute}") for id, minute in versions], DONE)
        newest = {}
        for id, minute in (pair for versions in loads for pair in versions):
            newest[id] = max(minute, newest.get(id, 0))
        assert names(landing) == {id: f"{id}{minute}" for id, minute in newest.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.lists(version, max_size=3, unique_by=lambda pair: pair[0]), max_size=8))
def test_whatever_the_order_the_first_version_of_each_record_stays_where_rows_are_only_added(destination, loads):
    with destination.open(scope(f"customer {next(customers)}"), ONLY_ADDED, "run-1", ignore) as landing:
        first, told = {}, Counts()
        for versions in loads:
            told += load(landing, [row(id, minute=minute, name=f"{id}{minute}") for id, minute in versions], DONE)
            first = {id: f"{id}{minute}" for id, minute in versions} | first
        assert names(landing) == first
        assert told == Counts(created=len(first), unchanged=sum(map(len, loads)) - len(first))
