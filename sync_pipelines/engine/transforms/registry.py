"""The transforms by name. A new one is one function that makes a step of its options, registered with @named."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from sync_pipelines.engine.transforms.bounds import WORK_OF_A_STEP
from sync_pipelines.model.secret import Secret

REPEATED: Final = 4096
"""Texts of a column whose results are remembered: values of one column repeat."""

UNSTORABLE: Final = "holds a NUL character or half of a surrogate pair, which no text in a database may"
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

TEXTS: Final = frozenset({"text", "jsonb"})
"""Column types that hold a text which was made for people."""

Function: TypeAlias = Callable[..., Any]
"""Of one row: the value of each source, or the one value of the transform before. Raises Misfit."""

WholeColumn: TypeAlias = Callable[[Sequence[Sequence[Any]]], Sequence[Any]]


class Options(BaseModel):
    """What may be written beside a transform's name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_by_name=True)

    def constants(self) -> Iterable[Any]:
        """Results that are written here, whatever the values are."""
        return ()

    def work(self) -> int:
        """As of a Step."""
        return WORK_OF_A_STEP

    def growth(self) -> int:
        """As of a Step."""
        return 1


@dataclass(frozen=True)
class Given:
    """What a step is made of besides its options: the names of its sources, and the key of `hash`."""

    names: tuple[str, ...]
    hash_key: Secret | None = None


@dataclass(frozen=True)
class Step:
    """One transform, ready. `column` is the whole block at once, where that is faster than one row after the other.

    `row_by_row` is False where a single row costs about as much as many, so that a guilty one is found by halving.
    `work` is what it takes at most besides the size of what it is given and makes (see bounds). `growth`: what it makes
    may be so many times what it is given. `counted` is there where the step counts for itself: allowed work and the
    values of a row -> what is made or a Misfit, and the work that is left; then `column` refuses more than `work`.
    """

    value: Function
    column: WholeColumn
    row_by_row: bool = True
    work: int = WORK_OF_A_STEP
    growth: int = 1
    counted: Callable[[int, Sequence[Any]], tuple[Any, int]] | None = None


@dataclass(frozen=True)
class Example:
    """Shown in docs/transforms.md and tried by its test. `values` has one value for each source."""

    values: tuple[Any, ...]
    gives: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ("Field",)


@dataclass(frozen=True)
class Kind:
    """A named transform. `gives`: the column types that its results fit; None where that depends on the options.

    `never`: types of the vendor's fields of which it can make nothing. `many`: takes several sources. `personal`: its
    sources' values must not be told in errors. `mark` changes with what else decides the results. `check` is asked
    before a rule is saved, and raises ValueError for what can be made but would fail for every record.
    """

    name: str
    options: type[Options]
    make: Callable[[Any, Given], Step]
    told: str
    examples: tuple[Example, ...]
    many: bool
    gives: frozenset[str] | None
    personal: bool
    mark: Callable[[Secret | None], str] = lambda hash_key: ""
    never: frozenset[str] = frozenset()
    check: Callable[[Any, Given], None] = lambda options, given: None


KINDS: Final[dict[str, Kind]] = {}

Chosen = TypeVar("Chosen", bound=Options)
Maker: TypeAlias = Callable[[Chosen], Function]


def named(
    name: str,
    options: type[Chosen],
    *examples: Example,
    nulls: bool = False,
    repeats: bool = False,
    gives: frozenset[str] | None = None,
    personal: bool = False,
    never: frozenset[str] = frozenset(),
) -> Callable[[Maker[Chosen]], Maker[Chosen]]:
    """Registers a function that makes, of its options, a function of one value. Its docstring goes into the docs.

    A null stays null without asking the function, unless it wants `nulls`. `repeats`: its results for texts are
    remembered, which pays for whatever takes longer than a microsecond.
    """

    def register(maker: Maker[Chosen]) -> Maker[Chosen]:
        def make(chosen: Chosen, given: Given) -> Step:
            step = step_of_one(maker(chosen), nulls=nulls, repeats=repeats)
            return replace(step, work=chosen.work(), growth=chosen.growth())

        add(Kind(name, options, make, _told(maker), examples, False, gives, personal, never=never))
        return maker

    return register


def add(kind: Kind) -> None:
    """Registers a transform that `named` has no words for."""
    if kind.name in KINDS:
        raise ValueError(f"there are two transforms named {kind.name}")
    KINDS[kind.name] = kind


def step_of_one(function: Function, *, nulls: bool = False, repeats: bool = False) -> Step:
    """Of a function of one value."""
    if nulls:
        return Step(function, lambda columns: [function(value) for value in columns[0]])
    # Only of texts: of other types, equal values may look different.
    quick = lru_cache(maxsize=REPEATED)(function) if repeats else function
    return Step(
        lambda value: None if value is None else function(value),
        lambda columns: [
            None if value is None else quick(value) if type(value) is str else function(value) for value in columns[0]
        ],
    )


def step_of_many(function: Function) -> Step:
    """Of a function of a value for each source, nulls included."""
    return Step(function, lambda columns: list(map(function, *columns)))


def is_storable(text: str) -> bool:
    """What the vendor sent has been cleaned before; what a transform brings in must be looked at."""
    return not _UNSTORABLE.search(text)


def _told(maker: Function) -> str:
    return " ".join((maker.__doc__ or "").split())
