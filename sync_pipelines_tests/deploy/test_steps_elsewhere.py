"""What a run makes of a step that it gave to a Celery worker, without one."""

from types import SimpleNamespace

import dagster as dg
import pytest
from celery.exceptions import TaskRevokedError

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.orchestration import executors
from sync_pipelines.orchestration.celery_steps import LOOK_EVERY_SECONDS, LOST_AFTER, WatchedStep, WorkerLost
from sync_pipelines.settings import Settings
from sync_pipelines_tests.orchestration.fakes import a_sync


class Task:
    """As Celery's result: `state` and `info` are what its backend holds."""

    id = "task"

    def __init__(self):
        self.state, self.info, self.revoked = "PENDING", None, []

    def started(self):
        self.state, self.info = "STARTED", {"hostname": "syncs@here", "pid": 1}

    def ready(self):
        return self.state in ("SUCCESS", "FAILURE", "REVOKED")

    def get(self):
        assert self.ready()
        return ["event"]

    def revoke(self, **options):
        self.revoked.append(options)


class Watch:
    """A watched step and its surroundings: `clock` in seconds, `known` whether the worker says it has the step."""

    def __init__(self):
        self.clock, self.known, self.asked, self.task = 0.0, True, [], Task()
        self.step = WatchedStep(self.task, self.seen, lambda: self.clock)

    def seen(self, worker, task_id):
        self.asked.append((worker, task_id))
        return self.known

    def looks(self, times):
        """Whether it is ready after each of so many looks."""
        found = []
        for _ in range(times):
            self.clock += LOOK_EVERY_SECONDS
            found.append(self.step.ready())
        return found


def test_a_step_that_waits_in_its_queue_is_not_lost():
    watch = Watch()
    assert watch.looks(LOST_AFTER * 3) == [False] * LOST_AFTER * 3
    assert watch.asked == []


def test_its_worker_is_asked_now_and_then_and_the_result_is_taken():
    watch = Watch()
    watch.task.started()
    assert [watch.step.ready() for _ in range(5)] == [False] * 5
    assert watch.asked == []
    assert watch.looks(2) == [False, False]
    assert watch.asked == [("syncs@here", "task")] * 2
    watch.task.state = "SUCCESS"
    assert watch.step.ready()
    assert watch.step.get() == ["event"]


def test_a_worker_that_has_it_no_more_three_times_in_a_row_is_lost():
    watch = Watch()
    watch.task.started()
    watch.known = False
    assert watch.looks(LOST_AFTER - 1) == [False] * (LOST_AFTER - 1)
    watch.known = True
    assert watch.looks(1) == [False]
    watch.known = False
    assert watch.looks(LOST_AFTER) == [False] * (LOST_AFTER - 1) + [True]
    with pytest.raises(WorkerLost, match="syncs@here"):
        watch.step.get()


def test_what_ended_between_two_questions_is_not_lost():
    watch = Watch()
    watch.task.started()
    watch.known = False
    watch.looks(LOST_AFTER - 1)
    watch.step._result.ready = iter([False, True, True]).__next__
    watch.task.state = "SUCCESS"
    watch.task.get = lambda: ["event"]
    watch.clock += LOOK_EVERY_SECONDS
    assert watch.step.ready() in (True, False)
    assert watch.step.get() == ["event"]


def test_cancelling_interrupts_a_step_that_works_and_drops_one_that_waits():
    working, waiting = Watch(), Watch()
    working.task.started()
    for watch in (working, waiting):
        watch.step.revoke()
        assert watch.task.revoked == [{"terminate": True, "signal": "SIGINT"}]
    assert not working.step.ready()
    assert waiting.step.ready()
    with pytest.raises(TaskRevokedError):
        waiting.step.get()


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sync-pipelines\[celery\]'"):
        executors.executor_of(Settings(executor="celery", celery_broker_url="redis://x", _env_file=None))


def test_without_a_broker_the_message_names_the_variable():
    with pytest.raises(ConfigurationError, match="SYNC_PIPELINES_CELERY_BROKER_URL"):
        executors.executor_of(Settings(executor="celery", _env_file=None))


def test_runs_work_in_their_own_process_unless_told_otherwise():
    assert executors.executor_of(Settings(_env_file=None)) is dg.in_process_executor


def test_each_provider_may_have_a_queue_of_its_own():
    def tags(**settings):
        return executors.queue_tags(Settings(_env_file=None, **settings), a_sync(provider="hubspot"))

    assert tags() == tags(celery_queue_per_provider=True) == tags(executor="celery") == {}
    assert tags(executor="celery", celery_queue_per_provider=True) == {"dagster-celery/queue": "provider_hubspot"}


def test_a_run_that_is_over_does_not_begin_its_step():
    from sync_pipelines.orchestration.claims import refuse_ended_run

    def in_state(status):
        run = None if status is None else SimpleNamespace(status=status)
        instance = SimpleNamespace(get_run_by_id=lambda run_id: run)
        return SimpleNamespace(instance=instance, run_id="run")

    for status in (None, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING):
        refuse_ended_run(in_state(status))
    with pytest.raises(dg.Failure, match=r"over \(CANCELED\)"):
        refuse_ended_run(in_state(dg.DagsterRunStatus.CANCELED))
