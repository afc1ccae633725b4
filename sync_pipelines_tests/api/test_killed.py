"""The API killed while it is asked: whoever repeats a call with its key has asked once."""

import os
import threading
import time

import httpx
import pytest

from sync_pipelines_tests.fixtures.api_process import ApiProcess
from sync_pipelines_tests.fixtures.place import ACME

ASKERS, EACH, KILLS = 4, 50, 5


@pytest.fixture
def api(place, command_line, monkeypatch):
    place.write_sync()
    place.connect(ACME)
    command_line.at(place).set(SYNC_PIPELINES_API_BURST=100_000)
    served = ApiProcess(dict(os.environ))
    yield served
    served.kill()


def test_what_was_asked_under_kills_was_asked_once(place, api):
    _, secret = place.project.store.tokens.create("asker", ["syncs:run"])
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    answered, cut = {}, []

    def ask(number):
        with httpx.Client(timeout=30) as client:
            for key in (f"{number}-{count}" for count in range(EACH)):
                deadline = time.monotonic() + 120
                while key not in answered:
                    assert time.monotonic() < deadline
                    try:
                        answer = client.post(
                            f"{api.url}/syncs/crm/trigger", headers={**headers, "Idempotency-Key": key}
                        )
                    except httpx.TransportError:
                        cut.append(key)
                        continue
                    assert answer.status_code == 202, answer.text
                    answered[key] = answer.json()["id"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
    for thread in threads:
        thread.start()
    for kill in range(1, KILLS + 1):
        enough = kill * ASKERS * EACH // (KILLS + 1)
        while len(answered) < enough and any(thread.is_alive() for thread in threads):
            threads[0].join(0.01)
        api.kill()
        api.start()
    for thread in threads:
        thread.join()
    assert len(answered) == ASKERS * EACH
    assert cut
    with place.store.connect() as connection:
        rows = connection.execute("SELECT id, key FROM requests").fetchall()
    assert {id for id, _ in rows} == set(answered.values())
    assert len(rows) == ASKERS * EACH
