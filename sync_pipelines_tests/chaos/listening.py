"""Somebody who listens to the events of a scene, and looks at the destination in the moment in which one comes."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

from sync_pipelines_tests.notify.receiver import receiving

TABLES = {"contact": "crm_contact", "account": "crm_account"}


class DelivererProcess:
    """`sync-pipelines webhook deliver`, which can be killed and started again."""

    def __init__(self, scene):
        self._environment = {
            **os.environ,
            **scene.stage.environment,
            "SYNC_PIPELINES_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true",
        }
        self._folder = scene.stage.folder.parent
        self.start()

    def start(self):
        command = [sys.executable, "-c", "from sync_pipelines.cli import app; app()", "webhook", "deliver"]
        self._process = subprocess.Popen(command, env=self._environment, cwd=self._folder)

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Listener:
    """`events`: what arrived, signature and all, as {(run, object, customer): payload's data}. `early`: events of runs
    whose rows were not there yet."""

    def __init__(self, scene, receiver, deliverer):
        self._scene, self.deliverer = scene, deliverer
        self.events, self.early = {}, []
        _, self._secret = scene.project.store.endpoints.create(receiver.url, ["sync.completed", "sync.error"])
        receiver.answer = self._hear

    def _hear(self, request):
        told = request.verified(self._secret)["data"]
        counts = told["counts"]
        if counts["created"] + counts["updated"] + counts["deleted"]:
            table = TABLES[told["object"]]
            if not self._scene.journal.has(told["execution_id"], told["customer_id"], table):
                self.early.append(told)
        self.events[told["execution_id"], told["object"], told["customer_id"]] = told
        return 200, {}, b""

    def missing(self):
        """Events of runs that changed something, and of rows that a killed run had written, which nobody was told."""
        runs = self._scene.project.store.runs.list(since=self._scene.since, limit=50_000)
        stored = {(run.run_id, run.object, run.customer_id): run for run in runs}
        untold = [key for key, run in stored.items() if run.counts.changed and key not in self.events]
        last = {}
        for (_, name, customer), told in self.events.items():
            last[TABLES[name], customer] = max(told["finished_at"], last.get((TABLES[name], customer), ""))
        written = self._scene.journal.last_written(self._scene.since)
        silent = [place for place, at in written.items() if last.get(place, "") < at.isoformat()]
        return [*untold, *silent]

    def of_nobody(self):
        """Events of runs that the store does not know."""
        runs = self._scene.project.store.runs.list(since=self._scene.since, limit=50_000)
        return sorted(self.events.keys() - {(run.run_id, run.object, run.customer_id) for run in runs})


@contextmanager
def listening(scene):
    deliverer = DelivererProcess(scene)
    try:
        with receiving() as receiver:
            yield Listener(scene, receiver, deliverer)
    finally:
        deliverer.kill()
