"""Whether a record costs the same when its table is large: `make growth`, or `python -m benchmarks.growth`.

One destination table holds the rows of 1,000 customers, 10 thousand to 10 million of them. At each size a further
customer with 10,000 records is synced for the first time, again unchanged, and again with one percent changed.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from psycopg import sql
from tabulate import tabulate

from benchmarks import pages
from benchmarks.__main__ import RESULTS, WARM_SIZE, WORK
from benchmarks.charts import line_chart
from benchmarks.measure import Cost, median, median_cost
from benchmarks.our_project import STORE_URL, TABLE, connect, opened, schema_of, write_project
from benchmarks.postgres import Postgres, running
from benchmarks.scenes import WARM, Stage
from benchmarks.standin import standing_in

SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
CUSTOMERS: Final = 1_000
RECORDS: Final = 10_000
VENDOR: Final = "salesforce"
SCENES: Final = {"load": "first load", "no_change": "nothing changed", "one_percent": "one percent changed"}
MOST_GROWTH: Final = 1.5
"""Largest CPU of a record in the largest table over that in the smallest one that still counts as not growing. Wall
time is shown beside it: with ten million rows it also holds what the disk and the neighbours do."""
_FILLER: Final = "jsonb_build_object('Id', id, 'Name', last_name, 'Description', repeat(md5(id || {customer}), 12))"
"""Instead of the whole record, so that a row has about a kilobyte."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="rows in the largest table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    given = parser.parse_args()
    sizes = [size for size in SIZES if size <= given.most]
    with _set_up(given.postgres_bin, sizes, given.rounds) as stage:
        results = _grow(stage, sizes, given.rounds)
    print(_told(results))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "growth.json").write_text(json.dumps(results, indent=2) + "\n")
    (RESULTS / "growth.svg").write_text(_plot(results))
    return 0


@contextmanager
def _set_up(binaries: Path | None, sizes: list[int], rounds: int) -> Iterator[Stage]:
    with ExitStack() as stack:
        folder = WORK / "growth"
        postgres = stack.enter_context(running(folder, binaries))
        standin = stack.enter_context(standing_in(WORK / "pages" / str(RECORDS), RECORDS))
        warm = stack.enter_context(standing_in(WORK / "pages" / str(WARM_SIZE), WARM_SIZE))
        os.environ[STORE_URL] = postgres.url("store", "psycopg")
        write_project(WORK / "growth_project", postgres)
        with opened(WORK / "growth_project") as project:
            project.store.migrate()
            connect(project, WARM, warm.url)
            for customer in ("pattern", *(_name(size, number) for size in sizes for number in range(rounds))):
                connect(project, customer, standin.url)
        yield Stage(postgres, standin, WORK / "growth_project", dict(os.environ))


def _name(size: int, number: int) -> str:
    return f"further-{size}-{number}"


def _grow(stage: Stage, sizes: list[int], rounds: int) -> dict[str, Any]:
    stage.run(f"DROP SCHEMA IF EXISTS {schema_of(VENDOR)} CASCADE")
    stage.standin.show(pages.BASE)
    stage.ours(VENDOR, customer="pattern", full=False)
    _keep_pattern(stage.postgres)
    levels, each = [], 0
    for size in sizes:
        print(f"{size:,} rows: filling up ...", flush=True)
        _fill(stage.postgres, each, size // CUSTOMERS)
        each = size // CUSTOMERS
        print(f"{size:,} rows: syncing a further customer ...", flush=True)
        levels.append(_level(stage, size, rounds))
    stage.run(f"DROP SCHEMA {schema_of(VENDOR)} CASCADE")
    costs = {scene: {str(level["rows"]): level["cost"][scene] for level in levels} for scene in SCENES}
    return {
        "records": RECORDS,
        "customers": CUSTOMERS,
        "rounds": rounds,
        "versions": {"postgres": stage.postgres.described()},
        "levels": levels,
        "growth": {scene: _ratio(list(found.values())) for scene, found in costs.items()},
    }


def _ratio(costs: list[dict[str, float]]) -> dict[str, float]:
    return {what: round(costs[-1][what] / costs[0][what], 2) for what in ("us_per_record", "wall_us_per_record")}


def _keep_pattern(postgres: Postgres) -> None:
    """The rows that everybody else's are made of, and an empty table."""
    statements = (
        "DROP TABLE IF EXISTS public.pattern",
        "CREATE TABLE public.pattern AS SELECT row_number() OVER (ORDER BY id) - 1 AS pattern_n, t.* "
        f"FROM {schema_of(VENDOR)}.{TABLE} t WHERE _sync_customer_id = 'pattern'",
        f"TRUNCATE {schema_of(VENDOR)}.{TABLE}",
        "CREATE INDEX ON public.pattern (pattern_n)",
    )
    with postgres.connect() as connection:
        for statement in statements:
            connection.execute(statement.encode())


def _fill(postgres: Postgres, start: int, end: int) -> None:
    """Rows `start` to `end` of each of the thousand customers, by one statement for every hundred customers."""
    with postgres.connect() as connection:
        found = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name = 'pattern' AND column_name <> 'pattern_n' ORDER BY ordinal_position"
        ).fetchall()
        names = [name for (name,) in found]
        customer = "'customer-' || c"
        made = {"_sync_customer_id": customer, "raw_data": _FILLER.format(customer=customer)}
        values = sql.SQL(", ").join(sql.SQL(made[name]) if name in made else sql.Identifier(name) for name in names)
        statement = sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM generate_series({}, {}) c, public.pattern "
            "WHERE pattern_n >= {} AND pattern_n < {} ORDER BY c, id"
        )
        table, columns = sql.Identifier(schema_of(VENDOR), TABLE), sql.SQL(", ").join(map(sql.Identifier, names))
        for first in range(0, CUSTOMERS, 100):
            connection.execute(statement.format(table, columns, values, first, first + 99, start, end))


def _level(stage: Stage, size: int, rounds: int) -> dict[str, Any]:
    table = f"{schema_of(VENDOR)}.{TABLE}"
    costs: dict[str, list[Cost]] = {scene: [] for scene in SCENES}
    wal: list[float] = []
    for number in range(rounds):
        stage.settle(table)
        customer = _name(size, number)
        stage.standin.show(pages.BASE)
        costs["load"].append(_cost(stage.ours(VENDOR, customer=customer, full=False)))
        stage.settle(table)
        found = stage.ours(VENDOR, customer=customer)
        costs["no_change"].append(_cost(found))
        wal.append(found["wal_bytes"] / RECORDS)
        stage.standin.show(pages.ONE_PERCENT)
        costs["one_percent"].append(_cost(stage.ours(VENDOR, customer=customer)))
    (rows, table_bytes) = stage.postgres.execute(
        "SELECT count(*), pg_total_relation_size(%s::regclass) FROM ONLY " + table,
        table,
    )[0]
    return {
        "rows": size,
        "rows_in_the_end": rows,
        "table_gb": round(table_bytes / 1e9, 3),
        "wal_bytes_per_unchanged_record": round(median(wal), 3),
        "cost": {scene: _per_record(found) for scene, found in costs.items()},
    }


def _cost(found: dict[str, Any]) -> Cost:
    return Cost(**{name: found[name] for name in ("wall", "client_cpu", "postgres_cpu", "peak_mb")})


def _per_record(costs: list[Cost]) -> dict[str, float]:
    cost = median_cost(costs)
    us = {name: round(value / RECORDS * 1e6, 2) for name, value in asdict(cost).items() if name != "peak_mb"}
    return {
        "us_per_record": round(cost.cpu / RECORDS * 1e6, 2),
        "client_us_per_record": us["client_cpu"],
        "postgres_us_per_record": us["postgres_cpu"],
        "wall_us_per_record": us["wall"],
    }


def _told(results: dict[str, Any]) -> str:
    rows = [
        [level["rows"], level["table_gb"], title, *level["cost"][scene].values()]
        for scene, title in SCENES.items()
        for level in results["levels"]
    ]
    head = ["rows there", "table GB", "a further customer's", "CPU us", "client us", "postgres us", "wall us"]
    costs = tabulate(rows, head, floatfmt=("", ".2f", "", ".1f", ".1f", ".1f", ".1f"), intfmt=",")
    growth = []
    for scene, found in results["growth"].items():
        kept = "yes" if found["us_per_record"] <= MOST_GROWTH else "NO"
        growth.append([SCENES[scene], found["us_per_record"], found["wall_us_per_record"], kept])
    head = ["cost of a record, largest / smallest table", "CPU", "wall", f"CPU at most {MOST_GROWTH}"]
    return f"{costs}\n\n{tabulate(growth, head, floatfmt='.2f')}"


def _plot(results: dict[str, Any]) -> str:
    lines = {
        title: [(level["rows"], level["cost"][scene]["us_per_record"]) for level in results["levels"]]
        for scene, title in SCENES.items()
    }
    return line_chart("CPU of one record (us) while its table holds so many rows", lines)


if __name__ == "__main__":
    sys.exit(main())
