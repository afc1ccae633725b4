"""Which records of one connection's object are wanted, and which part of that the vendor is asked to apply.

Why it is so is in docs/adr/0020-records-that-leave-a-filter.md.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from sync_pipelines.engine.chunk import LEFT, PASSED, WANTED, ChunkPlan, Judge
from sync_pipelines.engine.filtering import LOSSLESS, Masks, masks, resolve, ruled_column
from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.rules import makes_something
from sync_pipelines.engine.transforms import marks_of as transform_marks
from sync_pipelines.model.checkpoint import Checkpoint, Reading
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.filter import (
    GREATER_OR_EQUAL,
    KEEP,
    LESS,
    MARK,
    MODIFIED,
    AnyOf,
    Condition,
    Filter,
    History,
    InList,
    all_of,
    fields_of,
    leaves,
    told,
)
from sync_pipelines.model.flow import Flow, Notice
from sync_pipelines.model.provider import CrmObject, ObjectSchema, Provider, VendorField
from sync_pipelines.model.secret import Secret
from sync_pipelines.model.sync import SyncObject


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A resolved filter and history (None: everything). `fields`: what they look at, by name.

    `hash_key`: of the transform `hash`, where what is judged goes through it.
    """

    where: Filter | None
    history: Filter | None
    leaving: str = MARK
    hash_key: Secret | None = None

    @property
    def whole(self) -> Filter | None:
        return all_of(self.where, self.history)

    @property
    def fields(self) -> Mapping[str, VendorField]:
        return {} if self.whole is None else fields_of(self.whole)

    @property
    def lists(self) -> list[str]:
        """Ids of the lists that it asks for."""
        found = [] if self.whole is None else leaves(self.whole)
        return sorted({leaf.list for leaf in found if isinstance(leaf, InList)})

    def heed(self, notice: Notice) -> None:
        """ConfigurationError when a field that is looked at has vanished: every record would seem to have left."""
        if notice.field is not None and notice.field in self.fields:
            raise ConfigurationError(
                f"The filter asks for the field {notice.field}, which the account does not show any more, so that "
                f"nothing was taken for having left it: give the permission, or change the filter. {notice.message}"
            )


def mark_of(declared: SyncObject, custom: Sequence[CustomColumn], hash_key: Secret | None = None) -> str:
    """A text that changes with what decides which records are there; empty when nothing does.

    The rules and types of mapped fields that are asked for belong to it, as their values are what is judged.
    """
    if declared.filter is None and declared.history is None:
        return ""
    leaving = declared.leaving if declared.filter is not None else ""
    fields = [_mark_of_field(name, custom, hash_key) for name in asked_for(declared)]
    parts = (declared.filter, leaving, declared.history, fields)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def asked_for(declared: SyncObject) -> list[str]:
    """The fields that filter and history name, as they are written there."""
    criteria = [declared.filter, declared.history.where if declared.history is not None else None]
    return [leaf.field for each in criteria if each for leaf in leaves(each) if isinstance(leaf, Condition)]


def _mark_of_field(name: str, custom: Sequence[CustomColumn], hash_key: Secret | None) -> str | None:
    found = ruled_column(name, custom)
    if found is None:
        return None
    item, rule = found
    if item.type in LOSSLESS and not makes_something(rule):
        return rule.sources[0]
    parts = (item.type, rule, transform_marks(rule.transforms, hash_key))
    return msgspec.json.encode(parts, order="sorted").decode()


def select(
    declared: SyncObject,
    crm_object: CrmObject,
    schema: ObjectSchema,
    checkpoint: Checkpoint,
    custom: Sequence[CustomColumn],
    hash_key: Secret | None = None,
) -> Selection:
    """The selection of a reading. ConfigurationError where the account cannot be asked so.

    `hash_key`: of the transform `hash`.
    """
    reading = checkpoint.reading
    assert reading is not None
    where = history = None
    if declared.filter is not None:
        where = resolve(declared.filter, crm_object, schema, reading.started_at, custom)
    if declared.history is not None:
        began = checkpoint.began_at or reading.started_at
        chosen = declared.history.where and resolve(declared.history.where, crm_object, schema, began, custom)
        whole = _wanted_of(replace(declared.history, where=chosen), crm_object, began)
        # The times in it are the vendor's own, whatever the custom schema calls its fields.
        history = resolve(whole, crm_object, schema, began)
    return Selection(where=where, history=history, leaving=declared.leaving, hash_key=hash_key)


def _wanted_of(history: History, crm_object: CrmObject, began: datetime) -> Filter:
    """What exists and is wanted, and all that has changed since `began`: the same set whenever it is asked for."""
    modified = crm_object.cursor_field or _name(crm_object, crm_object.shape.modified)
    if modified is None:
        raise ConfigurationError(
            f"{crm_object.name} does not tell when a record was changed, so that a history cannot be chosen: leave "
            "`history` out."
        )
    changed = Condition(modified, GREATER_OR_EQUAL, (began,))
    if history.nothing:
        return changed
    created = crm_object.created_field or _name(crm_object, crm_object.shape.created)
    on = modified if history.on == MODIFIED else created
    if on is None:
        raise ConfigurationError(
            f"{crm_object.name} does not tell when a record was created: write `on: modified` in `history`."
        )
    period = [
        Condition(on, operator, (bound,))
        for operator, bound in ((GREATER_OR_EQUAL, history.since), (LESS, history.until))
        if bound is not None
    ]
    existing = all_of(*period, history.where)
    assert existing is not None
    return AnyOf((existing, changed))


def _name(crm_object: CrmObject, path: tuple[str, ...] | None) -> str | None:
    """The field at a path, where it lies among the fields."""
    depth = len(crm_object.shape.fields)
    if path is None or len(path) != depth + 1 or path[:depth] != crm_object.shape.fields:
        return None
    return path[-1]


def pushes(declared: SyncObject, known: Checkpoint, *, full: bool, changed: bool) -> bool:
    """Whether the vendor may be asked for fitting records only: whether what it does not show needs no second look.

    A first read: there is no row of a record that does not fit. A later full read: its absence means what the default
    `mark` would do with it in any case. An incremental read: with `keep` nothing becomes of it.
    """
    if declared.filter is None and declared.history is None:
        return False
    if not full:
        return declared.filter is not None and declared.leaving == KEEP
    if known.version == 0:
        return True
    by_difference = declared.filter is None or declared.leaving == MARK
    # Of a test run before the first read there may be rows, of the same choice.
    return not changed and by_difference and (declared.history is None or known.read_until is None)


def pushed_part(selection: Selection, reading: Reading, provider: Provider, crm_object: CrmObject) -> Filter | None:
    """What the vendor is asked to apply in this reading."""
    wanted = selection.whole if reading.full else selection.where
    return provider.pushed(crm_object, wanted) if reading.pushed and wanted is not None else None


def shares(where: Filter, part: Filter | None) -> list[tuple[str, bool]]:
    """Every condition of a filter for people, and whether the vendor applies it."""
    by_vendor = [] if part is None else list(leaves(part))
    return [(told(leaf), leaf in by_vendor) for leaf in leaves(where)]


def notice_of(selection: Selection, part: Filter | None, title: str) -> str | None:
    """Who applies which condition, in one sentence."""
    if selection.where is None:
        return None
    found = shares(selection.where, part)
    named = {by: [text for text, pushed in found if pushed is by] for by in (True, False)}
    words = [f"by {title}: {'; '.join(named[True])}"] if named[True] else []
    words += [f"before load: {'; '.join(named[False])}"] if named[False] else []
    return f"The filter is applied {', and '.join(words)}."


def members_of(
    selection: Selection, provider: Provider, crm_object: CrmObject, ask: Callable[[Flow], Collection[str]]
) -> dict[str, Collection[str]]:
    """The ids of the records in each list that the selection names."""
    if selection.lists and provider.members is None:
        raise ConfigurationError(f"{provider.title} has no lists that a filter could ask for.")
    return {name: ask(provider.members(crm_object, name)) for name in selection.lists if provider.members is not None}


def judged(
    chunks: ChunkPlan, selection: Selection, provider: Provider, crm_object: CrmObject, ask: Callable[[Flow], Any]
) -> ChunkPlan:
    """The same plan, for chunks that look at what is wanted."""
    if selection.whole is None:
        return chunks
    members = members_of(selection, provider, crm_object, ask)
    return replace(chunks, judge=judge_of(selection, crm_object, members), leaving=selection.leaving)


def judge_of(selection: Selection, crm_object: CrmObject, members: Mapping[str, Collection[str]]) -> Judge | None:
    """Judges records by the selection; None when all are wanted."""
    if selection.whole is None:
        return None

    @cache
    def compiled() -> tuple[Masks | None, Masks | None]:
        """When the first record wants it: most reads bring none."""
        where, history = (
            None if part is None else masks(part, crm_object.shape, members, selection.hash_key)
            for part in (selection.where, selection.history)
        )
        return where, history

    def judge(texts: Sequence[bytes]) -> Sequence[int]:
        where, history = compiled()
        fits, asked = _mask(where, texts), _mask(history, texts)
        return [LEFT if not fit else PASSED if not wanted else WANTED for fit, wanted in zip(fits, asked, strict=True)]

    return judge


def _mask(mask: Masks | None, texts: Sequence[bytes]) -> Sequence[bool]:
    return [True] * len(texts) if mask is None else mask(texts)


def with_fields(fields: Sequence[VendorField], selection: Selection) -> tuple[VendorField, ...]:
    """What is read of every record, with what the selection looks at."""
    known = {field.name for field in fields}
    return (*fields, *(field for name, field in selection.fields.items() if name not in known))


def whole_reading(reading: Reading) -> Reading:
    """The same read from its beginning, with nothing left to the vendor's filter."""
    return replace(reading.anew(), pushed=False)
