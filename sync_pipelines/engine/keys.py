"""Of every record, only what is needed to know whether it changed: its id and a hash of its text."""

import re
from collections.abc import Callable, Collection
from itertools import takewhile
from typing import Any, Final, NamedTuple

import xxhash

from sync_pipelines.engine.casting import Misfit, to_boolean, to_text
from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import NOT_PLAIN, Path, at_path, extract_of
from sync_pipelines.model.errors import RejectRecord
from sync_pipelines.model.provider import RecordShape

LONGEST_ID: Final = 1_000
"""A longer id is no id of any vendor and would not fit the key's index."""
_FEW: Final = 4


class Key(NamedTuple):
    """`losers`: ids of records that were merged into this one. `hash`: signed 64 bits."""

    id: str
    hash: int
    deleted: bool
    losers: tuple[str, ...]


class RecordKeys:
    """Reads the Key of a record's text.

    The hash is of the text as it came, without fields that change on every read. `seed` stands for all else that
    decides the row: another one makes every hash another one. Equal hashes mean equal rows; the reverse does not hold
    (keys in another order, 5.0 for 5), so a destination compares the content of rows whose hashes differ.
    """

    def __init__(self, shape: RecordShape, *, volatile: Collection[str] = (), seed: str = "") -> None:
        self._shape = shape
        self._paths: tuple[Path, ...] = (
            shape.id,
            *(path for path in (shape.deleted, shape.merged_ids) if path is not None),
        )
        self._deleted_at = None if shape.deleted is None else 1
        self._merged_at = None if shape.merged_ids is None else len(self._paths) - 1
        self._extract = extract_of(self._paths)
        self._stable = without(volatile) if volatile else _same
        self._seed = xxhash.xxh3_64_intdigest(seed.encode())

    def __call__(self, text: bytes) -> Key:
        """RejectRecord when the text is no JSON object or has no id."""
        try:
            values = self._extract(text) if self._extract is not None else self._carefully(text)
        except NOT_PLAIN:
            values = self._carefully(text)
        if not text.isascii():
            _must_be_utf8(text)
        id = values[0]
        if type(id) is not str or not 0 < len(id) <= LONGEST_ID:
            id = self._checked(id)
        digest = xxhash.xxh3_64_intdigest(self._stable(text), self._seed)
        deleted = self._deleted_at is not None and _is_true(values[self._deleted_at])
        losers: tuple[str, ...] = ()
        if self._merged_at is not None and values[self._merged_at]:
            losers = _losers(values[self._merged_at], id)
        return Key(id, digest - 2**64 if digest >= 2**63 else digest, deleted, losers)

    def _carefully(self, text: bytes) -> tuple[Any, ...]:
        try:
            record, _, _ = decode_record(text)
        except NotARecord as problem:
            raise RejectRecord(f"The record {problem}.") from problem
        return tuple(at_path(record, path) for path in self._paths)

    def _checked(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise RejectRecord(f"The record has no id at {'.'.join(self._shape.id)}.")
        if len(str(value)) > LONGEST_ID:
            raise RejectRecord(f"The record's id is longer than {LONGEST_ID} characters.")
        return str(value)


def without(names: Collection[str]) -> Callable[[bytes], bytes]:
    """A function that leaves the named keys and their plain values out of a JSON text.

    A key inside of a text cannot be mistaken for one: its quotes are escaped there.
    """
    spelled = sorted(name.encode() for name in names)
    pattern = re.compile(
        rb'"(?:' + b"|".join(map(re.escape, spelled)) + rb')"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[^",\[\]{}]*),?', re.DOTALL
    )
    # A search for plain bytes costs a tenth of the pattern, which then begins where the first name may be.
    markers = spelled if len(spelled) <= _FEW else [_common_beginning(spelled[0], spelled[-1])]

    def stable(text: bytes) -> bytes:
        found = [at for at in (text.find(b'"' + marker) for marker in markers) if at >= 0]
        if not found:
            return text
        first = min(found)
        return text[:first] + pattern.sub(b"", text[first:])

    return stable


def _common_beginning(first: bytes, last: bytes) -> bytes:
    return bytes(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _same(text: bytes) -> bytes:
    return text


def _must_be_utf8(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as problem:
        raise RejectRecord(f"The record is not JSON that can be read: {problem}.") from problem


def _is_true(value: Any) -> bool:
    if value is None or value is False or value is True:
        return value is True
    try:
        return to_boolean(value) is True
    except Misfit:
        return False


def _losers(value: Any, survivor: str) -> tuple[str, ...]:
    names = value if isinstance(value, list) else to_text(value).split(";")
    return tuple(name for name in (to_text(item).strip() for item in names) if name and name != survivor)
