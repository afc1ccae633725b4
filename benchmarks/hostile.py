"""How long each hostile expression and template takes, until it is refused or its value is made: `make hostile`.

Each is saved and, where it was taken, applied to values of 50,000 characters, 9,000 items and 1,000 digits; so are
mappings of many rules, each of which is told by what a record takes. Told is the best of three tries, so that a busy
machine is not measured with it; and CPU, for the same reason.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Final

from tabulate import tabulate

from benchmarks.__main__ import RESULTS
from benchmarks.measure import high_water_mb
from sync_pipelines_tests.engine.transforms.hostile import BOUNDED, Case, cases, mapping_of, outcome

GOAL_MS: Final = 100.0
TRIES: Final = 3
SHOWN: Final = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS / "hostile.json")
    given = parser.parse_args()
    outcome(Case("template", "{{ a }}", BOUNDED))  # what is imported only once is not of a single one
    before = high_water_mb()
    found = [(_milliseconds(case), case) for case in cases()]
    found.sort(key=lambda each: each[0], reverse=True)
    wrong = [case.source[:100] for case in cases() if outcome(case) != case.expected]
    results = {
        "tried": len(found),
        "expressions": sum(case.kind == "custom" for _, case in found),
        "templates": sum(case.kind == "template" for _, case in found),
        "mappings": sum(case.kind == "mapping" for _, case in found),
        "goal_ms": GOAL_MS,
        "longest_ms": round(found[0][0], 1),
        "median_ms": round(found[len(found) // 2][0], 3),
        "longer_than_goal": sum(taken > GOAL_MS for taken, _ in found),
        "neither_refused_nor_bounded": wrong,
        "memory_mb": round(high_water_mb() - before, 1),
        "cores": os.cpu_count(),
    }
    rows = [[f"{taken:.1f}", case.kind, case.expected, case.source[:70]] for taken, case in found[:SHOWN]]
    print(tabulate(rows, ["CPU ms", "transform", "becomes", "source"]))
    print(
        f"\n{results['tried']} tried: the longest took {results['longest_ms']} ms, memory grew by "
        f"{results['memory_mb']} MB, {len(wrong)} were neither refused nor bounded; at most {GOAL_MS:g} ms wanted: "
        f"{'NO' if results['longer_than_goal'] or wrong else 'yes'}"
    )
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(results, indent=2) + "\n")
    return 1 if wrong else 0


def _milliseconds(case: Case) -> float:
    mapped, records = mapping_of(case) if case.kind == "mapping" else (None, 1)
    taken = []
    for _ in range(TRIES):
        began = time.process_time()
        mapped() if mapped else outcome(case)
        taken.append(1000 * (time.process_time() - began) / records)
    return min(taken)


if __name__ == "__main__":
    sys.exit(main())
