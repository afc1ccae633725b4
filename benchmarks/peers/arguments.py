"""What every peer is told: where the stand-in is, which vendor to read, which schema to write."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fields import HUBSPOT, HUBSPOT_LIST, HUBSPOT_PAGE, SALESFORCE, SALESFORCE_ROOT


@dataclass(frozen=True, kw_only=True)
class Arguments:
    url: str
    vendor: str
    schema: str
    folder: Path
    """Empty and the peer's own, for what it keeps on disk."""

    @property
    def path(self) -> str:
        """Of the first page."""
        return HUBSPOT_LIST if self.vendor == "hubspot" else f"{SALESFORCE_ROOT}/queryAll"

    @property
    def params(self) -> dict[str, str | int]:
        """Of the first page."""
        if self.vendor == "hubspot":
            return {"limit": HUBSPOT_PAGE, "properties": ",".join(HUBSPOT), "associations": "companies"}
        return {"q": f"SELECT {', '.join(SALESFORCE)} FROM Contact ORDER BY Id"}

    @property
    def records_path(self) -> str:
        """Where a page holds its records."""
        return "results" if self.vendor == "hubspot" else "records"


def read_arguments() -> Arguments:
    """From the command line of a peer."""
    parser = argparse.ArgumentParser()
    for name in ("--url", "--vendor", "--schema"):
        parser.add_argument(name, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    return Arguments(**vars(parser.parse_args()))


def postgres_url(driver: str = "postgresql") -> str:
    """The server that the environment names. libpq takes the socket's folder out of the query; the host and the
    password before it are there because some tools refuse a URL without."""
    user, name, host, port = (os.environ[key] for key in ("PGUSER", "PGDATABASE", "PGHOST", "PGPORT"))
    return f"{driver}://{user}:unused@localhost/{name}?host={host}&port={port}"
