"""A Redis of the test's own, Celery workers, and waiting for what other processes do."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import redis

from sync_pipelines.orchestration.processes import free_port

ROOT = Path(__file__).parents[2]
NAME = "syncs@here"
SECONDS = 90
"""The longest wait for anything that another process does."""


def wait_for(what, saying, seconds=SECONDS):
    """What `what()` answers once that is true. AssertionError at the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {saying}"
        time.sleep(0.1)
    return answer


def end(process, number=signal.SIGKILL):
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
    process.wait(timeout=SECONDS)


@pytest.fixture
def redis_url(tmp_path):
    """A real server on 127.0.0.1 that asks for a password."""
    server = shutil.which("redis-server")
    if server is None:
        message = (
            "NO redis-server FOUND: the Celery tests did not run. Install one (Debian: apt-get install redis-server)."
        )
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    port, password = free_port(), secrets.token_hex(8)
    settings = tmp_path / "redis.conf"
    settings.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\ndir {tmp_path}\n'
    )
    with (tmp_path / "redis.log").open("wb") as output:
        process = subprocess.Popen([server, str(settings)], stdout=output, stderr=output, start_new_session=True)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    try:
        with redis.Redis.from_url(url) as client:
            wait_for(lambda: answers(client), "Redis answers")
        yield url
    finally:
        end(process)


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


class Workers:
    """Celery workers, started as an operator starts them. All of one name: a new one takes the place of a dead one."""

    def __init__(self, environment, home):
        self.environment = {**os.environ, **environment, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.home = home
        self.running = []

    def start(self):
        """Returns when it takes work."""
        log = self.home / f"worker_{len(self.running)}.log"
        arguments = [
            "--app",
            "sync_pipelines.orchestration.worker",
            "worker",
            "--loglevel",
            "INFO",
            "--queues",
            "dagster",
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "celery",
                    *arguments,
                    "--loglevel",
                    "INFO",
                    "--concurrency",
                    "2",
                    "--hostname",
                    NAME,
                ],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running.append((process, log))

        def ready():
            assert process.poll() is None, log.read_text()
            return f"{NAME} ready." in log.read_text()

        wait_for(ready, f"the worker is ready:\n{log.read_text()}")
        return process, log

    def stop(self):
        for process, _ in self.running:
            end(process)
