"""A developer's own transforms: registered pandas functions, kept from harming more than the values they fail on."""

import inspect
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from pydantic import ConfigDict

from sync_pipelines.engine.casting import Misfit, json_number
from sync_pipelines.engine.cleaning import is_suspect
from sync_pipelines.engine.transforms.registry import Given, Kind, Options, Step, is_storable
from sync_pipelines.own_transforms import OwnTransform, own_transform

KEPT_REASON: Final = 500
"""Characters of an exception's text that are told."""

_encode = msgspec.json.Encoder(decimal_format="number").encode
_PLAIN: Final = (str, int, bool, type(None), Decimal, list, dict)


class _Arguments(Options):
    model_config = ConfigDict(extra="allow")


def developers_kind(name: str) -> Kind | None:
    """None when no such transform is registered."""
    own = own_transform(name)
    if own is None:
        return None

    def make(options: _Arguments, given: Given) -> Step:
        arguments = options.model_extra or {}
        _check_arguments(own, arguments)
        if len(given.names) > 1 and not own.frame:
            raise ValueError(
                f"takes one source, not {len(given.names)}: register it with frame=True to be given all of them"
            )
        return _step(own, arguments, given.names)

    return Kind(name, _Arguments, make, "", (), True, None, False, lambda hash_key: f"version {own.version}")


def _check_arguments(own: OwnTransform, arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(own.function).bind(None, **arguments)
    except TypeError as problem:
        raise ValueError(f"its function in {own.file} does not take these options: {problem}") from None


def _step(own: OwnTransform, arguments: Mapping[str, Any], names: Sequence[str]) -> Step:
    def column(columns: Sequence[Sequence[Any]]) -> Sequence[Any]:
        try:
            return _called(own, arguments, names, columns)
        except Misfit:
            raise
        except (Exception, SystemExit) as problem:  # a function that ends the process would end everybody's work
            told = f"{type(problem).__name__}: {problem}"[:KEPT_REASON]
            raise Misfit(f"makes the transform {own.name} ({own.file}) fail: {told}") from problem

    return Step(lambda *values: column([[value] for value in values])[0], column, row_by_row=False)


def _called(
    own: OwnTransform, arguments: Mapping[str, Any], names: Sequence[str], columns: Sequence[Sequence[Any]]
) -> list[Any]:
    import pandas  # noqa: PLC0415 - its import costs more than a second, so only where such a transform is used

    series = [pandas.Series(list(values), dtype=object, name=name) for name, values in zip(names, columns, strict=True)]
    given = pandas.concat(series, axis=1) if own.frame else series[0]
    made = own.function(given, **arguments)
    if not isinstance(made, pandas.Series):
        raise Misfit(f"has no result of {own.name} ({own.file}): it returned {type(made).__name__}, not a Series")
    if not made.index.equals(series[0].index):
        raise Misfit(
            f"has no result of {own.name} ({own.file}): it returned {len(made)} values for {len(series[0])}, or with "
            "another index; it must return a Series with the index it was given"
        )
    return [_plain(value, own) for value in made.tolist()]


def _plain(value: Any, own: OwnTransform) -> Any:
    """A JSON value as the engine decodes them, of what pandas and numpy have instead."""
    if type(value) in _PLAIN:
        return _storable(value, own)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return json_number(repr(value)) if math.isfinite(value) else _refuse(value, own)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, date | datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a numpy scalar
        return _plain(value.item(), own)
    return _refuse(value, own)


def _storable(value: Any, own: OwnTransform) -> Any:
    if isinstance(value, Decimal) and not value.is_finite():
        return None if value.is_nan() else _refuse(value, own)
    if isinstance(value, str) and not is_storable(value):
        return _refuse(value, own)
    if isinstance(value, list | dict):
        try:
            text = _encode(value)
        except (TypeError, ValueError, RecursionError):
            return _refuse(value, own)
        return _refuse(value, own) if is_suspect(text) else value
    return value


def _refuse(value: Any, own: OwnTransform) -> Any:
    raise Misfit(f"became something that no column holds, by {own.name} ({own.file}): {value!r}"[:KEPT_REASON])
