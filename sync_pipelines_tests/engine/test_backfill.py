"""What a change of schema and mapping asks for, and that no row is taken for what it is not."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_pipelines.engine.backfill import Change, Refill, change_of, follow, marked
from sync_pipelines.engine.layout import FieldPlan, Marks
from sync_pipelines.engine.mapping import CustomColumn
from sync_pipelines.engine.tally import Tally
from sync_pipelines.model.checkpoint import Backfill, Checkpoint
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import StoredRecord, Table
from sync_pipelines.model.mapping import FieldRule
from sync_pipelines.model.provider import CrmObject, ObjectSchema, RecordShape, VendorField
from sync_pipelines.model.run import Counts

NOW = Marks(fingerprint="new|", ground="g", mapped={"tier": "1", "size": "2"})
KNOWN = Checkpoint(fingerprint="old|", ground="g", mapped={"tier": "1", "size": "2"})


@pytest.mark.parametrize(
    ("known", "marks", "expected"),
    [
        (Checkpoint(), NOW, Change()),
        (KNOWN, NOW, Change()),
        (replace(KNOWN, mapped={"tier": "0", "size": "2"}), NOW, Change(columns=frozenset({"tier"}))),
        (replace(KNOWN, mapped={"size": "2", "gone": "3"}), NOW, Change(columns=frozenset({"tier", "gone"}))),
        (replace(KNOWN, ground="h"), NOW, Change(full_read=True)),
        (replace(KNOWN, fingerprint="old|Tier__c"), NOW, Change(full_read=True)),
        (KNOWN, replace(NOW, fingerprint="new|Tier__c"), Change()),
        (replace(KNOWN, mapped=None), NOW, Change(full_read=True)),
        (replace(KNOWN, mapped=None, fingerprint="new|"), NOW, Change()),
        (replace(KNOWN, mapped=None, fingerprint="new|"), replace(NOW, fingerprint="new|Tier__c"), Change()),
        (replace(KNOWN, backfill=Backfill(columns=("size",), target="x")), NOW, Change(columns=frozenset({"size"}))),
    ],
)
def test_what_a_change_asks_for(known, marks, expected):
    assert change_of(known, marks, keeps_records=True) == expected


def test_without_stored_records_changed_columns_are_a_full_read():
    known = replace(KNOWN, mapped={"tier": "0", "size": "2"})
    assert change_of(known, NOW, keeps_records=False) == Change(full_read=True)
    assert change_of(KNOWN, NOW, keeps_records=False) == Change()


def test_the_seed_stays_until_everything_is_read():
    assert marked(KNOWN, replace(NOW, fingerprint="old|"), reread=False).seed == ""
    assert marked(replace(KNOWN, seed="older|"), replace(NOW, fingerprint="old|"), reread=False).seed == "older|"
    assert marked(KNOWN, NOW, reread=True).seed == ""
    assert marked(replace(KNOWN, backfills=2), NOW, reread=True).seed == "new|#2"


def nothing(*passed):
    pass


class Interrupted(Exception):
    pass


class MemoryLanding:
    """Rows by id: [raw, tier, what the hash was made with]. Dies when `left` pages are used up."""

    def __init__(self, rows, checkpoint, left):
        self.rows, self.checkpoint, self.left = rows, checkpoint, left

    def stored(self, after, limit):
        ids = sorted(id for id in self.rows if after is None or id > after)[:limit]
        return [StoredRecord(id, False, self.rows[id][0]) for id in ids]

    def use(self):
        if not self.left:
            raise Interrupted
        self.left -= 1

    def remap(self, batch, columns, checkpoint, *, dropped=()):
        self.use()
        if columns and batch.ids:
            *_, tiers = batch.columns(range(len(batch.ids)))
            for id, tier in zip(batch.ids, tiers, strict=True):
                self.rows[id][1] = tier
        self.checkpoint = checkpoint
        return Counts(unchanged=len(batch.ids))


FIELDS = ("a", "b", "c")
VENDOR = {id: {field: f"{field} of {id}" for field in FIELDS} for id in "12345"}


def run(rows, checkpoint, *, field, ground, shown, keeps, left):
    """As a run does: rows follow the change, then all are read if need be. What was stored when it ended."""
    columns = [Column("id", "text"), Column("tier", "text"), *([Column("raw_data", "jsonb")] if keeps else [])]
    marks = Marks(fingerprint=f"{field} {ground} {keeps}|", ground=f"{ground} {keeps}", mapped={"tier": field})
    landing = MemoryLanding(rows, checkpoint, left)
    refill = Refill(
        landing=landing,
        table=Table(name="t", columns=tuple(columns)),
        crm_object=CrmObject(name="o", shape=RecordShape(id=("id",))),
        schema=ObjectSchema(fields=tuple(VendorField(name=name) for name in FIELDS)),
        plan=FieldPlan(
            fields=(),
            custom=(CustomColumn("tier", FieldRule(sources=(field,))),),
            additional={},
            missing=(),
            needs={"tier": frozenset({field})},
        ),
        marks=marks,
        rows=2,
    )
    try:
        known, reread = follow(refill, checkpoint or Checkpoint(), nothing, Tally(), nothing)
        known = marked(known, marks, reread=reread)
        if reread or not rows or known.account_id == "reading":
            known = replace(known, account_id="reading")
            for id, truth in VENDOR.items():
                landing.use()
                seed = known.seed or known.fingerprint
                if id not in rows or rows[id][2] != seed:
                    raw = json.dumps({name: truth[name] for name in shown}).encode() if keeps else None
                    rows[id] = [raw, truth[field], seed]
                landing.checkpoint = known
            known = replace(known, account_id=None)
        landing.checkpoint = known
    except Interrupted:
        return landing.checkpoint, False
    return landing.checkpoint, True


# Most often all is shown and kept, and a run gets some way.
steps = st.tuples(
    st.sampled_from(FIELDS),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([1, 3, 4, 99, 99]),
)


@settings(max_examples=400)
@given(st.lists(steps, min_size=3, max_size=8))
def test_whatever_was_mapped_and_interrupted_every_row_is_made_by_the_last_rules(life):
    rows, checkpoint = {}, None
    for field, ground, sees_all, keeps, left in [*life, ("a", 0, True, True, 1_000)]:
        shown = FIELDS if sees_all else sorted({"a", field})
        step = {"field": field, "ground": ground, "shown": shown, "keeps": keeps}
        checkpoint, finished = run(rows, checkpoint, left=left, **step)
        if finished:
            assert {id: row[1] for id, row in rows.items()} == {id: truth[field] for id, truth in VENDOR.items()}
            again = {id: list(row) for id, row in rows.items()}
            assert run(rows, checkpoint, left=1_000, **step)[1]
            assert rows == again
