"""From what was seen to the numbers that are promised, a table and two charts."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any, Final

from tabulate import tabulate

from benchmarks.charts import time_chart
from benchmarks.scale.accounts import customer_of
from benchmarks.scale.attempts import attribution, lateness, per_attempt_ms, per_day, percentile
from benchmarks.scale.hour import Measured
from benchmarks.scale.usage import SANDBOX
from sync_pipelines.cli.stage import DAGSTER

GOALS: Final = (
    ("99 % of due work begins within, s", "late_p99_s", "at most", 120.0),
    ("cores used, everything included", "cores_used", "at most", 1.0),
    ("ms of CPU an idle attempt, without the sandbox", "cpu_ms_per_idle_attempt", "at most", 10.0),
    ("event log, MB a day", "event_log_mb_per_day", "at most", 100.0),
    ("failures not recorded for exactly the right customer", "failures_missed", "at most", 0.0),
    ("customers with an error that was not injected", "failures_of_others", "at most", 0.0),
    ("wrong rows", "wrong_rows", "at most", 0.0),
    ("memory at the end over that of the first quarter", "memory_growth", "at most", 1.15),
)


def judged(measured: Measured, *, connections: int, objects: int, injected: Mapping[int, str]) -> dict[str, Any]:
    """`scale.json`. CPU of an idle attempt: that of everything, divided by all attempts, of which a few had work."""
    watch, cpu = measured.watch, measured.watch.cpu()
    window = [one for one in measured.attempts if one.started_at <= measured.ended]
    late = lateness(measured.attempts, measured.due, objects, measured.settled)
    # Whose turn did not come could not fail.
    came = {one.customer for one in measured.attempts}
    injected = {number: kind for number, kind in injected.items() if customer_of(number) in came}
    found = attribution(measured.attempts, injected)
    return {
        "connections": connections,
        "objects": objects,
        "hours": round(watch.seconds / 3600, 4),
        "attempts": len(window),
        "late_p99_s": round(percentile(late, 0.99), 1),
        "cores_used": round(sum(cpu.values()) / watch.seconds, 3),
        "cpu_ms_per_idle_attempt": round(per_attempt_ms(cpu, len(window), {SANDBOX}), 2),
        "peak_memory_mb": {kind: round(most) for kind, most in watch.peaks().items()},
        "event_log_mb_per_day": round(per_day(_event_log(measured.tables_mb), watch.seconds), 1),
        "dagster_mb_per_day": round(per_day(_storage(measured), watch.seconds), 1),
        "failures_injected": len(injected),
        "failures_attributed": found.attributed,
        "wrong_rows": measured.wrong_rows,
        "late_p50_s": round(percentile(late, 0.5), 1),
        "late_max_s": round(late[-1], 1) if late else 0.0,
        "idle_attempts": sum(one.is_idle for one in window),
        "attempts_with_changes": sum(one.status == "success" and one.changed > 0 for one in window),
        "vendor_calls": sum(one.calls for one in window),
        "cpu_ms_per_idle_attempt_with_sandbox": round(per_attempt_ms(cpu, len(window)), 2),
        "cores_by_process": {kind: round(seconds / watch.seconds, 4) for kind, seconds in sorted(cpu.items())},
        "memory_growth": round(_growth(measured), 3),
        "database_growth_mb": {name: round(grown, 2) for name, grown in measured.grown_mb.items()},
        "event_log_tables_mb": {
            name: round(grown, 2) for name, grown in sorted(measured.tables_mb.items()) if abs(grown) >= 0.01
        },
        "failures_missed": len(injected) - found.attributed,
        "failures_of_others": len(found.others),
        "failures_examples": [*found.wrong, *found.others][:10],
        "wrong_rows_examples": list(measured.wrong_examples),
        "first_load_seconds": round(measured.first_load_seconds),
    }


def _event_log(tables_mb: Mapping[str, float]) -> float:
    """Megabytes of the events and their tags, with their share of the indexes."""
    return sum(tables_mb.get(name, 0.0) for name in ("event_logs", "asset_event_tags"))


def _storage(measured: Measured) -> float:
    """Megabytes of all that Dagster stores: of its files, or of the rows added and their indexes if that is more."""
    return max(measured.grown_mb[DAGSTER], sum(grown for grown in measured.tables_mb.values() if grown > 0))


def _growth(measured: Measured) -> float:
    """Memory of all that lives on (runs come and go), the last quarter's mean over that of the first one."""
    lines = measured.watch.memory()
    lasting = [points for kind, points in lines.items() if kind != "run workers"]
    sums = [sum(value for _, value in each) for each in zip(*lasting, strict=True)]
    quarter = max(1, len(sums) // 4)
    return fmean(sums[-quarter:]) / fmean(sums[:quarter])


def told(results: Mapping[str, Any]) -> str:
    """For a person at the terminal."""
    numbers = (
        [name.replace("_", " "), results[name]]
        for name in ("attempts", "idle_attempts", "attempts_with_changes", "vendor_calls", "late_p50_s", "late_max_s")
    )
    kinds = [
        [kind, cores, f"{cores * 1000 * results['hours'] * 3600 / max(1, results['attempts']):.2f}",
         results["peak_memory_mb"].get(kind, 0)]
        for kind, cores in results["cores_by_process"].items()
    ]  # fmt: skip
    goals = []
    for title, name, direction, goal in GOALS:
        goals.append([title, f"{direction} {goal:g}", f"{results[name]:g}", "yes" if results[name] <= goal else "NO"])
    largest = sorted(results["event_log_tables_mb"].items(), key=lambda one: -one[1])
    parts = [
        tabulate(list(numbers)),
        tabulate(kinds, ["process", "cores", "ms of CPU an attempt", "peak MB"]),
        tabulate(largest[:8], ["Dagster's table", "MB grown"]),
        *results["failures_examples"],
        *results["wrong_rows_examples"],
        tabulate(goals, ["goal", "asked", "reached", "met"], disable_numparse=True),
    ]
    return "\n\n".join(parts)


def charts(measured: Measured) -> dict[str, str]:
    """By name of the file."""
    return {
        "scale": time_chart("Cores used, by minutes", measured.watch.cores()),
        "scale_memory": time_chart("Megabytes, by minutes", measured.watch.memory()),
    }
