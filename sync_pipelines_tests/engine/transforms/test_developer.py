"""A data team's own pandas functions: found in files, named in errors, and harmful to no value but the guilty ones."""

import json
import subprocess
import sys
from decimal import Decimal

import pandas
import pytest

import sync_pipelines
from sync_pipelines import own_transforms
from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms import compile_transforms, marks_of
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform


@pytest.fixture
def register(monkeypatch):
    """A registry of this test alone."""
    for name, empty in (("_registered", {}), ("_folders", []), ("_loaded", set())):
        monkeypatch.setattr(own_transforms, name, empty)
    return sync_pipelines.transform


def compiled(name, sources=("Field",), **options):
    return compile_transforms([Transform(name=name, options=options)], sources)


def test_a_function_of_a_column(register):
    seen = []

    @register("halved")
    def halved(column, *, parts=2):
        seen.append((column.name, column.dtype, list(column)))
        return column.map(lambda value: None if value is None else value / parts)

    assert list(compiled("halved").column([[Decimal(5), None, 4]])) == [Decimal("2.5"), None, 2]
    assert seen == [("Field", object, [Decimal(5), None, 4])]
    assert compiled("halved", parts=4).value(8) == 2


def test_a_function_of_a_frame(register):
    @register("full", frame=True)
    def full(frame):
        return frame["First"].str.upper() + " " + frame["Owner.Name"]

    transform = compiled("full", ("First", "Owner.Name"))
    assert list(transform.column([["ada", "bob"], ["Lovelace", None]])) == ["ADA Lovelace", None]


def test_only_the_guilty_values_do_not_fit(register):
    calls = []

    @register("inverse")
    def inverse(column):
        calls.append(len(column))
        if (column == 0).any():
            raise ZeroDivisionError("a zero")
        return 1 / column

    transform = compiled("inverse")
    values = [Decimal(2)] * 5_000
    values[17] = values[4_321] = Decimal(0)
    with pytest.raises(Misfit, match=r"the transform inverse \(.*test_developer.py\) fail: ZeroDivisionError: a zero"):
        transform.column([values])
    calls.clear()
    made = transform.each([values])
    assert [row for row, value in enumerate(made) if isinstance(value, Misfit)] == [17, 4_321]
    assert {value for value in made if not isinstance(value, Misfit)} == {Decimal("0.5")}
    assert len(calls) < 60, "found by halving, not one by one"


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda column: column.dropna(), "returned 1 values for 2, or with another index"),
        (lambda column: column.sort_values(ascending=False, na_position="last")[::-1], "another index"),
        (lambda column: column.reset_index(drop=True).set_axis(["a", "b"]), "another index"),
        (lambda column: list(column), "it returned list, not a Series"),
        (lambda column: None, "it returned NoneType, not a Series"),
        (lambda column: sys.exit(3), "makes the transform wrong .* fail: SystemExit: 3"),
        (lambda column: column.map(lambda value: object()), "became something that no column holds"),
        (lambda column: column.map(lambda value: float("inf")), "became something that no column holds"),
        (lambda column: column.map(lambda value: "a\x00b"), "became something that no column holds"),
        (lambda column: column.map(lambda value: ["\ud800"]), "became something that no column holds"),
    ],
)
def test_what_is_no_result_says_so(register, function, reason):
    register("wrong")(function)
    with pytest.raises(Misfit, match=reason):
        compiled("wrong").column([["x", None]])


def test_results_become_plain_values(register):
    results = [1.5, float("nan"), pandas.NA, pandas.NaT, pandas.Timestamp("2026-05-01T10:00Z"), True, 7, ["a", 1]]

    @register("mixed")
    def mixed(column):
        return pandas.Series(results, dtype=object)

    @register("whole")
    def whole(column):
        return pandas.Series([1, 2])

    made = compiled("mixed").column([[None] * len(results)])
    assert made == [Decimal("1.5"), None, None, None, "2026-05-01T10:00:00+00:00", True, 7, ["a", 1]]
    assert [type(value) for value in compiled("whole").column([[0, 0]])] == [int, int]


def test_a_function_cannot_change_what_it_was_given(register):
    @register("greedy")
    def greedy(column):
        column[:] = "changed"
        return column

    given = ["a", "b"]
    assert compiled("greedy").column([given]) == ["changed", "changed"]
    assert given == ["a", "b"]


def test_options_are_checked_when_saved(register):
    @register("strict")
    def strict(column, *, wanted):
        return column

    with pytest.raises(ConfigurationError, match=r"strict: its function in .* missing a required argument: 'wanted'"):
        compiled("strict")
    with pytest.raises(ConfigurationError, match="unexpected keyword argument 'other'"):
        compiled("strict", wanted=1, other=2)
    with pytest.raises(ConfigurationError, match="register it with frame=True"):
        compiled("strict", ("a", "b"), wanted=1)


def test_a_new_version_is_a_new_mark(register):
    register("versioned", version=2)(lambda column: column)
    assert marks_of([Transform(name="versioned")], None) == ["version 2"]


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    own_transforms.look_in(folder)


def test_files_are_imported_when_a_rule_first_names_one(register, tmp_path):
    trace = tmp_path / "trace"
    write(
        tmp_path / "transforms",
        "ours.py",
        f"from sync_pipelines import transform\nwith open({str(trace)!r}, 'a') as file:\n    file.write('x')\n"
        "@transform('shouted')\ndef shouted(column):\n    return column.str.upper()\n",
    )
    compiled("mask")
    assert not trace.exists()
    assert compiled("shouted").value("a") == "A"
    assert compiled("shouted").value("b") == "B"
    assert trace.read_text() == "x"
    with pytest.raises(ConfigurationError, match=r'no transform named shoutd\. Did you mean "shouted"'):
        compiled("shoutd")


def test_a_file_that_cannot_be_imported_is_named_with_its_line_and_tried_again(register, tmp_path):
    folder = tmp_path / "transforms"
    write(folder, "broken.py", "from sync_pipelines import transform\n\n1 / 0\n")
    with pytest.raises(ConfigurationError, match=r"broken.py:3: ZeroDivisionError: division by zero"):
        compiled("whatever")
    write(folder, "broken.py", "def (:\n")
    with pytest.raises(ConfigurationError, match=r"broken.py:1: SyntaxError"):
        compiled("whatever")
    write(folder, "broken.py", "from sync_pipelines import transform\ntransform('whatever')(lambda column: column)\n")
    assert compiled("whatever").value(1) == 1


def test_names_are_taken_once(register, tmp_path):
    with pytest.raises(ConfigurationError, match="mask is a transform that is there already"):
        register("mask")(lambda column: column)
    folder = tmp_path / "transforms"
    text = "from sync_pipelines import transform\n@transform('twice')\ndef f(column):\n    return column\n"
    write(folder, "a.py", text)
    write(folder, "b.py", text)
    with pytest.raises(ConfigurationError, match=r"Two transforms are named twice: rename .*a.py or in .*b.py"):
        compiled("twice_or_not")


def test_pandas_waits_until_such_a_transform_is_used(tmp_path):
    """Its import takes longer than a thousand attempts that find nothing."""
    (tmp_path / "ours.py").write_text(
        "from sync_pipelines import transform\n@transform('same')\ndef same(column):\n    return column\n"
    )
    program = (
        "import json, sys, pathlib\n"
        "import sync_pipelines.engine.inbound, sync_pipelines.project\n"
        "from sync_pipelines.engine.transforms import compile_transforms, marks_of\n"
        "from sync_pipelines.model.mapping import Transform\n"
        "from sync_pipelines.own_transforms import look_in\n"
        f"look_in(pathlib.Path({str(tmp_path)!r}))\n"
        "told = lambda: [name for name in ('pandas', 'liquid', 'babel', 'phonenumbers') if name in sys.modules]\n"
        "steps = [told()]\n"
        "marks_of([Transform(name='same')], None)\n"
        "made = compile_transforms([Transform(name='same')], 1)\n"
        "steps.append(told())\n"
        "made.value(1)\n"
        "steps.append(told())\n"
        "print(json.dumps(steps))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], [], ["pandas"]]
