"""What becomes of a report about vulnerabilities: fails, is accepted for a while, or proves nothing and says so."""

import importlib.util
from datetime import date
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "deploy" / "audit"
TODAY = date(2026, 3, 1)
HOLE = {"id": "PYSEC-2026-1", "aliases": ["GHSA-aaaa-bbbb-cccc"], "fix_versions": ["1.1"], "description": "bad"}
SOUND = {"name": "sound", "version": "2.0", "vulns": []}
BROKEN = {"name": "broken", "version": "1.0", "vulns": [HOLE]}
SKIPPED = {"name": "unknown", "skip_reason": "Dependency not found"}
ACCEPTED = {"id": "GHSA-aaaa-bbbb-cccc", "package": "broken", "until": date(2026, 3, 1), "reason": "never called"}


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("audit_check", AUDIT / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("dependencies", "accepted", "refused", "told"),
    [
        ([SOUND], [], [], []),
        ([SOUND, BROKEN], [], ["broken 1.0: PYSEC-2026-1. Mended in 1.1."], []),
        ([BROKEN], [ACCEPTED], [], ["accepted until 2026-03-01: never called"]),
        ([BROKEN], [ACCEPTED | {"until": date(2026, 2, 28)}], ["was accepted until 2026-02-28"], []),
        ([BROKEN], [ACCEPTED | {"package": "sound"}], ["PYSEC-2026-1"], []),
        ([SOUND, SKIPPED], [], [], ["not audited: unknown"]),
        ([SKIPPED], [], [], ["NOTHING WAS AUDITED"]),
    ],
)
def test_what_a_report_means(check, dependencies, accepted, refused, told):
    found = check.verdict({"dependencies": dependencies}, accepted, TODAY)
    for texts, wanted in ((found.refused, refused), (found.told, told)):
        assert len(texts) == len(wanted)
        assert all(part in text for part, text in zip(wanted, texts, strict=True))


def test_an_acceptance_needs_a_reason_and_a_date(check, tmp_path):
    assert check.read_accepted(AUDIT / "accepted.toml") == []
    file = tmp_path / "accepted.toml"
    file.write_text('[[accepted]]\nid = "X"\npackage = "broken"\nuntil = 2026-12-31\nreason = "because"\n')
    assert check.read_accepted(file)[0]["until"] == date(2026, 12, 31)
    for wrong in ('until = "soon"\nreason = "because"', "until = 2026-12-31"):
        file.write_text(f'[[accepted]]\nid = "X"\npackage = "broken"\n{wrong}\n')
        with pytest.raises(ValueError, match="reason and until"):
            check.read_accepted(file)
