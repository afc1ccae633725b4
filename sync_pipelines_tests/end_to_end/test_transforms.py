"""Rules with transforms from the vendor to the rows: in a sync, after changes, and in processes of their own."""

import os
import subprocess
import sys

import pytest

from sync_pipelines import own_transforms
from sync_pipelines.settings import DEVELOPMENT_KEY
from sync_pipelines_tests.fixtures.place import ACME

OWN = """
from sync_pipelines import transform


@transform("short_of", frame=True, version={version})
def short_of(rows, *, letters=3):
    if (rows["Name"].str.len() == {fails_at}).any():
        raise ValueError("a name that this cannot shorten")
    return rows["Name"].str.slice(0, letters) + "/" + rows["BillingCountry"].fillna("-")
"""
FIELDS = {
    "shouted": {"source": "Name", "transform": {"name": "custom", "expression": "upper(Name)"}},
    "hashed": {"source": "Name", "transform": "hash"},
    "greeting": {"sources": ["Name", "BillingCountry"], "transform": {"name": "template", "template": "{{ Name }}!"}},
    "short": {"sources": ["Name", "BillingCountry"], "transform": {"name": "short_of", "letters": 4}},
}


@pytest.fixture
def own_registry(monkeypatch):
    """Before the place is opened, so that no other test finds its folder."""
    for name, empty in (("_registered", {}), ("_folders", []), ("_loaded", set())):
        monkeypatch.setattr(own_transforms, name, empty)


@pytest.fixture
def with_rules(own_registry, place):
    place.options = {"hash_key": "the key of this test"}
    write_own(place, version=1)
    fields = [{"name": name, "sources": {"salesforce": rule}} for name, rule in FIELDS.items()]
    place.write_sync(objects=[{"object": "Account", "custom_schema": {"version": 1, "fields": fields}}])
    place.connect(ACME)
    return place


def write_own(place, version, fails_at=-1):
    folder = place.folder / "transforms"
    folder.mkdir(exist_ok=True)
    # Python takes a file of the same second and the same length for the one that it has compiled.
    (folder / "ours.py").write_text(OWN.format(version=version, fails_at=fails_at) + "#" * version)
    own_transforms._registered.clear()
    own_transforms._loaded.clear()


def names_of(place):
    return {row["id"]: row["name"] for row in rows_of(place)}


def rows_of(place):
    return place.rows("crm_account", ACME)


def test_rules_make_columns_and_a_changed_one_is_made_anew(with_rules):
    place = with_rules
    assert place.project.configuration.warnings == ()
    run = place.sync_one(ACME)
    assert (run.status, run.counts.invalid) == ("success", 0)
    rows = rows_of(place)
    assert len(rows) == run.counts.created > 5
    for row in rows:
        assert row["shouted"] == row["name"].upper()
        assert row["greeting"] == row["name"] + "!"
        assert row["short"].startswith(row["name"][:4] + "/")
    assert len({row["hashed"] for row in rows}) == len({row["name"] for row in rows})

    before = {row["id"]: row["hashed"] for row in rows}
    place.options = {"hash_key": "another key"}
    place.open()
    place.sync_one(ACME)
    after = {row["id"]: row["hashed"] for row in rows_of(place)}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_an_own_transform_that_fails_harms_only_its_values(with_rules):
    place = with_rules
    place.sync_one(ACME)
    guilty = len(min(names_of(place).values()))
    write_own(place, version=2, fails_at=guilty)
    run = place.sync_one(ACME)
    assert run.status == "success"
    failed = 0
    for row in rows_of(place):
        if len(row["name"]) == guilty:
            failed += 1
            assert row["short"] is None
            error = row["_sync_errors"]["short"]
            assert error["field"] == "Name, BillingCountry"
            assert row["name"] in error["value"]
            assert "short_of" in error["reason"]
            assert "ours.py" in error["reason"]
            assert "ValueError: a name that this cannot shorten" in error["reason"]
        else:
            assert (row["short"][:4], row["_sync_errors"]) == (row["name"][:4], None)
    assert run.counts.invalid == failed > 0


def in_a_process(place, *program):
    variables = {
        "SYNC_PIPELINES_ENVIRONMENT": "development",
        "SYNC_PIPELINES_STORE_URL": place.store.url(),
        "SYNC_PIPELINES_ENCRYPTION_KEYS": DEVELOPMENT_KEY,
        "SYNC_PIPELINES_SYNCS_DIR": str(place.folder),
        "SYNC_PIPELINES_HASH_KEY": "the key of this test",
        **place.environ,
    }
    return subprocess.run(
        [sys.executable, "-c", *program], env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_own_transforms_are_found_by_the_command_line_and_by_dagster(with_rules):
    place = with_rules
    run_cli = "from sync_pipelines.cli import app; app()"
    checked = in_a_process(place, run_cli, "check")
    assert (checked.returncode, "The configuration is right" in checked.stdout) == (0, True), checked.stdout
    synced = in_a_process(place, run_cli, "sync", "crm")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert {row["short"][:4] for row in rows_of(place)} == {name[:4] for name in names_of(place).values()}

    write_own(place, version=2, fails_at=-1)
    text = (place.folder / "transforms" / "ours.py").read_text()
    (place.folder / "transforms" / "ours.py").write_text(text.replace('+ "/" +', '+ "|" +'))
    run_dagster = (
        "from sync_pipelines.orchestration.definitions import defs\n"
        f"config = {{'ops': {{'objects_of_crm': {{'config': {{'connections': [{ACME!r}]}}}}}}}}\n"
        "defs.resolve_job_def('sync_crm').execute_in_process(run_config=config)\n"
    )
    materialized = in_a_process(place, run_dagster)
    assert materialized.returncode == 0, materialized.stderr[-2000:]
    assert all("|" in row["short"] for row in rows_of(place))

    (place.folder / "transforms" / "ours.py").write_text("1 / 0\n")
    broken = in_a_process(place, run_cli, "check")
    assert broken.returncode == 2
    assert "ours.py:1:ZeroDivisionError" in "".join(broken.stdout.split())
