"""The simulation keeps its own promise: a seed decides everything."""

import re
from pathlib import Path

import pytest

from sync_pipelines_tests.simulation.__main__ import BROKEN_ONCE, SHAPED_BROKEN_ONCE, main
from sync_pipelines_tests.simulation.life import lived
from sync_pipelines_tests.simulation.reading import read_in_turns

TWICE = (17, 123)
"""Many more are lived by `make simulate`, those that were broken once among them."""


def test_a_seed_lived_twice_has_one_trace(ground):
    """Although other lives lie between: every action, every request with its answer's status, every outcome."""
    first = {seed: lived(ground, seed) for seed in TWICE}
    for seed in reversed(TWICE):
        again = lived(ground, seed)
        assert again.trace == first[seed].trace
        assert len(again.requests) > 10
    assert len({story.trace for story in first.values()}) == len(TWICE)


def test_the_other_life_of_a_seed_has_one_trace_too_and_is_another_one(ground):
    first = lived(ground, 16, shaped=True)
    assert lived(ground, 16, shaped=False).trace != first.trace
    assert lived(ground, 16, shaped=True).trace == first.trace
    assert (first.broken, "SHAPED=yes" in first.told()) == ("", True)


def test_another_life_that_was_broken_once_is_whole(ground):
    assert lived(ground, 381, shaped=True).broken == ""


def test_the_command_lives_every_seed_that_the_page_calls_broken_once():
    page = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    lines = [line.split("|") for line in page.splitlines() if re.match(r"\| \d[\d,]* to ", line)]
    assert len(lines) >= 10
    assert [int(seed) for line in lines for seed in line[4].replace(",", " ").split()] == list(BROKEN_ONCE)
    shaped = re.search(r"Of the lives with shapes .*?broken, ([\d, ]+),", page, re.DOTALL).group(1)
    assert [int(seed) for seed in shaped.split(",")] == list(SHAPED_BROKEN_ONCE)


def test_the_command_tells_the_story_of_one_seed_and_how_it_went(capsys):
    assert main(["--seed", "17"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Seed 17\n")
    assert "Again: make simulate SEED=17" in told
    assert "1 seeds (17 to 17), 0 broken" in told


def failing():
    yield from (1, 2)
    raise ValueError("the source broke")


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_reading_in_turns_hands_out_what_came_before_an_error(ahead):
    with read_in_turns(failing(), len, ahead=ahead) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(ValueError, match="the source broke"):
            next(items)


def test_reading_in_turns_reads_ahead_by_so_many_and_closes_its_source():
    made, closed = [], []

    def source():
        try:
            for number in range(10):
                made.append(number)
                yield number
        finally:
            closed.append(True)

    with read_in_turns(source(), len, ahead=2) as items:
        assert next(items) == 0
        assert made == [0, 1, 2]
        assert next(items) == 1
        assert made == [0, 1, 2, 3]
    assert closed == [True]
