"""A column of files whose type changes: what it held stays beside the new one, for our readers and for others."""

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from sync_pipelines.destinations.s3.compaction import Compaction
from sync_pipelines.destinations.s3.manifest import Chain
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import Compacts
from sync_pipelines.model.errors import DestinationBusy, DestinationError
from sync_pipelines_tests.destinations.cases import CONTACTS, DONE, Crash, alive, ignore, load, row, scope, stored
from sync_pipelines_tests.destinations.reading_files import filesystem_of, latest

LONG = timedelta(days=1)


@pytest.fixture(params=["folder"])
def destination_kind(request):
    return request.param


every_kind = pytest.mark.parametrize("destination_kind", ["folder", "lines", "bucket"], indirect=True)


@pytest.fixture
def shown(request, destination_kind):
    """Rows of the latest view by id. None of lines of JSON: the printed line does not name the column."""

    def read():
        if destination_kind == "bucket":
            bucket = request.getfixturevalue("bucket")
            found = latest(f"s3://{bucket.name}/crm", filesystem=filesystem_of(bucket))
        elif destination_kind == "folder":
            found = latest(request.getfixturevalue("folder_config")().folder)
        else:
            return None
        return {entry["id"]: entry for entry in found}

    return read


@pytest.fixture
def manifest_path(folder_config):
    def find():
        (path,) = (Path(folder_config().folder) / "_manifests").rglob("*.json")
        return path

    return find


def table_with(kind):
    return replace(CONTACTS, columns=(*CONTACTS.columns, Column("tier", kind)))


def fill(destination, kind, value, id="1", customer="acme"):
    """One row with this value in the column; what the landing then holds, and which number the column has."""
    with destination.open(scope(customer), table_with(kind), f"run {kind}", ignore) as landing:
        load(landing, [(*row(id, name=kind, minute=1), value)], DONE)
        return stored(landing), landing.remade.get("tier")


def held(entry):
    return {name: value for name, value in entry.items() if name.startswith("tier")}


@every_kind
@pytest.mark.parametrize("grace", [LONG, timedelta(0)], ids=["kept", "not kept"])
def test_a_column_of_files_that_becomes_another_type_keeps_what_it_held(open_again, shown, grace):
    destination = open_again(grace=grace)
    fill(destination, "text", "iron", id="2")
    numbers = [fill(destination, "text", "gold")[1]]
    steps = (
        ("numeric", Decimal(3), {"tier__was_text": "gold"}),
        ("date", date(2026, 1, 2), {"tier__was_text": "gold", "tier__was_numeric": Decimal(3)}),
        # A type that comes back takes its own column back, so that there is one for each type at most.
        ("text", "silver", {"tier__was_numeric": Decimal(3), "tier__was_date": date(2026, 1, 2)}),
    )
    for kind, value, aside in steps:
        found, number = fill(destination, kind, value)
        assert held(found["1"]) == {"tier": value, **aside}
        assert (view := shown()) is None or held(view["1"]) == {"tier": value, **aside}
        numbers.append(number)
    untouched = {"tier": "iron", "tier__was_numeric": None, "tier__was_date": None}
    assert held(found["2"]) == untouched
    assert view is None or held(view["2"]) == untouched
    assert numbers[0] is None
    assert len(set(numbers)) == len(numbers)
    assert destination.compact(scope(), table_with("text")).merged in (0, 2, 3)
    with destination.open(scope(), table_with("text"), "check", ignore) as landing:
        assert stored(landing) == found


@every_kind
def test_whole_numbers_become_decimals_in_place(destination):
    fill(destination, "bigint", 7)
    found, number = fill(destination, "numeric", Decimal("7.5"), id="2")
    assert ({id: held(entry) for id, entry in found.items()}, number) == (
        {"1": {"tier": Decimal(7)}, "2": {"tier": Decimal("7.5")}},
        None,
    )


def test_removed_records_stay_removed_when_a_column_moves(open_again, shown):
    destination = open_again(grace=LONG)
    with destination.open(scope(), table_with("text"), "run-1", ignore) as landing:
        load(landing, [(*row(id), "gold") for id in ("1", "2", "3")], DONE)
        load(landing, [], DONE, removed=["2"])
        load(landing, [(*row("3", minute=1, name="Bea"), "iron")], DONE)
    found, _ = fill(destination, "numeric", Decimal(3))
    assert set(found) == set(shown()) == {"1", "3"}
    assert held(shown()["3"]) == {"tier": None, "tier__was_text": "iron"}


def test_of_other_customers_the_files_follow_with_their_next_run_or_by_compacting(open_again, shown):
    acme, zeta = open_again("acme"), open_again("zeta")
    fill(acme, "text", "gold", id="a")
    fill(zeta, "text", "7", id="z", customer="zeta")
    fill(acme, "numeric", Decimal(3), id="a")
    # Of two types the reader makes texts, and the newest versions are the right ones all the same.
    assert {id: entry["tier"] for id, entry in shown().items()} == {"a": "3.000000000000000000", "z": "7"}
    assert isinstance(zeta, Compacts)
    zeta.compact(scope("zeta"), table_with("numeric"))
    assert {id: held(entry) for id, entry in shown().items()} == {
        "a": {"tier": Decimal(3), "tier__was_text": "gold"},
        "z": {"tier": None, "tier__was_text": "7"},
    }


def test_moving_that_dies_goes_on_with_the_next_run(destination, monkeypatch, shown):
    with destination.open(scope(), table_with("text"), "run-1", ignore) as landing:
        load(landing, [(*row("1"), "gold")], DONE)
        load(landing, [(*row("2"), "iron")], DONE)

    def die(*_, **__):
        raise Crash("moving")

    usual, left = Chain.follow, [2]

    def dying(chain, head, manifest):
        left[0] -= 1
        return die() if left[0] == 0 else usual(chain, head, manifest)

    for place, name, replacement in (
        (Chain, "follow", die),
        (Compaction, "run", die),
        (Chain, "follow", dying),
        (Chain, "publish", die),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(place, name, replacement)
            with pytest.raises(Crash), destination.open(scope(), table_with("numeric"), "run-2", ignore):
                pass
        assert set(shown()) == {"1", "2"}
    with destination.open(scope(), table_with("numeric"), "run-3", ignore) as landing:
        assert {id: held(entry)["tier__was_text"] for id, entry in stored(landing).items()} == {
            "1": "gold",
            "2": "iron",
        }
        assert landing.checkpoint.read_until == DONE.read_until
    assert {id: held(entry) for id, entry in shown().items()} == {
        "1": {"tier": None, "tier__was_text": "gold"},
        "2": {"tier": None, "tier__was_text": "iron"},
    }


def test_a_writer_of_files_with_the_old_type_is_told_to_try_again(open_again):
    with open_again().open(scope(), table_with("text"), "run-1", ignore) as behind:
        load(behind, [(*row("1"), "gold")], DONE)
        fill(open_again(), "numeric", Decimal(3))
        with pytest.raises(DestinationBusy):
            load(behind, [(*row("2"), "new")], DONE)
    with open_again().open(scope(), table_with("numeric"), "run-2", ignore) as landing:
        assert alive(landing) == ["1"]


def test_columns_that_keeping_rows_needs_never_move_in_files(destination, manifest_path):
    fill(destination, "text", "gold")
    path = manifest_path()
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "columns": {**manifest["columns"], "is_deleted": "text"}}))
    with (
        pytest.raises(DestinationError, match="cannot be moved aside"),
        destination.open(scope(), table_with("text"), "run-2", ignore),
    ):
        pass


def test_a_manifest_without_moved_columns_stays_readable_for_older_releases(destination, manifest_path):
    fill(destination, "text", "gold")
    path = manifest_path()
    assert json.loads(path.read_text())["form"] == 1
    fill(destination, "numeric", Decimal(3))
    assert json.loads(path.read_text())["form"] == 2
