"""The command behind `make simulate`."""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime

from sync_pipelines_tests.simulation.many_lives import lives

BROKEN_ONCE = (570, 1115, 1404, 1472, 2592, 2626, 2796, 3419, 3646, 4120, 6041)
SHAPED_BROKEN_ONCE = (381,)
"""Lived before all others, unless one seed is asked for. docs/simulation.md says by what they were broken."""
MOST_JOBS = 4
SHOWN_IN_FULL = 3
"""Broken lives whose story is printed; of the others only the seed."""


def main(arguments=None):
    """0 when every life kept every promise."""
    wish = _wish(arguments)
    seeds = _seeds(wish)
    began = time.perf_counter()
    counts, broken, slowest, cpu, done = Counter(), {}, (0.0, None), 0.0, 0
    with lives(seeds, min(wish.jobs, len(seeds)), shaped=wish.shaped) as stories:
        for story in stories:
            done += 1
            counts += story.counts
            cpu += story.cpu
            slowest = max(slowest, (story.seconds, story.seed))
            if story.broken:
                broken[story.seed] = story.broken
                if len(broken) <= SHOWN_IN_FULL:
                    print(story.told(), flush=True)
            elif wish.seed is not None:
                print(story.told())
            if done % 100 == 0:
                print(f"{done} of {len(seeds)} seeds, {len(broken)} broken", flush=True)
    seconds = time.perf_counter() - began
    print(f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {done} seeds ({_told(wish)}), {len(broken)} broken")
    print(_table(counts))
    print(f"{seconds:.0f} s in {wish.jobs} processes; {cpu / done:.2f} s CPU a seed without Postgres")
    print(f"{seconds / done:.2f} s a seed; the slowest, seed {slowest[1]}, took {slowest[0]:.1f} s")
    family = " SHAPED=yes" if wish.shaped else ""
    for seed in sorted(broken):
        print(f"BROKEN: make simulate SEED={seed}{family}: {broken[seed].strip().splitlines()[-1]}")
    return 1 if broken else 0


def _wish(arguments):
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=1, help="where to begin")
    parser.add_argument("--seed", type=int, help="only this one, its story told")
    parser.add_argument(
        "--shaped", action="store_true", help="their other lives, with filters, transforms and schema policies"
    )
    parser.add_argument("-j", "--jobs", type=int, default=min(MOST_JOBS, os.cpu_count() or 1), help="processes")
    return parser.parse_args(arguments)


def _seeds(wish):
    if wish.seed is not None:
        return [wish.seed]
    asked = range(wish.first, wish.first + wish.seeds)
    broken = SHAPED_BROKEN_ONCE if wish.shaped else BROKEN_ONCE
    return [*(seed for seed in broken if seed not in asked), *asked]


def _told(wish):
    if wish.seed is not None:
        return f"{wish.seed} to {wish.seed}"
    return f"{wish.first} to {wish.first + wish.seeds - 1}, and those that were broken once"


def _table(counts):
    kinds = sorted(kind for kind in counts if kind not in ("actions", "steps", "requests"))
    head = ("actions", "steps", "requests")
    return "\n".join(f"  {kind:30} {counts[kind]:>10,}" for kind in (*head, *kinds))


if __name__ == "__main__":
    # So that Postgres is stopped too when somebody ends us.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(main())
