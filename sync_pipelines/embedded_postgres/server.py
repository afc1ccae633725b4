"""One Postgres server in one folder: made, started, found by other processes, and stopped."""

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from sync_pipelines.embedded_postgres.binaries import PostgresNotStarted, find_binaries, major_version
from sync_pipelines.embedded_postgres.postmaster import Postmaster, find_postmaster, forget_reused_pid
from sync_pipelines.embedded_postgres.privileges import Identity, identity_for
from sync_pipelines.settings import environment_variables

USER = "sync"
PORT = 5432
LONGEST_SOCKET_FOLDER = 80
"""Bytes. The socket's whole path must stay below 104 on every system."""

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# synchronous_commit stays on: a killed server must not forget what it has acknowledged, even in a test.
_FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_SOCKET_PREFIX = "sync-pg-"
_LOG_TAIL_LINES = 20
_POLL_SECONDS = 0.05
_STILL_USED = b"pre-existing shared memory block"
"""What a starting server logs while processes of a killed one still finish what they were doing."""


class EmbeddedPostgres:
    """A server that only its own user can reach, through a socket in a private folder; there is no network port.

    The first process that starts it owns it and stops it; others that call start() share it, and stop() leaves it
    running for them. When the owner died, the next start() finds the server running and takes it over.
    `durable=False` trades safety at a crash of the machine for speed (tests).
    """

    def __init__(self, folder: Path | str, *, durable: bool = True, binaries: Path | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.durable = durable
        self._binaries = binaries
        self._ownership: IO[str] | None = None
        self._identity: Identity | None = None

    @property
    def data_folder(self) -> Path:
        return self.folder / "pgdata"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def is_running(self) -> bool:
        """Whether it accepts connections now, whoever started it."""
        server = self._postmaster()
        return server is not None and server.ready

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        server = self._postmaster()
        return server.pid if server else None

    @property
    def host(self) -> str:
        """The socket's folder, as libpq takes it for a host. Known once the server was started for the first time."""
        try:
            return self._socket_record.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise PostgresNotStarted(f"The server in {self.folder} has never been started.") from None

    def start(self, *, timeout: float = 120) -> None:
        """Make the server if it is new; return when it accepts connections. PostgresNotStarted with the log's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout
        try:
            while not self._answers():
                if self._take_ownership() and self._postmaster() is None:
                    self._bring_up(deadline)
                elif time.monotonic() > deadline:
                    raise PostgresNotStarted(self._not_up(timeout))
                time.sleep(_POLL_SECONDS)
        except BaseException:
            self._let_go()
            raise
        self._take_ownership()  # of a server whose owner died

    def stop(self, *, mode: str = "fast", timeout: float = 20) -> None:
        """Stop the server if this process owns it. "fast" ends connections; "immediate" is a crash with recovery."""
        if self._ownership is None:
            return
        if self._postmaster() is not None:
            for attempt in dict.fromkeys((mode, "immediate")):
                self._pg("pg_ctl", "stop", "-D", "pgdata", "-m", attempt, "-w", "-t", str(int(timeout)))
                if self._postmaster() is None:
                    break
            else:
                raise PostgresNotStarted(f"The server in {self.folder} does not stop.{self._log_tail()}")
        self._let_go()

    def url(self, database: str = "postgres", driver: str | None = "psycopg") -> str:
        """A URL for SQLAlchemy (driver "psycopg" or "psycopg2"), or for libpq itself (driver None)."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{USER}@/{quote(database, safe='')}?host={quote(self.host, safe='/')}&port={PORT}"

    def create_database(self, name: str) -> None:
        """Make a database unless it is there."""
        with psycopg.connect(self.url(driver=None), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return  # another process was faster

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _lock_file(self) -> Path:
        return self.folder / "owner.lock"

    @property
    def _socket_record(self) -> Path:
        return self.folder / "socket_folder"

    def _postmaster(self) -> Postmaster | None:
        return find_postmaster(self.data_folder)

    def _take_ownership(self) -> bool:
        # A file lock ends with its process however that dies, so there is never a stale one.
        if self._ownership is not None:
            return True
        file = self._lock_file.open("a", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._ownership = file
        return True

    def _let_go(self) -> None:
        if self._ownership is None:
            return
        if self._postmaster() is None and self._socket_record.exists():
            self._claim_folder(Path(self.host), make=False)
        self._ownership.close()
        self._ownership = None

    def _answers(self) -> bool:
        # Asked by connecting: for a moment after a kill the process is still there, and ready by its file.
        if not self.is_running:
            return False
        try:
            psycopg.connect(self.url(driver=None), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _not_up(self, timeout: float) -> str:
        if self._ownership is None:
            return (
                f"Another process holds {self._lock_file} but its server did not come up in {timeout:.0f} s: "
                f"stop that process and try again.{self._log_tail()}"
            )
        return f"Postgres in {self.folder} did not accept connections within {timeout:.0f} s.{self._log_tail()}"

    def _bring_up(self, deadline: float) -> None:
        binaries = self._binaries or find_binaries()
        self._identity = identity_for(self.folder, binaries)
        self._identity.own(self.folder)
        if not (self.data_folder / "PG_VERSION").exists():
            self._make_data_folder()
        self._check_version(binaries)
        self._write_settings(self._make_socket_folder())
        forget_reused_pid(self.data_folder)
        logged = self.log_file.stat().st_size if self.log_file.exists() else 0
        left = max(1, int(deadline - time.monotonic()))
        started = self._pg("pg_ctl", "start", "-D", "pgdata", "-l", "server.log", "-w", "-t", str(left))
        if self._postmaster() is None and (time.monotonic() > deadline or not self._waits_for_the_killed(logged)):
            raise PostgresNotStarted(f"Postgres in {self.folder} did not start: {started.strip()}{self._log_tail()}")

    def _waits_for_the_killed(self, logged: int) -> bool:
        """Whether what was logged since says that a killed server's processes have not ended yet."""
        with self.log_file.open("rb") as file:
            file.seek(logged)
            return _STILL_USED in file.read()

    def _make_data_folder(self) -> None:
        # Made beside its place and renamed: a first start that is interrupted leaves nothing half made.
        unfinished = self.folder / "pgdata.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        locale = "C.UTF-8" if os.uname().sysname == "Linux" else "C"
        options = ["-D", "pgdata.new", "-U", USER, "--auth=trust", "--encoding=UTF8", f"--locale={locale}"]
        printed = self._pg("initdb", *options, *([] if self.durable else ["--no-sync"]))
        if not (unfinished / "PG_VERSION").exists():
            raise PostgresNotStarted(f"Postgres could not make its data folder in {self.folder}:\n{printed.strip()}")
        with (unfinished / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude_if_exists = 'embedded.conf'\n")
        shutil.rmtree(self.data_folder, ignore_errors=True)
        unfinished.rename(self.data_folder)

    def _check_version(self, binaries: Path) -> None:
        data = (self.data_folder / "PG_VERSION").read_text(encoding="utf-8").strip()
        programs = major_version(binaries)
        if data != programs:
            raise PostgresNotStarted(
                f"{self.data_folder} was made by Postgres {data} but {binaries} is Postgres {programs}. "
                f"Install Postgres {data}, or move {self.data_folder} away to begin anew."
            )

    def _write_settings(self, socket_folder: str) -> None:
        settings = _SETTINGS | ({} if self.durable else _FAST_SETTINGS) | {"unix_socket_directories": socket_folder}
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        (self.data_folder / "embedded.conf").write_text("".join(lines), encoding="utf-8")

    def _make_socket_folder(self) -> str:
        # The recorded place is used again where possible, so that URLs outlive a restart.
        recorded = self._socket_record.read_text(encoding="utf-8").strip() if self._socket_record.exists() else ""
        if recorded and self._claim_folder(Path(recorded)):
            return recorded
        runtime = environment_variables().get("XDG_RUNTIME_DIR", "")
        usable = runtime and len(runtime.encode()) <= LONGEST_SOCKET_FOLDER - 20 and os.access(runtime, os.W_OK)
        # Not the temporary folder of the environment: that may be long, and the socket's path is limited.
        made = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX, dir=runtime if usable else "/tmp"))  # noqa: S108
        self._running_identity.own(made)
        self._socket_record.write_text(f"{made}\n", encoding="utf-8")
        return str(made)

    def _claim_folder(self, folder: Path, *, make: bool = True) -> bool:
        # Emptied first: a killed server leaves a lock in it that names a process id, and that may live on as another.
        if len(str(folder).encode()) > LONGEST_SOCKET_FOLDER or not folder.name.startswith(_SOCKET_PREFIX):
            return False
        owner = os.geteuid() if self._running_identity.uid is None else self._running_identity.uid
        try:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o77:
                return False
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        if make:
            try:
                folder.mkdir(mode=0o700)
            except OSError:
                return False
            self._running_identity.own(folder)
        return True

    @property
    def _running_identity(self) -> Identity:
        if self._identity is None:
            self._identity = identity_for(self.folder, self._binaries or find_binaries())
        return self._identity

    def _pg(self, program: str, *arguments: str) -> str:
        # Relative paths and a minimal environment: pg_ctl goes through a shell, and PG* variables would mislead it.
        binaries = self._binaries or find_binaries()
        environment = {name: value for name, value in environment_variables().items() if name in _PASSED_ON}
        finished: subprocess.CompletedProcess[str] = subprocess.run(
            [*self._running_identity.prefix, str(binaries / program), *arguments],
            cwd=self.folder,
            env=environment | {"LC_MESSAGES": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self._running_identity.popen,
        )
        return finished.stdout

    def _log_tail(self) -> str:
        try:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        except FileNotFoundError:
            return ""
        return f"\nThe end of {self.log_file}:\n" + "\n".join(f"  {line}" for line in lines)
