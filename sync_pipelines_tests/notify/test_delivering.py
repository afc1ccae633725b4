"""Deliveries over real HTTP: signed, repeated, given up, never lost, and nobody waits for another's server."""

import threading
from datetime import timedelta

import pytest

from sync_pipelines.model.event import Event
from sync_pipelines.notify.delivering import deliver_due, deliver_until
from sync_pipelines.notify.schedule import DELAYS
from sync_pipelines.store import events
from sync_pipelines.store.deliveries import DISABLED_AFTER
from sync_pipelines_tests.notify.receiver import receiving


@pytest.fixture
def delivering(post):
    """Starts `deliver_until` in a thread and ends it with the test."""
    stop, threads = threading.Event(), []

    def start():
        thread = threading.Thread(target=deliver_until, args=(post, stop))
        threads.append(thread)
        thread.start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_an_event_arrives_as_standard_webhooks_writes_it(post, receiver):
    endpoint, secret = post.subscribe()
    (event,) = post.tell(error_type="network", error_message="no answer")

    assert deliver_due(post) == 1

    (request,) = receiver.received
    assert request.verified(secret) == {
        "id": f"msg_{event.id.hex}",
        "type": "sync.error",
        "timestamp": event.at.isoformat().replace("+00:00", "Z"),
        "data": {
            "customer_id": "acme",
            "provider": "salesforce",
            "sync": "crm",
            "object": "contact",
            "error_type": "network",
            "error_message": "no answer",
        },
    }
    assert request.headers["webhook-id"] == f"msg_{event.id.hex}"
    assert request.headers["Content-Type"] == "application/json"
    done = post.only(endpoint)
    assert (done.status, done.attempts, done.log[0]["status"], done.log[0]["answer"]) == ("delivered", 1, 200, "ok")
    assert post.store.endpoints.get(endpoint.id).delivered_at is not None
    assert deliver_due(post) == 0


def test_it_is_tried_again_by_the_published_schedule_with_one_id_and_then_given_up(post, receiver):
    endpoint, secret = post.subscribe()
    post.tell()
    receiver.answer = lambda request: (500, {}, b"out of order")
    due = []
    for attempt in range(len(DELAYS)):
        assert post.deliver_when_due(endpoint) == 1, attempt
        due.append(post.only(endpoint).due_at - post.now)
        assert post.deliver(seconds=1) == 0

    for waited, delay in zip(due[:-1], DELAYS[1:], strict=True):
        assert delay <= waited <= 1.1 * delay
    given_up = post.only(endpoint)
    assert (given_up.status, given_up.attempts, len(given_up.log)) == ("failed", 10, 10)
    assert {each["status"] for each in given_up.log} == {500}
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1
    assert len(receiver.received) == 10
    assert all(request.verified(secret) for request in receiver.received)
    assert post.deliver(days=1) == 0


def test_a_receiver_that_is_down_for_a_while_gets_everything_when_it_is_back(post, receiver):
    with receiving() as gone:
        endpoint, secret = post.subscribe(url=gone.url + "/hook")
    told = post.tell(*(f"customer-{number}" for number in range(20)))
    post.deliver()
    post.deliver(seconds=10)
    assert post.store.endpoints.get(endpoint.id).failures >= 2
    assert "Connect" in post.store.deliveries.page(endpoint_id=endpoint.id)[-1].log[0]["error"]

    post.store.endpoints.update(endpoint.id, url=receiver.url + "/back")
    while len(receiver.received) < len(told):
        assert post.deliver(minutes=6) > 0
    assert [request.verified(secret)["type"] for request in receiver.received] == ["sync.error"] * 20
    assert {request.headers["webhook-id"] for request in receiver.received} == {f"msg_{each.id.hex}" for each in told}
    assert post.store.endpoints.get(endpoint.id).failures == 0


@pytest.mark.parametrize("asked", ["7200", "date"])
def test_what_the_receiver_asks_for_is_obeyed(post, receiver, asked):
    endpoint, _ = post.subscribe()
    other, _ = post.subscribe("/other")
    post.tell()
    value = (
        (post.now + timedelta(hours=2, seconds=1)).strftime("%a, %d %b %Y %H:%M:%S GMT") if asked == "date" else asked
    )
    receiver.answer = lambda request: (429 if request.path == "/hook" else 200, {"Retry-After": value}, b"")
    post.deliver()
    post.tell()
    assert post.deliver(minutes=100) == 1, "the other endpoint alone"
    assert len(receiver.wait_for(1, "/hook")) == 1
    receiver.answer = lambda request: (204, {}, b"")
    assert [post.deliver(minutes=21), post.deliver()] == [1, 1], "one at a time until it works again"
    assert len(receiver.received) == 5
    assert [each.status for each in post.store.deliveries.page(endpoint_id=endpoint.id)] == ["delivered"] * 2
    assert [each.status for each in post.store.deliveries.page(endpoint_id=other.id)] == ["delivered"] * 2


def test_410_disables_at_once_and_is_told_and_enabling_sends_what_waited(post, receiver, caplog):
    endpoint, _ = post.subscribe()
    watching, secret = post.subscribe("/watch", ["webhook.disabled"])
    post.tell("acme", "brightwater")
    receiver.answer = lambda request: (410 if request.path == "/hook" else 200, {}, b"gone")
    post.deliver()

    disabled = post.store.endpoints.get(endpoint.id)
    assert not disabled.enabled
    assert "gone (status 410)" in disabled.disabled_reason
    assert f"Endpoint {endpoint.id}" in caplog.text
    assert [entry.action for entry in post.store.audit.list(f"endpoint {endpoint.id}")] == ["disable", "create"]
    post.tell("acme")
    post.deliver()
    (told,) = receiver.wait_for(1, "/watch")
    data = told.verified(secret)["data"]
    assert (data["endpoint_id"], data["kind"]) == (str(endpoint.id), "webhook")
    assert watching.enabled

    receiver.answer = lambda request: (200, {}, b"")
    post.store.endpoints.update(endpoint.id, enabled=True)
    while post.deliver(minutes=6):
        pass
    assert [each.status for each in post.store.deliveries.page(endpoint_id=endpoint.id)] == ["delivered"] * 2


def test_an_endpoint_that_takes_nothing_for_five_days_is_disabled_and_one_success_begins_anew(post, receiver):
    endpoint, _ = post.subscribe()
    receiver.answer = lambda request: (503, {}, b"")
    post.tell()
    post.deliver()
    post.tell()
    post.deliver(seconds=DISABLED_AFTER.total_seconds() - 60)
    assert post.store.endpoints.get(endpoint.id).enabled

    receiver.answer = lambda request: (200, {}, b"")
    post.tell()
    while post.deliver(seconds=10):
        pass
    assert post.store.endpoints.get(endpoint.id).failing_since is None

    receiver.answer = lambda request: (503, {}, b"")
    post.tell()
    post.deliver()
    post.tell()
    post.deliver(seconds=DISABLED_AFTER.total_seconds() + 1)
    stands = post.store.endpoints.get(endpoint.id)
    assert not stands.enabled
    assert "failing since" in stands.disabled_reason
    assert post.deliver(days=9) == 0


def test_one_or_all_are_sent_again_with_the_same_id(post, receiver):
    endpoint, secret = post.subscribe()
    receiver.answer = lambda request: (500, {}, b"")
    post.tell("acme")
    while post.only(endpoint).status == "waiting":
        post.deliver_when_due(endpoint)
    receiver.answer = lambda request: (200, {}, b"")
    post.tell("brightwater")
    post.deliver(minutes=6)
    delivered, failed = post.store.deliveries.page(endpoint_id=endpoint.id)
    assert (failed.status, delivered.status) == ("failed", "delivered")

    before = len(receiver.received)
    post.store.deliveries.replay(delivered.id, now=post.now)
    assert post.deliver() == 1
    assert receiver.received[-1].headers["webhook-id"] == receiver.received[-2].headers["webhook-id"]
    assert receiver.received[-1].verified(secret)
    since = failed.at - timedelta(minutes=1)
    assert post.store.deliveries.replay_since(endpoint.id, since, now=post.now) == 1
    assert post.store.deliveries.replay_since(endpoint.id, post.now, all=True, now=post.now) == 0
    post.deliver()
    assert post.store.deliveries.replay_since(endpoint.id, since, all=True, now=post.now) == 2
    assert post.deliver() == 2
    assert len(receiver.received) == before + 4
    assert {each.status for each in post.store.deliveries.page(endpoint_id=endpoint.id)} == {"delivered"}


def test_during_a_rotation_receivers_with_either_secret_take_it(post, receiver):
    endpoint, first = post.subscribe()
    second = post.store.endpoints.rotate(endpoint.id, timedelta(hours=1))
    post.tell()
    post.deliver()
    (request,) = receiver.received
    assert request.verified(first) == request.verified(second)
    assert len(request.headers["webhook-signature"].split()) == 2


def test_a_slow_server_keeps_nobody_else_waiting(post, receiver, delivering):
    slow, answered, lock = threading.Event(), threading.Event(), threading.Lock()
    under_way, most = 0, 0

    def answer(request):
        nonlocal under_way, most
        if request.path == "/slow":
            with lock:
                under_way += 1
                most = max(most, under_way)
            slow.set()
            answered.wait(10)
            with lock:
                under_way -= 1
        return 200, {}, b""

    receiver.answer = answer
    post.subscribe("/slow")
    post.subscribe("/quick")
    post.tell(*(f"customer-{number}" for number in range(50)))
    delivering()
    receiver.wait_for(50, "/quick")
    assert slow.is_set()
    answered.set()
    receiver.wait_for(50, "/slow")
    assert most <= 4


def test_several_processes_share_the_work_and_none_is_sent_twice(post, receiver, delivering):
    _, secret = post.subscribe()
    told = post.tell(*(f"customer-{number}" for number in range(60)))
    for _ in range(3):
        delivering()
    requests = receiver.wait_for(60)
    assert {each.verified(secret)["id"] for each in requests} == {f"msg_{each.id.hex}" for each in told}
    assert len(receiver.received) == 60


def test_a_store_that_does_not_answer_ends_nothing(post, receiver, delivering, outbox, monkeypatch):
    monkeypatch.setattr("sync_pipelines.notify.delivering.STORE_SECONDS", 0.05)
    post.subscribe()
    with outbox.connect() as connection:
        connection.execute("ALTER TABLE deliveries RENAME TO hidden")
    failed = threading.Event()
    monkeypatch.setattr("sync_pipelines.notify.delivering.log.warning", lambda *told: failed.set())
    delivering()
    assert failed.wait(60)
    with outbox.connect() as connection:
        connection.execute("ALTER TABLE hidden RENAME TO deliveries")
    post.tell()
    receiver.wait_for(1)


def test_an_event_of_a_transaction_that_is_not_through_is_not_sent(post, receiver):
    post.subscribe()
    with post.store._engine.begin() as database:
        events.add(database, Event(type="sync.completed", customer_id="acme", subject={}))
        assert deliver_due(post) == 0
    assert deliver_due(post) == 1


def test_secrets_that_a_receiver_repeats_are_not_kept(post, receiver, caplog, outbox):
    endpoint, secret = post.subscribe("/in?token=hush-hush-hush")
    receiver.answer = lambda request: (
        500,
        {},
        f"you sent {receiver.url}/in?token=hush-hush-hush {secret.reveal()} Authorization: Bearer abcdefgh".encode(),
    )
    post.tell()
    post.deliver()
    (attempt,) = post.only(endpoint).log
    assert attempt["answer"].startswith("you sent ***")
    assert attempt["answer"].endswith("Authorization: ***")
    with outbox.connect() as connection:
        rows = str(connection.execute("SELECT CAST(deliveries AS text) FROM deliveries").fetchall())
    assert "hush" not in rows + caplog.text
    assert secret.reveal() not in rows + caplog.text
