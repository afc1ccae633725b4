"""What a changed mapping costs for each stored row: `make backfill`, or `python -m benchmarks.backfill --records 2000`.

The same contacts are loaded once. Then the rule of one column changes, and back; then the rules of twelve, and back.
Each time a process of its own syncs, which makes the columns anew of the stored records and then reads what is new,
which is nothing. What such a sync costs when no rule has changed is measured too, and taken off.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

from tabulate import tabulate

from benchmarks.__main__ import RESULTS
from benchmarks.measure import Failed
from benchmarks.our_project import TABLE, schema_of, write_fields
from benchmarks.scenes import CUSTOMER, Stage
from benchmarks.transforms import FIELDS, VENDORS, set_up

ONE: Final = "full_name"
CASES: Final = {"one column": (ONE,), "twelve columns": tuple(FIELDS)}
_PARTS: Final = ("wall", "client_cpu", "postgres_cpu")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backfill", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    parser.add_argument("--results", type=Path, default=RESULTS / "backfill.json")
    given = parser.parse_args()
    with set_up(given.postgres_bin, given.records, "backfill") as stages:
        stage = stages["plain"]
        measured = {vendor: _play(stage, vendor, given.rounds) for vendor in VENDORS}
        postgres = stage.postgres.described()
    results = {
        "records": given.records,
        "rounds": given.rounds,
        "per_row": measured,
        "versions": {"postgres": postgres, "cores": os.cpu_count()},
    }
    print(_told(results))
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _play(stage: Stage, vendor: str, rounds: int) -> dict[str, dict[str, float]]:
    stage.run(f"DROP SCHEMA IF EXISTS {schema_of(vendor)} CASCADE")
    _write(stage, vendor, ())
    stage.ours(vendor, full=False)
    found: dict[str, dict[str, float]] = {}
    for name, columns in CASES.items():
        costs: list[dict[str, float]] = []
        for number in range(rounds):
            print(f"{vendor}, {name}, round {number + 1} of {rounds} ...", flush=True)
            for made in (columns, ()):
                idle = _cost(stage, vendor)
                _write(stage, vendor, made)
                stage.settle(f"{schema_of(vendor)}.{TABLE}")
                costs.append(_without(_cost(stage, vendor), idle))
                _check(stage, vendor, made=ONE in made)
        found[name] = _per_row(costs, stage.standin.size)
    stage.run(f"DROP SCHEMA {schema_of(vendor)} CASCADE")
    return found


def _write(stage: Stage, vendor: str, made: tuple[str, ...]) -> None:
    """The custom fields: those in `made` through their transforms, the others as they are."""
    rules = {
        name: (field.type, field.rule(vendor) if name in made else field.sources(vendor)[-1])
        for name, field in FIELDS.items()
    }
    write_fields(stage.project, vendor, rules)


def _cost(stage: Stage, vendor: str) -> dict[str, Any]:
    return stage.ours(vendor, full=False)


def _without(cost: dict[str, Any], idle: dict[str, Any]) -> dict[str, float]:
    return {part: cost[part] - idle[part] for part in _PARTS} | {"peak_mb": cost["peak_mb"]}


def _check(stage: Stage, vendor: str, *, made: bool) -> None:
    """Every row is there and has the column by the rule that holds: a backfill that does nothing costs nothing."""
    right = "full_name = first_name || ' ' || last_name" if made else "full_name = last_name"
    with stage.postgres.connect() as connection:
        query = f"SELECT count(*) FILTER (WHERE {right}), count(*) FROM {schema_of(vendor)}.{TABLE} "
        found = connection.execute((query + f"WHERE _sync_customer_id = '{CUSTOMER}'").encode()).fetchone()
    if found != (stage.standin.size, stage.standin.size):
        raise Failed(f"{vendor}: {found} rows are right and there, of {stage.standin.size} records")


def _per_row(costs: list[dict[str, float]], rows: int) -> dict[str, float]:
    """Microseconds a row, the median of all rounds."""
    told = {part: round(1e6 * median(cost[part] for cost in costs) / rows, 2) for part in _PARTS}
    wall = median(cost["wall"] for cost in costs)
    return told | {"rows_per_second": round(rows / wall), "peak_mb": round(max(cost["peak_mb"] for cost in costs))}


def _told(results: dict[str, Any]) -> str:
    rows = [
        [vendor, name, *each.values()] for vendor, found in results["per_row"].items() for name, each in found.items()
    ]
    heads = ["us per row", "", "wall", "client CPU", "Postgres CPU", "rows/s", "peak MB"]
    return tabulate(rows, heads, floatfmt=".2f")


if __name__ == "__main__":
    sys.exit(main())
