"""The live process does both: it applies what vendors tell, and tells endpoints what happened here."""

from sync_pipelines.live.running import running
from sync_pipelines_tests.fixtures.place import ACME
from sync_pipelines_tests.notify.receiver import receiving


def test_what_happens_is_delivered_while_it_runs_and_it_stops_when_told(place):
    place.options["webhooks_to_private_addresses"] = True
    place.write_sync(schedule={"every": "1h"})
    with receiving() as receiver:
        _, secret = place.project.store.endpoints.create(receiver.url, ["sync.completed", "connection.connected"])
        with running(place.project) as names:
            assert set(names) == {"events", "deliveries"}
            place.connect(ACME)
            place.sync(ACME)
            told = [request.verified(secret) for request in receiver.wait_for(2)]
    assert {each["type"] for each in told} == {"connection.connected", "sync.completed"}
