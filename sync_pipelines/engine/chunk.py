"""Records that wait to be stored together: their texts by id, the newest of each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from sync_pipelines.engine.cleaning import NotARecord, decode_record
from sync_pipelines.engine.keys import Key
from sync_pipelines.engine.mapping import RecordMapper
from sync_pipelines.model.destination import Columns
from sync_pipelines.model.errors import RejectRecord

CHUNK_BYTES: Final = 8 * 1024 * 1024
"""A chunk is also full when its records' texts reach this size, so that wide records do not fill the memory."""

Refusal: TypeAlias = tuple[RejectRecord, bytes]


class TextBatch:
    """A model.destination.Batch whose rows are made of texts when they are asked for.

    `misfits` counts the values that did not fit in the rows that were asked for.
    """

    def __init__(
        self,
        mapper: RecordMapper,
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


class Chunk:
    """Filled page by page, emptied when it is stored.

    `mirror`: there rows of deleted records are not stored, their ids go into `removed`. `losers`: (losing id, surviving
    id) pairs that its records tell.
    """

    def __init__(self, key_of: Callable[[bytes], Key], mapper: RecordMapper, *, most_rows: int, mirror: bool) -> None:
        self._key_of = key_of
        self._mapper = mapper
        self._most_rows = most_rows
        self._mirror = mirror
        self._texts: dict[str, bytes] = {}
        self._hashes: dict[str, int] = {}
        self._deleted: set[str] = set()
        self._bytes = 0
        self.losers: list[tuple[str, str]] = []

    def clear(self) -> None:
        self._texts.clear()
        self._hashes.clear()
        self._deleted.clear()
        self._bytes = 0
        self.losers.clear()

    @property
    def is_full(self) -> bool:
        return len(self._texts) >= self._most_rows or self._bytes >= CHUNK_BYTES

    @property
    def removed(self) -> Sequence[str]:
        return list(self._deleted)

    def add(self, records: Iterable[bytes]) -> tuple[int, list[Refusal]]:
        """(how many were there already, in another version; those that cannot be stored)."""
        key_of, texts, hashes, mirror = self._key_of, self._texts, self._hashes, self._mirror
        doubled, size, refused = 0, 0, []
        for text in records:
            try:
                id, digest, deleted, losers = key_of(text)
            except RejectRecord as refusal:
                refused.append((refusal, text))
                continue
            if losers:
                self.losers.extend((loser, id) for loser in losers)
            size += len(text)
            if id in texts:
                doubled += 1
                if not self._replaces(text, texts[id]):
                    continue
            texts[id], hashes[id] = text, digest
            if mirror:
                (self._deleted.add if deleted else self._deleted.discard)(id)
        self._bytes += size
        return doubled, refused

    def batch(self, *, carefully: bool = False) -> TextBatch:
        """What is to be stored of it."""
        ids = [id for id in self._texts if id not in self._deleted] if self._deleted else list(self._texts)
        hashes, texts = self._hashes, self._texts
        return TextBatch(self._mapper, ids, [hashes[id] for id in ids], [texts[id] for id in ids], carefully=carefully)

    def screen(self) -> list[Refusal]:
        """Look at every value of every record, and take out what cannot be stored."""
        refused: list[Refusal] = []
        for id, text in list(self._texts.items()):
            try:
                decode_record(text)
            except NotARecord as problem:
                refused.append((RejectRecord(f"The record {problem}."), text))
                del self._texts[id], self._hashes[id]
        return refused

    def _replaces(self, candidate: bytes, known: bytes) -> bool:
        """Whether `candidate` is the newer one of two versions of a record, or might be."""
        one, other = self._mapper.modified_at(candidate), self._mapper.modified_at(known)
        return one is None or other is None or one >= other
