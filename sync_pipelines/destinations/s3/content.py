"""Whether two rows say the same, however their JSON is spelled: what Postgres compares with jsonb."""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from sync_pipelines.destinations.s3.layout import Layout

Same: TypeAlias = Callable[[Any, Any], bool]


def comparison(layout: Layout) -> Callable[[Sequence[Any], Sequence[Any]], bool]:
    """Tells whether two rows of the files are equal in everything but hash, run and time of writing."""
    compared: list[tuple[int, Same]] = []
    for name in (layout.meta("merged_into"), *(column.name for column in layout.table.columns), layout.meta("errors")):
        kind = layout.columns[layout.places[name]].type
        compared.append((layout.places[name], same_json if kind == "jsonb" else _same))
    table = layout.table
    if table.volatile:

        def same_record(ours: str | None, theirs: str | None) -> bool:
            return ours == theirs or same_json(ours, theirs, lambda record: _steady(record, layout))

        compared = [
            (place, same_record if layout.columns[place].name == "raw_data" else same) for place, same in compared
        ]
    return lambda ours, theirs: all(same(ours[place], theirs[place]) for place, same in compared)


def _same(ours: Any, theirs: Any) -> bool:
    return bool(ours == theirs)


def same_json(ours: str | None, theirs: str | None, trimmed: Callable[[Any], Any] = lambda value: value) -> bool:
    """Whether two documents say the same: keys in another order and other spellings of a number do not count."""
    if ours == theirs:
        return True
    if ours is None or theirs is None:
        return False
    try:
        return bool(_canonical(trimmed(_decoded(ours))) == _canonical(trimmed(_decoded(theirs))))
    except RecursionError:
        return False


def holds_json(whole: str, part: str) -> bool:
    """Whether a document has all that another one has, as Postgres' `@>` tells it."""
    return _holds(_decoded(whole), _decoded(part))


def _holds(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _holds(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(_holds(one, item) for one in whole) for item in part)
    return bool(_canonical(whole) == _canonical(part))


def _decoded(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _canonical(value: Any) -> Any:
    """Python takes true for 1; JSON does not."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return value


def _steady(record: Any, layout: Layout) -> Any:
    """Without the keys that change on every read."""

    def without(value: Any, path: Sequence[str]) -> Any:
        if not isinstance(value, dict):
            return value
        if not path:
            return {key: item for key, item in value.items() if key not in layout.table.volatile}
        return value | {path[0]: without(value[path[0]], path[1:])} if path[0] in value else value

    return without(record, layout.table.volatile_at)
