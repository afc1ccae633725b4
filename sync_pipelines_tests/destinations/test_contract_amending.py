"""Single records that are looked at beside whoever reads the scope: older never wins, in either order."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sync_pipelines.model.checkpoint import Backfill, Checkpoint
from sync_pipelines.model.common_model import Column
from sync_pipelines.model.destination import ReadyRows, Table
from sync_pipelines.model.errors import DestinationBusy
from sync_pipelines.model.run import Counts
from sync_pipelines_tests.destinations.cases import (
    CONTACTS,
    DONE,
    START,
    Crash,
    alive,
    crash_at,
    ignore,
    incremental,
    load,
    names,
    reading,
    row,
    rows,
    scope,
    stored,
)


@pytest.fixture(params=["postgres", "folder"])
def destination_kind(request):
    return request.param


@pytest.fixture
def opened(destination):
    """Opens further landings on the same scope, as other processes do."""
    contexts = []

    def open_one(table=CONTACTS, run="live", observe=ignore):
        contexts.append(destination.open(scope(), table, run, observe))
        return contexts[-1].__enter__()

    yield open_one
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def amend(landing, *found, table=CONTACTS, **more):
    return landing.amend(ReadyRows(list(found), table.position("id")), **more)


def test_amending_leaves_the_position_and_its_reader_does_not_notice(landing, opened):
    load(landing, rows(1, 2), reading("full"))
    live = opened()
    told = amend(live, row("1", name="Bea", minute=1), row("3"), merged=[("2", "1")], gone=["9"])
    assert told == Counts(created=1, updated=2)
    assert live.checkpoint == landing.checkpoint
    assert load(landing, rows(4), reading("full")) == Counts(created=1)
    assert names(opened()) == {"1": "Bea", "2": "Ann", "3": "Ann", "4": "Ann"}
    assert stored(opened())["2"]["_sync_merged_into"] == "1"


def test_a_page_that_was_on_its_way_when_its_record_was_amended_is_left_alone_whatever_its_time_says(landing, opened):
    """HubSpot archives a record without moving its time: the page that still has it alive must not bring it back."""
    load(landing, rows(1, 2, 3), DONE)
    amend(opened(), row("1", name="Bea"), gone=["2"], removed=["3"])
    before = stored(opened())
    assert load(landing, rows(1, 2, 3, name="old"), incremental(landing.checkpoint)) == Counts(unchanged=3)
    assert stored(opened()) == before
    assert load(opened(run="next"), rows(1, 2, name="new", minute=1), DONE) == Counts(updated=2)


def test_an_older_version_is_amended_over_no_newer_one(landing, opened):
    load(landing, rows(1, minute=5, name="new"), DONE)
    assert amend(opened(), row("1", minute=4, name="old")) == Counts(unchanged=1)
    assert names(opened()) == {"1": "new"}


@pytest.mark.parametrize("hard", [False, True])
def test_a_full_read_deletes_nothing_that_was_amended_while_it_read(landing, opened, hard):
    load(landing, rows(1, 2, 3), DONE)
    before_it_began = opened()
    amend(before_it_began, row("3"))
    reader = opened(run="full")
    amend(opened(), row("new"))
    load(reader, rows(1), replace(reading("second"), version=0))
    amend(opened(), row("newer"))
    assert reader.delete_unseen(DONE, hard=hard, brake=1.0) == 2
    assert alive(opened()) == ["1", "new", "newer"]
    # With the end of the read the notes have gone: the next one sees for itself.
    later = opened(run="later")
    load(later, rows(1), reading("third"))
    assert later.delete_unseen(DONE, hard=hard, brake=1.0) == 2
    assert alive(opened()) == ["1"]


def test_a_read_that_goes_on_in_another_process_still_spares_what_was_amended_in_between(landing, opened):
    load(landing, rows(1), reading("full"))
    amend(opened(), row("new"))
    resumed = opened(run="resumed")
    load(resumed, rows(2), reading("full"))
    assert resumed.delete_unseen(DONE, hard=False, brake=1.0) == 0
    assert alive(opened()) == ["1", "2", "new"]


def test_rows_that_are_made_by_other_rules_by_now_are_not_amended(landing, opened):
    waiting = opened()
    with pytest.raises(DestinationBusy):
        amend(waiting, row("1"))
    load(landing, rows(1), DONE)
    for other in (
        {"fingerprint": "other"},
        {"seed": "other"},
        {"selection": "other"},
        {"backfill": Backfill(columns=("first_name",), target="x")},
    ):
        before = opened()
        load(landing, [], replace(DONE, **other))
        with pytest.raises(DestinationBusy):
            amend(before, row("1", name="Bea", minute=1))
    assert names(opened()) == {"1": "Ann"}


def test_rows_are_not_made_anew_of_a_record_that_was_amended_meanwhile(landing, opened):
    load(landing, rows(1, 2), DONE)
    amend(opened(), row("1", name="Bea", minute=1))
    remapped = ReadyRows([(0, None, None, "of the old record")], 0)
    remapped.ids = ["1"]
    with pytest.raises(DestinationBusy):
        landing.remap(remapped, ["first_name"], DONE)
    remapped.ids = ["2"]
    landing.remap(remapped, ["first_name"], DONE)
    assert names(opened()) == {"1": "Bea", "2": "of the old record"}


LINKS = Table(name="links", columns=(*CONTACTS.columns, Column("source_id", "text")), grouped_by="source_id")


def link(id, source):
    return (*row(f"{source}:{id}"), source)


def test_what_an_amended_source_no_longer_tells_is_not_brought_back_by_an_older_page(opened):
    reader = opened(table=LINKS)
    load(reader, [link("a", "1"), link("b", "1"), link("c", "2")], DONE, table=LINKS)
    live = opened(table=LINKS)
    assert amend(live, link("b", "1"), table=LINKS, regrouped=["1"]) == Counts(unchanged=1, deleted=1)
    older = [link("a", "1"), link("b", "1"), link("d", "2")]
    load(reader, older, incremental(reader.checkpoint), table=LINKS, regrouped=["1", "2"])
    assert sorted(stored(opened(table=LINKS))) == ["1:b", "2:d"]


@pytest.mark.parametrize("step", ["amend.held", "amend.noted"])
def test_a_crash_before_the_end_changes_nothing(landing, opened, step):
    load(landing, rows(1), DONE)
    with pytest.raises(Crash):
        amend(opened(observe=crash_at(step)), row("1", name="Bea", minute=1), row("2"))
    assert names(opened()) == {"1": "Ann"}
    assert amend(opened(), row("1", name="Bea", minute=1), row("2")) == Counts(created=1, updated=1)


def test_only_new_rows_are_added_where_rows_are_only_added(opened):
    table = replace(CONTACTS, name="added", append=True)
    load(opened(table=table), rows(1), DONE, table=table)
    told = amend(opened(table=table), row("1", name="Bea", minute=1), row("2"), table=table, gone=["1"], removed=["1"])
    assert told == Counts(created=1, unchanged=1)
    assert names(opened(table=table)) == {"1": "Ann", "2": "Ann"}


def test_an_idle_run_forgets_what_was_noted(landing, opened):
    load(landing, rows(1), DONE)
    amend(opened(), row("1", name="Bea", minute=1))
    idle = opened(run="idle")
    load(idle, [], Checkpoint(read_until=START + timedelta(hours=1)))
    # Were it still noted, it would be spared.
    full = opened(run="full")
    load(full, rows(2), reading("second"))
    assert full.delete_unseen(DONE, hard=False, brake=1.0) == 1
    assert alive(opened()) == ["2"]
