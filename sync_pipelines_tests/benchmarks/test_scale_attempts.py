"""What is made of the recorded attempts: lateness, whose failures were whose, projections."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.charts import time_chart
from benchmarks.scale import faults
from benchmarks.scale.accounts import customer_of
from benchmarks.scale.attempts import Attempt, attribution, lateness, per_attempt_ms, per_day, percentile
from benchmarks.scale.usage import RUNS, Sample, Watch, sample

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def attempt(customer, object="contacts", started=0, **rest):
    values = {"due_at": None, "status": "success", "error_type": None, "changed": 0, "calls": 2}
    return Attempt(customer=customer, object=object, started_at=at(started), **{**values, **rest})


def test_lateness_is_from_when_the_work_was_due_for_every_object():
    attempts = [
        attempt("a", started=10, due_at=at(5)),
        attempt("a", "deals", started=25, due_at=at(5)),
        attempt("b", started=7, due_at=at(7)),
    ]
    due = {"a": at(5), "b": at(7)}
    assert lateness(attempts, due, 2, at(100)) == [0, 5, 20, 93]


def test_a_retry_has_a_time_of_its_own_and_what_was_due_before_does_not_count():
    due = {"a": at(0)}
    more = [attempt("a", started=90, due_at=at(60)), attempt("a", started=2, due_at=at(-500))]
    assert lateness([attempt("a", started=1, due_at=at(0)), *more], due, 1, at(300)) == [1, 30]


def test_an_attempt_from_before_the_work_was_due_is_not_that_work():
    assert lateness([attempt("a", started=1, due_at=at(1))], {"a": at(50), "b": at(90)}, 1, at(70)) == [20]


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share, value):
    assert percentile(range(1, 101), share) == value
    assert percentile([], share) == 0


def test_failures_count_only_with_the_right_type_and_for_the_right_customer():
    injected = {1: faults.REVOKED, 2: faults.BROKEN, 3: faults.GONE, 4: faults.CUT_OFF}
    attempts = [
        attempt(customer_of(1), status="error", error_type="auth_expired"),
        attempt(customer_of(1), "deals", status="skipped", error_type="auth_expired"),
        attempt(customer_of(2), status="error", error_type="vendor_error"),
        attempt(customer_of(2), "deals", status="error", error_type="network"),
        attempt(customer_of(3), status="skipped", error_type="not_found"),
        attempt(customer_of(3), "deals"),
        attempt(customer_of(9), status="error", error_type="destination"),
        attempt(customer_of(8)),
    ]
    found = attribution(attempts, injected)
    assert found.attributed == 2
    assert [text.split(" ")[0] for text in found.wrong] == [customer_of(2), customer_of(4)]
    assert found.others == [f"{customer_of(9)}: ['destination']"]


def test_failing_accounts_are_spread_and_of_all_kinds_at_both_vendors():
    injected = faults.failing(10_000, 0.01)
    assert len(injected) == 100
    assert {(number % 2, kind) for number, kind in injected.items()} == {
        (parity, kind) for parity in (0, 1) for kind in faults.KINDS
    }
    assert max(injected) < 10_000
    assert faults.failing(3, 0.01).keys() == {0}


def test_what_grew_in_the_measured_time_is_told_as_of_a_day():
    assert per_day(2.0, 3600) == pytest.approx(48)
    assert per_attempt_ms({"daemon": 1.0, "sandbox": 3.0}, 1000) == pytest.approx(4)
    assert per_attempt_ms({"daemon": 1.0, "sandbox": 3.0}, 1000, {"sandbox"}) == pytest.approx(1)


BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BURN!r}])
print("done", flush=True)
sys.stdin.read()
"""


def test_cpu_of_children_that_have_ended_counts_for_the_runs_of_a_code_server():
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "done\n"
        found = sample({"code server": process.pid, "daemon": os.getpid()})
        assert found.cpu[RUNS] >= 0.25
        assert found.memory["daemon"] > 5
        assert sample({"webserver": process.pid}).cpu["webserver"] >= 0.25
    finally:
        process.communicate("")


def test_a_check_that_fails_ends_the_waiting(monkeypatch):
    monkeypatch.setattr("benchmarks.scale.usage._SAMPLE_SECONDS", 0.01)

    def check():
        raise ValueError("the daemon has ended")

    with Watch({"daemon": os.getpid()}, check) as watch, pytest.raises(ValueError, match="daemon"):
        watch.wait(float("inf"))
    assert watch.cpu()["daemon"] >= 0
    assert watch.peaks()["daemon"] > 5


def test_a_sample_that_counted_too_much_makes_no_spike():
    watch = Watch({}, lambda: None)
    watch.samples = [Sample(10.0 * step, {"daemon": spent}, {}) for step, spent in enumerate([5.0, 6.0, 62.0, 8.0])]
    assert watch.cores() == {"daemon": [(10 / 60, 0.1), (20 / 60, 0.2), (30 / 60, 0.0)]}
    assert watch.cpu() == {"daemon": 3.0}


def test_a_chart_over_time_names_every_line():
    drawing = time_chart("Cores used", {"daemon": [(0.2, 0.5), (9.8, 0.25)], "sandbox": [(0.2, 0.1), (9.8, 0.1)]})
    assert drawing.count("<polyline") == 2
    assert ">daemon<" in drawing
    assert ">sandbox<" in drawing
