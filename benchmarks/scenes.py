"""Ours through its life: first load beside the limit, nothing changed, a hundredth changed, rows there before."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import pages
from benchmarks.compare import Landed, compare
from benchmarks.limit import Limit
from benchmarks.measure import Cost, Failed
from benchmarks.our_project import TABLE, schema_of
from benchmarks.postgres import Postgres
from benchmarks.standin import REPOSITORY, StandIn

CUSTOMER, WARM, PEER = "bench", "warm", "peer"
_IS_CHANGED: Final = {
    "hubspot": "id::bigint % 100 = 37",
    "salesforce": "substring(id, 9, 7)::int % 100 = 37",
    "bulk": "substring(id, 9, 7)::int % 100 = 37",
}


@dataclass
class Scenes:
    """Costs of one vendor by scene, one for each round; `copy` is the limit's."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    wal_bytes: dict[str, list[int]] = field(default_factory=dict)
    peak_mb: float = 0.0

    def add(self, scene: str, found: dict[str, Any]) -> None:
        cost = Cost(
            wall=found["wall"],
            client_cpu=found["client_cpu"],
            postgres_cpu=found["postgres_cpu"],
            peak_mb=found["peak_mb"],
        )
        self.costs.setdefault(scene, []).append(cost)
        self.counts[scene] = found["counts"]
        self.wal_bytes.setdefault(scene, []).append(found["wal_bytes"])
        self.peak_mb = max(self.peak_mb, found["peak_mb"])


@dataclass(frozen=True)
class Stage:
    """Everything that a scene needs."""

    postgres: Postgres
    standin: StandIn
    project: Path
    environment: dict[str, str]

    def ours(
        self, vendor: str, *, customer: str = CUSTOMER, full: bool = True, profile: Path | None = None
    ) -> dict[str, Any]:
        """One sync in a fresh process, warmed by a small one."""
        command = [sys.executable, "-m", "benchmarks.ours", str(self.project), vendor, customer, "--warm", WARM]
        command += ["--postgres", str(self.postgres.pid), "--wal", self.postgres.url()]
        command += ["--full"] if full else []
        command += ["--profile", str(profile)] if profile else []
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"ours failed on {vendor}:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def run(self, statement: str) -> None:
        """One statement by itself."""
        with self.postgres.connect() as connection:
            connection.execute(statement.encode())

    def settle(self, table: str) -> None:
        """What autovacuum and the checkpointer do within minutes of a load."""
        self.run(f"VACUUM (ANALYZE) {table}")
        self.run("CHECKPOINT")


def play(stage: Stage, vendor: str, scenes: Scenes, *, check: bool) -> None:
    """One round. `check`: compare the content too."""
    scenes.costs.setdefault("copy", []).append(_first_load(stage, vendor, scenes, check=check))
    _nothing_changed(stage, vendor, scenes)
    _one_percent(stage, vendor, scenes, check=check)
    _rows_before(stage, vendor, scenes, check=check)
    stage.standin.show(pages.BASE)
    # Disk stays bounded: a million rows of each of three vendors are ten gigabytes.
    stage.run(f"DROP SCHEMA {schema_of(vendor)}, kept CASCADE")


def _table(vendor: str) -> str:
    return f"{schema_of(vendor)}.{TABLE}"


def _content(stage: Stage, vendor: str, *, changed: bool) -> None:
    landed = Landed(schema_of(vendor), TABLE, where=f"_sync_customer_id = '{CUSTOMER}'")
    compare(stage.postgres, "ours", landed, vendor, size=stage.standin.size, changed=changed)


def _first_load(stage: Stage, vendor: str, scenes: Scenes, *, check: bool) -> Cost:
    """Into a table that was not there; then the limit on the same rows."""
    stage.run(f"DROP SCHEMA IF EXISTS {schema_of(vendor)} CASCADE")
    stage.run("CHECKPOINT")
    scenes.add("first", stage.ours(vendor, full=False))
    if check:
        _content(stage, vendor, changed=False)
    limit = Limit(stage.postgres, vendor)
    try:
        limit.export(f"_sync_customer_id = '{CUSTOMER}'")
        return limit.measure()
    finally:
        limit.close()


def _nothing_changed(stage: Stage, vendor: str, scenes: Scenes) -> None:
    stage.run("CREATE SCHEMA IF NOT EXISTS kept")
    stage.run(f"DROP TABLE IF EXISTS kept.{vendor}")
    stage.run(f"CREATE TABLE kept.{vendor} AS SELECT * FROM {_ours(vendor)} AND {_IS_CHANGED[vendor]}")
    stage.settle(_table(vendor))
    scenes.add("no_change", stage.ours(vendor))


def _ours(vendor: str) -> str:
    return f"{_table(vendor)} WHERE _sync_customer_id = '{CUSTOMER}'"


def _put_back(stage: Stage, vendor: str) -> None:
    stage.run(f"DELETE FROM {_ours(vendor)} AND id IN (SELECT id FROM kept.{vendor})")
    stage.run(f"INSERT INTO {_table(vendor)} SELECT * FROM kept.{vendor}")
    stage.settle(_table(vendor))


def _one_percent(stage: Stage, vendor: str, scenes: Scenes, *, check: bool) -> None:
    """Once read as only what changed (Bulk has no such way worth measuring), once found in a full read."""
    stage.standin.show(pages.ONE_PERCENT)
    if vendor != "bulk":
        scenes.add("incremental", stage.ours(vendor, full=False))
        if check:
            _content(stage, vendor, changed=True)
        _put_back(stage, vendor)
    scenes.add("one_percent", stage.ours(vendor))
    if check:
        _content(stage, vendor, changed=True)


def _rows_before(stage: Stage, vendor: str, scenes: Scenes, *, check: bool) -> None:
    """A load where rows are there before: a hundredth of them in an older version; then all of them."""
    stage.run(f"TRUNCATE {_table(vendor)}")
    stage.run(f"INSERT INTO {_table(vendor)} SELECT * FROM kept.{vendor}")
    stage.settle(_table(vendor))
    scenes.add("staged", stage.ours(vendor))
    if check:
        _content(stage, vendor, changed=True)
    if stage.standin.size <= pages.ALL_CHANGED_UP_TO:
        stage.settle(_table(vendor))
        stage.standin.show(pages.ALL)
        scenes.add("all_changed", stage.ours(vendor))
