"""What the peers are told and pinned to."""

import ast
import re
import sys
from pathlib import Path

import pytest

from benchmarks.contestants import CONTESTANTS, REQUIREMENTS, version_of
from benchmarks.fields import COLUMNS
from benchmarks.plain_mapping import ROWS
from benchmarks.records import RECORDS

IMPORTED_BY_PEERS = ("fields.py", "plain_mapping.py")
ROOT = REQUIREMENTS.parent.parent


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.stem)
def test_requirements_are_pinned_and_name_no_place(file):
    for line in file.read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_every_peer_has_its_environment_and_version():
    for contestant in CONTESTANTS.values():
        for name in (contestant.environment, *contestant.also):
            assert (REQUIREMENTS / f"{name}.txt").exists()
        assert version_of(contestant)


@pytest.mark.parametrize("name", IMPORTED_BY_PEERS)
def test_peers_import_nothing_of_ours(name):
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {module.split(".")[0] for module in imported} <= {*sys.stdlib_module_names, "benchmarks"}


@pytest.mark.parametrize("vendor", ROWS)
def test_the_plain_mapping_fills_every_column(vendor):
    rows = [ROWS[vendor](RECORDS[vendor](n)) for n in range(300)]
    assert all(row.keys() == COLUMNS.keys() for row in rows)
    empty = {name for name in COLUMNS if not any(row[name] for row in rows)} - {"is_deleted"}
    assert empty == (set() if vendor == "hubspot" else {"lifecycle_stage"})


def test_the_stand_in_listens_on_this_machine_only():
    assert '"127.0.0.1"' in Path(ROOT / "server.py").read_text()
