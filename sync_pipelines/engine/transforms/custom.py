"""Values computed by an expression."""

from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import Field

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.arithmetic import is_number, to_number
from sync_pipelines.engine.transforms.expression import LONGEST_SOURCE, Expression
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Given, Kind, Options, Step, add, step_of_many

NUMBERS: Final = TEXTS | {"numeric", "bigint"}


class _Custom(Options):
    expression: str = Field(
        min_length=1, max_length=LONGEST_SOURCE, description="what to compute, with the sources by their names"
    )


class _Calculation(_Custom):
    missing: Literal["null", "zero"] = Field("null", description="what a number that is missing counts as")


def _compiled(source: str, given: Given) -> Expression:
    """A single source is known by its name and as `value`."""
    names = [*given.names, "value"] if len(given.names) == 1 and "value" not in given.names else list(given.names)
    try:
        return Expression(source, names)
    except ValueError as problem:
        raise ValueError(f"the expression {problem}") from None


def _custom(options: _Custom, given: Given) -> Step:
    run = _compiled(options.expression, given).run
    if len(given.names) == 1:
        return Step(
            lambda value: run([value, value, 0]), lambda columns: [run([value, value, 0]) for value in columns[0]]
        )
    return Step(
        lambda *values: run([*values, 0]), lambda columns: [run([*values, 0]) for values in zip(*columns, strict=True)]
    )


def _calculation(options: _Calculation, given: Given) -> Step:
    run, single = _compiled(options.expression, given).run, len(given.names) == 1
    missing = 0 if options.missing == "zero" else None

    def calculate(*values: Any) -> Any:
        row = [_number(value, missing) for value in values]
        result = run([*row, *row, 0] if single else [*row, 0])
        if result is not None and not is_number(result):
            raise Misfit("gives no number in the calculation; custom gives other values")
        return result

    return step_of_many(calculate)


def _number(value: Any, missing: int | None) -> Any:
    number = None if value is None else to_number(value)
    return missing if number is None else number


add(
    Kind(
        name="custom",
        options=_Custom,
        make=_custom,
        told="A value computed by an expression in the language of this page.",
        examples=(
            Example(
                ("Ada", "Lovelace"), "LOVELACE, Ada", {"expression": "upper(Last) + ', ' + First"}, ("First", "Last")
            ),
            Example(("Closed Won",), True, {"expression": "Stage in ['Closed Won', 'Signed']"}, ("Stage",)),
            Example((12,), "small", {"expression": "'large' if Employees >= 250 else 'small'"}, ("Employees",)),
            Example(("ada@acme.example",), "acme.example", {"expression": "split(value, '@')[1]"}, ("Email",)),
        ),
        many=True,
        gives=None,
        personal=False,
    )
)
add(
    Kind(
        name="calculation",
        options=_Calculation,
        make=_calculation,
        told="A number computed by an expression in the same language. Texts of the sources are read as numbers.",
        examples=(
            Example(("1200.50", 3), Decimal("3601.5"), {"expression": "Price * Quantity"}, ("Price", "Quantity")),
            Example((10, None), None, {"expression": "a / b"}, ("a", "b")),
            Example((10, None), 10, {"expression": "a + b", "missing": "zero"}, ("a", "b")),
            Example((2,), Decimal("0.67"), {"expression": "round(value / 3, 2)"}),
        ),
        many=True,
        gives=NUMBERS,
        personal=False,
    )
)
