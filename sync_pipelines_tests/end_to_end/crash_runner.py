"""Syncs in processes of their own, which can be told to kill themselves at a step.

    python -m sync_pipelines_tests.end_to_end.crash_runner

reads one order a line (JSON) and forks a process for each, so that imports are paid for once and still everything a
process holds (sockets, locks, memory) ends by SIGKILL. It answers with a line that says how the process ended.
"""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
from pydantic import SecretStr

from sync_pipelines.model.secret import Secret
from sync_pipelines.project import open_project
from sync_pipelines.providers.salesforce import bulk
from sync_pipelines.settings import DEVELOPMENT_KEY, Settings
from sync_pipelines.store import Store

LONGEST_SECONDS = 120
"""Then the process ends itself with SIGALRM, so that no test waits for ever."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: the signal that killed it or None, the steps that it passed, the runs that it came to."""

    signal: int | None
    steps: list[str]
    runs: list[SimpleNamespace]

    @property
    def run(self):
        (only,) = self.runs
        return only


class CrashRunner:
    """The other end of the line: orders go out, ends come back."""

    def __init__(self):
        command = [sys.executable, "-m", "sync_pipelines_tests.end_to_end.crash_runner"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sync(self, place, *customers, die_at=None, name="crm", full=False, cells_per_page=None, **settings):
        """Sync the first object of a sync for some customers; `die_at`: (step, number of its passing, from 0)."""
        order = {
            "settings": json.loads(place.settings().model_dump_json())
            | {
                "store_url": place.store.url(),
                "encryption_keys": place.settings().encryption_keys.get_secret_value(),
            }
            | settings,
            "environ": place.environ,
            "sync": name,
            "customers": customers,
            "full": full,
            "die_at": die_at,
            "cells_per_page": cells_per_page,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        told = self._process.stdout.readline()
        assert told, "the crash runner itself ended; its trace is above"
        answer = json.loads(told)
        return Ended(answer["signal"], answer["steps"], [SimpleNamespace(**run) for run in answer["runs"]])

    def close(self):
        self._process.stdin.close()
        self._process.wait(LONGEST_SECONDS)
        self._process.stdout.close()


@contextmanager
def running():
    runner = CrashRunner()
    try:
        yield runner
    finally:
        runner.close()


def _serve():
    _warm_up()
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _obey(json.loads(line), writing)
        os.close(writing)
        with os.fdopen(reading) as told:
            facts = [json.loads(text) for text in told]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer = {
            "signal": -status if status < 0 else None,
            "steps": [fact["step"] for fact in facts if "step" in fact],
            "runs": [fact["run"] for fact in facts if "run" in fact],
        }
        if status > 0:
            raise SystemExit(f"an order ended with {status}: see its trace above")
        print(json.dumps(answer), flush=True)


def _warm_up():
    """What each process would otherwise import and derive anew."""
    httpx.Client().close()
    Store("postgresql+psycopg:///", (Secret(DEVELOPMENT_KEY),)).close()


def _obey(order, writing):
    """In the forked process: never returns."""
    status = 1
    try:
        signal.alarm(LONGEST_SECONDS)
        _sync(order, lambda **fact: os.write(writing, json.dumps(fact).encode() + b"\n"))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(status)


def _sync(order, tell):
    if order["cells_per_page"]:
        bulk.CELLS_PER_PAGE = order["cells_per_page"]
    passed = Counter()
    step_to_die, passing_to_die = order["die_at"] or (None, None)

    def observe(step):
        tell(step=step)
        if (step, passed[step]) == (step_to_die, passing_to_die):
            os.kill(os.getpid(), signal.SIGKILL)
        passed[step] += 1

    secrets = {name: SecretStr(order["settings"].pop(name)) for name in ("store_url", "encryption_keys")}
    settings = Settings(**secrets, **order["settings"])
    with closing(open_project(settings, order["environ"], sleep=lambda seconds: None)) as project:
        item = project.sync(order["sync"]).objects[0].object
        runs = project.sync_connections(
            order["sync"], item, order["customers"], run_id=uuid.uuid4().hex, full=order["full"], observe=observe
        )
    for run in runs:
        tell(run={"status": run.status, "full": run.full, "message": run.error_message, "changed": run.counts.changed})


if __name__ == "__main__":
    _serve()
