"""How much work all rules of a record may take together, and what becomes of the values beyond."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms import compile_transforms
from sync_pipelines.engine.transforms.bounds import (
    FREE_WORK,
    MOST_WORK_OF_RECORD,
    MOST_WORK_OF_RULE,
    TooMuch,
    allowance,
    largest,
    size_of,
)
from sync_pipelines.engine.transforms.expression import MOST_WORK
from sync_pipelines.model.destination import ROW_HEAD
from sync_pipelines.model.mapping import Transform
from sync_pipelines_tests.engine.transforms.hostile import mapper_of

LONG = "x" * 60_000
HEAVY = [
    {"name": "custom", "expression": f"left({' + '.join(['left(upper(a), 5)'] * 6)}, 5) + a"},
    *[{"name": "custom", "expression": "upper(lower(value))"}] * 3,
]
LIGHT = {"source": "s", "transform": [{"name": "custom", "expression": "upper(value)"}, "mask"]}
OF_THE_RECORD = "work than the 4000000 characters that all rules of a record may take"
TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.just(Decimal("1.5"))),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


def heavy(fields):
    return {f"heavy {number}": {"source": "a", "transform": HEAVY} for number in range(fields)}


def texts_of(*values):
    return [json.dumps({"id": str(number), "a": a, "s": "short"}).encode() for number, a in enumerate(values)]


def made(mapper, texts):
    """(values by record, errors by record)."""
    columns = mapper(texts, [0] * len(texts)).columns
    values = [msgspec.json.decode(text) for text in columns[ROW_HEAD + 1]]
    return values, [msgspec.json.decode(text) if text else {} for text in columns[1]]


def test_rules_beyond_the_work_of_a_record_are_null_with_the_reason_and_the_others_stay():
    mapper = mapper_of({**heavy(9), "light": LIGHT})
    (values,), (errors,) = made(mapper, texts_of(LONG))
    full = [name for name, value in values.items() if value is not None]
    assert "light" in full
    assert 2 <= len(full) < 9, "some fit into what a record may take, and others do not"
    assert full == [*list(values)[: len(full) - 1], "light"], "the first ones do"
    error = errors["additional_fields"]
    assert OF_THE_RECORD in error["reason"]
    assert "heavy 8: " in error["reason"]
    assert error["value"] == LONG[:10_000]


def test_a_record_gives_the_same_alone_and_among_others():
    mapper = mapper_of({"light": LIGHT, **heavy(6), "plain": "a"})
    texts = texts_of("y", LONG, "y" * 20_000, None, LONG, "z" * 4_000)
    together = made(mapper, texts)
    assert together == made(mapper, texts)
    alone = [made(mapper, [text]) for text in texts]
    assert together == ([values for (values,), _ in alone], [errors for _, (errors,) in alone])
    assert [bool(errors) for errors in together[1]] == [False, True, False, False, True, False]


def test_what_a_rule_takes_is_taken_off_and_what_is_free_is_not():
    rule = compile_transforms([Transform(name="custom", options={"expression": "upper(a)"})], ("a",))
    left = [MOST_WORK_OF_RECORD] * 3
    assert rule.each([["x", None, LONG]], left) == ["X", None, LONG.upper()]
    assert left[:2] == [MOST_WORK_OF_RECORD] * 2
    assert MOST_WORK_OF_RECORD - 4 * len(LONG) < left[2] < MOST_WORK_OF_RECORD - 2 * len(LONG)
    nothing = [0]
    assert rule.each([["x" * 1_000]], nothing) == ["X" * 1_000]
    (refused,) = rule.each([[LONG]], nothing)
    assert isinstance(refused, TooMuch)
    assert nothing == [0]


def test_the_steps_of_a_rule_share_what_it_may_take():
    step = {"expression": "upper(value)"}
    rule = compile_transforms([Transform(name="custom", options=step)] * 20, ("a",))
    with pytest.raises(Misfit, match=f"more work than the {MOST_WORK_OF_RULE} characters that a rule may take"):
        rule.value("x" * 90_000)
    assert rule.value("x" * 900) == "X" * 900


def test_a_refused_expression_takes_all_that_it_might_have_taken():
    expression = " or ".join(["a == 'x' + upper(a)"] * 25)
    rule = compile_transforms([Transform(name="custom", options={"expression": expression})], ("a",))
    left = [MOST_WORK_OF_RECORD]
    (result,) = rule.each([[LONG]], left)
    assert isinstance(result, TooMuch)
    assert left == [MOST_WORK_OF_RECORD - MOST_WORK + FREE_WORK]
    assert rule.each([["short"]], left) == [False]
    assert left == [MOST_WORK_OF_RECORD - MOST_WORK + FREE_WORK]


@given(VALUES, st.integers(0, 200))
def test_a_size_is_no_less_than_what_is_written_of_it(value, most):
    size = size_of(value)
    written = msgspec.json.encode(value).decode()
    assert len(written) <= 2 + 6 * size + len("false")
    assert (size_of(value, most) > most) == (size > most)
    assert largest([value]) >= min(size, FREE_WORK)


def test_what_is_left_is_never_less_than_what_is_free():
    assert allowance(0) == FREE_WORK
    assert allowance(MOST_WORK_OF_RECORD) == MOST_WORK_OF_RULE
