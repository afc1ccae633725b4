"""What twelve transforms cost a first load: `make transforms`, or `python -m benchmarks.transforms --records 100000`.

The same records are loaded into the same twelve columns, once as they are and once through twelve transforms, by a
process of its own each time, one after the other. Everything else of a sync is there: raw_data, the common model,
hashes, checkpoints.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tabulate import tabulate

from benchmarks import pages
from benchmarks.__main__ import RESULTS, WARM_SIZE, WORK
from benchmarks.measure import Cost, Failed, median_cost
from benchmarks.our_project import STORE_URL, TABLE, connect, opened, schema_of, write_fields, write_project
from benchmarks.postgres import Postgres, running
from benchmarks.scenes import CUSTOMER, WARM, Stage
from benchmarks.standin import standing_in

VENDORS: Final = ("hubspot", "salesforce")
GOAL: Final = 1.5
_EXPRESSION: Final = "upper({1}) + ', ' + {0} if {0} and {1} else '-'"
_STATUSES: Final = {"NEW": "New", "OPEN": "Open", "IN_PROGRESS": "In progress", "UNQUALIFIED": "Unqualified"}


@dataclass(frozen=True)
class Field:
    """A column: its transform, and the fields that it is made of. As it is, it is the last of these."""

    transform: str
    hubspot: tuple[str, ...]
    salesforce: tuple[str, ...]
    options: dict[str, Any]
    type: str = "text"

    def sources(self, vendor: str) -> tuple[str, ...]:
        return self.hubspot if vendor == "hubspot" else self.salesforce

    def rule(self, vendor: str) -> dict[str, Any]:
        sources = self.sources(vendor)
        options = {name: _named(value, sources) for name, value in self.options.items()}
        return {"sources": list(sources), "transform": {"name": self.transform, **options}}


def _named(value: Any, sources: tuple[str, ...]) -> Any:
    return value.format(*sources) if isinstance(value, str) else value


def _field(transform: str, hubspot: str, salesforce: str, kind: str = "text", **options: Any) -> Field:
    return Field(transform, tuple(hubspot.split()), tuple(salesforce.split()), options, kind)


FIELDS: Final = {
    "revenue_told": _field("number_to_currency", "annualrevenue", "Annual_Revenue__c", currency="EUR", locale="de_DE"),
    "created_iso": _field("date_to_iso", "createdate", "CreatedDate"),
    "renewal_told": _field("format_date", "renewal_date", "Renewal_Date__c", to="%d.%m.%Y"),
    "opted_out_told": _field("boolean_to_string", "hs_email_optout", "HasOptedOutOfEmail"),
    "phone_e164": _field("format_phone", "phone", "Phone"),
    "status_told": _field("value_mapping", "hs_lead_status", "Lead_Status__c", values=_STATUSES, otherwise="misfit"),
    "full_name": _field("concatenate", "firstname lastname", "FirstName LastName"),
    "department_told": _field("default_value", "department", "Department", value="none"),
    "house": _field("split", "address", "MailingStreet", separator=" ", index=0),
    "sorted_name": _field("custom", "firstname lastname", "FirstName LastName", expression=_EXPRESSION),
    "monthly_revenue": _field("calculation", "annualrevenue", "Annual_Revenue__c", "numeric", expression="{0} / 12"),
    "email_hash": _field("hash", "email", "Email"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transforms", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres-bin", type=Path, help="another Postgres, by its folder of programs")
    parser.add_argument("--results", type=Path, default=RESULTS / "transforms.json")
    parser.add_argument("--profile", type=Path, help="write a cProfile of the first load with transforms here")
    given = parser.parse_args()
    with set_up(given.postgres_bin, given.records, "transforms") as stages:
        measured = {vendor: _play(stages, vendor, given.rounds, given.profile) for vendor in VENDORS}
        postgres = stages["made"].postgres.described()
    results = {
        "records": given.records,
        "rounds": given.rounds,
        "transforms": [field.transform for field in FIELDS.values()],
        "goal": GOAL,
        "ratio": {vendor: _ratio(costs) for vendor, costs in measured.items()},
        "us_per_record": {
            vendor: {name: _per_record(cost, given.records) for name, cost in costs.items()}
            for vendor, costs in measured.items()
        },
        "versions": {"postgres": postgres, "cores": os.cpu_count()},
    }
    print(_told(results))
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(results, indent=2) + "\n")
    return 0


@contextmanager
def set_up(binaries: Path | None, records: int, folder: str) -> Iterator[dict[str, Stage]]:
    """A project that loads the fields as they are, and one that loads them through the transforms."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running(WORK / folder, binaries))
        standin = stack.enter_context(standing_in(WORK / "pages" / str(records), records))
        warm = stack.enter_context(standing_in(WORK / "pages" / str(WARM_SIZE), WARM_SIZE))
        os.environ[STORE_URL] = postgres.url("store", "psycopg")
        os.environ["SYNC_PIPELINES_HASH_KEY"] = "the key of a benchmark"
        standin.show(pages.BASE)
        stages = {}
        for name in ("plain", "made"):
            stages[name] = Stage(postgres, standin, WORK / f"{folder}_{name}", dict(os.environ))
            _write_project(stages[name].project, postgres, made=name == "made")
        with opened(stages["plain"].project) as project:
            project.store.migrate()
            connect(project, WARM, warm.url)
            connect(project, CUSTOMER, standin.url)
        yield stages


def _write_project(folder: Path, postgres: Postgres, *, made: bool) -> None:
    write_project(folder, postgres)
    for vendor in VENDORS:
        rules = {
            name: (field.type, field.rule(vendor) if made else field.sources(vendor)[-1])
            for name, field in FIELDS.items()
        }
        write_fields(folder, vendor, rules)


def _play(stages: dict[str, Stage], vendor: str, rounds: int, profile: Path | None) -> dict[str, Cost]:
    costs: dict[str, list[Cost]] = {name: [] for name in stages}
    for number in range(rounds):
        for name, stage in stages.items():
            print(f"{vendor}, round {number + 1} of {rounds}, {name} ...", flush=True)
            stage.run(f"DROP SCHEMA IF EXISTS {schema_of(vendor)} CASCADE")
            stage.run("CHECKPOINT")
            wanted = profile if name == "made" and number == 0 and vendor == VENDORS[0] else None
            costs[name].append(_cost(stage.ours(vendor, full=False, profile=wanted)))
            if name == "made":
                _check(stage, vendor)
    stages["made"].run(f"DROP SCHEMA {schema_of(vendor)} CASCADE")
    return {name: median_cost(found) for name, found in costs.items()}


def _cost(found: dict[str, Any]) -> Cost:
    return Cost(
        wall=found["wall"],
        client_cpu=found["client_cpu"],
        postgres_cpu=found["postgres_cpu"],
        peak_mb=found["peak_mb"],
    )


def _check(stage: Stage, vendor: str) -> None:
    """Every record is there, and made: transforms that do nothing cost nothing."""
    right = (
        "_sync_errors IS NULL AND coalesce(opted_out_told, 'No') IN ('Yes', 'No') "
        "AND created_iso ~ '^[0-9-]{10}T[0-9:.]+Z$' "
        "AND coalesce(phone_e164, '+49') LIKE '+49%' AND sorted_name LIKE '%, ' || first_name "
        "AND full_name = first_name || ' ' || last_name AND coalesce(length(email_hash), 64) = 64 "
        "AND coalesce(revenue_told, '€') LIKE '%€' AND (monthly_revenue IS NULL) = (revenue_told IS NULL)"
    )
    with stage.postgres.connect() as connection:
        query = f"SELECT count(*) FILTER (WHERE {right}), count(*) FROM {schema_of(vendor)}.{TABLE} "
        found = connection.execute((query + f"WHERE _sync_customer_id = '{CUSTOMER}'").encode()).fetchone()
    if found != (stage.standin.size, stage.standin.size):
        raise Failed(f"{vendor}: {found} rows are right and there, of {stage.standin.size} records")


def _ratio(costs: dict[str, Cost]) -> dict[str, float]:
    plain, made = costs["plain"], costs["made"]
    return {
        "wall": round(made.wall / plain.wall, 2),
        "cpu": round(made.cpu / plain.cpu, 2),
        "client_cpu": round(made.client_cpu / plain.client_cpu, 2),
    }


def _per_record(cost: Cost, records: int) -> dict[str, float]:
    return {
        "wall": round(1e6 * cost.wall / records, 2),
        "client_cpu": round(1e6 * cost.client_cpu / records, 2),
        "postgres_cpu": round(1e6 * cost.postgres_cpu / records, 2),
        "peak_mb": round(cost.peak_mb),
    }


def _told(results: dict[str, Any]) -> str:
    rows = [
        [vendor, name, *each.values()]
        for vendor, found in results["us_per_record"].items()
        for name, each in found.items()
    ]
    table = tabulate(rows, ["us per record", "", "wall", "client CPU", "Postgres CPU", "peak MB"], floatfmt=".2f")
    lines = [
        f"{vendor}: {found['wall']} of the time without transforms (CPU {found['cpu']}, the client's "
        f"{found['client_cpu']}); at most {GOAL} wanted: {'yes' if found['wall'] <= GOAL else 'NO'}"
        for vendor, found in results["ratio"].items()
    ]
    return "\n".join([table, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
