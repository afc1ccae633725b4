"""tap | target-postgres: two processes and the pipe between them, as Singer is run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.arguments import Arguments, postgres_url, read_arguments


def _config(given: Arguments, name: str, **values: object) -> str:
    file = given.folder / f"{name}.json"
    file.write_text(json.dumps(values))
    return str(file)


def main() -> int:
    """The first bad exit status of the two."""
    given = read_arguments()
    tap_config = _config(given, "tap", url=given.url, vendor=given.vendor, folder=str(given.folder))
    target_config = _config(
        given,
        "target",
        sqlalchemy_url=postgres_url("postgresql+psycopg"),
        default_target_schema=given.schema,
        load_method="upsert",
    )
    tap = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.singer_tap", "--config", tap_config], stdout=subprocess.PIPE
    )
    target_postgres = Path(os.environ["TARGET_POSTGRES_BIN"]) / "target-postgres"
    target = subprocess.Popen(
        [str(target_postgres), "--config", target_config], stdin=tap.stdout, stdout=subprocess.DEVNULL
    )
    assert tap.stdout is not None
    tap.stdout.close()
    return target.wait() or tap.wait()


if __name__ == "__main__":
    sys.exit(main())
