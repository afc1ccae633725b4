"""Ten thousand connections of six objects, for an hour, on this machine: `make scale`."""

import argparse
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from benchmarks.__main__ import RESULTS, WORK
from benchmarks.scale import faults
from benchmarks.scale.hour import OBJECTS_EACH, play
from benchmarks.scale.place import described, standing
from benchmarks.scale.report import charts, judged, told
from benchmarks.scale.server import Town


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it is measured")
    parser.add_argument("--every", type=float, default=60.0, help="minutes between two turns of a connection")
    parser.add_argument("--failing", type=float, default=0.01, help="share of the connections that fail")
    parser.add_argument("--due-every", type=int, default=75, help="seconds between two looks at what is due")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for scale.json and the charts")
    given = parser.parse_args()
    # What was started is stopped, also when this process is told to end.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    every, time = timedelta(minutes=given.every), timedelta(minutes=given.minutes)
    town = Town(given.connections, given.failing, token_seconds=max(120, int(every.total_seconds() / 2)))
    folder = WORK / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chmod(folder, 0o700)
    with standing(folder, town, every=every, due_every_seconds=given.due_every) as place:
        print(f"{place.stage.dagster.url}  {place.stage.psql()}", flush=True)
        measured = play(place, every, time, lambda text: print(text, flush=True))
        versions = described(place)
    results = judged(measured, connections=given.connections, objects=OBJECTS_EACH, injected=_injected(town))
    results["versions"] = versions
    print(told(results))
    given.results.mkdir(exist_ok=True, parents=True)
    (given.results / "scale.json").write_text(json.dumps(results, indent=2) + "\n")
    for name, drawing in charts(measured).items():
        (given.results / f"{name}.svg").write_text(drawing)
    return 0


def _injected(town: Town) -> Mapping[int, str]:
    return faults.failing(town.connections, town.failing_share)


if __name__ == "__main__":
    sys.exit(main())
