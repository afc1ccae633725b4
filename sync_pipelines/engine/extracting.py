"""The values at fixed paths of a record's JSON text, without making objects of the rest of it."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from sync_pipelines.engine.casting import json_number

Path: TypeAlias = tuple[str, ...]
Values: TypeAlias = tuple[Any, ...]
Extract: TypeAlias = Callable[[bytes], Values]

NOT_PLAIN: Final = (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError)
"""What an Extract raises for a text that must be decoded with care."""

_Tree: TypeAlias = dict[str, "_Tree | None"]


def at_path(record: Any, path: Path) -> Any:
    """The value at a path of nested objects; None where something on the way is missing."""
    for step in path:
        if type(record) is not dict:
            return None
        record = record.get(step)
    return record


def extract_of(paths: Sequence[Path], order: Iterable[Path] = ()) -> Extract | None:
    """A function that gives the values at `paths` (None where there is none), several times faster than decoding all.

    `order`: paths as a text usually has them one after the other, wanted or not; it only makes it faster.

    None for paths that it cannot express: a name that no struct may have, or a path that leads through another one's
    value. The function raises NOT_PLAIN where a value on the way is no object, where the text is no JSON object, or
    where a wanted number is endless. What it passes over it does not look at closely: escapes of NUL, endless numbers
    and bytes that are no UTF-8 stay unnoticed there (see cleaning).
    """
    tree: _Tree = {}
    place = {path: number for number, path in enumerate(order)}
    for path in sorted(paths, key=lambda path: place.get(path, -1)):
        if not _planted(tree, path):
            return None
    try:
        struct, names = _struct_of(tree)
    except ValueError:
        return None
    decode = msgspec.json.Decoder(struct, float_hook=json_number).decode
    if not paths:
        return lambda text: (decode(text), ())[1:]
    take: Callable[[Any], Any] = attrgetter(*(names[path] for path in paths))
    if len(paths) == 1:
        return lambda text: (take(decode(text)),)
    return lambda text: take(decode(text))


def _planted(tree: _Tree, path: Path) -> bool:
    *way, leaf = path
    for step in way:
        branch = tree.setdefault(step, {})
        if branch is None:
            return False
        tree = branch
    return tree.setdefault(leaf, None) is None


def _struct_of(tree: _Tree) -> tuple[type[msgspec.Struct], dict[Path, str]]:
    """A struct for the tree, and for every path of it the dotted name of its attribute. ValueError for a bad name."""
    fields: list[tuple[str, Any, Any]] = []
    names: dict[Path, str] = {}
    for number, (step, branch) in enumerate(tree.items()):
        attribute = f"f{number}"
        if branch is None:
            names[(step,)] = attribute
            fields.append((attribute, Any, msgspec.field(default=None, name=step)))
        else:
            inner, below = _struct_of(branch)
            names |= {(step, *path): f"{attribute}.{name}" for path, name in below.items()}
            fields.append((attribute, inner, msgspec.field(default_factory=inner, name=step)))
    return msgspec.defstruct("Extracted", fields, gc=False), names
