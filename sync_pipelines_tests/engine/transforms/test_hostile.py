"""What means harm is refused when it is saved, or bounded when it runs, and the process lives."""

import json
import subprocess
import sys

import pytest

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms import compile_transforms
from sync_pipelines.engine.transforms.expression import MOST_WORK, Expression
from sync_pipelines.engine.transforms.functions import LONGEST_TEXT
from sync_pipelines.engine.transforms.parsing import MOST_DEPTH, MOST_NODES
from sync_pipelines.engine.transforms.rendering import MOST_WORK as MOST_WORK_OF_A_TEMPLATE
from sync_pipelines.engine.transforms.rendering import rendered
from sync_pipelines.engine.transforms.template import parse_template
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform
from sync_pipelines_tests.engine.transforms.hostile import BOUNDED, REFUSED, VALUES, cases


def test_every_hostile_one_ends_as_it_should_and_the_process_lives():
    wanted = cases()
    assert len({(case.kind, case.source) for case in wanted}) == len(wanted) >= 200
    done = subprocess.run(
        [sys.executable, "-m", "sync_pipelines_tests.engine.transforms.hostile"], capture_output=True, text=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, told[-1]) == (0, {"alive": BOUNDED}), done.stderr[-2000:] + str(told[-1:])
    assert [
        (case.kind, case.source[:100], each["outcome"])
        for case, each in zip(wanted, told, strict=False)
        if each["outcome"] != case.expected
    ] == []


def test_a_refusal_says_which_transform_and_what_is_wrong():
    for case in cases():
        if case.expected == REFUSED:
            option = "expression" if case.kind == "custom" else case.kind
            with pytest.raises(ConfigurationError, match=rf"^Transform 1, {case.kind}: .{{10,}}") as refused:
                compile_transforms([Transform(name=case.kind, options={option: case.source})], tuple(VALUES))
            assert len(str(refused.value)) < 1_500


def test_the_work_of_an_expression_is_counted_and_ends():
    names, ended = tuple(VALUES), []
    for case in cases():
        if (case.kind, case.expected) == ("custom", BOUNDED):
            made, left = Expression(case.source, names).counted(MOST_WORK, tuple(VALUES.values()))
            assert 0 <= left < MOST_WORK
            if isinstance(made, Misfit):
                ended.append(str(made))
    assert len([reason for reason in ended if "more work" in reason]) >= 5
    assert len([reason for reason in ended if f"more than {LONGEST_TEXT} characters" in reason]) >= 10


def test_the_work_of_a_template_is_counted_and_ends():
    source = "{% for i in c limit: 900 %}{{ a | upcase | size }}{% endfor %}"
    with pytest.raises(Misfit, match="more work"):
        _rendered(source, VALUES)
    assert 50_000 < _rendered("{{ a | upcase }}", VALUES)[1] < MOST_WORK_OF_A_TEMPLATE


def test_a_template_may_still_loop_over_a_long_list():
    text, work = _rendered("{% for i in c %}{{ i }};{% endfor %}", {"c": [str(number) for number in range(900)]})
    assert text.count(";") == 900
    assert work < MOST_WORK_OF_A_TEMPLATE


def _rendered(source, values):
    left = [MOST_WORK_OF_A_TEMPLATE]
    text = rendered(parse_template(source, tuple(values)), source.count("{{") + source.count("{%"), values, left)
    return text, MOST_WORK_OF_A_TEMPLATE - left[0]


def test_an_expression_at_the_bounds_is_taken():
    assert Expression(" + ".join(["1"] * (MOST_DEPTH - 1)), [])() == MOST_DEPTH - 1
    with pytest.raises(ValueError, match="deep inside each other"):
        Expression(" + ".join(["1"] * (MOST_DEPTH + 1)), [])
    items = MOST_NODES - 1
    assert len(Expression(f"[{','.join(['1'] * items)}]", [])()) == items
    with pytest.raises(ValueError, match="parts"):
        Expression(f"[{','.join(['1'] * (MOST_NODES + 1))}]", [])
