"""Compares the shape of two answers: status, header names, keys, and the kind of each value."""

import re

_KINDS = (
    ("timestamp +0000", re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}\+0000")),
    ("timestamp Z", re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z")),
    ("date", re.compile(r"\d{4}-\d{2}-\d{2}")),
    ("digits", re.compile(r"\d+")),
)


def kind(value):
    """A word for what a value is; texts that are timestamps or dates say in which format."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "list"
    return next((name for name, pattern in _KINDS if pattern.fullmatch(value)), "text")


def shape(value):
    """Path -> kinds seen there. Items of a list share one path, `[]`."""
    seen = {}
    _walk(value, "", seen)
    return seen


def _walk(value, path, seen):
    seen.setdefault(path, set()).add(kind(value))
    if isinstance(value, dict):
        for name, item in value.items():
            _walk(item, f"{path}/{name}", seen)
    elif isinstance(value, list):
        for item in value:
            _walk(item, f"{path}/[]", seen)


def shape_differences(golden, live, *, trimmed=False, maps=(), optional=()):
    """Differences of two JSON values in words, sorted.

    `maps`: paths of objects whose keys are data, not structure. `optional`: paths that either side may lack.
    """
    golden_shape, live_shape = (_without_maps(shape(value), maps) for value in (golden, live))
    differences = []
    for path in golden_shape.keys() - live_shape.keys():
        if _is_under(path, optional):
            continue
        if _parent(path) in live_shape and "list" not in live_shape[_parent(path)]:
            differences.append(f"{path} is missing")
    for path in live_shape.keys() - golden_shape.keys():
        if not trimmed and _parent(path) in golden_shape and not _is_under(path, optional):
            differences.append(f"{path} is not in the golden answer")
    for path in live_shape.keys() & golden_shape.keys():
        differences += _kinds(path, golden_shape[path], live_shape[path])
    return sorted(differences)


def _is_under(path, others):
    return any(path == other or path.startswith(f"{other}/") for other in others)


def _kinds(path, golden, live):
    if golden == {"null"}:
        return []
    differences = []
    for one in sorted(live - golden):
        if one == "null" or not _close(one, golden):
            differences.append(f"{path} is {one}, golden {' or '.join(sorted(golden))}")
    return differences


def _close(one, golden):
    """Texts that only happen to consist of digits, or not to."""
    return one in ("text", "digits") and bool(golden & {"text", "digits"})


def _without_maps(seen, maps):
    kept = {}
    for path, kinds in seen.items():
        inside = next((one for one in maps if path.startswith(f"{one}/")), None)
        kept.setdefault(f"{inside}/*" if inside else path, set()).update(kinds)
    return kept


def _parent(path):
    return path.rpartition("/")[0]


def header_differences(golden, live):
    """Golden header names that the live answer lacks, and another media type."""
    present = {name.lower(): value for name, value in live.items()}
    differences = []
    for name, value in golden.items():
        if name.lower() not in present:
            differences.append(f"header {name} is missing")
        elif name == "Content-Type" and _media(present[name.lower()]) != _media(value):
            differences.append(f"header Content-Type is {present[name.lower()]}, golden {value}")
    return differences


def _media(value):
    return value.split(";")[0].strip().lower()
