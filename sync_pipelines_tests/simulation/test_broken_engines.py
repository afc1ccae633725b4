"""The simulation finds what it is there to find: with an engine that was broken on purpose, some seed tells it soon."""

from dataclasses import replace

import pytest

from sync_pipelines.destinations.postgres import statements
from sync_pipelines.destinations.postgres.landing import PostgresLanding
from sync_pipelines.engine import backfill, inbound, rules, selecting
from sync_pipelines.engine.backfill import Change
from sync_pipelines.engine.chunk import Chunk
from sync_pipelines.engine.transforms import compile_transforms
from sync_pipelines.model.destination import NO_ROWS
from sync_pipelines.model.filter import KEEP
from sync_pipelines.store.leases import Leases
from sync_pipelines_tests.simulation.life import lived

MOST_SEEDS = 60


@pytest.fixture(autouse=True)
def rendered_anew():
    """Statements are rendered once for each layout; a broken one must not stay."""
    statements.statements_of.cache_clear()
    yield
    statements.statements_of.cache_clear()


def overlap_is_ignored(monkeypatch):
    begin = inbound.begin

    def broken(work, known, *rest, **more):
        found = begin(work, known, *rest, **more)
        started_now = found.reading is not known.reading and found.reading.since is not None
        return replace(found, reading=replace(found.reading, since=known.read_until)) if started_now else found

    monkeypatch.setattr(inbound, "begin", broken)


def checkpoint_is_saved_before_the_rows(monkeypatch):
    load = PostgresLanding.load

    def broken(self, batch, checkpoint, **more):
        load(self, NO_ROWS, checkpoint)
        return load(self, batch, replace(checkpoint, version=self.checkpoint.version), **more)

    monkeypatch.setattr(PostgresLanding, "load", broken)


def deletes_are_forgotten(monkeypatch):
    monkeypatch.setattr(PostgresLanding, "_delete", lambda self, lent, values, *, hard: 0)


def deletes_reach_every_customer(monkeypatch):
    everybody = "t.{application_id} = %(application_id)s AND t.{provider_name} = %(provider)s"
    for name in ("_MARK_UNSEEN", "_REMOVE_UNSEEN"):
        monkeypatch.setattr(statements, name, getattr(statements, name).replace("{scope}", everybody))


def bounds_move_when_a_reading_goes_on(monkeypatch):
    begin = inbound.begin

    def broken(work, known, marks, vendor, *rest, **more):
        found = begin(work, known, marks, vendor, *rest, **more)
        goes_on = known.reading is not None and found.reading.id == known.reading.id
        return replace(found, reading=replace(found.reading, started_at=vendor.vendor_now())) if goes_on else found

    monkeypatch.setattr(inbound, "begin", broken)


def the_lease_is_given_to_everybody(monkeypatch):
    monkeypatch.setattr(Leases, "_take", lambda self, key: object())
    monkeypatch.setattr(Leases, "_give_back", lambda self, key, session: None)


def a_new_mapping_asks_for_nothing(monkeypatch):
    monkeypatch.setattr(backfill, "change_of", lambda known, marks, *, keeps_records: Change())


def the_last_chunk_is_dropped_now_and_then(monkeypatch):
    batch = Chunk.batch

    def broken(self, **options):
        if self.resume is None and len(self._texts) > 2:
            self._texts.popitem()
        return batch(self, **options)

    monkeypatch.setattr(Chunk, "batch", broken)


def a_backfill_passes_over_its_first_page(monkeypatch):
    stored = PostgresLanding.stored

    def broken(self, after, limit):
        found = stored(self, after, limit)
        return found if after is not None or len(found) < limit else stored(self, found[-1].id, limit)

    monkeypatch.setattr(PostgresLanding, "stored", broken)


def append_takes_newer_versions(monkeypatch):
    monkeypatch.setattr(statements, "_LOOKED_UP", statements._COMPARED)


def append_marks_the_deleted(monkeypatch):
    opened = PostgresLanding.__init__

    def broken(self, *arguments):
        opened(self, *arguments)
        self._only_adds = False

    monkeypatch.setattr(PostgresLanding, "__init__", broken)


BROKEN = {
    overlap_is_ignored: 13,
    checkpoint_is_saved_before_the_rows: 21,
    deletes_are_forgotten: 6,
    deletes_reach_every_customer: 6,
    bounds_move_when_a_reading_goes_on: 22,
    the_lease_is_given_to_everybody: 15,
    a_new_mapping_asks_for_nothing: 6,
    the_last_chunk_is_dropped_now_and_then: 1,
    a_backfill_passes_over_its_first_page: 6,
    append_takes_newer_versions: 8,
    append_marks_the_deleted: 8,
}
"""With the seed to begin at: one that tells now, so that the tests stay cheap."""


def everything_fits_the_filter(monkeypatch):
    monkeypatch.setattr(selecting, "judge_of", lambda *_: None)
    monkeypatch.setattr(selecting, "pushed_part", lambda *_: None)


def leavers_are_left_as_they_are(monkeypatch):
    judged = selecting.judged

    def broken(*arguments):
        return replace(judged(*arguments), leaving=KEEP)

    monkeypatch.setattr(selecting, "judged", broken)


def transforms_do_nothing(monkeypatch):
    monkeypatch.setattr(rules, "compile_transforms", lambda steps, sources, **_: compile_transforms((), sources))


BROKEN_SHAPED = {everything_fits_the_filter: 1, leavers_are_left_as_they_are: 29, transforms_do_nothing: 1}
"""With the first seed to look at, as above."""


@pytest.mark.parametrize(("broken", "first"), BROKEN_SHAPED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_an_engine_with_broken_shapes_is_found_out(ground, monkeypatch, broken, first):
    broken(monkeypatch)
    seeds = range(first, first + MOST_SEEDS)
    told = next(filter(None, (lived(ground, seed, shaped=True).broken for seed in seeds)), "")
    assert told
    assert "unexpected error" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("broken", "first"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_engine_is_found_out(ground, monkeypatch, broken, first):
    broken(monkeypatch)
    told = next(filter(None, (lived(ground, seed).broken for seed in range(first, first + MOST_SEEDS))), "")
    assert told
    # It is wrong, and does not only fail.
    assert "unexpected error" not in told
    assert "Traceback" not in told
