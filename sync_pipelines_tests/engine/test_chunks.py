"""Pages put together: where a chunk ends, and what becomes of records that come twice."""

import json
from types import SimpleNamespace

import pytest

from sync_pipelines.engine import chunk as chunk_module
from sync_pipelines.engine.chunk import ChunkPlan, chunks_of
from sync_pipelines.engine.keys import key_reader
from sync_pipelines.model.errors import NetworkError, Wait
from sync_pipelines.model.flow import Notice, Page
from sync_pipelines.model.provider import RecordShape

SHAPE = RecordShape(id=("id",), deleted=("gone",), merged_ids=("losers",))


def modified_at(text):
    return json.loads(text).get("at")


def plan(most_rows=3, *, without_deleted=False):
    return ChunkPlan(
        key_of=key_reader(SHAPE),
        mapper=SimpleNamespace(modified_at=modified_at),
        most_rows=most_rows,
        without_deleted=without_deleted,
    )


def record(id, **rest):
    return json.dumps({"id": id, **rest}).encode()


def page(*ids, resume=True, **rest):
    token = {"after": ids[-1] if ids else "start"} if resume else None
    return Page(records=[one if isinstance(one, bytes) else record(one) for one in ids], resume=token, **rest)


def ids_of(chunks):
    return [list(chunk.batch().ids) for chunk in chunks]


def test_a_chunk_ends_behind_the_page_that_fills_it():
    chunks = list(chunks_of(iter([page("a", "b"), page("c", "d"), page("e")]), plan(3)))
    assert ids_of(chunks) == [["a", "b", "c", "d"], ["e"]]
    assert [chunk.resume for chunk in chunks] == [{"after": "d"}, {"after": "e"}]
    assert [(chunk.pages, chunk.records) for chunk in chunks] == [(2, 4), (1, 1)]


@pytest.mark.parametrize(
    ("sizes", "expected"), [([2], [2, 0]), ([3], [3, 0]), ([1], [1]), ([1, 1], [2, 0]), ([1, 1, 1], [2, 1])]
)
def test_the_last_chunk_holds_what_is_left_be_it_nothing(sizes, expected):
    names = iter("abcdef")
    pages = [page(*(next(names) for _ in range(size))) for size in sizes]
    assert list(map(len, ids_of(chunks_of(iter(pages), plan(2))))) == expected


def test_a_chunk_never_ends_behind_a_page_from_which_nothing_can_go_on():
    pages = [page("a", "b", resume=False), page("c", "d", resume=False), page("e"), page("f", resume=False)]
    first, last = chunks_of(iter(pages), plan(2))
    assert ids_of([first, last]) == [["a", "b", "c", "d", "e"], ["f"]]
    assert (first.resume, last.resume) == ({"after": "e"}, None)


@pytest.mark.parametrize(("error", "kept"), [(Wait("later"), [["a", "b"]]), (NetworkError("cut"), [])])
def test_what_was_read_until_the_vendor_wants_us_to_wait_is_kept(error, kept):
    def pages():
        yield page("a")
        yield page("b")
        raise error

    chunks = []
    gathered = chunks_of(pages(), plan(9))
    with pytest.raises(type(error)):
        chunks.extend(gathered)
    assert ids_of(chunks) == kept
    assert [(chunk.resume, chunk.is_full) for chunk in chunks] == [({"after": "b"}, True)] * len(kept)


def test_nothing_is_kept_of_pages_from_which_the_read_cannot_go_on():
    def pages():
        yield page("a", resume=False)
        raise Wait("later")

    with pytest.raises(Wait):
        next(chunks_of(pages(), plan(9)))


def test_wide_records_fill_a_chunk_by_their_size(monkeypatch):
    monkeypatch.setattr(chunk_module, "CHUNK_BYTES", 250)
    pages = [page(record(id, text="x" * 100)) for id in "abcde"]
    assert ids_of(chunks_of(iter(pages), plan(1_000))) == [["a", "b", "c"], ["d", "e"]]


def test_of_a_record_that_comes_twice_the_newest_stays():
    old, new = record("a", at=1, name="old"), record("a", at=2, name="new")
    for pages in ([page(old, "b"), page(new)], [page(new, "b"), page(old)], [page(old, "b", new)]):
        (chunk,) = chunks_of(iter(pages), plan(9))
        assert list(chunk.batch().ids) == ["a", "b"]
        assert chunk.batch().hashes[0] == key_reader(SHAPE)(new)[1]
        assert (chunk.records, chunk.doubled) == (3, 1)


def test_the_same_record_twice_does_not_fill_a_chunk():
    pages = [page("a", "b"), page("a", "b"), page("c")]
    full, rest = chunks_of(iter(pages), plan(3))
    assert ids_of([full, rest]) == [["a", "b", "c"], []]
    assert full.doubled == 2


def test_a_record_in_two_chunks_is_in_both():
    assert ids_of(chunks_of(iter([page("a", "b"), page("b", "c")]), plan(2))) == [["a", "b"], ["b", "c"], []]


def test_notices_pass_in_their_order_and_before_the_chunk_they_came_in():
    one, other = Notice(message="one"), Notice(message="other")
    steps = list(chunks_of(iter([one, page("a"), other, page("b"), page("c")]), plan(2)))
    assert steps[:2] == [one, other]
    assert ids_of(steps[2:]) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("steps", [[], [page()], [Notice(message="no archived list")]])
def test_an_empty_read_gives_one_empty_chunk(steps):
    chunk = list(chunks_of(iter(steps), plan()))[-1]
    assert list(chunk.batch().ids) == []
    assert chunk.records == 0
    assert chunk.resume == next((step.resume for step in steps if isinstance(step, Page)), None)


def test_the_vendors_count_survives_pages_that_do_not_tell_it():
    (chunk,) = chunks_of(iter([page("a", total=7), page("b")]), plan())
    assert chunk.total == 7


def test_records_without_an_id_are_kept_apart_and_losers_and_deleted_ones_are_told():
    records = [b'{"name": "nobody"}', record("a", losers=["x", "y"]), record("b", gone=True), record("c")]
    (chunk,) = chunks_of(iter([page(*records)]), plan(9, without_deleted=True))
    assert [text for _, text in chunk.refused] == records[:1]
    assert chunk.losers == [("x", "a"), ("y", "a")]
    assert (list(chunk.batch().ids), chunk.removed) == (["a", "c"], ["b"])


def test_a_deleted_record_that_is_back_is_not_removed():
    back = [record("a", at=1, gone=True), record("a", at=2)]
    (chunk,) = chunks_of(iter([page(*back)]), plan(9, without_deleted=True))
    assert (list(chunk.batch().ids), chunk.removed) == (["a"], [])


def grouped(**groups):
    ids = [id for told in groups.values() for id in told]
    return page(*ids, groups={owner: len(told) for owner, told in groups.items()})


def test_what_a_group_tells_later_replaces_what_it_told_before():
    pages = [grouped(a=["a1", "a2"], b=["b1"]), grouped(c=["c1"], a=["a2", "a3"]), grouped(b=[])]
    (chunk,) = chunks_of(iter(pages), plan(10))
    assert sorted(chunk.batch().ids) == ["a2", "a3", "c1"]
    assert sorted(chunk.regrouped) == ["a", "b", "c"]
    # As many as the vendor counts: groups, not records.
    assert (chunk.counted, chunk.records) == (5, 6)


def test_groups_that_tell_nothing_fill_a_chunk_too():
    pages = [Page(records=[], resume={"after": n}, groups={f"{n}{m}": 0 for m in range(2)}) for n in range(4)]
    assert [len(chunk.regrouped) for chunk in chunks_of(iter(pages), plan(4))] == [4, 4, 0]
