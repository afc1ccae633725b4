"""YAML and JSON files as values that know where they were written."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from sync_pipelines.config.problems import Problem

FieldPath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the document's root."""

MOST_VALUES = 100_000
"""Values in one document, aliases counted as often as they are used: a bomb of aliases stops here."""

_TAGS = frozenset({"map", "seq", "str", "int", "float", "bool", "null"})


class _Loader(yaml.SafeLoader):
    """YAML with the scalars of JSON: `no`, `on`, `12:30` and `2026-01-31` stay texts, as people mean them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False|TRUE|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"), list("-+0123456789")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


class Unreadable(Exception):
    """A file that is not YAML or JSON, or means something that we do not take; carries its one problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class Source:
    """One document of one file. `value` is as written, before environment references are filled."""

    file: str
    value: Any
    marks: Mapping[FieldPath, tuple[int, int]] = field(default_factory=dict)

    def problem(self, path: FieldPath, message: str) -> Problem:
        """A problem at a field; one that is not in the document is placed at the nearest thing around it."""
        known = self.find(path)
        line, _ = self.marks.get(known, (0, 0))
        return Problem(self.file, line, dotted(path), message)

    def find(self, path: FieldPath) -> FieldPath:
        """The steps of `path` that were written: without those that stand only in our models, as where a bare list
        stands for a mapping with it."""
        found: FieldPath = ()
        for step in path:
            if (*found, step) in self.marks:
                found = (*found, step)
        return found

    def written(self, path: FieldPath) -> Any:
        """The value as written at a path, None where there is none."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def source_of(value: Mapping[str, Any], place: str) -> Source:
    """A document that was sent instead of written in a file; `place` says where from. Raises Unreadable."""
    marks: dict[FieldPath, tuple[int, int]] = {}
    waiting: list[tuple[FieldPath, Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        marks[path] = (0, 0)
        if len(marks) > MOST_VALUES:
            raise Unreadable(Problem(place, 0, "", f"the document has more than {MOST_VALUES:,} values"))
        if any(_unstorable(text) for text in (item, *path[-1:]) if isinstance(text, str)):
            message = "holds NUL characters or half surrogate pairs: leave them out"
            raise Unreadable(Problem(place, 0, dotted(path).encode("ascii", "backslashreplace").decode(), message))
        if isinstance(item, dict):
            waiting.extend(((*path, key), inner) for key, inner in item.items())
        elif isinstance(item, list):
            waiting.extend(((*path, number), inner) for number, inner in enumerate(item))
    return Source(place, value, marks)


def _unstorable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text)


def dotted(path: FieldPath) -> str:
    """`objects[0].custom_schema.version`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_sources(file: Path) -> list[Source]:
    """The documents of a file, empty ones left out. Raises Unreadable."""
    shown = file.as_posix()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(Problem(shown, 0, "", "not UTF-8 text: save it as UTF-8")) from error
    except OSError as error:
        raise Unreadable(Problem(shown, 0, "", f"cannot be read: {error.strerror}")) from error
    if file.suffix == ".json":
        _refuse_what_is_not_json(text, shown)
        text = text.replace("\t", " ")  # a tab is a blank in JSON and an error in YAML; strings cannot hold a raw one
    return sources_of_text(text, shown)


def sources_of_text(text: str, shown: str) -> list[Source]:
    """The documents of a YAML text, empty ones left out; `shown` says where it is from. Raises Unreadable."""
    try:
        return [_source(node, shown) for node in _documents(text) if not _is_empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        reason = _reason(error) + _quoting_hint(text, line)
        raise Unreadable(Problem(shown, line, "", f"not valid YAML: {reason}", column)) from error
    except yaml.YAMLError as error:
        raise Unreadable(Problem(shown, 0, "", f"not valid YAML: {error}")) from error


def _documents(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _reason(error: yaml.MarkedYAMLError) -> str:
    return "; ".join(part for part in (error.context, error.problem, error.note) if part)


def _quoting_hint(text: str, line: int) -> str:
    around = text.splitlines()[line - 1 : line] if line else []
    return " (inside { } and [ ] a ${NAME} needs quotes)" if any("${" in written for written in around) else ""


def _refuse_what_is_not_json(text: str, shown: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        hint = " JSON has no comments: leave them out, or write a .yaml file." if "//" in text or "/*" in text else ""
        raise Unreadable(
            Problem(shown, error.lineno, "", f"not valid JSON: {error.msg}.{hint}", error.colno)
        ) from error


def _source(node: yaml.Node, shown: str) -> Source:
    builder = _Builder(shown)
    value = builder.value(node, ())
    return Source(shown, value, builder.marks)


class _Builder:
    """Turns nodes into values and remembers where each of them began."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.marks: dict[FieldPath, tuple[int, int]] = {}
        self.constructor = yaml.constructor.SafeConstructor()
        self.open_nodes: set[int] = set()

    def value(self, node: yaml.Node, path: FieldPath, *, key: yaml.Node | None = None) -> Any:
        if id(node) in self.open_nodes:
            raise self.refuse(node, path, "contains itself")
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise self.refuse(node, path, "has a YAML tag that is not known here: leave the `!` and its word out")
        if len(self.marks) >= MOST_VALUES:
            raise self.refuse(node, path, f"the document has more than {MOST_VALUES:,} values")
        start = (key or node).start_mark
        self.marks[path] = (start.line + 1, start.column + 1)
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]
            return self.scalar(node)
        finally:
            self.open_nodes.discard(id(node))

    def mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        self.refuse_repeated_keys(node, path)
        self.constructor.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key, item in node.value:
            # Merged keys (`<<`) come first, so that what is written beside them wins.
            result[key.value] = self.value(item, (*path, key.value), key=key)
        return result

    def refuse_repeated_keys(self, node: yaml.MappingNode, path: FieldPath) -> None:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.tag.endswith((":str", ":merge")):
                raise self.refuse(key, path, "has a key that is not text: write it in quotes")
            if key.value in lines and key.tag.endswith(":str"):
                raise self.refuse(key, (*path, key.value), f"is written twice (first in line {lines[key.value]})")
            lines[key.value] = key.start_mark.line + 1

    def scalar(self, node: yaml.Node) -> Any:
        value = self.constructor.construct_object(node)
        # PyYAML reads JSON's \\ud83d\\ude00 as two halves.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value

    def refuse(self, node: yaml.Node, path: FieldPath, message: str) -> Unreadable:
        mark = node.start_mark
        return Unreadable(Problem(self.shown, mark.line + 1, dotted(path), message, mark.column + 1))
