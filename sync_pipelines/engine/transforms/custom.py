"""Values computed by an expression."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import Field

from sync_pipelines.engine.casting import Misfit
from sync_pipelines.engine.transforms.arithmetic import is_number, to_number
from sync_pipelines.engine.transforms.bounds import QUICK_WORK
from sync_pipelines.engine.transforms.expression import Expression
from sync_pipelines.engine.transforms.parsing import LONGEST_SOURCE
from sync_pipelines.engine.transforms.registry import TEXTS, Example, Given, Kind, Options, Step, add

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
    expression = _compiled(options.expression, given)
    run, work = expression.run, max(QUICK_WORK, expression.work)
    left = work - expression.work
    if len(given.names) == 1:
        return Step(
            lambda value: expression(value, value),
            lambda columns: [run([value, value, left]) for value in columns[0]],
            work=work,
            counted=lambda allowed, values: expression.counted(allowed, (*values, *values)),
        )
    return Step(
        expression,
        lambda columns: [run([*values, left]) for values in zip(*columns, strict=True)],
        work=work,
        counted=expression.counted,
    )


def _calculation(options: _Calculation, given: Given) -> Step:
    expression, single = _compiled(options.expression, given), len(given.names) == 1
    run, work = expression.run, max(QUICK_WORK, expression.work)
    left = work - expression.work
    missing = 0 if options.missing == "zero" else None

    def of_numbers(values: Sequence[Any]) -> list[Any]:
        row = [_number(value, missing) for value in values]
        return [*row, *row] if single else row

    def calculate(*values: Any) -> Any:
        return _a_number(run([*of_numbers(values), left]))

    def counted(allowed: int, values: Sequence[Any]) -> tuple[Any, int]:
        try:
            result, rest = expression.counted(allowed, of_numbers(values))
            return result if isinstance(result, Misfit) else _a_number(result), rest
        except Misfit as misfit:
            return misfit, allowed

    return Step(calculate, lambda columns: list(map(calculate, *columns)), work=work, counted=counted)


def _a_number(result: Any) -> Any:
    if result is not None and not is_number(result):
        raise Misfit("gives no number in the calculation; custom gives other values")
    return result


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
