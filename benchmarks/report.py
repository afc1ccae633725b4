"""What a person sees: tables on the terminal, the JSON, and a plot for the README."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tabulate import tabulate

from benchmarks.charts import bar_chart
from benchmarks.contestants import CONTESTANTS
from benchmarks.results import GOALS, at, met

_SCENES: Final = {
    "copy": "COPY of the same rows (limit)",
    "first": "first load",
    "staged": "load, 1 % there before",
    "all_changed": "all there, all changed",
    "no_change": "full read, nothing changed",
    "one_percent": "full read, 1 % changed",
    "incremental": "incremental, 1 % changed",
}


def scenes_table(results: Mapping[str, Any]) -> str:
    """Ours and the limit, us of CPU a record."""
    size, rows = results["size"], []
    for vendor, scenes in results["costs"]["scenes"].items():
        for scene, title in _SCENES.items():
            if scene in scenes:
                cost = scenes[scene]
                us = [cost[name] / size * 1e6 for name in ("client_cpu", "postgres_cpu")]
                rows.append([vendor, title, cost["wall"], size / cost["wall"], *us, cost["peak_mb"] or None])
    head = ["vendor", "scene", "wall s", "records/s", "client us", "postgres us", "peak MB"]
    return tabulate(rows, head, floatfmt=("", "", ".2f", ",.0f", ".1f", ".1f", ".0f"))


def peers_table(results: Mapping[str, Any]) -> str:
    """First loads from process start to exit, with ratios to ours."""
    rows = []
    for vendor, runs in results["costs"]["first_load_processes"].items():
        for name, cost in runs.items():
            title = "ours" if name == "ours" else CONTESTANTS[name].title
            ratios = results["faster_than"].get(name, {}).get("by_vendor", {}).get(vendor, {})
            notes = "; ".join(results["notes"].get(vendor, {}).get(name, []))
            cpu = [cost["client_cpu"], cost["postgres_cpu"]]
            rows.append(
                [vendor, title, cost["wall"], *cpu, cost["peak_mb"], ratios.get("wall"), ratios.get("cpu"), notes]
            )
    head = ["vendor", "who", "wall s", "client s", "postgres s", "peak MB", "x wall", "x CPU", "equal after casting"]
    widths = [None] * 8 + [60]
    return tabulate(rows, head, floatfmt=("", "", ".2f", ".2f", ".2f", ".0f", ".1f", ".1f", ""), maxcolwidths=widths)


def goals_table(results: Mapping[str, Any]) -> str:
    """Goal, reached, met."""
    rows = []
    for title, path, direction, goal in GOALS:
        reached = at(results, path)
        if reached is not None:
            rows.append(
                [title, f"{direction} {goal:g}", f"{reached:g}", "yes" if met(reached, direction, goal) else "NO"]
            )
    return tabulate(rows, ["goal", "asked", "reached", "met"], disable_numparse=True)


def write(results: Mapping[str, Any], folder: Path) -> None:
    """latest.json and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(results, indent=2) + "\n")
    (folder / "first_load.svg").write_text(first_load_plot(results))


def first_load_plot(results: Mapping[str, Any]) -> str:
    """CPU of a first load, a bar for everybody, shorter is better."""
    runs = results["costs"]["first_load_processes"]
    groups = []
    for vendor, costs in runs.items():
        per_record = [(name, cost["client_cpu"] + cost["postgres_cpu"], cost["wall"]) for name, cost in costs.items()]
        bars = [
            ("ours" if name == "ours" else CONTESTANTS[name].title, cpu / results["peer_size"] * 1e6, wall)
            for name, cpu, wall in per_record
        ]
        groups.append((f"{vendor}: first load of {results['peer_size']:,} records, us of CPU a record", bars))
    return bar_chart(groups, lambda us, wall: f"{us:,.0f} us, {wall:.1f} s")
