"""Which of an account's fields a customer may have meant by the fields of a custom schema."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from sync_pipelines.engine.mapping_check import NEVER_FITS
from sync_pipelines.model.mapping import SchemaField
from sync_pipelines.model.provider import ObjectSchema, VendorField

SURE: Final = 0.9
"""From this score on a suggestion may be taken without asking ..."""
AHEAD: Final = 0.1
"""... if it is so much better than the second."""
FAINT: Final = 0.6
"""Below this score a likeness is chance."""

_SAME_KIND: Final = {
    "text": frozenset({"text"}),
    "number": frozenset({"numeric"}),
    "integer": frozenset({"numeric", "bigint"}),
    "boolean": frozenset({"boolean"}),
    "timestamp": frozenset({"timestamptz"}),
    "date": frozenset({"date", "timestamptz"}),
    "json": frozenset({"jsonb"}),
}
"""Type of the vendor's field -> column types that are made for it. Other types may fit, value by value."""
_OTHER_KIND: Final = 0.85
_ACRONYM: Final = 0.95
_BREAKS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^0-9A-Za-z\u00c0-\uffff]+")
_NOISE: Final = frozenset({"c", "pc", "hs", "the", "of", "a", "an", "field", "custom"})
"""Words that vendors and people put into names without a meaning of their own."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A vendor's field for one of the schema's. `score` from 0 to 1. `sure`: good enough to be taken unasked."""

    field: str
    source: VendorField
    score: float
    reason: str
    sure: bool = False


def suggest(fields: Iterable[SchemaField], schema: ObjectSchema, *, most: int = 3) -> dict[str, list[Suggestion]]:
    """For each field the likeliest of the account's, the best first; by name, label and type.

    A field of the account is sure for one field only: where two would take it, neither does.
    """
    found = {each.name: _candidates(each, schema.fields)[:most] for each in fields}
    best = [several[0].source.name for several in found.values() if several and several[0].sure]
    return {
        name: [_unsure(one) if one.sure and best.count(one.source.name) > 1 else one for one in several]
        for name, several in found.items()
    }


def _candidates(wanted: SchemaField, fields: Sequence[VendorField]) -> list[Suggestion]:
    found = [made for each in fields if (made := _likeness(wanted, each)) is not None]
    found.sort(key=lambda one: (-one.score, not one.source.custom, one.source.name))
    if not found:
        return []
    second = found[1].score if len(found) > 1 else 0.0
    first = found[0]
    sure = first.score >= SURE and first.score - second >= AHEAD
    return [_sure(first) if sure else first, *found[1:]]


def _likeness(wanted: SchemaField, candidate: VendorField) -> Suggestion | None:
    if wanted.type in NEVER_FITS.get(candidate.type, frozenset()):
        return None
    ours = {"name": _words(wanted.name), "description": _words(wanted.description)}
    theirs = {"name": _words(candidate.name), "label": _words(candidate.label)}
    likest, reason = 0.0, ""
    for mine, our_words in ours.items():
        for other, their_words in theirs.items():
            likeness, how = _like(our_words, their_words)
            weight = 1.0 if mine == "name" else 0.97
            if likeness * weight > likest:
                likest, reason = likeness * weight, f"{how} {mine if mine == other else f'{mine} and {other}'}"
    same_kind = wanted.type in _SAME_KIND.get(candidate.type, frozenset()) or wanted.type == "text"
    score = round(likest * (1.0 if same_kind else _OTHER_KIND), 3)
    if score < FAINT:
        return None
    kind = "the type fits" if same_kind else f"a {candidate.type} may not always fit {wanted.type}"
    return Suggestion(field=wanted.name, source=candidate, score=score, reason=f"{reason}; {kind}")


def _like(one: Sequence[str], other: Sequence[str]) -> tuple[float, str]:
    """How like two names are by their words, and how it is told."""
    if not one or not other:
        return 0.0, ""
    if one == other:
        return 1.0, "the same"
    joined, others = "".join(one), "".join(other)
    if joined == others or sorted(one) == sorted(other):
        return 0.98, "the same words in"
    if _is_acronym(one, other) or _is_acronym(other, one):
        return _ACRONYM, "an acronym in"
    shared = _overlap(set(one), set(other))
    return max(shared, 0.9 * SequenceMatcher(None, joined, others).ratio()), "alike:"


def _overlap(one: Collection[str], other: Collection[str]) -> float:
    return 0.95 * len(set(one) & set(other)) / len(set(one) | set(other))


def _is_acronym(short: Sequence[str], words: Sequence[str]) -> bool:
    return len(short) == 1 and len(words) > 1 and short[0] == "".join(word[0] for word in words)


def _words(text: str) -> list[str]:
    words = [word.casefold() for word in _BREAKS.split(text) if word]
    return [word for word in words if word not in _NOISE] or words


def _sure(one: Suggestion) -> Suggestion:
    return Suggestion(field=one.field, source=one.source, score=one.score, reason=one.reason, sure=True)


def _unsure(one: Suggestion) -> Suggestion:
    return Suggestion(field=one.field, source=one.source, score=one.score, reason=one.reason)
