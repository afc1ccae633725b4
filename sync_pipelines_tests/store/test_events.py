"""The outbox: what is told, to whom, and that it is written with what it tells of."""

import json
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.event import EVENT_TYPES, Event
from sync_pipelines.model.run import Counts, SyncRun
from sync_pipelines.store import Outcome, events
from sync_pipelines.store.deliveries import Attempt
from sync_pipelines_tests.store.conftest import sync_of
from sync_pipelines_tests.store.test_retention import KEEP

URL = "https://example.com/hook"


@pytest.fixture
def run(now):
    def make(minute=0, **rest):
        ended = now + timedelta(minutes=minute)
        usual = SyncRun(
            run_id=f"run-{minute}",
            sync="crm",
            object="contact",
            provider="salesforce",
            customer_id="acme",
            started_at=ended - timedelta(seconds=2),
            finished_at=ended,
            status="success",
            counts=Counts(read=3, unchanged=3),
            due_at=ended - timedelta(seconds=9),
        )
        return replace(usual, **rest)

    return make


@pytest.fixture
def listening(store):
    """Adds an endpoint that wants everything, of one customer or of all."""

    def add(wanted=tuple(EVENT_TYPES), **rest):
        return store.endpoints.create(URL, wanted, **rest)[0]

    return add


@pytest.fixture
def told(database):
    """(type, customer, subject) of the events of an endpoint, oldest first."""

    def read(endpoint):
        with database.connect() as connection:
            return connection.execute(
                "SELECT type, events.customer_id, subject FROM events JOIN deliveries ON event_id = events.id "
                "WHERE endpoint_id = %s ORDER BY deliveries.id",
                [endpoint.id],
            ).fetchall()

    return read


def types(found):
    return [type for type, _, _ in found]


FAILED = {"status": "error", "error_type": "network", "error_message": "no answer"}


def test_runs_that_changed_something_failed_or_recovered_are_told_and_idle_ones_are_not(
    store, connect, listening, told, run
):
    connect()
    endpoint = listening(["sync.completed", "sync.error"])
    for each in (
        run(0),
        run(1, counts=Counts(read=3, updated=1)),
        run(2, **FAILED),
        run(3, **FAILED),
        run(4),
        run(5),
        run(6, status="skipped"),
        run(7, status="cancelled"),
        run(8, due_at=None),
        run(9, counts=Counts(read=3, rejected=1)),
    ):
        store.runs.record([each])

    found = told(endpoint)
    assert [(type, subject["execution_id"]) for type, _, subject in found] == [
        ("sync.completed", "run-1"),
        ("sync.error", "run-2"),
        ("sync.error", "run-3"),
        ("sync.completed", "run-4"),
        ("sync.completed", "run-8"),
        ("sync.completed", "run-9"),
    ]
    assert found[0][2]["counts"] == {**dict.fromkeys(found[0][2]["counts"], 0), "read": 3, "updated": 1}
    assert (found[1][2]["error_type"], found[1][2]["error_message"]) == ("network", "no answer")


def test_an_idle_run_is_told_to_whoever_asked_for_it(store, connect, listening, told, run, now):
    connect()
    store.due.plan([sync_of()], now=now)
    endpoint = listening(["sync.completed"])
    store.due.request("crm", ["acme"], ["contact"], now=now)
    asked = run(1, due_at=now)
    others = [
        run(2, due_at=now + timedelta(seconds=1)),
        replace(asked, object="account"),
        replace(asked, customer_id="brightwater"),
        replace(asked, sync="other"),
    ]
    store.runs.record([*others, asked])

    assert [(subject["object"], subject["execution_id"]) for _, _, subject in told(endpoint)] == [("contact", "run-1")]


def test_a_run_after_one_that_died_tells_of_what_that_one_may_have_stored(store, connect, listening, told, run, now):
    """The dead one's rows are in the destination; the next one finds nothing to change."""
    connect()
    store.due.plan([sync_of()], now=now)
    endpoint = listening(["sync.completed"])
    store.runs.record([run(-9), run(-9, object="account")])
    (claim,) = store.due.claim(now)
    store.due.done(claim.id, [Outcome(customer_id="acme", failed=True, failed_objects=("contact",))], now)
    assert store.due.list()[0].attempts == 1

    store.runs.record([run(5), run(5, customer_id="brightwater")])
    assert [(customer, subject["object"]) for _, customer, subject in told(endpoint)] == [("acme", "contact")]
    store.runs.record([run(6)])
    assert len(told(endpoint)) == 1, "it was told"


def test_an_endpoint_of_a_customer_hears_of_that_one_alone_and_only_what_it_wants(store, listening, told, run):
    everybody, acme, brightwater = listening(), listening(customer_id="acme"), listening(customer_id="brightwater")
    elsewhere = listening(["mapping.changed"], customer_id="acme")
    off = listening()
    store.endpoints.update(off.id, enabled=False)
    store.runs.record([run(0, **FAILED), run(1, **FAILED, customer_id="brightwater")])
    with store._engine.begin() as database:
        events.add(database, Event(type="webhook.disabled", customer_id=None, subject={}))

    assert [customer for _, customer, _ in told(everybody)] == ["acme", "brightwater", None]
    assert [customer for _, customer, _ in told(acme)] == ["acme"]
    assert [customer for _, customer, _ in told(brightwater)] == ["brightwater"]
    assert told(elsewhere) == told(off) == []


def test_where_nobody_listens_nothing_is_kept(store, connect, database, run, listening):
    listening(["mapping.changed"], customer_id="brightwater")
    connect()
    store.runs.record([run(0, **FAILED), run(1, counts=Counts(created=1))])
    store.mappings.save("acme", "salesforce", "contact", {"email": "Email"})
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_an_event_is_written_with_the_outcome_or_not_at_all(store, database, listening, told, run):
    endpoint = listening()
    with database.connect() as connection:
        connection.execute("ALTER TABLE runs ADD CONSTRAINT no_acme CHECK (customer_id <> 'acme')")
    with pytest.raises(Exception, match="no_acme"):
        store.runs.record([run(0, **FAILED)])
    assert told(endpoint) == []

    with database.connect() as connection:
        connection.execute("ALTER TABLE runs DROP CONSTRAINT no_acme")
        connection.execute("ALTER TABLE events ADD CONSTRAINT no_errors CHECK (type <> 'sync.error')")
    with pytest.raises(Exception, match="no_errors"):
        store.runs.record([run(0, **FAILED)])
    assert store.runs.list() == []


def test_connecting_expiring_and_mapping_are_told_once_each(store, connect, listening, told):
    endpoint = listening(customer_id="acme")
    acme = connect()
    for _ in range(3):
        store.credentials(acme).expire("the customer took the permission away")
    connect()
    store.connections.set_status(store.connections.get("acme", "salesforce"), "expired", "revoked")
    for rules in ({"email": "Email"}, {"email": "Email"}, {"email": "Other__c"}):
        store.mappings.save("acme", "salesforce", "contact", rules, actor="somebody")

    assert [(type, subject) for type, _, subject in told(endpoint)] == [
        ("connection.connected", {"environment": "production", "again": False}),
        ("connection.expired", {"environment": "production", "reason": "the customer took the permission away"}),
        ("connection.connected", {"environment": "production", "again": True}),
        ("connection.expired", {"environment": "production", "reason": "revoked"}),
        ("mapping.changed", {"object": "contact", "version": 1, "old_version": None, "actor": "somebody"}),
        ("mapping.changed", {"object": "contact", "version": 2, "old_version": 1, "actor": "somebody"}),
    ]


def test_hostile_texts_are_told_as_they_can_be_stored(store, listening, told, run):
    endpoint = listening()
    store.runs.record([run(0, **(FAILED | {"error_message": "nul\x00 half \ud800" + "x" * 9_000}))])
    ((_, _, subject),) = told(endpoint)
    assert subject["error_message"].startswith("nul\\u0000 half \\ud800")
    assert len(subject["error_message"]) == 1_000


def test_idle_attempts_cost_one_look_and_nothing_where_nobody_listens(store, statements, run, listening):
    store.runs.record([run(minute) for minute in range(50)])
    assert len([each for each in statements if "endpoints" in each]) == 1

    listening(["sync.completed"])
    statements.clear()
    store.runs.record([run(minute, object=f"object-{minute}") for minute in range(50)])
    assert len([each for each in statements if "endpoints" in each or "requests" in each]) == 2


def test_old_events_go_with_their_deliveries(store, listening, told, run, now):
    endpoint = listening()
    store.runs.record([run(0, **FAILED), run(60 * 24 * 20, **FAILED)])
    gone = store.retention.prune(KEEP, now + timedelta(days=31))
    assert gone["events"] == 1
    assert len(told(endpoint)) == 1


def test_urls_and_secrets_are_sealed_shown_never_and_opened_by_every_key_of_the_ring(open_store, database):
    old = open_store("old key")
    hook, secret = old.endpoints.create("https://example.com/in?token=hush", ["sync.error"])
    slack, none = old.endpoints.create("https://hooks.slack.com/services/T0/B0/hush", ["sync.error"], kind="slack")
    assert none is None
    assert secret.reveal().startswith("whsec_")
    assert hook.shown_url == "https://example.com/in?***"
    assert slack.shown_url == "https://hooks.slack.com/***"

    assert open_store("new key", "old key").rotate() == 2
    new = open_store("new key")
    found = new.endpoints.addresses([hook.id, slack.id])
    assert found[hook.id].url.reveal() == "https://example.com/in?token=hush"
    assert found[hook.id].signing == (secret,)
    with database.connect() as connection:
        for table in ("endpoints", "audit"):
            assert "hush" not in str(connection.execute(f"SELECT CAST({table} AS text) FROM {table}").fetchall())
    assert open_store("another").endpoints.addresses([hook.id]) == {}
    with pytest.raises(ConfigurationError, match="not in SYNC_PIPELINES_ENCRYPTION_KEYS"):
        open_store("another").endpoints.rotate(hook.id, timedelta(0))


def test_after_a_rotation_every_secret_signs_until_its_own_end_however_often_it_is_repeated(store, listening):
    endpoint, first = store.endpoints.create(URL, ["sync.error"])

    def signing():
        return store.endpoints.addresses([endpoint.id])[endpoint.id].signing

    second = store.endpoints.rotate(endpoint.id, timedelta(hours=24))
    promised = store.endpoints.get(endpoint.id).former_until
    third = store.endpoints.rotate(endpoint.id, timedelta(hours=48))
    assert signing() == (third, second, first)
    store.endpoints.update(endpoint.id, url=f"{URL}/moved")
    address = store.endpoints.addresses([endpoint.id])[endpoint.id]
    assert (address.until[1], address.until[0] > promised) == (promised, True)

    latest = store.endpoints.rotate(endpoint.id, timedelta(hours=1))
    address = store.endpoints.addresses([endpoint.id])[endpoint.id]
    assert address.signing == (latest, third, second, first)
    assert set(address.until) == {store.endpoints.get(endpoint.id).former_until}, "a shorter overlap holds for all"
    assert store.endpoints.rotate(endpoint.id, timedelta(0)) in signing()
    assert len(signing()) == 1
    assert {entry.action for entry in store.audit.list(f"endpoint {endpoint.id}")} == {"rotate", "create", "update"}
    with pytest.raises(ConfigurationError, match="at most 7 days"):
        store.endpoints.rotate(endpoint.id, timedelta(days=8))

    for _ in range(9):
        newest = store.endpoints.rotate(endpoint.id, timedelta(hours=1))
    with pytest.raises(ConfigurationError, match="10 secrets of this endpoint hold already"):
        store.endpoints.rotate(endpoint.id, timedelta(hours=1))
    assert (len(signing()), signing()[0]) == (10, newest)


def test_what_an_earlier_version_sealed_signs_as_it_did(store, database):
    endpoint, first = store.endpoints.create(URL, ["sync.error"])
    second = store.endpoints.rotate(endpoint.id, timedelta(hours=24))
    written = {"url": URL, "signing": [second.reveal(), first.reveal()]}
    sealed = store.endpoints._ring.seal(json.dumps(written), about=f"endpoint {endpoint.id}")
    with database.connect() as connection:
        connection.execute("UPDATE endpoints SET sealed = %s", [sealed])
        assert store.endpoints.addresses([endpoint.id])[endpoint.id].signing == (second, first)
        connection.execute("UPDATE endpoints SET former_until = now() - interval '1 second'")
        assert store.endpoints.addresses([endpoint.id])[endpoint.id].signing == (second,)


def test_an_endpoint_that_makes_no_sense_is_not_made(store):
    for wanted, rest, message in (
        ([], {}, "wants some event"),
        (["sync.started"], {}, "There is no event sync.started"),
        (["sync.error"], {"customer_id": "a/b"}, "cannot be a customer's id"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            store.endpoints.create(URL, wanted, **rest)


def test_erasing_a_customer_takes_its_endpoints_its_events_and_who_changed_what_of_them(store, listening, run):
    everybody, own = listening(), listening(customer_id="acme")
    store.runs.record([run(0, **FAILED), run(1, **FAILED, customer_id="brightwater")])
    store.endpoints.update(own.id, url="https://acme.example/moved")
    store.endpoints.rotate(own.id, timedelta(hours=1))
    assert store.erasing.held("acme").keys() >= {"endpoints", "events", "deliveries", "audit"}

    receipt = store.erasing.begin("acme", actor="test")
    removed = store.erasing.remove(receipt.id, "acme")
    assert (removed["endpoints"], removed["events"], removed["audit"]) == (1, 1, 3)
    assert store.erasing.held("acme") == {}
    assert "acme" not in str(store.audit.list())
    assert [each.customer_id for each in store.deliveries.page(endpoint_id=everybody.id)] == ["brightwater"]


def test_a_customer_cannot_have_endless_endpoints(store, listening, monkeypatch):
    monkeypatch.setattr("sync_pipelines.store.endpoints.MOST", 2)
    for customer in ("acme", None):
        for _ in range(2):
            listening(customer_id=customer)
        with pytest.raises(ConfigurationError, match="remove one first"):
            listening(customer_id=customer)


def test_deleting_an_endpoint_takes_its_deliveries(store, database, listening, run):
    endpoint = listening()
    store.runs.record([run(0, **FAILED)])
    store.endpoints.delete(endpoint.id, actor="somebody")
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM deliveries").fetchone() == (0,)
    with pytest.raises(ConfigurationError, match="There is no endpoint"):
        store.endpoints.get(endpoint.id)


def counted(found, name):
    return [subject["counts"][name] for _, _, subject in found]


def test_changes_that_a_vendor_told_are_told_once_in_ten_seconds_until_that_is_sent(store, listening, told, run, now):
    """What comes while an event is being sent is in the next one, and an endpoint made meanwhile misses nothing."""
    begins = now.replace(second=0, microsecond=0)

    def tell(second, **counts):
        ended = begins + timedelta(seconds=second)
        one = run(run_id="live-1", due_at=None, started_at=ended, finished_at=ended, counts=Counts(**counts))
        store.vendor_events.applied([], [one, replace(one, object="account"), replace(one, customer_id="brightwater")])

    tell(0, updated=1)
    endpoint, others = listening(["sync.completed"], customer_id="acme"), listening(["sync.error"])
    tell(1, read=5, unchanged=5)
    tell(2, read=2, updated=2)
    later = listening(["sync.completed"], customer_id="acme")
    tell(4, read=3, created=3)
    for each in (endpoint, later):
        assert [(type, customer) for type, customer, _ in told(each)] == [("sync.completed", "acme")] * 2
        assert {subject["object"] for _, _, subject in told(each)} == {"contact", "account"}
        assert (counted(told(each), "updated"), counted(told(each), "created")) == ([2, 2], [3, 3])
    assert told(others) == []
    subject = told(endpoint)[0][2]
    assert (subject["execution_id"], subject["started_at"], subject["finished_at"]) == (
        "live-1", (begins + timedelta(seconds=2)).isoformat(), (begins + timedelta(seconds=4)).isoformat()
    )  # fmt: skip

    assert store.deliveries.claim(9, begins + timedelta(seconds=9)) == []
    taken = store.deliveries.claim(9, begins + timedelta(seconds=10))
    assert {parcel.event.subject["counts"]["created"] for each in taken for parcel in each.parcels} == {3}
    tell(7, updated=1)
    assert counted(told(endpoint), "updated") == [2, 2, 1, 1]
    tell(11, updated=1)
    tell(12, updated=1)
    assert counted(told(endpoint), "updated") == [2, 2, 1, 1, 2, 2]


def test_what_is_added_to_an_event_and_what_takes_it_to_send_it_wait_for_each_other(store, listening, told, run, now):
    endpoint, failures = listening(["sync.completed"]), []
    begins = now.replace(second=0, microsecond=0)

    def tell(number):
        one = run(run_id="live-1", finished_at=begins, due_at=None, counts=Counts(updated=1), object=f"object-{number}")
        for _ in range(25):
            store.vendor_events.applied([], [one])

    def guarded(number):
        try:
            tell(number)
        except Exception as problem:
            failures.append(problem)

    threads = [threading.Thread(target=guarded, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    sent, at = [], begins + timedelta(seconds=10)
    while True:
        still = any(thread.is_alive() for thread in threads)
        claimed = store.deliveries.claim(9, at)
        for each in claimed:
            sent += [parcel.event.subject["counts"]["updated"] for parcel in each.parcels]
            store.deliveries.record(each, Attempt(at=at, seconds=0, delivered=True, status=200, next_at={}))
        if not still and not claimed:
            break
    assert failures == []
    assert sum(sent) == sum(counted(told(endpoint), "updated")) == 75
