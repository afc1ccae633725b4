"""Of every record, only what is needed to know whether it changed: its id and a hash of its text."""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import takewhile
from typing import Any, Final, TypeAlias

import xxhash

from sync_pipelines.engine.casting import Misfit, to_boolean, to_text
from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import NOT_PLAIN, Path, Values, at_path, extract_of
from sync_pipelines.model.errors import RejectRecord
from sync_pipelines.model.provider import RecordShape

LONGEST_ID: Final = 1_000
"""A longer id is no id of any vendor and would not fit the key's index."""

Key: TypeAlias = tuple[str, int, bool, tuple[str, ...]]
"""(id, hash as a signed 64-bit number, whether the record is deleted, ids of records that were merged into it)."""


def key_reader(shape: RecordShape, *, volatile: Collection[str] = (), seed: str = "") -> Callable[[bytes], Key]:
    """A function that reads the Key of a record's text. It raises RejectRecord for a text without a usable id.

    The hash is of the text as it came, without fields that change on every read. `seed` stands for all else that
    decides the row: another one makes every hash another one. Equal hashes mean equal rows; the reverse does not hold
    (keys in another order, 5.0 for 5), so a destination compares the content of rows whose hashes differ.
    """
    paths: tuple[Path, ...] = (shape.id, shape.deleted or ("",), shape.merged_ids or ("",))
    paths = tuple(path for path in paths if path != ("",))
    extract = extract_of(paths) or (lambda text: _with_care(text, paths))
    deleted_at = None if shape.deleted is None else 1
    merged_at = None if shape.merged_ids is None else len(paths) - 1
    stable = without(volatile) if volatile else None
    number = xxhash.xxh3_64_intdigest(seed.encode())
    hashed = xxhash.xxh3_64_intdigest

    def key_of(text: bytes) -> Key:
        # Runs for every record of every read, so it calls as little as it can.
        try:
            values = extract(text)
        except NOT_PLAIN:
            values = _with_care(text, paths)
        id = values[0]
        if type(id) is not str or not 0 < len(id) <= LONGEST_ID:
            id = _checked(id, shape)
        digest = hashed(text if stable is None else stable(text), number)
        deleted = deleted_at is not None and values[deleted_at]
        losers = merged_at is not None and values[merged_at]
        return (
            id,
            digest if digest < _HALF else digest - 2 * _HALF,
            _is_true(deleted) if deleted else False,
            _losers(losers, id) if losers else (),
        )

    return key_of


def refusing(key_of: Callable[[bytes], Key], shape: RecordShape, refused: Mapping[str, str]) -> Callable[[bytes], Key]:
    """`key_of`, but records that have a value in one of these fields raise RejectRecord with what is said of it.

    Deleted records pass: that they are gone matters more than what they held.
    """
    paths: tuple[Path, ...] = tuple((*shape.fields, name) for name in refused)
    reasons = tuple(refused.values())
    extract = extract_of(paths) or (lambda text: _with_care(text, paths))

    def checked(text: bytes) -> Key:
        key = key_of(text)
        try:
            values = extract(text)
        except NOT_PLAIN:
            values = _with_care(text, paths)
        if not key[2]:
            for value, reason in zip(values, reasons, strict=True):
                if value is not None and value != "":
                    raise RejectRecord(reason)
        return key

    return checked


_HALF: Final = 2**63
_FEW: Final = 4
_VALUE: Final = re.compile(rb'\s*:\s*(?:"(?:[^"\\]|\\.)*"|[^",\[\]{}]*),?', re.DOTALL)


def _with_care(text: bytes, paths: tuple[Path, ...]) -> Values:
    try:
        record, _, _ = decode_record(text)
    except NotARecord as problem:
        raise RejectRecord(f"The record {problem}.") from problem
    return tuple(at_path(record, path) for path in paths)


def _checked(value: Any, shape: RecordShape) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RejectRecord(f"The record has no id at {'.'.join(shape.id)}.")
    if len(str(value)) > LONGEST_ID:
        raise RejectRecord(f"The record's id is longer than {LONGEST_ID} characters.")
    return str(value)


def without(names: Collection[str]) -> Callable[[bytes], bytes]:
    """A function that leaves the named keys and their plain values out of a JSON text.

    A key inside of a text cannot be mistaken for one: its quotes are escaped there. Searches for plain bytes come
    first, as they cost a tenth of a pattern.
    """
    spelled = sorted(name.encode() for name in names)
    return _without_few(spelled) if len(spelled) <= _FEW else _without_many(spelled)


def _without_few(names: list[bytes]) -> Callable[[bytes], bytes]:
    keys = [b'"' + name + b'"' for name in names]

    def stable(text: bytes) -> bytes:
        for key in keys:
            at = text.find(key)
            if at >= 0 and (value := _VALUE.match(text, at + len(key))):
                text = text[:at] + text[value.end() :]
        return text

    return stable


def _without_many(names: list[bytes]) -> Callable[[bytes], bytes]:
    marker = b'"' + _common_beginning(names[0], names[-1])
    pattern = re.compile(rb'"(?:' + b"|".join(map(re.escape, names)) + rb')"' + _VALUE.pattern, re.DOTALL)

    def stable(text: bytes) -> bytes:
        at = text.find(marker)
        return text if at < 0 else text[:at] + pattern.sub(b"", text[at:])

    return stable


def _common_beginning(first: bytes, last: bytes) -> bytes:
    return bytes(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))


def _is_true(value: Any) -> bool:
    try:
        return to_boolean(value) is True
    except Misfit:
        return False


def _losers(value: Any, survivor: str) -> tuple[str, ...]:
    names = value if isinstance(value, list) else to_text(value).split(";")
    return tuple(name for name in (to_text(item).strip() for item in names) if name and name != survivor)
