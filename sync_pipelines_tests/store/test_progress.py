import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import text

from sync_pipelines.model.run import Counts, SyncRun


@pytest.fixture
def run(now):
    def make(minutes=0, **rest):
        finished = now + timedelta(minutes=minutes)
        usual = {
            "run_id": "run-1",
            "sync": "crm",
            "object": "contact",
            "provider": "salesforce",
            "customer_id": "acme",
            "started_at": finished - timedelta(seconds=4),
            "finished_at": finished,
            "status": "success",
            "vendor_calls": 2,
        }
        return SyncRun(**(usual | rest))

    return make


@pytest.fixture
def failed(run):
    def make(minutes=0, message="wait", **rest):
        return run(minutes, status="error", error_type="rate_limit", error_message=message, **rest)

    return make


@pytest.fixture
def progress(store):
    """The only row that there is, as a dictionary without its key."""

    def read():
        with store._engine.connect() as database:
            row = dict(database.execute(text("SELECT * FROM progress")).mappings().one())
        return {name: value for name, value in row.items() if name not in ("sync", "object", "connection_id")}

    return read


CHANGED = Counts(read=9, created=1, updated=2, deleted=3, unchanged=3)


def test_the_first_outcome_makes_the_row(store, connect, run, progress, now):
    connect()
    store.runs.record([run(counts=CHANGED)])
    assert progress() == {
        "last_attempt_at": now,
        "last_status": "success",
        "last_success_at": now,
        "last_change_at": now,
        "last_error_at": None,
        "last_error_type": None,
        "last_error_message": "",
        "failures_in_row": 0,
        "attempts": 1,
        "successes": 1,
        "records": 6,
        "seconds": 4.0,
        "calls": 2,
        "today": now.date(),
        "attempts_today": 1,
        "failures_today": 0,
        "records_today": 6,
        "calls_today": 2,
    }


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_outcomes_of_one_key_add_up_in_any_number_of_batches(store, connect, run, failed, progress, now, together):
    connect()
    outcomes = [
        run(counts=CHANGED),
        failed(1, "first"),
        run(2, counts=Counts(read=5, unchanged=5)),
        failed(3, "second"),
        run(4, status="skipped", vendor_calls=0),
        failed(5, "third"),
    ]
    for batch in [outcomes] if together else [[one] for one in outcomes]:
        store.runs.record(batch)
    found = progress()
    assert found == {
        "last_attempt_at": now + timedelta(minutes=5),
        "last_status": "error",
        "last_success_at": now + timedelta(minutes=2),
        "last_change_at": now,
        "last_error_at": now + timedelta(minutes=5),
        "last_error_type": "rate_limit",
        "last_error_message": "third",
        "failures_in_row": 2,
        "attempts": 6,
        "successes": 2,
        "records": 6,
        "seconds": 8.0,
        "calls": 10,
        "today": now.date(),
        "attempts_today": 6,
        "failures_today": 3,
        "records_today": 6,
        "calls_today": 10,
    }


def test_a_success_ends_the_failures_in_a_row_and_keeps_the_last_error(store, connect, run, failed, progress):
    connect()
    store.runs.record([failed(0), failed(1)])
    assert progress()["failures_in_row"] == 2
    store.runs.record([run(2)])
    found = progress()
    assert (found["failures_in_row"], found["last_error_message"], found["last_status"]) == (0, "wait", "success")
    store.runs.record([run(3), failed(4)])
    assert progress()["failures_in_row"] == 1


def test_what_is_skipped_leaves_success_and_failures_as_they_are(store, connect, run, failed, progress, now):
    connect()
    store.runs.record([run(0), failed(1)])
    store.runs.record([run(2, status="skipped")])
    found = progress()
    assert (found["last_success_at"], found["failures_in_row"], found["last_status"]) == (now, 1, "skipped")


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_counts_of_today_begin_anew_with_the_day(store, connect, run, failed, progress, now, together):
    connect()
    night = 12 * 60
    outcomes = [run(night - 2, counts=CHANGED), failed(night - 1), run(night), failed(night + 1)]
    for batch in [outcomes] if together else [[one] for one in outcomes]:
        store.runs.record(batch)
    found = progress()
    assert found["today"] == now.date() + timedelta(days=1)
    assert [found[f"{name}_today"] for name in ("attempts", "failures", "records", "calls")] == [2, 1, 0, 4]
    assert (found["attempts"], found["records"]) == (4, 6)


def test_an_older_outcome_that_comes_late_counts_and_takes_nothing_back(store, connect, run, failed, progress, now):
    connect()
    store.runs.record([run(60 * 13)])
    store.runs.record([failed(0, counts=CHANGED)])
    found = progress()
    assert (found["last_status"], found["last_attempt_at"]) == ("success", now + timedelta(hours=13))
    assert found["today"] == now.date() + timedelta(days=1)
    assert (found["attempts_today"], found["attempts"], found["last_error_at"]) == (1, 2, now)


def test_keys_are_told_apart_and_who_is_gone_counts_nowhere(store, connect, run):
    connect()
    connect("globex")
    connect(provider="hubspot")
    outcomes = [
        run(),
        run(object="account"),
        run(sync="other"),
        run(customer_id="globex"),
        run(provider="hubspot", sync="marketing"),
        run(customer_id="gone"),
    ]
    store.runs.record(outcomes)
    with store._engine.connect() as database:
        found = database.execute(
            text(
                "SELECT sync, object, provider, customer_id, attempts FROM progress "
                "JOIN connections ON connections.id = connection_id"
            )
        ).all()
    assert sorted(map(tuple, found)) == [
        ("crm", "account", "salesforce", "acme", 1),
        ("crm", "contact", "salesforce", "acme", 1),
        ("crm", "contact", "salesforce", "globex", 1),
        ("marketing", "contact", "hubspot", "acme", 1),
        ("other", "contact", "salesforce", "acme", 1),
    ]
    assert len(store.runs.list()) == 6


def test_a_customer_who_disconnects_meanwhile_spoils_nothing_for_the_others(store, database, connect, run):
    leaving = connect("leaving")
    connect("staying")
    recording = threading.Thread(
        target=store.runs.record, args=([run(customer_id="leaving"), run(customer_id="staying")],)
    )
    with database.connect() as watch, store._engine.connect() as other:
        other.execute(text("DELETE FROM connections WHERE id = :id"), {"id": leaving.id})
        recording.start()
        deadline = time.monotonic() + 30
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while watch.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        other.commit()
    recording.join(30)
    assert len(store.runs.list()) == 2
    with store._engine.connect() as database_:
        assert database_.scalar(text("SELECT count(*) FROM progress")) == 1


def test_it_is_one_statement_for_any_number_of_outcomes(store, connect, run, statements):
    for number in range(20):
        connect(f"customer-{number}")
    statements.clear()
    store.runs.record([run(customer_id=f"customer-{number}", object=name) for number in range(20) for name in "abc"])
    told = [statement.split()[0] for statement in statements]
    assert told == ["INSERT", "SELECT", "INSERT"], "one look for who listens"
    assert [statement.split()[2] for statement in statements if statement.split()[0] == "INSERT"] == [
        "runs",
        "progress",
    ]
