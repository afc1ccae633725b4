"""The peers: what each is called, where it runs, where its rows land, and what it does unlike ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.airbyte_columns import airbyte_landed
from benchmarks.compare import Landed
from benchmarks.measure import Cost, run
from benchmarks.postgres import Postgres
from benchmarks.standin import REPOSITORY, StandIn

REQUIREMENTS: Final = REPOSITORY / "benchmarks" / "peers" / "requirements"
VENDORS: Final = ("hubspot", "salesforce")
"""What every peer reads. None of them reads Bulk CSV without code of one's own."""


def _as_is(schema: str, vendor: str) -> Landed:
    return Landed(schema)


@dataclass(frozen=True)
class Contestant:
    """`module` runs in the environment `environment`; `also` are environments that it starts processes in."""

    module: str
    environment: str
    title: str
    unlike_ours: str
    shown: str
    """The package whose version is printed."""
    also: tuple[str, ...] = ()
    landed: Callable[[str, str], Landed] = _as_is


CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "dlt_merge": Contestant(
        "dlt_merge",
        "dlt",
        "dlt, rest_api, merge",
        "keeps state and load packages on disk, evolves the schema; no hash, no deletes",
        "dlt",
    ),
    "dlt_arrow": Contestant(
        "dlt_arrow",
        "dlt",
        "dlt, Arrow + ADBC, upsert",
        "hand-written reading and mapping, no normalizer; no retry of a page but the client's",
        "dlt",
    ),
    "singer": Contestant(
        "singer",
        "singer",
        "Singer SDK | target-postgres",
        "validates every record against a schema, keeps state; unchanged rows are written again",
        "singer-sdk",
        ("target_postgres",),
    ),
    "pyairbyte": Contestant(
        "pyairbyte",
        "pyairbyte",
        "PyAirbyte, declarative",
        "no mapping: vendor fields land as they are, and are mapped only to compare them",
        "airbyte",
        landed=airbyte_landed,
    ),
    "pandas": Contestant(
        "pandas_upsert",
        "pandas",
        "requests + pandas + ON CONFLICT",
        "a script: no state, no retry, no check of the schema",
        "pandas",
    ),
}


def python_of(environments: Path, name: str) -> Path:
    return environments / name / "bin" / "python"


def make_environment(environments: Path, name: str) -> None:
    """A venv with the pinned packages, unless it is there with just these."""
    wanted = (REQUIREMENTS / f"{name}.txt").read_text()
    mark = environments / name / "requirements.txt"
    if mark.exists() and mark.read_text() == wanted:
        return
    print(f"Making the environment of {name} ...", flush=True)
    shutil.rmtree(environments / name, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(environments / name)], check=True)
    pip = [str(python_of(environments, name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "-r", str(REQUIREMENTS / f"{name}.txt")], check=True)
    mark.write_text(wanted)


def version_of(contestant: Contestant) -> str:
    """As pinned."""
    files = (contestant.environment, *contestant.also)
    lines = [line for name in files for line in (REQUIREMENTS / f"{name}.txt").read_text().splitlines()]
    wanted = {contestant.shown.lower(), "meltanolabs-target-postgres"}
    return ", ".join(dict.fromkeys(line.replace("==", " ") for line in lines if line.split("==")[0].lower() in wanted))


@dataclass(frozen=True)
class Arena:
    """Where peers run."""

    postgres: Postgres
    standin: StandIn
    environments: Path
    scratch: Path

    def schema(self, name: str, vendor: str) -> str:
        return f"{name}_{vendor}"

    def run(self, name: str, vendor: str) -> Cost:
        """One first load by one peer, from the start of its process to its exit."""
        contestant, schema = CONTESTANTS[name], self.schema(name, vendor)
        self.forget(name, vendor)
        folder = self.scratch / schema
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        arguments = {"--url": self.standin.url, "--vendor": vendor, "--schema": schema, "--folder": str(folder)}
        python = str(python_of(self.environments, contestant.environment))
        cost, _ = run(
            [
                python,
                "-m",
                f"benchmarks.peers.{contestant.module}",
                *(part for pair in arguments.items() for part in pair),
            ],
            postgres_pid=self.postgres.pid,
            server_pid=self.standin.pid,
            environment=self._environment(folder, contestant),
            folder=REPOSITORY,
            log=self.scratch / f"{schema}.log",
        )
        return cost

    def forget(self, name: str, vendor: str) -> None:
        """Drop what a peer has written, and let the disk come to rest."""
        schema = self.schema(name, vendor)
        with self.postgres.connect() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema}, {schema}_staging CASCADE".encode())
            connection.execute("CHECKPOINT")

    def _environment(self, folder: Path, contestant: Contestant) -> dict[str, str]:
        """Nothing of the user's, nothing reported to anybody, no look-up over the network."""
        others = {f"{name.upper()}_BIN": str(python_of(self.environments, name).parent) for name in contestant.also}
        quiet = {"DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1", "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false"}
        places = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.environ["PATH"]}
        return {**places, **self.postgres.environment(), **quiet, **others}
