"""Looks up known vulnerabilities of everything that is pinned. Called by `make audit`.

Exit code 1: a vulnerability that accepted.toml does not list. Where the service of advisories cannot be asked, nothing
is proven: that is said, and is no failure.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "deploy" / "requirements.lock")
SECONDS = 900


@dataclass
class Verdict:
    """`refused` fails; `told` is for a reader."""

    refused: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def verdict(report: Mapping[str, Any], accepted: Sequence[Mapping[str, Any]], today: date) -> Verdict:
    """What a report of pip-audit means, and what was accepted: `id`, `package`, `until` (its last day), `reason`."""
    found = Verdict()
    dependencies = report["dependencies"]
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    if len(unknown) == len(dependencies):
        found.told.append("WARNING: the service of advisories knows none of the packages: NOTHING WAS AUDITED.")
    elif unknown:
        found.told.append(f"WARNING: not audited: {', '.join(unknown)}.")
    for dependency in dependencies:
        for hole in dependency.get("vulns", ()):
            names = {hole["id"], *hole.get("aliases", ())}
            what = f"{dependency['name']} {dependency['version']}: {hole['id']}"
            mended = f" Mended in {', '.join(hole['fix_versions'])}." if hole.get("fix_versions") else ""
            listed = [each for each in accepted if each["id"] in names and each["package"] == dependency["name"]]
            if not listed:
                found.refused.append(f"{what}.{mended}")
            elif listed[0]["until"] < today:
                found.refused.append(f"{what} was accepted until {listed[0]['until']}.{mended}")
            else:
                found.told.append(f"{what}: accepted until {listed[0]['until']}: {listed[0]['reason']}")
    return found


def read_accepted(file: Path) -> list[Mapping[str, Any]]:
    """Entries of accepted.toml. ValueError for one without reason or date."""
    entries: list[Mapping[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8")).get("accepted", [])
    for entry in entries:
        if not isinstance(entry.get("until"), date) or not all(entry.get(key) for key in ("id", "package", "reason")):
            raise ValueError(f"{file.name}: each entry needs id, package, reason and until, a date: {dict(entry)}")
    return entries


def audit(lock: Path) -> Mapping[str, Any] | None:
    """pip-audit's report, None where it could not ask."""
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"WARNING: {lock.relative_to(ROOT)} was NOT AUDITED: {last}")
        return None
    return report


def main() -> int:
    accepted = read_accepted(HERE / "accepted.toml")
    refused = 0
    for lock in LOCKS:
        report = audit(lock)
        if report is None:
            continue
        found = verdict(report, accepted, datetime.now(UTC).date())
        refused += len(found.refused)
        print(f"{lock.relative_to(ROOT)}: {len(report['dependencies'])} packages, {len(found.refused)} refused")
        for line in (*found.told, *found.refused):
            print(f"  {line}")
    if refused:
        print("Raise the pin (make lock), or list it in deploy/audit/accepted.toml with a reason and a last day.")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
