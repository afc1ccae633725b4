"""A test run: the first few records of an object, loaded without touching the position."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sync_pipelines.engine.ahead import read_ahead_if_long
from sync_pipelines.engine.chunk import Chunk, ChunkPlan
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.checkpoint import Checkpoint
from sync_pipelines.model.destination import Landing
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import ReadPlan
from sync_pipelines.model.run import Counts

MOST: Final = 10_000
"""More is no test run any more."""
LOOKED_AT: Final = 100
"""So many records for each that may be loaded are looked at, when a filter is applied before load."""


def plan_of(plan: ReadPlan, most: int) -> ReadPlan:
    """The plan of a full read that ends early, without a Bulk job."""
    limit = most * LOOKED_AT
    return replace(plan, limit=limit, bulk_above=limit)


def stored_of(known: Checkpoint, begun: Checkpoint) -> Checkpoint:
    """The position stays what it was, so that the next run does what it would have done. Kept beside it: whose account
    it is, and what the rows were chosen by."""
    kept = replace(known, account_id=begun.account_id, began_at=begun.began_at)
    return kept if known.version else replace(kept, selection=begun.selection)


def load_first(
    steps: Iterator[Page | Notice], landing: Landing, chunks: ChunkPlan, stored: Checkpoint, most: int, tally: Tally
) -> None:
    """Load at most `most` live records that are wanted, of the `steps` of a read; delete nothing."""
    # As in mirror mode, so that deleted records are left out.
    chunk = Chunk(replace(chunks, without_deleted=True))
    with read_ahead_if_long(steps, lambda step: 0, lambda step: True) as found:
        for step in found:
            if isinstance(step, Notice):
                tally.notice(step.message)
                continue
            chunk.add(step)
            if chunk.wanted >= most:
                break
    for refusal, text in (*chunk.refused, *chunk.screen()):
        tally.reject(str(refusal), text)
    chunk.cut(most)
    batch = chunk.batch()
    counts = landing.load(batch, stored)
    tally.counts += counts + Counts(read=chunk.wanted + chunk.skipped, skipped=chunk.skipped, invalid=batch.misfits)
    tally.notice(
        f"A test run: at most {most} records were loaded. Nothing was deleted, and the next run reads the whole "
        "history as if this one had not been."
    )
