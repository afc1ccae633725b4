"""Cuts the asked fields out of a record's JSON text without building Python values of the rest."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

encode = msgspec.json.Encoder().encode
decode_raw = msgspec.json.Decoder(dict[str, Raw]).decode
decode = msgspec.json.Decoder(dict[str, Any]).decode

NULL = Raw(b"null")
_UNFIT = frozenset('"\\')


@lru_cache(maxsize=256)
def cutter(names: tuple[str, ...]) -> Callable[[bytes], bytes]:
    """A function from a record's JSON text to one with exactly `names`, in that order, null where it has none."""
    if any(_unfit(name) for name in names):
        return lambda body: _cut_slowly(body, names)
    shape = msgspec.defstruct(
        "Cut", [(f"f{place}", Raw, msgspec.field(default=NULL, name=name)) for place, name in enumerate(names)]
    )
    read = msgspec.json.Decoder(shape).decode
    return lambda body: encode(read(body))


@lru_cache(maxsize=256)
def slicer(names: tuple[str, ...]) -> Callable[[bytes], tuple[Any, ...]]:
    """A function from a record's JSON text to the raw JSON of each of `names`, in that order."""
    if any(_unfit(name) for name in names):

        def slowly(body: bytes) -> tuple[Any, ...]:
            record = decode_raw(body)
            return tuple(record.get(name, NULL) for name in names)

        return slowly
    shape = msgspec.defstruct(
        "Slice", [(f"f{place}", Raw, msgspec.field(default=NULL, name=name)) for place, name in enumerate(names)]
    )
    read = msgspec.json.Decoder(shape).decode
    return lambda body: msgspec.structs.astuple(read(body))


def patch(body: bytes, changes: dict[str, Any]) -> bytes:
    """The record with some fields changed or added; the others keep their text."""
    record: dict[str, Any] = dict(decode_raw(body))
    record.update(changes)
    return encode(record)


def _unfit(name: str) -> bool:
    return any(character in _UNFIT or character < " " for character in name)


def _cut_slowly(body: bytes, names: tuple[str, ...]) -> bytes:
    record = decode_raw(body)
    return encode({name: record.get(name, NULL) for name in names})
