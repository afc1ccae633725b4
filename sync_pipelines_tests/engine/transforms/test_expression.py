"""The language of custom and calculation: what it gives, and what becomes of values that do not go together."""

import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.expression import Expression
from sync_pipelines.engine.transforms.functions import FUNCTIONS


def value(source, **names):
    return Expression(source, list(names))(*names.values())


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_gives_what_is_printed(name):
    function = FUNCTIONS[name]
    given = value(function.call)
    assert (given, type(given)) == (function.gives, type(function.gives))


@pytest.mark.parametrize("name", sorted(name for name, each in FUNCTIONS.items() if not each.nulls))
def test_a_function_of_nothing_gives_nothing(name):
    arguments = ", ".join(["null"] * FUNCTIONS[name].least)
    assert value(f"{name}({arguments})") is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1.1 + 2.2", Decimal("3.3")),
        ("0.1 * 3 == 0.3", True),
        ("7 / 2", Decimal("3.5")),
        ("6 / 3", Decimal(2)),
        ("-7 // 2", -4),
        ("-7.0 // 2", Decimal(-4)),
        ("-7 % 3", 2),
        ("-7.5 % 2", Decimal("0.5")),
        ("10000000000000000000000000000001 * 1.1", Decimal("11000000000000000000000000000001.1")),
        ("1_000 + 1", 1001),
        ("null + 1", None),
        ("null < 1", False),
        ("null == null", True),
        ("null is None", True),
        ("1 is not null", True),
        ("'5' == 5", False),
        ("true == 1", False),
        ("1 in [true, 2]", False),
        ("'b' in ['a', 'b']", True),
        ("'b' not in 'abc'", False),
        ("1 < 2 < 3", True),
        ("1 < 2 > 5", False),
        ("'a' or 'b'", "a"),
        ("'' or null or 'b'", "b"),
        ("'a' and 'b'", "b"),
        ("not ''", True),
        ("'yes' if 2 > 1 else 1 / 0", "yes"),
        ("[1, 'a'][1]", "a"),
        ("[1][5]", None),
        ("'abc'[-1]", "c"),
        ("(\n1 +\n2)", 3),
        ("1 # said beside it", 1),
    ],
)
def test_the_language(source, expected):
    given = value(source)
    assert (given, type(given)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("a + 1", "cannot be added: a text and a number"),
        ("a * 2", "cannot be multiplied: a text and a number"),
        ("true + 1", "cannot be added: true or false and a number"),
        ("a < 1", "compared with a value of another kind"),
        ("1 / 0", "divided by zero"),
        ("1 // 0", "divided by zero"),
        ("1.5 % 0", "divided by zero"),
        ("number(a)", "not a plain number"),
        ("1 in a", "looked for in a text"),
        ("a[a]", "cannot be asked for"),
        ("[1] == [1]", "a list or an object"),
        ("9e999 * 9e999", "more than 1000 digits"),
        ("year(a)", "ISO 8601"),
    ],
)
def test_values_that_do_not_go_together_are_misfits(source, reason):
    with pytest.raises(Misfit, match=reason):
        value(source, a="text")


@given(st.integers(-(10**30), 10**30), st.integers(-(10**6), 10**6))
def test_whole_numbers_and_decimals_are_divided_alike(left, right):
    if right:
        for operator in ("//", "%"):
            whole = value(f"a {operator} b", a=left, b=right)
            assert whole == value(f"a {operator} b", a=Decimal(left), b=right)
            assert whole == eval(f"{left} {operator} {right}")


DECIMALS = st.decimals(-(10**20), 10**20, places=6)


@given(DECIMALS, DECIMALS)
def test_sums_and_products_are_exact(left, right):
    a, b = Fraction(left), Fraction(right)
    assert Fraction(value("a + b", a=left, b=right)) == a + b
    assert Fraction(value("a - b", a=left, b=right)) == a - b
    assert Fraction(value("a * b", a=left, b=right)) == a * b


@given(st.text(max_size=40))
def test_no_text_is_anything_but_an_expression_or_a_refusal(source):
    try:
        compiled = Expression(source, ["a"])
    except ValueError:
        return
    try:
        compiled("text")
    except Misfit:
        return


def test_a_refusal_tells_the_place():
    with pytest.raises(ValueError, match="at character 5: there are no attributes"):
        Expression("1 + a.b", ["a"])
    with pytest.raises(ValueError, match=r'does not know the name Amuont\. Did you mean "Amount"'):
        Expression("Amuont * 2", ["Amount"])
    with pytest.raises(ValueError, match="without the name of one source"):
        Expression("field(a)", ["a"])


@pytest.mark.parametrize("source", ["1) + (2", "value) or (value", "(value)) + ((value)"])
def test_brackets_must_close_what_they_opened(source):
    with pytest.raises(ValueError, match="a bracket closes that was not opened"):
        Expression(source, ["value"])
    assert value("(value) + (2)", value=1) == 3


def test_what_python_finds_odd_reaches_nobodys_screen():
    code = (
        "from sync_pipelines.engine.transforms.expression import Expression\n"
        "print(Expression(chr(34) + chr(92) + 'd' + chr(34) + ' + value if 1else 2', ['value'])('x'))"
    )
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("\\dx\n", "")
