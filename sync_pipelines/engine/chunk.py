"""Records that wait to be stored together: their texts by id, the newest of each."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final, TypeAlias

from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.keys import Key
from sync_pipelines.engine.mapping import LaterMapper, RecordMapper
from sync_pipelines.engine.some_columns import SomeColumns
from sync_pipelines.model.destination import Columns
from sync_pipelines.model.errors import RejectRecord, Wait
from sync_pipelines.model.filter import DELETE, KEEP, MARK
from sync_pipelines.model.flow import Notice, Page, PageToken

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""A chunk is also full when its records' texts reach this size, so that wide records do not fill the memory."""

Refusal: TypeAlias = tuple[RejectRecord, bytes]

WANTED: Final = 0
LEFT: Final = 1
"""The record does not fit the filter."""
PASSED: Final = 2
"""The record is none of the history that is wanted: a row of it stays as it is."""

Judge: TypeAlias = Callable[[Sequence[bytes]], Sequence[int]]
"""WANTED, LEFT or PASSED for each of these texts."""


class TextBatch:
    """A model.destination.Batch whose rows are made of texts when they are asked for.

    `misfits` counts the values that did not fit in the rows that were asked for.
    """

    def __init__(
        self,
        mapper: RecordMapper | LaterMapper | SomeColumns,
        ids: Sequence[str],
        hashes: Sequence[int],
        texts: Sequence[bytes],
        *,
        carefully: bool = False,
    ) -> None:
        self.ids = ids
        self.hashes = hashes
        self.misfits = 0
        self._texts = texts
        self._mapper = mapper
        self._carefully = carefully

    def columns(self, places: Sequence[int]) -> Columns:
        texts, hashes = [self._texts[place] for place in places], [self.hashes[place] for place in places]
        mapped = self._mapper(texts, hashes, carefully=self._carefully)
        self.misfits += mapped.misfits
        return mapped.columns


@dataclass(frozen=True, kw_only=True)
class ChunkPlan:
    """What all chunks of a read have in common.

    `without_deleted`: rows of deleted records are not stored, their ids go into `removed`. `judge`: for every record of
    a page whether it is wanted (None: all are). `leaving`: what becomes of the row of a record that is not (see
    model.filter).
    """

    key_of: Callable[[bytes], Key]
    mapper: RecordMapper | LaterMapper
    most_rows: int
    without_deleted: bool
    judge: Judge | None = None
    leaving: str = MARK


class Chunk:
    """Filled page by page, then stored as a whole.

    `losers`: (losing id, surviving id) pairs that its records tell. `doubled`: records that were there already, in
    another version. `refused`: those that cannot be stored. `resume` and `total`: of its last page. `counted`: as
    `total` counts. `is_cut`: it gets no more, however little is in it.
    """

    def __init__(self, plan: ChunkPlan) -> None:
        self._plan = plan
        self._texts: dict[str, bytes] = {}
        self._hashes: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._outside: dict[str, int] = {}
        self.bytes = 0
        self.is_cut = False
        self.losers: list[tuple[str, str]] = []
        self.doubled = 0
        self.refused: list[Refusal] = []
        self.pages = 0
        self.records = 0
        self.counted = 0
        self._groups: dict[str, list[str]] = {}
        self.resume: PageToken | None = None
        self.total: int | None = None

    def __contains__(self, id: str) -> bool:
        return id in self._texts

    @property
    def is_full(self) -> bool:
        most = self._plan.most_rows
        return self.is_cut or self.bytes >= CHUNK_BYTES or len(self._texts) >= most or len(self._groups) >= most

    @property
    def removed(self) -> Sequence[str]:
        """Ids whose rows go for good."""
        mirror, keep, delete = self._plan.without_deleted, self._plan.leaving == KEEP, self._plan.leaving == DELETE
        removed = set(self._deleted) if mirror else set()
        if delete or (mirror and not keep):
            removed.update(self._judged(LEFT))
        return list(removed)

    @property
    def gone(self) -> Sequence[str]:
        """Ids whose rows become deleted ones, where there are any."""
        if self._plan.without_deleted:
            return []
        if self._plan.leaving == MARK:
            left = self._judged(LEFT)
        elif self._plan.leaving == KEEP:
            left = [id for id in self._judged(LEFT) if id in self._deleted]
        else:
            left = []
        return [*left, *(id for id in self._judged(PASSED) if id in self._deleted)]

    @property
    def passed(self) -> Sequence[str]:
        """Ids of records that exist and whose rows, where there are any, stay as they are."""
        kept = [*self._judged(PASSED), *(self._judged(LEFT) if self._plan.leaving == KEEP else ())]
        return [id for id in kept if id not in self._deleted]

    @property
    def skipped(self) -> int:
        """How many of its records are not wanted."""
        return len(self._outside)

    @property
    def wanted(self) -> int:
        """How many of its records are to be stored."""
        return len(self._wanted())

    def cut(self, most: int) -> None:
        """Keep the first of the records that are to be stored."""
        for id in self._wanted()[most:]:
            del self._texts[id], self._hashes[id]

    def _judged(self, verdict: int) -> list[str]:
        return [id for id, judged in self._outside.items() if judged == verdict]

    @property
    def regrouped(self) -> Sequence[str]:
        """What its records were told by, and what told none."""
        return list(self._groups)

    def add(self, page: Page) -> None:
        if page.groups is not None:
            self._forget(page.groups)
        texts, hashes = self._texts, self._hashes
        key_of, outside, judge = self._plan.key_of, self._outside, self._plan.judge
        heeds_deletes = self._plan.without_deleted or judge is not None
        verdicts = None if judge is None else judge(page.records)
        size = 0
        owners = _owners(page.groups)
        for place, text in enumerate(page.records):
            owner = next(owners, None)
            try:
                id, digest, deleted, losers = key_of(text)
            except RejectRecord as refusal:
                self.refused.append((refusal, text))
                continue
            if owner is not None:
                self._groups[owner].append(id)
            if losers:
                self.losers.extend((loser, id) for loser in losers)
            size += len(text)
            if id in texts:
                self.doubled += 1
                if not self._replaces(text, texts[id]):
                    continue
            texts[id], hashes[id] = text, digest
            if heeds_deletes:
                (self._deleted.add if deleted else self._deleted.discard)(id)
            if verdicts is not None:
                outside.pop(id, None)
                if verdicts[place]:
                    outside[id] = verdicts[place]
        self.bytes += size
        self.pages += 1
        self.records += len(page.records)
        self.counted += len(page.records) if page.groups is None else len(page.groups)
        self.resume = page.resume
        self.total = page.total if page.total is not None else self.total

    def batch(self, *, carefully: bool = False) -> TextBatch:
        """What is to be stored of it."""
        ids = self._wanted()
        hashes, texts = self._hashes, self._texts
        return TextBatch(
            self._plan.mapper, ids, [hashes[id] for id in ids], [texts[id] for id in ids], carefully=carefully
        )

    def _wanted(self) -> list[str]:
        left_out: Collection[str] = self._deleted if self._plan.without_deleted else ()
        if self._outside:
            left_out = {*left_out, *self._outside}
        return [id for id in self._texts if id not in left_out] if left_out else list(self._texts)

    def screen(self) -> list[Refusal]:
        """Look at every value of every record, and take out what cannot be stored."""
        refused: list[Refusal] = []
        for id, text in list(self._texts.items()):
            try:
                decode_record(text)
            except NotARecord as problem:
                refused.append((RejectRecord(f"The record {problem}."), text))
                del self._texts[id], self._hashes[id]
                self._outside.pop(id, None)
        return refused

    def _forget(self, groups: Mapping[str, int]) -> None:
        """What these told in an earlier page of the chunk is replaced by what they tell in this one."""
        for owner in groups:
            for id in self._groups.pop(owner, ()):
                self._texts.pop(id, None)
                self._hashes.pop(id, None)
            self._groups[owner] = []

    def _replaces(self, candidate: bytes, known: bytes) -> bool:
        """Whether `candidate` is the newer one of two versions of a record, or might be."""
        one, other = self._plan.mapper.modified_at(candidate), self._plan.mapper.modified_at(known)
        return one is None or other is None or one >= other


def _owners(groups: Mapping[str, int] | None) -> Iterator[str]:
    """Of each record of a page by what it was told."""
    return chain.from_iterable(repeat(owner, amount) for owner, amount in (groups or {}).items())


def chunks_of(steps: Iterator[Page | Notice], plan: ChunkPlan) -> Iterator[Chunk | Notice]:
    """The steps of a read with their pages put together. The last chunk holds what is left, be it nothing.

    A chunk ends only behind a page from which the read can go on. When the vendor wants us to wait, what was read of it
    comes before the error.
    """
    chunk = Chunk(plan)
    try:
        for step in steps:
            if isinstance(step, Notice):
                yield step
                continue
            chunk.add(step)
            if step.resume is not None and chunk.is_full:
                yield chunk
                chunk = Chunk(plan)
    except Wait:
        if chunk.resume is not None:
            # Calls were spent on it, and the next run may have few: it must not read the same pages for ever.
            chunk.is_cut = True
            yield chunk
        raise
    yield chunk
