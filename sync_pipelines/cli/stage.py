"""What `dev` and `demo` start on this machine: an embedded Postgres with its databases, the REST API, and Dagster."""

import os
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import SecretStr

from sync_pipelines.embedded_postgres import EmbeddedPostgres
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.orchestration.environment import dagster_environment
from sync_pipelines.orchestration.processes import DagsterProcesses
from sync_pipelines.project import Project, open_project
from sync_pipelines.settings import DEVELOPMENT_KEY, Settings, environment_variables

STORE, DAGSTER, WAREHOUSE = "store", "dagster", "warehouse"
SHELL_FILE: Final = "env"


def state_folder() -> Path:
    """Where everything local is kept, below the project and out of git."""
    return Path.cwd() / ".sync_pipelines"


def require_project(settings_dir: Path) -> None:
    """ConfigurationError when the current folder is not a project."""
    if not settings_dir.is_dir():
        raise ConfigurationError(
            f"There is no {settings_dir}/ folder here: run this in the project's folder, the one that holds syncs/ and "
            "dagster.yaml."
        )


class Stage:
    """Postgres, the API and Dagster for one project, below `folder`. Everything started is stopped on exit.

    With an `environment` that alone counts; without one, what the user has set wins over our own.
    """

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str] | None = None, due_every_seconds: int = 30, port: int = 0
    ) -> None:
        self.folder = folder
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self.port = port
        self._due_every_seconds = due_every_seconds
        self._given = environment
        self._project: Project | None = None
        self._dagster: DagsterProcesses | None = None
        self._serving = ExitStack()
        self.api_url = ""
        """Where the API answers, once it is started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._dagster is not None:
            self._dagster.stop()
        self._serving.close()
        if self._project is not None:
            self._project.stops.set()
            self._project.close()
        self.postgres.stop()

    @property
    def project(self) -> Project:
        assert self._project is not None, "start_postgres comes first"
        return self._project

    @property
    def dagster(self) -> DagsterProcesses:
        assert self._dagster is not None, "start_dagster comes first"
        return self._dagster

    @property
    def environment(self) -> dict[str, str]:
        """What the processes of Dagster find set."""
        here = {
            "SYNC_PIPELINES_ENVIRONMENT": "development",
            "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
            "SYNC_PIPELINES_STORE_URL": self.postgres.url(STORE, "psycopg"),
            "SYNC_PIPELINES_DAGSTER_URL": self.postgres.url(DAGSTER, "psycopg2"),
            "SYNC_PIPELINES_DUE_EVERY_SECONDS": str(self._due_every_seconds),
            "WAREHOUSE_HOST": self.postgres.host,
            "WAREHOUSE_PORT": "5432",
            "WAREHOUSE_DATABASE": WAREHOUSE,
            "WAREHOUSE_USER": "sync",
            "WAREHOUSE_PASSWORD": "",
        }
        if self._given is not None:
            return {**here, **self._given}
        return {**here, **{name: value for name, value in environment_variables().items() if name in here}}

    def keep_environment(self) -> str:
        """Write what the verbs need in another shell to a file that only its owner reads; the line that loads it."""
        values = self.environment
        if self.api_url and "SYNC_PIPELINES_PUBLIC_URL" not in environment_variables():
            values["SYNC_PIPELINES_PUBLIC_URL"] = self.api_url
        file = self.folder / SHELL_FILE
        write_for_owner(file, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))
        return f". {from_here(file)}"

    def start_postgres(self) -> Project:
        """Postgres up, databases made, store migrated; the project opened on them."""
        self.postgres.start()
        for name in (STORE, DAGSTER, WAREHOUSE):
            self.postgres.create_database(name)
        values = self.environment
        settings = Settings(
            environment=values["SYNC_PIPELINES_ENVIRONMENT"],
            store_url=SecretStr(values["SYNC_PIPELINES_STORE_URL"]),
            encryption_keys=SecretStr(values["SYNC_PIPELINES_ENCRYPTION_KEYS"]),
        )
        self._project = open_project(settings, {**environment_variables(), **values})
        self._project.store.migrate()
        return self._project

    def start_dagster(self) -> DagsterProcesses:
        """Webserver, daemon and code server up and loaded."""
        instance_file = Path.cwd() / "dagster.yaml"
        self._dagster = DagsterProcesses(
            self.folder / "dagster",
            instance_file=instance_file,
            environment={**dagster_environment(self.project.settings), **self.environment},
            port=self.port,
        )
        self._dagster.start()
        return self._dagster

    def start_live(self) -> None:
        """What vendors tell is applied, and endpoints are told what happens, in threads of this process."""
        from sync_pipelines.live.running import running

        self._serving.enter_context(running(self.project))

    def start_api(self, port: int) -> str:
        """The REST API up in a thread of this process; where it answers. Port 0 takes a free one."""
        from sync_pipelines.api.serving import serve

        self.api_url = self._serving.enter_context(serve(self.project, port=port))
        return self.api_url

    def psql(self) -> str:
        """The command with which a person looks into the warehouse."""
        return f"psql -h {self.postgres.host} -U sync {WAREHOUSE}"


def owner_only(folder: Path) -> Path:
    """The folder, made if need be, that only its owner enters."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    return folder


def write_for_owner(file: Path, text: str) -> None:
    """Write a file that only its owner reads: what is printed ends in logs and recordings."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)


def from_here(file: Path) -> str:
    """The path as it is typed in the current folder."""
    return shlex.quote(str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file))
