"""Files are merged and removed without anybody's rows becoming others."""

from datetime import timedelta
from pathlib import Path

import pytest
from pyarrow import parquet

from sync_pipelines.destinations.s3 import compaction
from sync_pipelines.destinations.s3.manifest import Chain
from sync_pipelines.model.destination import Compacted, Compacts
from sync_pipelines.model.errors import DestinationError
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    Crash,
    alive,
    crash_at,
    ignore,
    load,
    reading,
    row,
    rows,
    scope,
    stored,
)
from sync_pipelines_tests.destinations.reading_files import latest

LONG = timedelta(days=1)


@pytest.fixture(params=["folder"])
def destination_kind(request):
    return request.param


@pytest.fixture
def root(folder_config):
    return Path(folder_config().folder)


def shown(root):
    return sorted(path.name for path in (root / "crm_contact").rglob("*.parquet"))


def own(root):
    return sorted(path.name.rsplit("-", 1)[0] for path in (root / "_own").rglob("*") if path.is_file())


def test_many_small_files_become_one_when_a_run_ends(destination, root):
    for number in range(compaction.MANY - 1):
        with destination.open(scope(), CONTACTS, f"run-{number}", ignore) as landing:
            load(landing, rows(number), DONE)
    assert len(shown(root)) == compaction.MANY - 1
    with destination.open(scope(), CONTACTS, "last", ignore) as landing:
        load(landing, rows("last"), DONE)
        before = stored(landing)
    assert len(shown(root)) == 1
    with destination.open(scope(), CONTACTS, "check", ignore) as landing:
        assert stored(landing) == before
    assert len(before) == len(latest(root)) == compaction.MANY


def test_replaced_files_stay_for_those_who_still_read_them(open_again, root):
    destination = open_again(grace=LONG)
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
        load(landing, [row("1", minute=1, name="Bea")], DONE)
    assert destination.compact(scope(), CONTACTS) == Compacted(merged=2)
    assert len(shown(root)) == 3
    assert sorted(entry["first_name"] for entry in latest(root)) == ["Ann", "Bea"]
    assert destination.compact(scope(), CONTACTS) == Compacted()
    assert isinstance(destination, Compacts)
    assert open_again(grace=timedelta(0)).compact(scope(), CONTACTS) == Compacted(removed=2)
    assert len(shown(root)) == 1
    assert sorted(entry["first_name"] for entry in latest(root)) == ["Ann", "Bea"]


@pytest.mark.parametrize("back", [False, True])
def test_a_removed_record_stays_removed_while_files_that_show_it_are_there(open_again, root, back):
    patient, hasty = open_again(grace=LONG), open_again(grace=timedelta(0))
    with patient.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2, 3), DONE)
        load(landing, [], DONE, removed=["2"])
        if back:
            load(landing, rows(2), DONE)
    expected = ["1", "2", "3"] if back else ["1", "3"]
    for destination in (patient, hasty, patient, hasty):
        destination.compact(scope(), CONTACTS)
        assert sorted(entry["id"] for entry in latest(root)) == expected
        with destination.open(scope(), CONTACTS, "check", ignore) as landing:
            assert alive(landing) == expected
            load(landing, [row("1", minute=len(expected), name="again")], DONE)
    hasty.compact(scope(), CONTACTS)
    hasty.compact(scope(), CONTACTS)
    (path,) = (root / "crm_contact").rglob("*.parquet")
    # Nothing that could show it is there any more, so the row that says that it is gone went too.
    assert sorted(parquet.ParquetFile(path).read()["id"].to_pylist()) == expected


def test_a_removed_record_stays_removed_though_the_file_that_shows_it_is_too_large_to_be_merged(
    destination, root, monkeypatch
):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(*range(500)), DONE)
        (large,) = (root / "crm_contact").rglob("*.parquet")
        monkeypatch.setattr(compaction, "SMALL", large.stat().st_size)
        load(landing, rows("new"), DONE, removed=["7"])
        load(landing, [row("8", minute=1, name="Bea")], DONE)
    for _ in range(2):
        assert destination.compact(scope(), CONTACTS).merged in (0, 2)
        assert large.exists()
        assert {entry["id"] for entry in latest(root)} == {"new", *map(str, range(500))} - {"7"}
    assert len(shown(root)) == 2


def test_a_compaction_that_dies_leaves_all_as_it_was(destination, root, monkeypatch):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1, 2), DONE)
        load(landing, rows(3), DONE)
        before = stored(landing)

    def die(*_):
        raise Crash("compaction")

    for step in ("follow", "publish"):
        with monkeypatch.context() as patched:
            patched.setattr(Chain, step, die)
            with pytest.raises(Crash):
                destination.compact(scope(), CONTACTS)
        assert {entry["id"] for entry in latest(root)} == {"1", "2", "3"}
    destination.compact(scope(), CONTACTS)
    with destination.open(scope(), CONTACTS, "run-2", ignore) as landing:
        assert stored(landing) == before


def test_files_of_loads_that_came_to_nothing_go_after_a_while(destination, root, monkeypatch):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), reading("first"))
    with pytest.raises(Crash), destination.open(scope(), CONTACTS, "run-2", crash_at("load.checkpointed")) as landing:
        load(landing, rows(2), reading("first"))
    assert own(root) == ["keys-0000000001", "keys-0000000002", "rows-0000000002", "seen-0000000001", "seen-0000000002"]
    assert destination.compact(scope(), CONTACTS) == Compacted()
    monkeypatch.setattr(compaction, "ORPHANS_STAY", timedelta(0))
    assert destination.compact(scope(), CONTACTS) == Compacted(removed=3)
    assert own(root) == ["keys-0000000001", "seen-0000000001"]
    with destination.open(scope(), CONTACTS, "run-3", ignore) as landing:
        load(landing, rows(2), reading("first"))
        assert landing.delete_unseen(DONE, hard=False, brake=0.0) == 0


def test_ids_seen_by_a_full_read_are_kept_only_while_it_is_under_way(destination, root):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), reading("first"))
        load(landing, rows(2), reading("first"))
        assert sum(name.startswith("seen") for name in own(root)) == 2
        load(landing, rows(1, 2), reading("second"))
        assert sum(name.startswith("seen") for name in own(root)) == 1
        landing.delete_unseen(DONE, hard=False, brake=0.0)
    assert not any(name.startswith("seen") for name in own(root))


def test_data_files_without_their_manifest_are_not_taken_for_a_new_beginning(destination, root):
    with destination.open(scope(), CONTACTS, "run-1", ignore) as landing:
        load(landing, rows(1), DONE)
    (manifest,) = (root / "_manifests" / "crm_contact").glob("*.json")
    manifest.unlink()
    with (
        pytest.raises(DestinationError, match="restore that, or move the files away"),
        destination.open(scope(), CONTACTS, "run-2", ignore),
    ):
        pass
