"""Whether a sync's filter and history choose a record, and which of their conditions it does not meet: for people."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.filtering import compared, masks
from sync_pipelines.engine.selecting import Selection
from sync_pipelines.model.filter import AllOf, Filter, MappedTest, Test, told
from sync_pipelines.model.provider import CrmObject, RecordShape
from sync_pipelines.model.secret import Secret

LONGEST_VALUE: Final = 60
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`unmet`: conditions that the record does not meet, with what it has; empty where it is kept."""

    kept: bool
    unmet: tuple[str, ...] = ()


def verdicts(
    texts: Sequence[bytes], selection: Selection, crm_object: CrmObject, members: Mapping[str, Collection[str]]
) -> list[Verdict]:
    """One for each of these records' texts, by the same judges as in a run. `members`: as for `filtering.masks`."""
    unmet: list[list[str]] = [[] for _ in texts]
    for part in _parts(selection.where, selection.history):
        has = _had(part, crm_object.shape, selection.hash_key)
        fitting = masks(part, crm_object.shape, members, selection.hash_key)(texts)
        for reasons, text, fits in zip(unmet, texts, fitting, strict=True):
            if not fits:
                reasons.append(f"{told(part)}{has(text)}")
    return [Verdict(kept=not reasons, unmet=tuple(reasons)) for reasons in unmet]


def _parts(*filters: Filter | None) -> Iterator[Filter]:
    """What must be met, each of it."""
    for where in filters:
        if isinstance(where, AllOf):
            yield from _parts(*where.parts)
        elif where is not None:
            yield where


def _had(part: Filter, shape: RecordShape, hash_key: Secret | None) -> Callable[[bytes], str]:
    """What a record has instead of what a single condition asks for; a value that a rule makes is shown as made."""
    if not isinstance(part, Test | MappedTest):
        return lambda text: ""
    value = compared(part, shape, hash_key)
    return lambda text: "" if (record := _record(text)) is None else f" (it has {_short(value(record))})"


def _record(text: bytes) -> Any:
    try:
        return decode_record(text)[0]
    except NotARecord:
        return None


def _short(value: Any) -> str:
    if value in (None, ""):
        return "no value"
    text = _encode(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
