"""Dagster's three processes (code server, webserver, daemon), started, watched and stopped together."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import yaml

from sync_pipelines.orchestration.graphql import DagsterClient, DagsterRefused
from sync_pipelines.orchestration.names import LOCATION
from sync_pipelines.settings import environment_variables

log = logging.getLogger(__name__)

MODULE: Final = "sync_pipelines.orchestration.definitions"
POLL_SECONDS: Final = 0.2
LOG_LINES: Final = 20
MOST_RESTARTS: Final = 5
"""Of one process, while it is watched: what keeps ending has a cause that a person has to look at."""
UNREACHABLE: Final = "DagsterUserCodeUnreachableError"
"""In the error of a code location whose server does not listen yet."""
CODE_SOCKET: Final = "code.sock"
LOG_FOLDER: Final = "process_logs"
"""Not `logs`: Dagster's telemetry empties a folder of that name, switched off or not."""


class ProcessDied(Exception):
    """A process of ours ended by itself; the text holds the end of its log."""


class NotReady(Exception):
    """Dagster is up but unusable: the text says why and where to look."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A process that we started, alone in its process group (its children stay in it)."""

    name: str
    command: tuple[str, ...]
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        """How it ended and the end of its log, once it has ended."""
        ended = _ending(self.process.wait())
        return f"The {self.name} of Dagster ended ({ended}). The end of {self.log}:\n{_end_of(self.log)}"


class DagsterProcesses:
    """Code server on a unix socket, webserver on 127.0.0.1, daemon. Use it as a context, or call start and stop.

    `home` becomes DAGSTER_HOME: logs and the generated workspace file live there, and dagster.yaml, made of
    `instance_file`. `environment` is added to our own. `port` 0 means a free one.
    """

    def __init__(
        self,
        home: Path,
        *,
        instance_file: Path,
        environment: Mapping[str, str],
        working_directory: Path | None = None,
        module: str = MODULE,
        port: int = 0,
    ) -> None:
        self.home = home.absolute()
        self.instance_file = instance_file
        self.environment = dict(environment)
        self.working_directory = (working_directory or Path.cwd()).absolute()
        self.module = module
        self.port = port
        self.started: list[Started] = []
        self._replaced: list[Started] = []
        self._restarts: Counter[str] = Counter()
        self._socket_folder: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, seconds: float = 90) -> None:
        """Start all three and wait until the assets are there. Stops what it started when that fails.

        ProcessDied, or NotReady when the deadline has passed or the configuration does not load.
        """
        deadline = time.monotonic() + seconds
        try:
            self._start(deadline)
        except BaseException:
            self.stop()
            raise

    def check(self) -> None:
        """ProcessDied when one of them is not running any more."""
        for each in self.started:
            if each.process.poll() is not None:
                raise ProcessDied(each.last_words())

    def watch(self, stop: threading.Event) -> None:
        """Return when `stop` is set; until then, start again what has ended. ProcessDied when that happens too often.

        Dagster's own processes find each other again, and runs that are at work go on.
        """
        while not stop.wait(POLL_SECONDS * 5):
            for each in [each for each in self.started if each.process.poll() is not None]:
                if self._restarts[each.name] >= MOST_RESTARTS:
                    raise ProcessDied(each.last_words())
                self._restarts[each.name] += 1
                log.warning("It is started again. %s", each.last_words())
                self.started.remove(each)
                self._replaced.append(each)
                self._launch(each.name, each.command)

    def stop(self, *, seconds: float = 10) -> None:
        """SIGTERM to every process group that we started, and SIGKILL to what is left at the deadline."""
        deadline = time.monotonic() + seconds
        ours = self.started + self._replaced  # whose children may have outlived them
        for each in ours:
            _signal_group(each, signal.SIGTERM)
        waiting = list(ours)
        while waiting and time.monotonic() < deadline:
            waiting = [each for each in waiting if _group_alive(each)]
            time.sleep(POLL_SECONDS / 2 if waiting else 0)
        for each in waiting:
            _signal_group(each, signal.SIGKILL)
        for each in ours:
            each.process.wait()
        self.started.clear()
        self._replaced.clear()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    def _start(self, deadline: float) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / LOG_FOLDER).mkdir(exist_ok=True)
        (self.home / "dagster.yaml").write_text(self._instance_settings(), encoding="utf-8")
        # The path of a unix socket has 107 bytes at most, so it cannot lie below the project.
        self._socket_folder = Path(tempfile.mkdtemp(prefix="sync-pipelines-"))
        code_socket = self._socket_folder / CODE_SOCKET
        workspace = self.home / "workspace.yaml"
        place = {"socket": str(code_socket), "location_name": LOCATION}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": place}]}), encoding="utf-8")
        self.port = self.port or free_port()
        port = str(self.port)
        self._run("code server", "dagster", "code-server", "start", "-m", self.module, "--socket", str(code_socket))
        self._make_tables(deadline)
        self._run("webserver", "dagster_webserver", "-h", "127.0.0.1", "-p", port, "-w", str(workspace))
        self._wait_for(code_socket, deadline)
        self._run("daemon", "dagster._daemon", "run", "-w", str(workspace))
        self._wait_until_loaded(deadline)

    def _make_tables(self, deadline: float) -> None:
        """Make the tables of Dagster's storage before two processes do it at once and one of them fails at it.

        The code server, which asks no storage, starts meanwhile.
        """
        made = self._run("storage", "dagster", "instance", "info")
        try:
            code = made.process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise NotReady(f"The storage of Dagster does not answer; see {made.log}.") from None
        if code != 0:
            raise NotReady(
                f"The storage of Dagster could not be made ready. The end of {made.log}:\n{_end_of(made.log)}"
            )
        self.started.remove(made)

    def _instance_settings(self) -> str:
        """The settings of `instance_file`, with what is kept in files kept below `home`."""
        settings = yaml.safe_load(self.instance_file.read_text(encoding="utf-8"))
        for part, folder in (("local_artifact_storage", self.home), ("compute_logs", self.home / "compute_logs")):
            if part in settings:
                settings[part].setdefault("config", {})["base_dir"] = str(folder)
        return yaml.safe_dump(settings)

    def _run(self, name: str, module: str, *arguments: str) -> Started:
        return self._launch(name, (sys.executable, "-m", module, *arguments))

    def _launch(self, name: str, command: tuple[str, ...]) -> Started:
        file = self.home / LOG_FOLDER / f"{name.replace(' ', '_')}.log"
        ours = {"DAGSTER_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        if self._socket_folder is not None:
            ours["SYNC_PIPELINES_CODE_SERVER"] = str(self._socket_folder / CODE_SOCKET)
        with file.open("ab") as output, _interrupts_reach_children():
            process = subprocess.Popen(
                command,
                cwd=self.working_directory,
                env={**environment_variables(), **self.environment, **ours},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(Started(name=name, command=command, process=process, log=file))
        return self.started[-1]

    def _wait_for(self, file: Path, deadline: float) -> None:
        while not file.exists():
            self._rest(deadline, "The code server of Dagster did not open its socket")

    def _wait_until_loaded(self, deadline: float) -> None:
        with DagsterClient(self.url, timeout=10) as client:
            while not self._loaded(client):
                self._rest(deadline, "Dagster did not get ready")

    def _loaded(self, client: DagsterClient) -> bool:
        """NotReady when the code location has an error of its own, such as a broken configuration."""
        try:
            error = client.load_error()
            if error is None:
                return client.daemons_healthy()
            if UNREACHABLE in error:
                client.reload()
                return False
        except (httpx.HTTPError, DagsterRefused, ValueError):
            return False  # not listening yet
        if error:
            raise NotReady(f"Dagster could not load the project:\n{error}")
        return False

    def _rest(self, deadline: float, otherwise: str) -> None:
        self.check()
        if time.monotonic() > deadline:
            raise NotReady(f"{otherwise} in time; see the logs in {self.home / LOG_FOLDER}.")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def _interrupts_reach_children() -> Iterator[None]:
    """Undo an ignored SIGINT for what is started inside.

    A shell makes background jobs ignore SIGINT and children inherit that; Dagster copies its reaction to SIGINT onto
    SIGTERM, and would then ignore both.
    """
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _signal_group(started: Started, number: signal.Signals) -> None:
    try:
        os.killpg(started.pid, number)
    except ProcessLookupError:
        return


def _group_alive(started: Started) -> bool:
    started.process.poll()
    try:
        os.killpg(started.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])
