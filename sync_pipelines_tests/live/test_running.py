"""The live process does both: it applies what vendors tell, and tells endpoints what happened here."""

import threading

from sync_pipelines.live.events import EventsLoop
from sync_pipelines.live.running import running
from sync_pipelines.notify.delivering import deliver_until
from sync_pipelines_tests.fixtures.place import ACME
from sync_pipelines_tests.live.conftest import wait_until
from sync_pipelines_tests.notify.receiver import receiving


def test_what_happens_is_delivered_while_it_runs_and_it_stops_when_told(place, tmp_path):
    place.options["webhooks_to_private_addresses"] = True
    place.write_sync(schedule={"every": "1h"})
    with receiving() as receiver:
        _, secret = place.project.store.endpoints.create(receiver.url, ["sync.completed", "connection.connected"])
        with running(place.project, tmp_path / "sign") as names:
            assert set(names) == {"events", "deliveries"}
            place.connect(ACME)
            place.sync(ACME)
            wait_until((tmp_path / "sign").exists)
            told = [request.verified(secret) for request in receiver.wait_for(2)]
    assert {each["type"] for each in told} == {"connection.connected", "sync.completed"}


def test_both_loops_tell_of_their_turns(place):
    for loop in (EventsLoop(place.project).until, lambda stop, turn: deliver_until(place.project, stop, turn)):
        stop = threading.Event()
        loop(stop, stop.set)
        assert stop.is_set()
