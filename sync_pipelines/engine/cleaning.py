"""What JSON allows and Postgres does not: NUL characters, lone surrogates, numbers of endless length."""

import json
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from sync_pipelines.engine.casting import LARGEST_EXPONENT, json_number

_decode = msgspec.json.Decoder(float_hook=json_number).decode
_SUSPECT: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
_REFUSED: Final = re.compile("[\x00\ud800-\udfff]")
CLEANED_REASON: Final = (
    "held what cannot be stored (a NUL character, half of a surrogate pair, or a number of endless length); "
    "the characters were replaced and the numbers kept as text"
)


class NotARecord(ValueError):
    """The text is not one JSON object."""


def is_suspect(text: bytes) -> bool:
    """Whether the text holds NUL or half of a surrogate pair, escaped or not."""
    # From backslash to backslash: one byte is found many times faster than the pattern, and few records have any.
    at = text.find(b"\\")
    while at >= 0:
        if _SUSPECT.match(text, at):
            return True
        at = text.find(b"\\", at + 2)
    return b"\x00" in text


_NUMBERS_AS_ZEROS: Final = bytes(
    ord("0") if chr(code).isdigit() and code < 128 else ord("e") if chr(code) == "E" else code for code in range(256)
)
_ENDLESS: Final = (b"0" * (LARGEST_EXPONENT + 1), b"0e" + b"0" * len(str(LARGEST_EXPONENT)))
"""With every digit a 0 and without signs: so many digits, or an exponent of so many."""


def may_be_endless(text: bytes) -> bool:
    """Whether a number in the text (or in the texts that are joined in it) may be longer than LARGEST_EXPONENT digits.

    Postgres would take such a number, and the JSON readers of many languages would fail at the row.
    """
    zeros = text.translate(_NUMBERS_AS_ZEROS, b"+-.")
    return any(mark in zeros for mark in _ENDLESS)


def decode_record(text: bytes) -> tuple[dict[str, Any], bytes, bool]:
    """(the record, its text to store, whether characters had to be replaced).

    NUL is dropped, a lone surrogate becomes U+FFFD, an endless number becomes a text. The text comes back untouched
    when it was clean, which one search over the bytes tells for almost every record.
    """
    if not is_suspect(text):
        try:
            record = _decode(text)
        except (OverflowError, msgspec.ValidationError):
            return _decode_suspect(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise NotARecord(f"is not JSON that can be read: {problem}") from problem
        if type(record) is not dict:
            raise NotARecord("is not a JSON object")
        return record, text, False
    return _decode_suspect(text)


def _decode_suspect(text: bytes) -> tuple[dict[str, Any], bytes, bool]:
    try:
        # The standard library reads lone surrogates, which msgspec refuses. parse_float keeps numbers as they are
        # spelled; a pair of escapes that belongs together comes out as one character, and so is not touched.
        loose = json.loads(text.replace(b"\x00", b""), parse_float=_Spelled, parse_int=_Spelled)
    except (ValueError, RecursionError) as problem:
        raise NotARecord(f"is not JSON that can be read: {problem}") from problem
    if type(loose) is not dict:
        raise NotARecord("is not a JSON object")
    changed = b"\x00" in text
    cleaned, replaced = _clean(loose)
    stored = msgspec.json.encode(cleaned)
    return _decode(stored), stored, changed or replaced


class _Spelled(str):
    """A number as the vendor spelled it."""

    __slots__ = ()


def _number(spelled: _Spelled) -> tuple[Any, bool]:
    if len(spelled) > LARGEST_EXPONENT or abs(Decimal(spelled).adjusted()) > LARGEST_EXPONENT:
        return str(spelled), True
    return msgspec.Raw(spelled.encode()), False


def _clean(value: Any) -> tuple[Any, bool]:
    if isinstance(value, _Spelled):
        return _number(value)
    if isinstance(value, str):
        if _REFUSED.search(value):
            return _REFUSED.sub(lambda found: "" if found.group() == "\x00" else "\ufffd", value), True
        return value, False
    if isinstance(value, list):
        pairs = [_clean(item) for item in value]
        return [item for item, _ in pairs], any(replaced for _, replaced in pairs)
    if isinstance(value, dict):
        kept, changed = {}, False
        for name, item in value.items():
            clean_name, name_changed = _clean(name)
            kept[clean_name], item_changed = _clean(item)
            changed = changed or name_changed or item_changed
        return kept, changed
    return value, False
