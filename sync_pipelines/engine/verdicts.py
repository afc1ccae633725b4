"""Whether a sync's filter and history choose a record, and which of their conditions it does not meet: for people."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.extracting import at_path
from sync_pipelines.engine.filtering import masks
from sync_pipelines.engine.selecting import Selection
from sync_pipelines.model.filter import AllOf, AnyOf, Filter, Test, told
from sync_pipelines.model.provider import CrmObject, RecordShape

LONGEST_VALUE: Final = 60


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`unmet`: conditions that the record does not meet, with what it has; empty where it is kept."""

    kept: bool
    unmet: tuple[str, ...] = ()


def verdicts(
    texts: Sequence[bytes], selection: Selection, crm_object: CrmObject, members: Mapping[str, Collection[str]]
) -> list[Verdict]:
    """One for each of these records' texts, by the same judges as in a run. `members`: as for `filtering.masks`."""
    found: list[Verdict] = []
    for text in texts:
        unmet = tuple(
            reason
            for where in (selection.where, selection.history)
            if where is not None
            for reason in _unmet(where, text, crm_object.shape, members)
        )
        found.append(Verdict(kept=not unmet, unmet=unmet))
    return found


def _unmet(where: Filter, text: bytes, shape: RecordShape, members: Mapping[str, Collection[str]]) -> Iterator[str]:
    if isinstance(where, AllOf):
        for part in where.parts:
            yield from _unmet(part, text, shape, members)
    elif not masks(where, shape, members)([text])[0]:
        yield f"{told(where)}{_instead(where, text, shape)}"


def _instead(where: Filter, text: bytes, shape: RecordShape) -> str:
    """What the record has in the field of a single condition."""
    if isinstance(where, AnyOf) or not isinstance(where, Test):
        return ""
    try:
        record, _, _ = decode_record(text)
    except NotARecord:
        return ""
    return f" (it has {_short(at_path(record, (*shape.fields, where.field.name)))})"


def _short(value: Any) -> str:
    if value in (None, ""):
        return "no value"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
