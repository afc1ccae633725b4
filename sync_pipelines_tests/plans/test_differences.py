"""Two configurations compared."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.plans.differences import differences, document_changes

LEAF = (
    st.none()
    | st.booleans()
    | st.integers(0, 3)
    | st.sampled_from(["a", "b"])
    | st.lists(st.integers(0, 2), max_size=2)
)
TREE = st.recursive(LEAF, lambda inner: st.dictionaries(st.sampled_from("pqr"), inner, max_size=3), max_leaves=8)
OBJECTS = st.dictionaries(st.sampled_from("pqr"), TREE, max_size=3)


def put(value, path, new, *, there):
    *way, last = path.split(".")
    for step in way:
        value = value[step]
    if there:
        value[last] = new
    else:
        value.pop(last)


def at(value, path):
    for step in path.split("."):
        if step not in value:
            return False
        value = value[step]
    return True


@given(OBJECTS, OBJECTS)
def test_the_differences_are_all_there_is_between_two_values(old, new):
    found = list(differences(old, new))
    assert (found == []) == (old == new)
    made = copy.deepcopy(old)
    for each in found:
        put(made, each.path, each.new, there=at(new, each.path))
    assert made == new
    assert len({each.path for each in found}) == len(found)


def sync(destination="warehouse", objects=("contact",), **rest):
    return {"provider": "salesforce", "destination": destination, "objects": {name: {} for name in objects}, **rest}


def changes(old, new):
    empty = {"providers": {}, "destinations": {}}
    return [
        (each.action, each.name, each.was, [field.path for field in each.fields])
        for each in document_changes({**empty, "syncs": old}, {**empty, "syncs": new})
    ]


def test_a_sync_under_another_name_is_renamed_if_only_one_can_be_meant():
    assert changes({"a": sync()}, {"b": sync(mode="mirror")}) == [("renamed", "b", "a", ["mode"])]
    assert changes({"a": sync()}, {"b": sync(objects=("lead",))}) == [
        ("removed", "a", None, []),
        ("created", "b", None, []),
    ]
    assert changes({"a": sync(), "b": sync()}, {"c": sync()}) == [
        ("removed", "a", None, []),
        ("removed", "b", None, []),
        ("created", "c", None, []),
    ]
    assert changes({"a": sync()}, {"a": sync(), "b": sync()}) == [("created", "b", None, [])]
    assert changes({"a": sync()}, {"a": sync()}) == []
