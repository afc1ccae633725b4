"""From costs to the numbers that are promised: ratios in this run, per vendor, the worst one on top."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.measure import Cost, median, median_cost
from benchmarks.scenes import Scenes

GOALS: Final = (
    ("first load / COPY, range known to be empty", "of_copy.direct", ">=", 0.9),
    ("first load / COPY, rows there before", "of_copy.staged", ">=", 0.7),
    *(
        (f"{title}, {what}", f"faster_than.{name}.{what}", ">=", goal)
        for name, title, goal in (
            ("dlt_merge", "times dlt, default merge", 5.0),
            ("dlt_arrow", "times dlt, Arrow", 2.5),
            ("singer", "times Singer", 7.0),
            ("pyairbyte", "times PyAirbyte", 5.0),
            ("pandas", "times pandas", 3.0),
        )
        for what in ("wall", "cpu")
    ),
    ("us a record, first load, client", "cpu_us_per_record.first_load_client", "<=", 15.0),
    ("us a record, nothing changed, all", "cpu_us_per_record.no_change", "<=", 8.0),
    ("us a record, one percent changed, all", "cpu_us_per_record.one_percent", "<=", 12.0),
    ("WAL bytes per unchanged record", "wal_bytes_per_unchanged_record", "<=", 1.0),
    ("peak MB, REST", "peak_memory_mb.rest", "<=", 150.0),
    ("peak MB, Bulk", "peak_memory_mb.bulk", "<=", 150.0),
)
"""(what, where in the results, direction, goal)."""
_REST: Final = ("hubspot", "salesforce")


@dataclass
class Match:
    """One vendor's first load by ours and by every peer, each from process start to exit."""

    ours: list[Cost] = field(default_factory=list)
    peers: dict[str, list[Cost]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)


def assemble(
    *,
    size: int,
    peer_size: int,
    versions: Mapping[str, Any],
    scenes: Mapping[str, Scenes],
    matches: Mapping[str, Match],
    rounds: int,
) -> dict[str, Any]:
    """`results/latest.json`."""
    return {
        "size": size,
        "peer_size": peer_size,
        "rounds": rounds,
        "versions": dict(versions),
        "of_copy": _of_copy(scenes),
        "faster_than": _faster_than(matches),
        "cpu_us_per_record": _cpu(scenes, size),
        "wal_bytes_per_unchanged_record": _worst(
            {name: median(one.wal_bytes["no_change"]) / size for name, one in scenes.items()}, max
        ),
        "peak_memory_mb": _peaks(scenes),
        "equal_content": True,
        "costs": {
            "scenes": {
                name: {scene: median_cost(costs).as_json() for scene, costs in one.costs.items()}
                for name, one in scenes.items()
            },
            "first_load_processes": {
                name: {
                    "ours": median_cost(one.ours).as_json(),
                    **{peer: median_cost(costs).as_json() for peer, costs in one.peers.items()},
                }
                for name, one in matches.items()
                if one.ours
            },
        },
        "notes": {name: one.notes for name, one in matches.items() if one.notes},
    }


def _worst(values: Mapping[str, float], choose: Any) -> float | None:
    return round(choose(values.values()), 3) if values else None


def _of_copy(scenes: Mapping[str, Scenes]) -> dict[str, Any]:
    """COPY's time over ours, round by round, so that a noisy minute touches both."""
    by_vendor: dict[str, dict[str, float]] = {}
    for name, one in scenes.items():
        by_vendor[name] = {}
        for ratio, scene in (("direct", "first"), ("staged", "staged"), ("all_changed", "all_changed")):
            pairs = zip(one.costs["copy"], one.costs.get(scene, []), strict=False)
            ratios = [copy.wall / ours.wall for copy, ours in pairs]
            if ratios:
                by_vendor[name][ratio] = round(median(ratios), 3)
    top = {
        ratio: _worst({name: found[ratio] for name, found in by_vendor.items() if ratio in found}, min)
        for ratio in ("direct", "staged", "all_changed")
    }
    return {**top, "by_vendor": by_vendor}


def _faster_than(matches: Mapping[str, Match]) -> dict[str, Any]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for vendor, match in matches.items():
        for peer, costs in match.peers.items():
            ours, theirs = median_cost(match.ours), median_cost(costs)
            ratios = {"wall": round(theirs.wall / ours.wall, 2), "cpu": round(theirs.cpu / ours.cpu, 2)}
            found.setdefault(peer, {})[vendor] = ratios
    return {
        peer: {
            **{what: min(ratios[what] for ratios in vendors.values()) for what in ("wall", "cpu")},
            "by_vendor": vendors,
        }
        for peer, vendors in found.items()
    }


def _cpu(scenes: Mapping[str, Scenes], size: int) -> dict[str, Any]:
    by_vendor = {}
    for name, one in scenes.items():
        costs = {scene: median_cost(found) for scene, found in one.costs.items()}
        by_vendor[name] = {
            "first_load_client": _us(costs["first"].client_cpu, size),
            "first_load_postgres": _us(costs["first"].postgres_cpu, size),
            "copy_postgres": _us(costs["copy"].postgres_cpu, size),
            "no_change": _us(costs["no_change"].cpu, size),
            "no_change_client": _us(costs["no_change"].client_cpu, size),
            "one_percent": _us(costs["one_percent"].cpu, size),
        }
        if "incremental" in costs:
            by_vendor[name]["incremental_per_changed"] = _us(costs["incremental"].cpu, max(1, size // 100))
    promised = ("first_load_client", "no_change", "one_percent")
    top = {what: _worst({name: found[what] for name, found in by_vendor.items()}, max) for what in promised}
    return {**top, "by_vendor": by_vendor}


def _us(seconds: float, records: int) -> float:
    return round(seconds / records * 1e6, 2)


def _peaks(scenes: Mapping[str, Scenes]) -> dict[str, Any]:
    by_vendor = {name: round(one.peak_mb, 1) for name, one in scenes.items()}
    rest = {name: value for name, value in by_vendor.items() if name in _REST}
    return {"rest": _worst(rest, max), "bulk": by_vendor.get("bulk"), "by_vendor": by_vendor}


def at(results: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path; None where this run did not measure it."""
    found: Any = results
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found if isinstance(found, int | float) else None


def met(reached: float, direction: str, goal: float) -> bool:
    return reached >= goal if direction == ">=" else reached <= goal
