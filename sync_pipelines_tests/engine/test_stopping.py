from sync_pipelines.engine.stopping import Stops
from sync_pipelines.model.errors import GaveWay, Stopped
from sync_pipelines_tests.engine.test_side_by_side import named, side_by_side, work_of


def test_one_customer_is_stopped_and_the_others_are_not():
    stops = Stops()
    waiting = stops.of("a")
    stops.cancel("a")
    assert waiting.is_set()
    assert stops.is_cancelled("a")
    assert not stops.of("b").is_set()
    assert not stops.is_cancelled("b")
    assert not stops.is_set()


def test_when_everything_stops_those_stop_too_that_begin_later():
    stops = Stops()
    early = stops.of("a")
    stops.set()
    assert stops.is_set()
    assert early.is_set()
    assert stops.of("b").is_set()
    assert not stops.is_cancelled("a")


def test_what_is_cancelled_before_or_in_its_turn_is_told_so_and_the_rest_goes_on():
    stops, begun = Stops(), []

    def do(item):
        begun.append(named(item))
        if named(item) == "contacts a":
            stops.cancel("a")
            stops.cancel("c")
        if stops.of(item.connection.customer_id).is_set():
            raise Stopped("It was told to stop.")

    runs = side_by_side(work_of({"contacts": ["a", "b", "c"]}), do, at_once=1, stops=stops)
    assert [(run.customer_id, run.status, run.error_type) for run in runs] == [
        ("a", "cancelled", None),
        ("b", "skipped", "not_found"),
        ("c", "cancelled", None),
    ]
    assert begun == ["contacts a", "contacts b"]
    assert "the next run goes on from there" in runs[0].error_message


def test_who_makes_room_ends_at_its_checkpoint_and_begins_nothing_more():
    stops = Stops()

    def do(item):
        if item.connection.customer_id == "a":
            stops.give_way("a")
            raise GaveWay("It made room.")

    runs = side_by_side(work_of({"contacts": ["a", "b"], "companies": ["a"]}), do, at_once=1, stops=stops)
    assert [(f"{run.object} {run.customer_id}", run.status, run.error_type, run.gave_way) for run in runs] == [
        ("contacts a", "cancelled", None, True),
        ("contacts b", "skipped", "not_found", False),
        ("companies a", "skipped", None, True),
    ]
    assert not stops.of("a").is_set(), "until there nothing is interrupted"


def test_the_end_of_the_process_is_not_a_cancelling():
    stops = Stops()

    def do(item):
        stops.set()
        raise Stopped("It was told to stop.")

    (run,) = side_by_side(work_of({"contacts": ["a"]}), do, at_once=1, stops=stops)
    assert (run.status, run.error_type) == ("error", "network")
