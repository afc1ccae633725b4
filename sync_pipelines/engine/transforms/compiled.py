"""A rule's transforms, one after the other, compiled once: for a whole block, for one row, or sifting a block."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from sync_pipelines.config.problems import did_you_mean, listed
from sync_pipelines.config.rules import MOST_TRANSFORMS
from sync_pipelines.engine.casting import CASTS, Misfit, to_text
from sync_pipelines.engine.transforms.bounds import (
    FREE_WORK,
    MOST_WORK_OF_RECORD,
    MOST_WORK_OF_RULE,
    WORK_OF_MADE,
    TooMuch,
    allowance,
    largest,
    size_of,
    too_much,
)
from sync_pipelines.engine.transforms.developer import developers_kind
from sync_pipelines.engine.transforms.registry import KINDS, UNSTORABLE, Given, Kind, Options, Step, is_storable
from sync_pipelines.engine.transforms.wording import told_mistakes
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.mapping import Transform
from sync_pipelines.model.secret import Secret
from sync_pipelines.own_transforms import own_names

VALUE: Final = "value"
"""What expressions and templates call a value that has no name: the result of the transform before."""
_UNCOUNTED: Final = "may take more work than is done without counting"


@dataclass(frozen=True)
class Compiled:
    """Transforms that are ready to be applied. Results are JSON values; a cast makes a column's type of them.

    `personal`: values of the sources must not be shown, because hiding them is what a transform is for.
    """

    steps: tuple[Step, ...]
    personal: bool = False

    def column(self, columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """For a block of rows, a column for each source.

        Misfit if any value does not fit, or may take more work than is free: `each` then counts it.
        """
        made, work = columns[0], 0
        for step in self.steps:
            size = 0 if step.counted else sum(map(largest, columns))
            work += step.work + size
            if work + WORK_OF_MADE * step.growth * size > FREE_WORK:
                raise TooMuch(_UNCOUNTED)
            made = step.column(columns)
            work += WORK_OF_MADE * largest(made)
            columns = (made,)
        if work > FREE_WORK:
            raise TooMuch(_UNCOUNTED)
        return made

    def value(self, *values: Any) -> Any:
        """For one row, a value for each source. Misfit if it does not fit."""
        made = self.each([[value] for value in values])[0]
        if isinstance(made, Misfit):
            raise made
        return made

    def each(self, columns: Sequence[Sequence[Any]], left: list[int] | None = None) -> list[Any]:
        """As `column`, but a row that does not fit gives its Misfit and keeps no other from being made.

        `left`: the work that each row's rules may still take together; what this one takes is taken off.
        """
        made: list[Any] = list(zip(*columns, strict=True))
        left = [MOST_WORK_OF_RECORD] * len(made) if left is None else left
        allowed = list(map(allowance, left))
        rest = list(allowed)
        for step in self.steps:
            rows = _those_that_may(step, made, rest, allowed)
            for row, result in zip(rows, _made_of(step, rows, made, rest), strict=True):
                size = 0 if isinstance(result, Misfit) else WORK_OF_MADE * size_of(result, rest[row])
                result = too_much(allowed[row]) if size > rest[row] or _by_record(result, allowed[row]) else result
                made[row] = result if isinstance(result, Misfit) else (result,)
                rest[row] -= min(size, rest[row])
        for row, (most, unspent) in enumerate(zip(allowed, rest, strict=True)):
            left[row] -= max(0, most - unspent - FREE_WORK)
        return [values if isinstance(values, Misfit) else values[0] for values in made]


def _those_that_may(step: Step, made: list[Any], rest: list[int], allowed: Sequence[int]) -> list[int]:
    """The rows on which the step may work. What it takes by being given this much is taken off."""
    rows = []
    for row, values in enumerate(made):
        if isinstance(values, Misfit):
            continue
        size = 0
        if step.counted is None:
            size = step.work
            for value in values:
                size += len(value) if type(value) is str else size_of(value, rest[row])
        if size + WORK_OF_MADE * size * (step.growth - 1) > rest[row]:
            made[row] = too_much(allowed[row])
        else:
            rest[row] -= size
            rows.append(row)
    return rows


def _made_of(step: Step, rows: Sequence[int], made: Sequence[Any], rest: list[int]) -> Iterator[Any]:
    """One after the other where that is possible, so that what turns out too large is not kept."""
    if not step.row_by_row:
        yield from _sifted(step, [made[row] for row in rows])
        return
    for row in rows:
        if step.counted is None:
            yield _tried(step, made[row])
        else:
            result, rest[row] = step.counted(rest[row], made[row])
            yield result


def _by_record(result: Any, allowed: int) -> bool:
    """Whether it was too much because of what the record's other rules took."""
    return isinstance(result, TooMuch) and allowed < MOST_WORK_OF_RULE


def _sifted(step: Step, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    if len(rows) <= 1:
        return [_tried(step, values) for values in rows]
    try:
        return list(step.column(list(zip(*rows, strict=True))))
    except Misfit:
        half = len(rows) // 2
        return _sifted(step, rows[:half]) + _sifted(step, rows[half:])


def _tried(step: Step, values: tuple[Any, ...]) -> Any:
    try:
        return step.value(*values)
    except Misfit as misfit:
        return misfit


def compile_transforms(
    transforms: Sequence[Transform], sources: int | Sequence[str], *, hash_key: Secret | None = None
) -> Compiled:
    """Transforms for so many sources, or for sources of these names, which expressions and templates then know.

    `hash_key` is the key of the transform `hash`. ConfigurationError saying what to do when something is wrong.
    """
    names = _names(sources)
    if len(transforms) > MOST_TRANSFORMS:
        raise ConfigurationError(f"A rule has at most {MOST_TRANSFORMS} transforms, this one has {len(transforms)}.")
    if not names:
        raise ConfigurationError("A rule needs at least one source.")
    if len(names) > 1 and not transforms:
        raise ConfigurationError(
            f"{len(names)} sources need a transform that makes one value of them, such as concatenate."
        )
    steps: list[Step] = []
    personal = False
    for number, transform in enumerate(transforms, 1):
        kind = kind_named(transform.name)
        step = _made(kind, transform, _given(sources, number, hash_key), number)
        steps += [step] if transform.name != "none" else []
        personal = personal or kind.personal
    return Compiled(tuple(steps), personal)


def check_transforms(
    transforms: Sequence[Transform],
    sources: int | Sequence[str],
    column_type: str,
    *,
    hash_key: Secret | None,
) -> None:
    """ConfigurationError, saying what to do, unless these transforms can be applied and give what the column holds."""
    compile_transforms(transforms, sources, hash_key=hash_key)
    for number, transform in enumerate(transforms, 1):
        kind = kind_named(transform.name)
        try:
            kind.check(kind.options.model_validate(_exact(transform.options)), _given(sources, number, hash_key))
        except ValueError as mistake:
            raise ConfigurationError(f"Transform {number}, {kind.name}: {mistake}.") from None
    working = effective(transforms)
    if not working:
        return
    last = working[-1]
    kind = kind_named(last.name)
    if kind.gives is not None and column_type not in kind.gives:
        raise ConfigurationError(
            f"{kind.name} does not give what a column of type {column_type} holds: make the field's type "
            f"{listed(sorted(kind.gives))}, or use another transform."
        )
    for constant in kind.options.model_validate(_exact(last.options)).constants():
        try:
            if constant is not None:
                CASTS[column_type].value(constant)
        except Misfit as misfit:
            raise ConfigurationError(
                f"{kind.name}: {to_text(constant)} {misfit}, which a column of type {column_type} needs: write another "
                "value, or change the field's type."
            ) from None


def effective(transforms: Sequence[Transform]) -> list[Transform]:
    """Those that do something."""
    return [each for each in transforms if each.name != "none"]


def marks_of(transforms: Sequence[Transform], hash_key: Secret | None) -> list[str]:
    """What decides the results besides the names and options: the versions of own transforms, the key of `hash`."""
    return [mark for transform in transforms if (mark := kind_named(transform.name).mark(hash_key))]


def kind_named(name: str) -> Kind:
    """A transform of ours or of the developer. ConfigurationError naming the known ones when there is none."""
    found = KINDS.get(name) or developers_kind(name)
    if found is None:
        raise ConfigurationError(
            f"There is no transform named {name}.{did_you_mean(name, [*KINDS, *own_names()])} Known are: "
            f"{listed([*KINDS, *own_names()])}. Your own are registered in Python files in the folder transforms/ "
            "beside your syncs."
        )
    return found


def _names(sources: int | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(sources, int):
        return tuple(sources)
    return (VALUE,) if sources == 1 else tuple(f"{VALUE}_{number}" for number in range(1, sources + 1))


def _given(sources: int | Sequence[str], number: int, hash_key: Secret | None) -> Given:
    """Of the transform of this number."""
    return Given(_names(sources) if number == 1 else (VALUE,), hash_key)


def _made(kind: Kind, transform: Transform, given: Given, number: int) -> Step:
    where = f"Transform {number}, {kind.name}"
    if len(given.names) > 1 and not kind.many:
        raise ConfigurationError(f"{where}: takes one source, not {len(given.names)}. Put concatenate or custom first.")
    try:
        options: Options = kind.options.model_validate(_exact(transform.options))
        return kind.make(options, given)
    except ValidationError as mistakes:
        raise ConfigurationError(f"{where}: {told_mistakes(mistakes, kind.options)}.") from None
    except ValueError as mistake:
        raise ConfigurationError(f"{where}: {mistake}.") from None


def _exact(written: Any) -> Any:
    """What YAML and JSON make of numbers and dates, as the values that the engine works with."""
    if isinstance(written, Mapping):
        return {key: _exact(value) for key, value in written.items()}
    if isinstance(written, list | tuple):
        return [_exact(value) for value in written]
    if isinstance(written, float):
        return Decimal(repr(written))
    if isinstance(written, str) and not is_storable(written):
        raise ValueError(f"an option {UNSTORABLE}")
    return written.isoformat() if isinstance(written, date) else written
