"""The deliverer dies between sending and telling the store."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from sync_pipelines.store.deliveries import CLAIM_SECONDS
from sync_pipelines_tests.fixtures.migrated_store import KEY


@pytest.fixture
def process(outbox, tmp_path):
    """Starts a deliverer; whatever still runs is killed with the test."""
    started = []
    environment = {
        **os.environ,
        "SYNC_PIPELINES_STORE_URL": outbox.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": KEY,
        "SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    def start():
        command = [sys.executable, "-m", "sync_pipelines_tests.notify.deliverer_process"]
        started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def test_what_was_sent_and_not_told_is_sent_again_with_the_same_id_and_nothing_is_lost(post, receiver, process):
    endpoint, secret = post.subscribe()
    told = post.tell(*(f"customer-{number}" for number in range(12)))
    killed, reached = threading.Event(), threading.Event()

    def answer(request):
        if len(receiver.received) > 8 and not killed.is_set():
            reached.set()
            killed.wait(60)
        return 200, {}, b"ok"

    receiver.answer = answer
    first = process()
    assert reached.wait(120)
    first.kill()
    first.wait()
    killed.set()

    at_death = post.store.deliveries.page(endpoint_id=endpoint.id)
    open_ = {each.event_id.hex for each in at_death if each.status == "waiting"}
    sent = [request.headers["webhook-id"].removeprefix("msg_") for request in receiver.received]
    assert open_ & set(sent), "something was sent of which the store does not know"

    # The claims of the dead process end by the clock that it claimed by.
    post.now = datetime.now(UTC) + timedelta(seconds=CLAIM_SECONDS + 1)
    while post.deliver():
        pass
    assert {each.status for each in post.store.deliveries.page(endpoint_id=endpoint.id)} == {"delivered"}
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert set(ids) == {f"msg_{each.id.hex}" for each in told}
    assert len(ids) > len(told)
    assert all(request.verified(secret)["type"] == "sync.error" for request in receiver.received)
