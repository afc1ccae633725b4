"""With `metadata_prefix: _supaglue_` the printed Contact table of the managed-syncs product comes out, with rows."""

import json

import pytest

from sync_pipelines_tests.fixtures.place import ACME

PRINTED = """
| _supaglue_application_id | String    |
| _supaglue_customer_id    | String    |
| _supaglue_provider_name  | String    |
| _supaglue_emitted_at     | Timestamp |
| account_id               | String    |
| addresses                | json      |
| created_at               | Timestamp |
| email_addresses          | json      |
| first_name               | String    |
| id                       | String    |
| is_deleted               | Boolean   |
| last_activity_at         | Timestamp |
| last_modified_at         | Timestamp |
| last_name                | String    |
| lifecycle_stage          | String    |
| owner_id                 | String    |
| phone_numbers            | json      |
| raw_data                 | json      |
| updated_at               | Timestamp |
"""
TYPES = {"String": "text", "Timestamp": "timestamp with time zone", "json": "jsonb", "Boolean": "boolean"}

COLUMNS = """
    SELECT column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'crm' AND table_name = 'crm_contact' ORDER BY ordinal_position
"""

SYNC = {
    "id": 1,
    "name": "my salesforce sync",
    "destination_id": 1,
    "provider_id": 2,
    "config": {"period_ms": 3600, "strategy": "full refresh"},
    "metadata_prefix": "_supaglue_",
    "objects": [{"object": "Contact"}, {"object": "EmailTemplate", "supaglue_common_schema": False}],
}


def printed():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PRINTED.strip().splitlines()]
    return [(name, TYPES[kind]) for name, kind in rows]


@pytest.fixture
def managed(place):
    """The place with the printed kind of sync beside the providers and the destination; ACME is connected."""
    for kept in (place.folder / "syncs").iterdir():
        kept.unlink()
    (place.folder / "providers" / "hubspot.yaml").unlink()
    (place.folder / "syncs" / "printed.json").write_text(json.dumps(SYNC))
    place.open()
    place.connect(ACME)
    return place


def test_the_printed_table_comes_out_column_for_column(managed):
    run = managed.sync_one(ACME, name="my salesforce sync", object_name="Contact")
    assert run.status == "success"
    assert managed.execute(COLUMNS) == printed()


def test_its_rows_are_the_customers_records(managed):
    managed.sync_one(ACME, name="my salesforce sync", object_name="Contact")
    found = managed.execute(
        "SELECT id, last_name, _supaglue_customer_id, _supaglue_provider_name, raw_data ->> 'Email' "
        "FROM crm.crm_contact"
    )
    truth = {
        (truth["id"], truth["fields"]["LastName"], ACME, "salesforce", truth["fields"]["Email"])
        for truth in managed.control.truth(ACME, "Contact")
    }
    assert set(found) == truth


def test_a_repetition_rewrites_nothing_and_a_change_shows(managed):
    sync = {"name": "my salesforce sync", "object_name": "Contact"}
    managed.sync_one(ACME, **sync)
    assert managed.sync_one(ACME, **sync).counts.changed == 0
    (changed,) = managed.control.change(ACME, "Contact", updated=1)["updated"]
    assert managed.sync_one(ACME, **sync).counts.updated == 1
    newest = managed.execute("SELECT id FROM crm.crm_contact ORDER BY _supaglue_emitted_at DESC LIMIT 1")
    assert newest == [(changed,)]


def test_a_custom_prefix_does_not_disturb_the_usual_tables(managed):
    managed.write_sync(name="usual", objects=["Account"])
    assert managed.sync_one(ACME, name="usual").status == "success"
    assert {"_sync_run_id", "_sync_hash", "_sync_errors"} <= managed.rows("crm_account")[0].keys()
