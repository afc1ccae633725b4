from datetime import timedelta

import pytest

from sync_pipelines.model.run import Counts, Rejection, SyncRun


@pytest.fixture
def run(now):
    def make(minutes=0, **rest):
        usual = {
            "run_id": "run-1",
            "sync": "crm",
            "object": "contact",
            "provider": "salesforce",
            "customer_id": "acme",
            "started_at": now + timedelta(minutes=minutes, seconds=-5),
            "finished_at": now + timedelta(minutes=minutes),
            "status": "success",
        }
        return SyncRun(**(usual | rest))

    return make


def test_a_run_comes_back_as_it_was_recorded(store, run, now):
    recorded = run(
        full=True,
        counts=Counts(read=7, created=1, updated=2, unchanged=3, deleted=4, rejected=5, invalid=6),
        status="error",
        error_type="rate_limit",
        error_message="wait",
        retry_at=now,
        notices=("field Tier__c vanished",),
        rejections=(Rejection(reason="no id", record="{}"),),
        vendor_calls=12,
        quota={"used": 1, "allowed": 2},
        account_id="00D1",
    )

    store.runs.record([recorded])

    assert store.runs.list() == [recorded]


def test_runs_are_listed_newest_first_by_what_is_asked_for(store, run, now):
    runs = [
        run(0),
        run(1, object="account"),
        run(2, customer_id="globex"),
        run(3, sync="other", run_id="run-2"),
        run(4, status="error"),
    ]
    store.runs.record(runs)

    assert store.runs.list() == runs[::-1]
    assert store.runs.list(limit=2) == [runs[4], runs[3]]
    assert store.runs.list(object="account") == [runs[1]]
    assert store.runs.list(customer_id="globex") == [runs[2]]
    assert store.runs.list(sync="other") == store.runs.list(run_id="run-2") == [runs[3]]
    assert store.runs.list(status="error") == [runs[4]]
    assert store.runs.list(since=now + timedelta(minutes=2), sync="crm") == [runs[4], runs[2]]
    assert store.runs.last("crm", "contact", "acme") == runs[4]
    assert store.runs.last("crm", "contact", "nobody") is None


def test_many_runs_are_recorded_at_once(store, run, statements):
    store.runs.record([run(number) for number in range(500)])
    store.runs.record([])

    assert len(store.runs.list(limit=1_000)) == 500
    assert len(statements) < 10


def test_what_grows_without_end_is_cut(store, run):
    rejections = tuple(Rejection(reason="r" * 9_000, record="x" * 9_000) for _ in range(500))
    store.runs.record([run(rejections=rejections, notices=("n" * 9_000,) * 500, error_message="e" * 90_000)])

    (found,) = store.runs.list()

    assert (len(found.rejections), len(found.notices)) == (100, 100)
    assert len(found.rejections[0].record) == 2_000
    assert found.rejections[0].record.endswith("…")
    assert len(found.error_message) == 4_000


def test_texts_that_postgres_cannot_hold_are_made_visible(store, run):
    hostile = "a\x00b\ud800c"
    rejection = Rejection(reason=hostile, record=hostile)
    store.runs.record([run(error_message=hostile, notices=(hostile,), rejections=(rejection,), quota={hostile: 1})])

    (found,) = store.runs.list()

    assert found.error_message == found.notices[0] == found.rejections[0].record == "a\\u0000b\\ud800c"
